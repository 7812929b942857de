//! Somebody else who may write the store or the models directory, at work while the real program runs.
#![allow(clippy::disallowed_methods, clippy::disallowed_macros, clippy::unwrap_used, missing_docs)]
#![cfg(target_os = "linux")]

#[path = "../support/fsck.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod fsck;
#[path = "../cli/kit.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod kit;
#[path = "../support/mod.rs"]
mod support;

mod races;
mod swapper;
