//! What a peer can do wrong (RFC 6455, RFC 7692), one name per rule.

use std::error::Error;
use std::fmt;

use super::close_code::CloseCode;

/// The rule that the peer broke. The connection fails with [`ProtocolError::close_code`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProtocolError {
    /// RSV1, RSV2 or RSV3 is set and no negotiated extension gives it a meaning there (§5.2).
    ReservedBit,
    /// Opcode 3 to 7 or 11 to 15 (§5.2).
    ReservedOpcode,
    /// A frame from a client without a mask (§5.1).
    MaskMissing,
    /// A frame from a server with a mask (§5.1).
    MaskForbidden,
    /// A close, ping or pong without FIN (§5.5).
    ControlFragmented,
    /// A close, ping or pong with more than 125 bytes of payload (§5.5).
    ControlTooLong,
    /// A payload length not in its shortest form (§5.2).
    LengthNotMinimal,
    /// A 64-bit payload length with its most significant bit set (§5.2).
    LengthTopBit,
    /// A continuation frame with no message to continue (§5.4).
    ContinuationUnexpected,
    /// A new text or binary frame inside a fragmented message (§5.4).
    ContinuationMissing,
    /// The message is longer than this end accepts (§7.4.1).
    MessageTooBig,
    /// A text message that is not UTF-8 (§5.6, §8.1).
    TextNotUtf8,
    /// A close frame with one byte of payload, which cannot hold a code (§5.5.1).
    CloseCodeCutShort,
    /// A close code that must not appear on the wire (§7.4).
    CloseCodeInvalid,
    /// A close reason that is not UTF-8 (§5.5.1).
    CloseReasonNotUtf8,
    /// A compressed message that is not DEFLATE (RFC 7692 §7.2.2).
    DeflateInvalid,
    /// A compressed message that ends inside a block (RFC 7692 §7.2.2).
    DeflateCutShort,
}

impl ProtocolError {
    /// The code to close the connection with.
    pub const fn close_code(self) -> CloseCode {
        match self {
            ProtocolError::ReservedBit
            | ProtocolError::ReservedOpcode
            | ProtocolError::MaskMissing
            | ProtocolError::MaskForbidden
            | ProtocolError::ControlFragmented
            | ProtocolError::ControlTooLong
            | ProtocolError::LengthNotMinimal
            | ProtocolError::LengthTopBit
            | ProtocolError::ContinuationUnexpected
            | ProtocolError::ContinuationMissing
            | ProtocolError::CloseCodeCutShort
            | ProtocolError::CloseCodeInvalid => CloseCode::PROTOCOL_ERROR,
            // The frames are in order; it is what they carry that is not what it should be.
            ProtocolError::TextNotUtf8
            | ProtocolError::DeflateInvalid
            | ProtocolError::DeflateCutShort
            | ProtocolError::CloseReasonNotUtf8 => CloseCode::INVALID_PAYLOAD,
            ProtocolError::MessageTooBig => CloseCode::TOO_BIG,
        }
    }

    /// What was wrong, short enough for a close reason.
    pub const fn text(self) -> &'static str {
        match self {
            ProtocolError::ReservedBit => "reserved bit set",
            ProtocolError::ReservedOpcode => "reserved opcode",
            ProtocolError::MaskMissing => "client frame is not masked",
            ProtocolError::MaskForbidden => "server frame is masked",
            ProtocolError::ControlFragmented => "control frame is fragmented",
            ProtocolError::ControlTooLong => "control frame is longer than 125 bytes",
            ProtocolError::LengthNotMinimal => "payload length is not in its shortest form",
            ProtocolError::LengthTopBit => "payload length has its top bit set",
            ProtocolError::ContinuationUnexpected => "continuation of no message",
            ProtocolError::ContinuationMissing => "new message inside a fragmented one",
            ProtocolError::MessageTooBig => "message is too big",
            ProtocolError::TextNotUtf8 => "text is not valid utf-8",
            ProtocolError::DeflateInvalid => "compressed message is not valid deflate",
            ProtocolError::DeflateCutShort => "compressed message is cut short",
            ProtocolError::CloseCodeCutShort => "close code is cut short",
            ProtocolError::CloseCodeInvalid => "close code is not allowed on the wire",
            ProtocolError::CloseReasonNotUtf8 => "close reason is not valid utf-8",
        }
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl Error for ProtocolError {}
