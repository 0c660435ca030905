//! Judges a request line while it arrives: `method SP target SP version` (RFC 9112 §3).
//!
//! What speaks another protocol is told so with its first line, and does not have to wait for the deadline of a head that
//! never ends.

use memchr::memchr;

use super::error::HeadError;
use super::fields::is_token_byte;
use super::limits::HeadLimits;

/// No method in use is longer than `UPDATEREDIRECTREF`.
const METHOD_BYTES_MAX: usize = 32;

/// What a version looks like; its two numbers stand where the zeros are.
const VERSION: &[u8] = b"HTTP/0.0";

/// A position, and what is wrong once the byte there has come.
type Fault = (usize, HeadError);

/// The first byte in the request line that begins at `start` with which it can only be wrong, if it is here. The first
/// `searched` bytes were judged before. Control bytes but the tab are for the caller to name.
///
/// Looks at the bytes of a target once, however they arrive; at those of the method and the version at each call.
pub(super) fn fault(bytes: &[u8], start: usize, searched: usize, limits: &HeadLimits) -> Option<Fault> {
    let rest = bytes.get(start..)?;
    let line = &rest[..memchr(b'\r', rest).unwrap_or(rest.len())];
    let end = start + line.len() + 1;
    if end < searched {
        return None;
    }
    // A carriage return alone is the caller's to name, too.
    let complete = bytes.get(end) == Some(&b'\n');
    let line = Line { bytes: line, start, ended_at: complete.then_some(end) };
    line.fault(searched, limits)
}

/// A request line, as far as it has come.
struct Line<'b> {
    bytes: &'b [u8],
    start: usize,
    /// Where its line feed is.
    ended_at: Option<usize>,
}

impl Line<'_> {
    fn fault(&self, searched: usize, limits: &HeadLimits) -> Option<Fault> {
        let method_len = match self.method_len() {
            Ok(Some(len)) => len,
            Ok(None) => return None,
            Err(at) => return Some((at, HeadError::RequestLine)),
        };
        let fault = self.fault_behind(method_len + 1, searched, limits);
        match fault {
            Some((at, HeadError::RequestLine)) if &self.bytes[..method_len] == b"PROXY" => {
                Some((at, HeadError::ProxyHeader))
            }
            fault => fault,
        }
    }

    /// The length of the method, once the space behind it has come; or where it is wrong.
    fn method_len(&self) -> Result<Option<usize>, usize> {
        let visible = &self.bytes[..self.bytes.len().min(METHOD_BYTES_MAX + 1)];
        match visible.iter().position(|&byte| !is_token_byte(byte)) {
            Some(len @ 1..) if visible[len] == b' ' => Ok(Some(len)),
            Some(at) if is_named_elsewhere(visible[at]) => Ok(None),
            Some(at) => Err(self.start + at),
            None if visible.len() > METHOD_BYTES_MAX => Err(self.start + METHOD_BYTES_MAX),
            None => self.ended_at.map_or(Ok(None), Err),
        }
    }

    /// What is wrong with the target, which begins here in the line, or with the version.
    fn fault_behind(&self, target_at: usize, searched: usize, limits: &HeadLimits) -> Option<Fault> {
        let target = &self.bytes[target_at..];
        let len = memchr(b' ', target);
        let target = &target[..len.unwrap_or(target.len())];
        let judged = searched.saturating_sub(self.start + target_at).min(target.len());
        let wrong = target[judged..].iter().position(|&byte| !byte.is_ascii_graphic() || byte == b'#');
        // A target that alone fills the head is too long as a target.
        let bytes_max = limits.head_bytes.checked_sub(self.start + target_at + 1)?.min(limits.target_bytes);
        let too_long = target.len() > bytes_max;
        match (wrong.map(|at| judged + at), len) {
            (Some(at), _) if !too_long || at < bytes_max => {
                let at_byte = |error| Some((self.start + target_at + at, error));
                match target[at] {
                    b'#' => at_byte(HeadError::Fragment),
                    0x80.. => at_byte(HeadError::TargetBytes),
                    byte if is_named_elsewhere(byte) => None,
                    _ => at_byte(HeadError::RequestLine),
                }
            }
            (Some(_) | None, _) if too_long => {
                Some((self.start + target_at + bytes_max, HeadError::TargetTooLong))
            }
            (_, Some(0)) => Some((self.start + target_at, HeadError::RequestLine)),
            (_, Some(len)) => self.version_fault(target_at + len + 1),
            (_, None) => self.ended_at.map(|at| (at, HeadError::RequestLine)),
        }
    }

    /// What is wrong with the version, which begins here in the line.
    fn version_fault(&self, version_at: usize) -> Option<Fault> {
        let version = &self.bytes[version_at..];
        for (index, &byte) in version.iter().enumerate() {
            let fits = match VERSION.get(index) {
                Some(b'0') => byte.is_ascii_digit(),
                Some(&expected) => byte == expected,
                None => false,
            };
            let at = self.start + version_at + index;
            if !fits {
                return (!is_named_elsewhere(byte)).then_some((at, HeadError::RequestLine));
            }
            if index + 1 == VERSION.len() && !matches!(&version[..=index], b"HTTP/1.0" | b"HTTP/1.1") {
                return Some((at, HeadError::Version));
            }
        }
        self.ended_at.filter(|_| version.len() < VERSION.len()).map(|at| (at, HeadError::RequestLine))
    }
}

/// Whether the caller has a word for a byte of this kind.
fn is_named_elsewhere(byte: u8) -> bool {
    byte.is_ascii_control() && byte != b'\t'
}
