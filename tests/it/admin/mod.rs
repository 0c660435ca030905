//! What is there for operators: a listener of their own, the rule for this machine, the dashboard.

mod dashboard;
mod listener;
mod local;
