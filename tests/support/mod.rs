//! What the test binaries share. Each uses a part, so nothing here warns about being unused.
//!
//! Include it with `#[path = "../support/mod.rs"] mod support;`. Nothing here imports `model_manager`: the test
//! Hub is a second, independent opinion about the protocol, and the runner knows the binary only from outside.
#![allow(dead_code, unused_imports, missing_docs, clippy::unwrap_used, clippy::disallowed_methods, clippy::disallowed_macros)]

pub mod entries;
pub mod gguf;
pub mod hub;
pub mod run;
pub mod sizes;
pub mod snapshot;
pub mod tensors;
