//! What the reactor keeps for a handler without knowing what it is.

use std::any::Any;

/// What a handler keeps of a session, and whatever else only it knows the type of.
pub(crate) type UserState = Box<dyn Any + Send>;
