//! What a registry promises, one file per side: the shipped one, files that are right, files that are wrong, questions, any input.

mod any_input;
mod bad_files;
mod editing;
mod good_files;
mod lock_files;
mod questions;
mod shipped;

use super::{BadFile, Model, Registry, RegistryError};

fn parse(text: &str) -> Registry {
    Registry::parse(text, "configs/models.yaml").unwrap_or_else(|error| panic!("{error}\n\n{text}"))
}

fn bad(text: &str) -> BadFile {
    match Registry::parse(text, "configs/models.yaml") {
        Err(RegistryError::BadFile(bad)) => *bad,
        other => panic!("{other:?}\n\n{text}"),
    }
}

/// A registry with one model `m`, whose gguf format is what is given, in flow style.
fn gguf(quants: &str) -> String {
    format!("models:\n  m:\n    huggingface_id: a/b\n    formats:\n      gguf: {quants}\n")
}

fn only(registry: &Registry) -> &Model {
    registry.models().next().expect("a model")
}
