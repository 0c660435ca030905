//! Rooms on their way from the store: what happens to them meanwhile waits in order. The room itself is in
//! `room_opening`.
//!
//! | file | subject |
//! |---|---|
//! | `waiting` | commands wait for the room |
//! | `open` | the store opens it, or says why not |
//! | `leaving` | members that go meanwhile |
//! | `refusing` | commands that wait for a room that does not come |
//! | `tests` | each command in each state |

pub(in crate::rooms) mod leaving;
pub(in crate::rooms) mod open;
pub(in crate::rooms) mod refusing;
#[cfg(test)]
pub(in crate::rooms) mod tests;
pub(in crate::rooms) mod waiting;
