//! A content-addressed store for LLM files, filled from the Hugging Face Hub and shown as a tree of links.
//!
//! Files are fetched once, verified while they arrive, kept under `models/.blobs/sha256/…` and shown as
//! `models/<id>/<format>/<quant>/<file>`. The rooms of the crate and the arrows between them are drawn in
//! `ARCHITECTURE.md`; the format on disk is specified in `store-layout.md`.

mod bounds;
#[cfg(feature = "cli")]
pub mod cli;
pub mod config;
pub mod digest;
pub mod disk;
pub mod error;
pub mod event;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod hint;
pub mod http;
mod json;
pub mod manager;
pub mod names;
pub mod registry;
pub mod settings;
pub mod source;
pub mod store;
pub mod text;
pub mod transfer;
pub mod view;
pub mod weights;
mod yaml;
