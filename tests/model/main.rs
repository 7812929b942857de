//! Model checks of the rules that let many processes share a store: every interleaving of their steps is visited, with
//! a `kill -9` possible between any two. Each rule is also switched off, to see that the check notices.
#![allow(clippy::disallowed_methods, clippy::disallowed_macros, missing_docs)]

mod collector;
mod lock_file;
mod process;
mod properties;
mod protocol;
mod rules;
