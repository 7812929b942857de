//! The real binary, many times at once, killed at random and at every system call, on several file systems.
//!
//! Short by default; `MODEL_MANAGER_SOAK_SECONDS=3600` soaks for an hour and `MODEL_MANAGER_SWEEP=full` breaks every call.
//! What a machine lacks is a failure that names it. `MODEL_MANAGER_TEST_NO_STRACE=1` and `MODEL_MANAGER_TEST_NO_MOUNTS=1`
//! give it up by order.
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
