//! The frame that ends a session.

use super::codec::{Command, Escaping, FrameWriter, Version};

/// What bodies that the server wrote are.
pub(crate) const TEXT: &str = "text/plain;charset=utf-8";

/// An ERROR frame; `versions`: it tells which versions there are.
pub(crate) fn error_frame(
    message: &str,
    explanation: &str,
    receipt: Option<&str>,
    version: Option<Version>,
    versions: bool,
) -> Vec<u8> {
    let mut frame = Vec::new();
    let names = match version {
        Some(version) if versions => version.name(),
        Some(_) | None => "1.0,1.1,1.2",
    };
    FrameWriter::new(&mut frame, Command::Error, version.map_or(Escaping::None, Escaping::of))
        .optional("version", versions.then_some(names))
        .header("message", message)
        .optional("receipt-id", receipt)
        .header("content-type", TEXT)
        .body(explanation.as_bytes());
    frame
}
