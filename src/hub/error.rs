//! What can be wrong with what the Hub says, or with what is asked of it.

use crate::{
    error::{Error, ErrorKind},
    http::HttpError,
    names::NameError,
    text::list,
};

/// A question to the Hub that has no good answer.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// The request failed.
    #[error(transparent)]
    Http(HttpError),
    /// An answer that makes no sense.
    #[error("{url} sent an answer that makes no sense: {why}")]
    Answer {
        /// The address.
        url: String,
        /// What is wrong with it.
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
    /// Several things fit equally well.
    #[error("{} files of the repository fit {wanted}: {}", .candidates.len(), list(.candidates))]
    Ambiguous {
        /// What was looked for.
        wanted: String,
        /// What fits.
        candidates: Vec<String>,
    },
    /// Several projectors fit equally well.
    #[error("{} projectors of the repository fit: {}", .candidates.len(), list(.candidates))]
    AmbiguousProjector {
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

impl HubError {
    /// The kind at the crate's door.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Http(error) => error.kind(),
            Self::Answer { .. } => ErrorKind::Network,
            Self::Nothing { .. } | Self::Incomplete { .. } => ErrorKind::NotFound,
            Self::HostilePath { .. } | Self::Collision { .. } => ErrorKind::Failed,
            Self::Ambiguous { .. } | Self::AmbiguousProjector { .. } | Self::Reference { .. } => ErrorKind::Usage,
        }
    }

    /// The next step, for people.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Http(error) => return error.hint(),
            Self::Answer { .. } => "Check HF_ENDPOINT and `--endpoint`: the server does not behave like a Hub.".into(),
            Self::HostilePath { .. } => "Nothing was fetched; do not use this repository, and report it to the Hub.".into(),
            Self::Collision { .. } => "Leave one of them out with an `exclude` pattern in the registry.".into(),
            Self::Incomplete { .. } => "The upload may be unfinished: try another revision, or another repository.".into(),
            Self::Nothing { there, .. } if there.is_empty() => "Look at the repository's files in a browser.".into(),
            Self::Nothing { there, .. } => format!("There is: {}.", list(there)),
            Self::Ambiguous { .. } => "Name one file: `hf://owner/repo/path/to/file`.".into(),
            Self::AmbiguousProjector { candidates } => {
                format!("Name one: `--mmproj={}`.", candidates.first().map_or("NAME", String::as_str))
            }
            Self::Reference { .. } => {
                "Write a registry id (`phi-2:q4_k_m`), `owner/repo:Q4_K_M`, `hf://owner/repo@revision/file`, or an address of the Hub.".into()
            }
        })
    }
}

impl From<HttpError> for HubError {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Nonsense { url, why } => Self::Answer { url, why },
            error => Self::Http(error),
        }
    }
}

impl From<HubError> for Error {
    fn from(error: HubError) -> Self {
        let new = Self::new(error.kind(), error.to_string());
        match error.hint() {
            Some(hint) => new.hint(hint),
            None => new,
        }
    }
}
