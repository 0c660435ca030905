//! What keys can be set to that are one of a few words.

/// How lines of the log look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogFormat {
    /// Time, level, message, then `key=value`.
    Text,
    /// An object with `time`, `level`, `message`, then the same keys.
    Json,
}

/// What becomes of a session that sends more than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnFlood {
    /// It is not read until it is within its rates again.
    Slow,
    /// It is closed with 1008.
    Close,
}

/// What becomes of a member that falls behind a room's window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnLag {
    /// It is sent what it missed from the store.
    CatchUp,
    /// It is told exactly what it lost and goes on with the newest message.
    Gap,
    /// Its session ends with 4008.
    Close,
}

/// What a message has survived before a member is shown it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// Nothing, and it is never stored.
    Off,
    /// Nothing; it is stored soon.
    Async,
    /// The end of the process.
    Commit,
    /// The loss of power.
    Fsync,
}

/// What tokens are signed with where both sides have a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HmacAlgorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
}
