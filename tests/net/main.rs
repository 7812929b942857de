//! Tests over the wire: the test Hub itself, and our clients against it.
#![allow(clippy::disallowed_methods, clippy::disallowed_macros)]

#[path = "../support/mod.rs"]
mod support;

mod collected_meanwhile;
mod hub_selftest;
mod raw;
