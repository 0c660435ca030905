//! What is there for operators: a listener of their own, the rule for this machine.

mod listener;
mod local;
