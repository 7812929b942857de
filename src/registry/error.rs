//! What can be wrong with a registry file or with a question to it.

pub use crate::yaml::BadFile;
pub(super) use crate::yaml::{Position, Problem, cut};
use crate::{
    error::{Error, ErrorKind},
    hint::{Action, Hint, Parameter, Verb},
    text::list,
};

/// Why a registry gives no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The file is not a registry.
    #[error("{0}")]
    BadFile(Box<BadFile>),
    /// The file is not a lock file: all that is wrong, in the order of its lines.
    #[error("{}", all(.0))]
    BadLock(Vec<BadFile>),
    /// No model has this id.
    #[error("model `{id}` not found in registry {origin}")]
    UnknownModel {
        /// The id that was asked for.
        id: String,
        /// The registry file.
        origin: String,
        /// The nearest id.
        suggestion: Option<String>,
    },
    /// The model has no such format.
    #[error("model `{model}` has no format `{format}`; it has {}", list(choices))]
    UnknownFormat {
        /// The model.
        model: String,
        /// The format that was asked for.
        format: String,
        /// The model's formats.
        choices: Vec<String>,
        /// The nearest format.
        suggestion: Option<String>,
    },
    /// No format was named and the model has several, none of them the default.
    #[error("model `{model}` has several formats and no gguf; name one of {}", list(choices))]
    FormatNeeded {
        /// The model.
        model: String,
        /// The model's formats.
        choices: Vec<String>,
    },
    /// The format has no such quantization.
    #[error("model `{model}` has no quantization `{quant}` in format {format}; it has {}", list(choices))]
    UnknownQuant {
        /// The model.
        model: String,
        /// The format.
        format: String,
        /// The quantization that was asked for.
        quant: String,
        /// The format's quantizations.
        choices: Vec<String>,
        /// The nearest quantization.
        suggestion: Option<String>,
    },
    /// A quantization was named for a format that has none.
    #[error("format {format} of model `{model}` has no quantizations, so `{quant}` cannot be one")]
    NoQuants {
        /// The model.
        model: String,
        /// The format.
        format: String,
        /// The quantization that was asked for.
        quant: String,
    },
}

/// All of it, one below the other, as far as people read on.
fn all(bad: &[BadFile]) -> String {
    const MOST: usize = 20;
    let mut shown: Vec<String> = bad.iter().take(MOST).map(ToString::to_string).collect();
    shown.extend(bad.len().checked_sub(MOST).filter(|more| *more > 0).map(|more| format!("and {more} more")));
    shown.join("\n")
}

impl RegistryError {
    /// The nearest valid name, where there is one.
    pub fn suggestion(&self) -> Option<&str> {
        match self {
            Self::BadFile(bad) => bad.suggestion.as_deref(),
            Self::BadLock(bad) => bad.first()?.suggestion.as_deref(),
            Self::UnknownModel { suggestion, .. }
            | Self::UnknownFormat { suggestion, .. }
            | Self::UnknownQuant { suggestion, .. } => suggestion.as_deref(),
            Self::FormatNeeded { .. } | Self::NoQuants { .. } => None,
        }
    }

    /// What to do next.
    pub fn hints(&self) -> Vec<Hint> {
        let next = match self {
            Self::BadFile(bad) if bad.line == 0 => Hint::CorrectFile { file: bad.origin.clone() },
            Self::BadFile(bad) => Hint::CorrectLine { file: bad.origin.clone(), line: bad.line },
            Self::BadLock(bad) => Hint::RestoreLock { file: bad.first().map(|bad| bad.origin.clone()) },
            Self::UnknownModel { .. } => Hint::ListRegistry,
            Self::UnknownFormat { model, .. } | Self::UnknownQuant { model, .. } => Hint::ShowModel(model.clone()),
            Self::FormatNeeded { model, choices } => {
                let first = choices.first().map_or("FORMAT", String::as_str);
                Hint::ForExample(Action::new(Verb::Download).name(model).value(Parameter::Format, first))
            }
            Self::NoQuants { model, format, .. } => {
                Hint::WithoutQuant(Action::new(Verb::Download).name(model).value(Parameter::Format, format))
            }
        };
        // The message of a bad file already says it, beside the line.
        let is_said = matches!(self, Self::BadFile(_) | Self::BadLock(_));
        let near = self.suggestion().filter(|_| !is_said);
        let near = near.map(|name| Hint::DidYouMean { names: vec![name.to_owned()], actions: Vec::new() });
        near.into_iter().chain([next]).collect()
    }

    /// The model that it is about.
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::BadFile(_) | Self::BadLock(_) => None,
            Self::UnknownModel { id, .. } => Some(id),
            Self::UnknownFormat { model, .. }
            | Self::FormatNeeded { model, .. }
            | Self::UnknownQuant { model, .. }
            | Self::NoQuants { model, .. } => Some(model),
        }
    }
}

impl From<RegistryError> for Error {
    fn from(error: RegistryError) -> Self {
        let kind = match error {
            RegistryError::BadFile(_) | RegistryError::BadLock(_) | RegistryError::FormatNeeded { .. } => ErrorKind::Usage,
            RegistryError::UnknownModel { .. }
            | RegistryError::UnknownFormat { .. }
            | RegistryError::UnknownQuant { .. }
            | RegistryError::NoQuants { .. } => ErrorKind::NotFound,
        };
        let new = Self::new(kind, error.to_string()).with_hints(error.hints());
        match error.id() {
            Some(id) => new.about(id),
            None => new,
        }
        .caused_by(error)
    }
}
