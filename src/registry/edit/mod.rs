//! Edits of a registry's text that keep every comment, every quote and every line that they are not about.
//!
//! Text in, text out, by the means of `yaml/edit`. An edit is refused unless the new text, read again, says exactly what
//! was meant: all entries of before unchanged, and the one entry as planned. The refusal says what to write by hand.

mod add;
mod diff;
mod remove;
mod repin;

pub use add::add;
pub use diff::unified_diff;
pub use remove::{EntryName, remove};
pub use repin::repin;

use super::{
    artifact::InheritedFields,
    error::BadFile,
    error::RegistryError,
    fields::Diagnostics,
    model::{Artifact, BadEntry, Model, UnknownKey},
    read, tree,
    tree::{MapEntry, Node, Value},
};
use crate::{
    error::{Error, ErrorKind},
    facts::FileFacts,
    hint::Hint,
    names::{Format, ModelId, Quant, Revision, SourceId},
};
/// An entry for a registry: which files of which commit a model consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEntry {
    /// The model.
    pub id: ModelId,
    /// The format.
    pub format: Format,
    /// The quantization; `None` where the format has none.
    pub quant: Option<Quant>,
    /// The repository, or the folder of a web server.
    pub source: SourceId,
    /// The commit of a repository.
    pub commit: Option<Revision>,
    /// Exactly the files; none where the repository's complete set is meant.
    pub files: Vec<FileFacts>,
    /// What is known of files in a complete set.
    pub expect: Vec<FileFacts>,
    /// The licence, as the repository names it.
    pub license: Option<String>,
    /// Whether the repository asks for accepted terms.
    pub gated: bool,
    /// What the model is, in a line; for a new model only.
    pub description: Option<String>,
}

impl NewEntry {
    /// How people call it: `id:quant`, or `id/format` where the format has none.
    pub fn name(&self) -> String {
        match &self.quant {
            Some(quant) => format!("{}:{quant}", self.id),
            None => format!("{}/{}", self.id, self.format),
        }
    }
}

/// Which part of a registry an edit adds or takes out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum EntryLevel {
    Model,
    Format,
    Quant,
}

/// A changed text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    /// The whole text.
    pub text: String,
    /// The entry, as it now stands there.
    pub entry: String,
    /// The line it begins in, from one.
    pub line: usize,
}

/// Why a registry was not edited.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// The text is not a registry.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The entry is there already.
    #[error("`{name}` stands in line {line} of {origin} already")]
    Exists {
        /// The entry.
        name: String,
        /// The registry file.
        origin: String,
        /// Its line.
        line: usize,
    },
    /// The entry that is to be pinned anew is not there.
    #[error("{origin} has no entry `{name}` that could be updated")]
    Absent {
        /// The entry.
        name: String,
        /// The registry file.
        origin: String,
    },
    /// The entry that is to be taken out is not there.
    #[error("{origin} has no entry `{name}`")]
    NoEntry {
        /// The entry.
        name: String,
        /// The registry file.
        origin: String,
    },
    /// The entry cannot be taken out safely.
    #[error("`{name}` was not taken out of {origin}: in line {line}, {why}")]
    NotRemoved {
        /// The entry.
        name: String,
        /// The registry file.
        origin: String,
        /// Its line.
        line: usize,
        /// What is in the way.
        why: String,
    },
    /// What is there and what is to come exclude each other.
    #[error("{message}")]
    Conflict {
        /// How.
        message: String,
        /// What to do next.
        hint: Box<Hint>,
    },
    /// The text is written in a way that cannot be edited safely.
    #[error("{origin} was not changed: in line {line}, {why}")]
    Refused {
        /// The registry file.
        origin: String,
        /// The line where it should have gone.
        line: usize,
        /// What is in the way.
        why: String,
        /// Where to write it.
        below: String,
        /// What to write by hand.
        paste: String,
    },
}

impl EditError {
    /// What to do next.
    pub fn hints(&self) -> Vec<Hint> {
        vec![match self {
            Self::Registry(error) => return error.hints(),
            Self::Exists { name, .. } => Hint::PinOrOtherId(name.clone()),
            Self::Absent { .. } => Hint::AddOrName,
            Self::NoEntry { .. } => Hint::ListRegistry,
            Self::NotRemoved { .. } => Hint::TakeOutByHand,
            Self::Conflict { hint, .. } => (**hint).clone(),
            Self::Refused { below, paste, .. } => Hint::WriteByHand { below: below.clone(), text: paste.clone() },
        }]
    }

