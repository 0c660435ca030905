//! One message, without a place in a log: what it is, how it is written.
//!
//! | file | subject |
//! |---|---|
//! | `chat` | the JSON of a chat message, encoded once |
//! | `json` | JSON strings and numbers |

pub(in crate::rooms) mod chat;
pub(in crate::rooms) mod json;
