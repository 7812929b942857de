//! The real program in projects that somebody else made: what they may decide about, and what only their user may.
#![allow(clippy::disallowed_methods, clippy::disallowed_macros, clippy::unwrap_used, missing_docs)]

#[path = "../support/fsck.rs"]
mod fsck;
#[allow(dead_code)]
#[path = "../cli/kit.rs"]
mod kit;
#[path = "../support/mod.rs"]
mod support;

mod endless;
mod scene;
mod trust;

#[cfg(unix)]
mod discovery;
#[cfg(unix)]
mod places;
