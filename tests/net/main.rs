//! Tests over the wire: the test Hub itself, and our clients against it.
#![allow(clippy::disallowed_methods, clippy::disallowed_macros, clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod collected_meanwhile;
#[cfg(unix)]
mod damage_found_late;
mod hub_selftest;
mod raw;
