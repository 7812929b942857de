//! What can be wrong with a registry file or with a question to it.

use crate::{
    error::{Error, ErrorKind},
    text::{self, is_hidden, list},
};
use std::fmt;

/// A line and column of a file, both counted from one; columns are characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub line: usize,
    pub column: usize,
}

impl Place {
    pub const START: Self = Self { line: 1, column: 1 };
}

/// Something wrong at a place, before the file's name and text are known.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    pub place: Place,
    pub message: String,
    pub suggestion: Option<String>,
}

impl Problem {
    pub fn new(place: Place, message: impl Into<String>) -> Self {
        Self { place, message: message.into(), suggestion: None }
    }

    pub fn suggest(mut self, suggestion: Option<&str>) -> Self {
        self.suggestion = suggestion.map(str::to_owned);
        self
    }
}

/// Makes a text from the file printable and short enough for a message.
pub(super) fn cut(text: &str) -> String {
    const MOST: usize = 80;
    text::short(text, MOST)
}

/// A registry file that cannot be used: what is wrong, and where.
///
/// Displayed as `<origin>:<line>:<column>: <message>`, the line itself, and a caret under the place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadFile {
    /// The file, as it was named to [`super::Registry::parse`].
    pub origin: String,
    /// The line, from one.
    pub line: usize,
    /// The column in characters, from one.
    pub column: usize,
    /// What is wrong and what was expected.
    pub message: String,
    /// The nearest valid key or name.
    pub suggestion: Option<String>,
    /// The line's text.
    pub source_line: String,
}

impl BadFile {
    pub(super) fn new(origin: &str, lines: &[&str], problem: Problem) -> Self {
        let Problem { mut place, message, suggestion } = problem;
        // The YAML crate puts what is missing at the end of a file behind its last line.
        if let Some(last) = lines.last().filter(|_| place.line > lines.len()) {
            place = Place { line: lines.len(), column: last.chars().count() + 1 };
        }
        let source_line = lines.get(place.line.saturating_sub(1)).copied().unwrap_or_default().to_owned();
        Self { origin: origin.to_owned(), line: place.line, column: place.column, message, suggestion, source_line }
    }
}

impl fmt::Display for BadFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A long line is shown from a little before the place on; what is not shown as itself would move the caret.
        const WIDTH: usize = 120;
        const BEFORE: usize = 60;
        write!(f, "{}:{}:{}: {}", self.origin, self.line, self.column, self.message)?;
        if let Some(suggestion) = &self.suggestion {
            write!(f, "; did you mean `{suggestion}`?")?;
        }
        let column = self.column.saturating_sub(1);
        let skip = if column > WIDTH - BEFORE / 2 { column - BEFORE } else { 0 };
        let line: String = self.source_line.chars().skip(skip).take(WIDTH).map(|c| if is_hidden(c) { ' ' } else { c }).collect();
        if line.trim().is_empty() {
            return Ok(());
        }
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        let caret = " ".repeat((column - skip).min(WIDTH));
        write!(f, "\n{margin} |\n{number} | {}\n{margin} | {caret}^", line.trim_end())
    }
}

/// Why a registry gives no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The file is not a registry.
    #[error("{0}")]
    BadFile(Box<BadFile>),
    /// The file is not a lock file.
    #[error("{0}")]
    BadLock(Box<BadFile>),
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

impl RegistryError {
    /// The nearest valid name, where there is one.
    pub fn suggestion(&self) -> Option<&str> {
        match self {
            Self::BadFile(bad) | Self::BadLock(bad) => bad.suggestion.as_deref(),
            Self::UnknownModel { suggestion, .. }
            | Self::UnknownFormat { suggestion, .. }
            | Self::UnknownQuant { suggestion, .. } => suggestion.as_deref(),
            Self::FormatNeeded { .. } | Self::NoQuants { .. } => None,
        }
    }

    /// The next step, as whole sentences with a command to type.
    pub fn hint(&self) -> String {
        let next = match self {
            Self::BadFile(bad) => {
                format!("Correct line {} of {}, then run `model-manager info` to check it.", bad.line, bad.origin)
            }
            Self::BadLock(bad) => format!(
                "Take {} from version control again; or move it away and make it anew with `model-manager lock`.",
                bad.origin
            ),
            Self::UnknownModel { .. } => "Run `model-manager info` to list the models.".into(),
            Self::UnknownFormat { model, .. } | Self::UnknownQuant { model, .. } => {
                format!("Run `model-manager info {model}` to see what it has.")
            }
            Self::FormatNeeded { model, choices } => {
                let first = choices.first().map_or("FORMAT", String::as_str);
                format!("Run `model-manager download {model} --format {first}`, for example.")
            }
            Self::NoQuants { model, format, .. } => {
                format!("Run `model-manager download {model} --format {format}` without `--quant`.")
            }
        };
        match (self, self.suggestion()) {
            // The file's own message already says it, beside the line.
            (Self::BadFile(_) | Self::BadLock(_), _) | (_, None) => next,
            (_, Some(suggestion)) => format!("Did you mean `{suggestion}`? {next}"),
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
        let hint = error.hint();
        Self::new(kind, error.to_string()).hint(hint)
    }
}
