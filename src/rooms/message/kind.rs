//! What a numbered message is.

/// What a numbered message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A member's message.
    Message,
    /// A member came.
    Join,
    /// A member left.
    Leave,
    /// The server speaks.
    System,
}

impl Kind {
    /// The value of `type` on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Message => "MESSAGE",
            Kind::Join => "JOIN",
            Kind::Leave => "LEAVE",
            Kind::System => "SYSTEM",
        }
    }
}