    /// The entry that it is about.
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Registry(error) => error.id(),
            Self::Exists { name, .. } | Self::Absent { name, .. } | Self::NoEntry { name, .. } | Self::NotRemoved { name, .. } => {
                Some(name)
            }
            Self::Conflict { .. } | Self::Refused { .. } => None,
        }
    }
}

impl From<EditError> for Error {
    fn from(error: EditError) -> Self {
        let kind = match &error {
            EditError::Registry(error) => return error.clone().into(),
            EditError::Exists { .. } | EditError::Conflict { .. } => ErrorKind::Usage,
            EditError::Absent { .. } | EditError::NoEntry { .. } => ErrorKind::NotFound,
            EditError::Refused { .. } | EditError::NotRemoved { .. } => ErrorKind::Failed,
        };
        let new = Self::new(kind, error.to_string()).with_hints(error.hints());
        match error.id() {
            Some(id) => new.about(id),
            None => new,
        }
        .caused_by(error)
    }
}

/// All that a registry's text contents, for a comparison before and after an edit.
#[derive(Debug, Clone, PartialEq, Eq)]
struct RegistryContents {
    models: Vec<Model>,
    /// Keys that nothing reads, without the lines they stand in.
    unknown: Vec<(String, String)>,
    /// Entries that cannot be used, and why, without the lines.
    bad: Vec<(String, Option<String>, Option<String>, String)>,
}

impl RegistryContents {
    fn of(text: &str, origin: &str) -> Result<Self, RegistryError> {
        let registry = super::Registry::parse(text, origin)?;
        let key = |key: &UnknownKey| (key.within.clone(), key.key.clone());
        // A message may name another line; the numbers in it say nothing.
        let why = |bad: &BadFile| bad.message.replace(|c: char| c.is_ascii_digit(), "");
        let bad = |bad: &BadEntry| (bad.model.clone(), bad.format.clone(), bad.quant.clone(), why(&bad.error));
        let (unknown, bad) = (registry.unknown.iter().map(key).collect(), registry.bad.iter().map(bad).collect());
        Ok(Self { unknown, bad, models: registry.models })
    }

    /// The same, where nothing of this model is wrong: what cannot be read cannot be edited.
    fn of_good(text: &str, origin: &str, model: &str) -> Result<Self, RegistryError> {
        let registry = super::Registry::parse(text, origin)?;
        if let Some(bad) = registry.bad.iter().find(|bad| bad.is_of(model, None, None)) {
            return Err(RegistryError::BadFile(Box::new(bad.error.clone())));
        }
        Self::of(text, origin)
    }

    fn model(&mut self, id: &str) -> Option<&mut Model> {
        self.models.iter_mut().find(|model| model.id.as_str().eq_ignore_ascii_case(id))
    }
}

/// The tree of a text that was read before.
fn root_of(text: &str, origin: &str) -> Result<Vec<MapEntry>, RegistryError> {
    let root = tree::read(text)
        .map_err(|problem| RegistryError::BadFile(Box::new(super::error::BadFile::new(origin, &tree::lines(text), problem))))?;
    Ok(root.map(|node| below(&node).to_vec()).unwrap_or_default())
}

/// The entries of a map; none of anything else.
fn below(node: &Node) -> &[MapEntry] {
    match &node.value {
        Value::Map(entries) => entries,
        _ => &[],
    }
}

fn find<'e>(entries: &'e [MapEntry], key: &str) -> Option<&'e MapEntry> {
    entries.iter().find(|entry| entry.key.trim().eq_ignore_ascii_case(key))
}

/// The quantizations of a format, and its own fields.
fn split_format(format: &MapEntry) -> (Vec<MapEntry>, Vec<MapEntry>) {
    below(&format.node).iter().cloned().partition(read::is_quant)
}

/// What holds below a model and, if one is given, below the fields of one of its formats.
fn scope_of(model: &MapEntry, format_fields: &[MapEntry]) -> InheritedFields {
    // The entry was read before, so that no field of it is wrong.
    let mut nothing = Diagnostics::default();
    InheritedFields::of_model(below(&model.node), &mut nothing).below(format_fields, &mut nothing)
}

/// An artifact as a new entry plans it, below a scope.
fn planned(entry: &NewEntry, license: Option<String>, note: Option<String>) -> Artifact {
    Artifact {
        source: entry.source.clone(),
        revision: entry.commit.clone(),
        files: entry.files.clone(),
        include: Vec::new(),
        exclude: Vec::new(),
        expect: entry.expect.clone(),
        status: super::model::Status::Active,
        superseded_by: None,
        note,
        gated: entry.gated,
        license,
    }
}
