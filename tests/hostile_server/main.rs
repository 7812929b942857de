//! Servers that never end, send too much, or say what is not so: the real program ends in bounded time, stays below 256 MB,
//! and says one clear error with the next step; and where another endpoint is good, it is used.
//!
//! `cargo test --test hostile_server -- --nocapture | grep '^|'` prints peak memory, seconds and exit code of each input.
#![allow(clippy::disallowed_methods, clippy::disallowed_macros, clippy::unwrap_used, missing_docs)]

#[path = "../support/mod.rs"]
mod support;

mod kit;

mod endless;
mod headers;
mod listings;
mod mirrors;
mod names;
mod proxies;
mod ranges;
mod slow;
