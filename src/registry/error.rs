//! What can be wrong with a registry file or with a question to it.

pub use crate::yaml::BadFile;
pub(super) use crate::yaml::{Place, Problem, cut};
use crate::{
    error::{Error, ErrorKind},
    text::{list, shell_word},
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

    /// The next step, as whole sentences with a command to type.
    pub fn hint(&self) -> String {
        let next = match self {
            Self::BadFile(bad) if bad.line == 0 => format!("Correct it in {}.", bad.origin),
            Self::BadFile(bad) => {
                format!("Correct line {} of {}, then run `model-manager lint` to check it.", bad.line, bad.origin)
            }
            Self::BadLock(bad) => format!(
                "Take {0} from version control again; or move it away (`mv {1} {1}.old`) and make it anew: `model-manager lock`.",
                bad.first().map_or("it", |bad| bad.origin.as_str()),
                bad.first().map_or_else(|| "it".into(), |bad| shell_word(&bad.origin))
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
