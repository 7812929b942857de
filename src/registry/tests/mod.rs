//! What a registry promises, one file per side: the shipped one, files that are right, files that are wrong, questions, any input.

mod any_input;
mod bad_files;
mod editing;
mod good_files;
mod lock_files;
mod questions;
mod shipped;

use super::{BadFile, Model, Registry, RegistryError};
use crate::hint::Hint;

fn parse(text: &str) -> Registry {
    Registry::parse(text, "configs/models.yaml").unwrap_or_else(|error| panic!("{error}\n\n{text}"))
}

fn did_you_mean(name: &str) -> Hint {
    Hint::DidYouMean { names: vec![name.to_owned()], actions: Vec::new() }
}

/// What is wrong with a text: as a whole, or all that is wrong with its entries.
fn all_bad(text: &str) -> Vec<BadFile> {
    match Registry::parse(text, "configs/models.yaml") {
        Err(RegistryError::BadFile(bad)) => vec![*bad],
        Ok(registry) if !registry.bad_entries().is_empty() => registry.bad_entries().iter().map(|bad| bad.error.clone()).collect(),
        other => panic!("{other:?}\n\n{text}"),
    }
}

fn bad(text: &str) -> BadFile {
    all_bad(text).swap_remove(0)
}

/// A registry with one model `m`, whose gguf format is what is given, in flow style.
fn gguf(quants: &str) -> String {
    format!("models:\n  m:\n    huggingface_id: a/b\n    formats:\n      gguf: {quants}\n")
}

fn only(registry: &Registry) -> &Model {
    registry.models().next().expect("a model")
}
