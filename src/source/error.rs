//! What can be wrong with what a source says, or with what is asked of it.

use super::hub::Companion;
use crate::{
    error::{Error, ErrorKind},
    hint::{Action, Hint, Parameter, Verb},
    http::HttpError,
    names::{NameError, SourceId},
    text::{list, size},
};

/// A question to a source that has no good answer.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// A request to the Hub or a mirror failed.
    #[error(transparent)]
    Http(HttpError),
    /// A request to a web server failed.
    #[error(transparent)]
    Web(HttpError),
    /// An answer that makes no sense.
    #[error("{url} sent an answer that makes no sense: {why}")]
    Answer {
        /// The address.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// A server that does not say how long a file is.
    #[error("the server does not say how long {url} is")]
    NoSize {
        /// The address.
        url: String,
    },
    /// A source of a kind that this version does not know.
    #[error("this version cannot fetch from {id}")]
    Unknown {
        /// What it is called.
        id: String,
    },
    /// A source whose repositories cannot be searched.
    #[error("this source cannot be searched")]
    NoSearch,
    /// A source of the program's own has no answer.
    #[error("{id}: {why}")]
    Own {
        /// What was asked for.
        id: SourceId,
        /// Why there is no answer.
        why: String,
    },
    /// A path in a listing that leads out of its folder.
    #[error("repository `{repo}` lists a hostile file name: {source}")]
    HostilePath {
        /// The repository.
        repo: String,
        /// The path and the rule it breaks.
        source: NameError,
    },
    /// Two files that some file systems take for one.
    #[error("`{one}` and `{other}` differ only in upper and lower case, and would be one file on some systems")]
    Collision {
        /// One path.
        one: String,
        /// The other path.
        other: String,
    },
    /// A set with holes.
    #[error("the {what} is incomplete: {} missing", list(.missing))]
    Incomplete {
        /// Which set.
        what: String,
        /// The files that are not there.
        missing: Vec<String>,
    },
    /// Nothing in the repository fits.
    #[error("the repository has no {wanted}")]
    Nothing {
        /// What was looked for.
        wanted: String,
        /// What there is instead.
        there: Vec<String>,
    },
    /// No GGUF file has this label.
    #[error("the repository has no GGUF file{}", of_label(.label.as_deref()))]
    NoLabel {
        /// What was asked for.
        label: Option<String>,
        /// What there is instead, the nearest first.
        there: Vec<Offer>,
        /// The repository, and its revision where one was asked for, as commands name it.
        repo: Option<String>,
        /// Another format in which it has weights.
        format: Option<&'static str>,
    },
    /// Several GGUF files fit equally well.
    #[error("{} GGUF files of the repository fit{}: {}", .there.len(), wanted_label(.label.as_deref()), list(&offered(.there)))]
    Ambiguous {
        /// What was asked for.
        label: Option<String>,
        /// What fits.
        there: Vec<Offer>,
        /// The repository, and its revision where one was asked for, as commands name it.
        repo: Option<String>,
    },
    /// Several companions fit equally well.
    #[error("{} {}s of the repository fit: {}", .candidates.len(), .wanted.role.noun(), list(.candidates))]
    AmbiguousCompanion {
        /// What was asked for.
        wanted: Companion,
        /// What fits.
        candidates: Vec<String>,
    },
    /// A reference that cannot be read.
    #[error("`{text}` does not name a model: {why}")]
    Reference {
        /// The reference.
        text: String,
        /// What is wrong with it.
        why: String,
    },
}

/// A GGUF file, or set of parts, that could be meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Its label.
    pub label: String,
    /// Bytes.
    pub size: u64,
}

fn of_label(label: Option<&str>) -> String {
    label.map_or_else(String::new, |label| format!(" of the label `{label}`"))
}

fn wanted_label(label: Option<&str>) -> String {
    label.map_or_else(String::new, |label| format!(" `{label}`"))
}

fn offered(offers: &[Offer]) -> Vec<String> {
    offers.iter().map(|offer| format!("{} ({})", offer.label, size(offer.size))).collect()
}

/// The download of each, with its size.
fn downloads(offers: &[Offer], repo: Option<&str>) -> Vec<(Action, u64)> {
    let repo = repo.unwrap_or("owner/repo");
    let download = |offer: &Offer| (Action::new(Verb::Download).name(format!("{repo}:{}", offer.label)), offer.size);
    offers.iter().map(download).collect()
}

impl SourceError {
    /// The same, whose hint names the repository that was asked, and another format that it has.
    pub fn of_repo(mut self, asked: &str, other_format: Option<&'static str>) -> Self {
        if let Self::NoLabel { format, .. } = &mut self {
            *format = other_format;
        }
        if let Self::NoLabel { repo, .. } | Self::Ambiguous { repo, .. } = &mut self {
            *repo = Some(asked.to_owned());
        }
        self
    }

    /// The kind at the crate's door.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Http(error) | Self::Web(error) => error.kind(),
            Self::Answer { .. } | Self::NoSize { .. } | Self::Own { .. } => ErrorKind::Network,
            Self::Unknown { .. } | Self::NoSearch => ErrorKind::Failed,
            Self::Nothing { .. } | Self::NoLabel { .. } | Self::Incomplete { .. } => ErrorKind::NotFound,
            Self::HostilePath { .. } | Self::Collision { .. } => ErrorKind::Failed,
            Self::Ambiguous { .. } | Self::AmbiguousCompanion { .. } | Self::Reference { .. } => ErrorKind::Usage,
        }
    }

    /// What to do next.
    pub fn hint(&self) -> Option<Hint> {
        Some(match self {
            Self::Http(error) => return super::hub::hint(error),
            Self::Web(error) => return error.hint(),
            Self::Answer { .. } => Hint::NotAHub,
            Self::Own { .. } | Self::NoSearch => return None,
            Self::NoSize { .. } => Hint::DownloadOtherwise,
            Self::Unknown { .. } => Hint::NewerVersionKnows,
            Self::HostilePath { .. } => Hint::DoNotUse,
            Self::Collision { .. } => Hint::ExcludeOne,
            Self::Incomplete { .. } => Hint::TryOtherRevision,
            Self::Nothing { there, .. } if there.is_empty() => Hint::SeeRepository,
            Self::Nothing { there, .. } => Hint::ThereIs(there.clone()),
            Self::NoLabel { there, repo: Some(repo), format: Some(format), .. } if there.is_empty() => Hint::OtherFormat {
                format: (*format).to_owned(),
                action: Action::new(Verb::Download).name(repo).value(Parameter::Format, *format),
            },
            Self::NoLabel { there, .. } if there.is_empty() => Hint::SeeRepository,
            Self::NoLabel { there, repo, .. } => Hint::Labels { labels: downloads(there, repo.as_deref()), is_choice: false },
            Self::Ambiguous { there, repo, .. } => Hint::Labels { labels: downloads(there, repo.as_deref()), is_choice: true },
            Self::AmbiguousCompanion { wanted, candidates } => {
                Hint::NameCompanion(wanted.argument(Some(candidates.first().map_or("NAME", String::as_str))))
            }
            Self::Reference { .. } => Hint::WriteReference,
        })
    }
}

impl From<HttpError> for SourceError {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Nonsense { url, why } => Self::Answer { url, why },
            error => Self::Http(error),
        }
    }
}

impl From<SourceError> for Error {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::Web(error) => error.into(),
            SourceError::Http(error) => {
                Self::new(error.kind(), error.to_string()).with_hints(super::hub::hint(&error)).caused_by(error)
            }
            error => Self::new(error.kind(), error.to_string()).with_hints(error.hint()).caused_by(error),
        }
    }
}
