//! Why a transfer ended without a result.

use crate::{
    error::{Error, ErrorKind},
    hint::Hint,
    http::HttpError,
    store::StoreError,
};

/// A failed transfer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// The network failed, for good or once too often.
    #[error("{file}: {error}")]
    Http {
        /// The file.
        file: String,
        /// The last failure.
        #[source]
        error: HttpError,
        /// What to do next.
        hint: Option<Box<Hint>>,
    },
    /// Its first bytes are of another file, or of a damaged one.
    #[error("{file} {why}")]
    Refused {
        /// The file.
        file: String,
        /// What is wrong, as a phrase after its name.
        why: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The user stopped it.
    #[error("stopped; what arrived is kept, and the same command resumes there")]
    Cancelled,
    /// A thread of the run died: a fault in this program.
    #[error("a thread of the transfer died: {0}")]
    Panicked(String),
}

impl TransferError {
    /// The file that came whole and is not the one that was wanted.
    pub fn wrong_content(&self) -> Option<&str> {
        match self {
            Self::Refused { file, .. } | Self::Store(StoreError::Mismatch { what: file, .. }) => Some(file),
            _ => None,
        }
    }

    /// The kind at the crate's door.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Http { error, .. } => error.kind(),
            Self::Refused { .. } => ErrorKind::Damaged,
            Self::Store(error) => error.kind(),
            Self::Cancelled => ErrorKind::Interrupted,
            Self::Panicked(_) => ErrorKind::Failed,
        }
    }

    /// What to do next.
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Self::Http { hint, .. } => hint.as_deref().cloned(),
            Self::Refused { .. } => Some(Hint::CheckRepositoryFile),
            Self::Store(error) => error.hint(),
            Self::Cancelled => None,
            Self::Panicked(_) => Some(Hint::ReportBug),
        }
    }
}

impl From<TransferError> for Error {
    fn from(error: TransferError) -> Self {
        let error = match error {
            TransferError::Store(StoreError::Cancelled) => TransferError::Cancelled,
            TransferError::Store(error) => return error.into(),
            error => error,
        };
        let new = Self::new(error.kind(), error.to_string()).with_hints(error.hint());
        match &error {
            TransferError::Http { file, .. } | TransferError::Refused { file, .. } => new.about(file.clone()),
            _ => new,
        }
        .caused_by(error)
    }
}
