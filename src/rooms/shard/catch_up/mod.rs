//! Members that read from the store, a few pages at a time.
//!
//! | file | subject |
//! |---|---|
//! | `state` | which members read, and what is asked for them |
//! | `pages` | pages are asked for and given to the members |
//! | `tests` | members, polls and pages, one event after the other |

pub(in crate::rooms) mod pages;
pub(in crate::rooms) mod state;
#[cfg(test)]
pub(in crate::rooms) mod tests;
