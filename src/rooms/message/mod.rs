//! One message, without a place in a log: what it is, how it is written.
//!
//! | file | subject |
//! |---|---|
//! | `kind` | what a numbered message is |
//! | `draft` | a message before it has a number and a time |
//! | `stored` | a message as the store gives it back |
//! | `chat` | the JSON of a chat message, encoded once |
//! | `notice` | what a room tells one member besides the messages |
//! | `presence_text` | what a JOIN and a LEAVE say |
//! | `identity` | a client's own id of a message |
//! | `id` | the public ids of messages |
//! | `frame` | whole text frames around a payload |
//! | `read` | a chat message, read back from its JSON |
//! | `json` | JSON strings and numbers |

pub(in crate::rooms) mod chat;
pub(in crate::rooms) mod draft;
pub(in crate::rooms) mod frame;
pub(in crate::rooms) mod id;
pub(in crate::rooms) mod identity;
pub(in crate::rooms) mod json;
pub(in crate::rooms) mod kind;
pub(in crate::rooms) mod notice;
pub(in crate::rooms) mod presence_text;
mod read;
pub(in crate::rooms) mod stored;
