//! What somebody else may do to a store who shares the machine, and what a run by root does to a user: the real binary as
//! several users, things of every kind where files should be, and folders that are exchanged while it runs.
//!
//! Tests that act as several users need root and are ignored without being asked for:
//! `cargo test --test hostile_member -- --include-ignored`.
#![allow(missing_docs, clippy::unwrap_used, clippy::disallowed_methods, clippy::disallowed_macros)]
#![cfg(unix)]

#[path = "../support/fsck.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod fsck;
#[path = "../cli/kit.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod kit;
#[path = "../support/mod.rs"]
mod support;

mod limits;
mod people;
#[cfg(target_os = "linux")]
mod races;
mod readers;
mod root_runs;
mod special_files;
mod strangers;
#[cfg(target_os = "linux")]
mod swapper;
mod waits;
