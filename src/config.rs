//! The configuration: every key with its unit and default.
