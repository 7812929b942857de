//! The real program against the test Hub: what a person, a script and an adversary do with it.
#![allow(clippy::disallowed_methods, clippy::disallowed_macros, clippy::unwrap_used, missing_docs)]

#[path = "../support/fsck.rs"]
mod fsck;
#[path = "../support/mod.rs"]
mod support;

mod kit;

mod main_job;
mod network;
mod refusals;
mod resume;
