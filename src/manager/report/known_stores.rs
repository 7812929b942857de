//! The stores that a user's commands opened.

use serde::Serialize;
use std::path::PathBuf;
use uuid::Uuid;

/// Whether something can be taken from a known store now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum StoreState {
    /// It is the store of this project.
    Own,
    /// It can be read.
    Usable,
    /// It is gone, damaged, or another one is in its place.
    Unusable,
    /// Its volume does not answer.
    Silent,
}

impl StoreState {
    /// The word for it in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Usable => "usable",
            Self::Unusable => "unusable",
            Self::Silent => "silent",
        }
    }
}

/// A store that a command of this user opened.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct StoreReport {
    /// Its identity.
    pub uuid: Uuid,
    /// Where it was.
    pub path: PathBuf,
    /// When it was first seen there, RFC 3339.
    pub noted_at: String,
    /// Whether something can be taken from it now.
    pub state: StoreState,
    /// Why it cannot be used.
    pub problem: Option<String>,
}
