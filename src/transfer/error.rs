//! Why a transfer ended without a result.

use crate::{
    error::{Error, ErrorKind},
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
        error: HttpError,
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
    #[error("stopped; what arrived is kept, and the same command goes on from there")]
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
}

impl From<TransferError> for Error {
    fn from(error: TransferError) -> Self {
        match error {
            TransferError::Http { file, error } => {
                let inner = Error::from(error);
                let new = Self::new(inner.kind(), format!("{file}: {}", inner.message()));
                match inner.next_step() {
                    Some(hint) => new.hint(hint),
                    None => new.hint("What arrived is kept: run the same command again and it goes on from there."),
                }
            }
            TransferError::Refused { .. } => Self::new(ErrorKind::Damaged, error.to_string()).hint(
                "Nothing of it was kept. A proxy or mirror may have sent something else, or the upload is broken: look at the file in the repository, or try another revision.",
            ),
            TransferError::Store(StoreError::Cancelled) | TransferError::Cancelled => {
                Self::new(ErrorKind::Interrupted, TransferError::Cancelled.to_string())
            }
            TransferError::Store(error) => error.into(),
            TransferError::Panicked(_) => Self::new(ErrorKind::Failed, error.to_string()).hint("This is a bug; please report it."),
        }
    }
}
