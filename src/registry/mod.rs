//! The registry: `configs/models.yaml` read with line numbers, ids, formats and quantizations resolved to files, edits that
//! keep the rest of the text, and a look for what is odd.
//!
//! The lock file, which says what an entry came to, is beside it: see [`LockFile`].
//!
//! This room takes text and a name for it; the manager reads the file. The file's schema:
//!
//! ```yaml
//! models:
//!   your-model-name:                         # one folder name: models/your-model-name/
//!     huggingface_id: "author/repository"    # for every format that names no other
//!     revision: "<40 hex digits>"            # a commit never changes; without one the main branch is asked
//!     description: "What it is"              # also size_class, params, ram, use_case, license: text for people
//!     gated: false                           # whether the repository asks for accepted terms
//!     formats:
//!       gguf:
//!         q4_k_m:
//!           file: "name.Q4_K_M.gguf"         # or `files:` with all parts, or `include:` with patterns
//!           size: 123                        # bytes
//!           sha256: null                     # with size and commit known, a download asks no API
//!         q8_0:
//!           url: "https://host/x.Q8_0.gguf"  # a file of any web server, in place of repository, revision and file
//!       safetensors: {}                      # the repository's complete set
//! ```
//!
//! - Under a format, `file`, `url`, `files`, `include`, `exclude`, `expect`, `revision`, `huggingface_id`, `size`, `sha256`,
//!   `license`, `gated`, `status`, `superseded_by` and `note` are its own fields; every other key is a quantization, whose
//!   value has the same fields or is just the file name.
//! - A format's fields hold for its quantizations, and the model's `huggingface_id`, `revision`, `license` and `gated` for
//!   its formats. Revision and gate belong to a repository: naming another one drops them.
//! - `files` is exactly what is fetched, each a path or `{path, size, sha256}`. Without it, `include` and `exclude` select from
//!   the repository (no `include`: the format's complete set), and `expect` lists `{path, size, sha256}` that must be among it.
//! - `url` names a file of a web server, with `size` and `sha256` beside it; in `files` every entry has one, all in one folder.
//!   Nothing of the model's repository holds for it.
//! - `status` is `active`, `superseded` or `deprecated`; `superseded_by` names what to take instead.
//! - Unknown keys are kept apart in [`Registry::unknown_keys`]; duplicate keys, and names that differ in case only, are errors.

mod artifact;
mod backend;
mod edit;
mod error;
mod fields;
mod lint;
mod lock_file;
mod model;
mod read;
mod resolve;
#[cfg(test)]
mod tests;

use crate::yaml as tree;

pub use backend::{Backend, CannotEdit, EditedSettings, MODEL_PATH_KEY, model_path_line, set_model_path};
pub use edit::{EditError, Edited, EntryName, NewEntry, add, remove, repin, unified_diff};
pub use error::{BadFile, RegistryError};
pub use lint::{EntryRef, Finding, Level, Lint};
pub(crate) use lint::{repin_action, update_action};
pub use lock_file::{LOCK_VERSION, LockFile, LockSource, LockedFile, LockedView, UNPUBLISHED};
pub use model::{Artifact, BadEntry, FormatEntry, Model, QuantEntry, Status, UnknownKey};
pub use resolve::Selection;

/// The registry that is shipped, compiled in for projects without one.
pub const BUILT_IN: &str = include_str!("../../configs/models.yaml");

/// Longer than any file of this room: longer ones are not read.
pub(crate) const MOST_BYTES: u64 = tree::MOST_BYTES as u64;

/// What the built-in registry is called in messages.
pub const BUILT_IN_ORIGIN: &str = "(built-in)";

/// A registry file, read and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    origin: String,
    models: Vec<Model>,
    unknown: Vec<UnknownKey>,
    bad: Vec<BadEntry>,
}

impl Registry {
    /// Reads a registry. `origin` is what messages call it: the file's path. What is wrong in an entry ends only that entry:
    /// see [`Registry::bad_entries`].
    ///
    /// # Errors
    /// [`RegistryError::BadFile`] with line, column and what was expected there, for text that is no registry.
    pub fn parse(text: &str, origin: &str) -> Result<Self, RegistryError> {
        // Editors on Windows leave a byte order mark, which YAML would read as a part of the first key.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let names_places = |contents: &read::Contents| !contents.diagnostics.unknown.is_empty() || !contents.bad.is_empty();
        match tree::read_on_to(text, read::contents, names_places) {
            Ok(contents) => {
                let lines = if contents.bad.is_empty() { Vec::new() } else { tree::lines(text) };
                let bad = contents.bad.into_iter().map(|(owner, problem)| BadEntry {
                    model: owner.model,
                    format: owner.format,
                    quant: owner.quant,
                    error: BadFile::new(origin, &lines, problem),
                });
                let bad = bad.collect();
                Ok(Self { origin: origin.to_owned(), models: contents.models, unknown: contents.diagnostics.unknown, bad })
            }
            Err(problem) => {
                let lines = tree::lines(text);
                let problem = tree::conflict(&lines, "take either").unwrap_or(problem);
                Err(RegistryError::BadFile(Box::new(BadFile::new(origin, &lines, problem))))
            }
        }
    }

    /// The same for a changed text of `file` that exists only in memory, so its lines mean nothing to a user. Errors
    /// that the file has too keep their place.
    ///
    /// # Errors
    /// As of [`Registry::parse`], without a place.
    pub fn parse_changed(text: &str, file: &Self) -> Result<Self, RegistryError> {
        let origin = format!("the registry in memory, read from {}", file.origin);
        let mut registry = Self::parse(text, &file.origin).map_err(|error| match error {
            RegistryError::BadFile(bad) => RegistryError::BadFile(Box::new(bad.without_place(origin.clone()))),
            other => other,
        })?;
        for bad in &mut registry.bad {
            let same = |other: &&BadEntry| {
                (&other.model, &other.format, &other.quant, &other.error.message)
                    == (&bad.model, &bad.format, &bad.quant, &bad.error.message)
            };
            bad.error = match file.bad.iter().find(same) {
                Some(there) => there.error.clone(),
                None => bad.error.clone().without_place(origin.clone()),
            };
        }
        for key in &mut registry.unknown {
            let there = file.unknown.iter().find(|other| (&other.key, &other.within) == (&key.key, &key.within));
            (key.line, key.column) = there.map_or((0, 0), |there| (there.line, there.column));
        }
        Ok(registry)
    }

    /// The registry that is shipped with the program.
    pub fn built_in() -> Self {
        Self::parse(BUILT_IN, BUILT_IN_ORIGIN).expect("it is a part of this program, and a test reads it")
    }

    /// What the registry was read from.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The models in file order.
    pub fn models(&self) -> impl Iterator<Item = &Model> {
        self.models.iter()
    }

    /// What is wrong with entries that cannot be used, in file order. The rest of the registry works without them; a
    /// lookup of one returns its error.
    pub fn bad_entries(&self) -> &[BadEntry] {
        &self.bad
    }

    /// Keys that nothing reads, in file order. Harmless, unless one is a slip.
    pub fn unknown_keys(&self) -> &[UnknownKey] {
        &self.unknown
    }
}
