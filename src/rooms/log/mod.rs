//! The log of a room: its newest messages as wire bytes, and the other forms of it.
//!
//! | file | subject |
//! |---|---|
//! | `frames` | the log itself: frames back to back in one buffer, numbered |
//! | `stored` | messages from the store, written into a log |
//! | `view` | the same messages in another form, beside the log |
//! | `deflated` | the log compressed, for members that agreed on that |
//! | `encoding` | the forms that an application adds |
//! | `contained` | an application's encoding whose panic costs one member |
//! | `encoded` | the members that are sent such a form |
//! | `conflated` | rooms in which only the latest message of each key counts |

pub(in crate::rooms) mod conflated;
pub(in crate::rooms) mod contained;
pub(in crate::rooms) mod deflated;
pub(in crate::rooms) mod encoded;
pub(in crate::rooms) mod encoding;
pub(in crate::rooms) mod frames;
pub(in crate::rooms) mod stored;
pub(in crate::rooms) mod view;

pub use self::frames::{Log, Slice, Window};
