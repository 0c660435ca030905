//! The `foghorn` command: arguments in, exit status out.

fn main() {}
