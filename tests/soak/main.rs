//! The real binary, many times at once, killed at random and at every system call, on several file systems.
//!
//! Short by default; `MODEL_MANAGER_SOAK_SECONDS=3600` soaks for an hour and `MODEL_MANAGER_SWEEP=full` breaks every call.
//! Tests that need root or `strace` are ignored without being asked for (`-- --include-ignored`). What a machine lacks is a
//! failure that names it then.
#![allow(missing_docs, clippy::unwrap_used, clippy::disallowed_methods, clippy::disallowed_macros)]
#![cfg(target_os = "linux")]

#[path = "../support/fsck.rs"]
#[allow(dead_code)]
mod fsck;
#[path = "../support/mod.rs"]
mod support;

mod chaos;
mod collecting;
mod mounts;
mod refused;
mod sweep;
mod world;
