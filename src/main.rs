//! The `model-manager` command.

fn main() {}
