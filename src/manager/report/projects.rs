//! The projects that use a store.

use crate::store::{RootOwner, ViewKey};
use serde::Serialize;
use uuid::Uuid;

/// What became of a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ProjectState {
    /// It is where it was.
    Live,
    /// Its volume is there and it is not.
    Missing,
    /// It cannot be seen from here: another host, an unmounted volume, no permission.
    Unreachable,
}

impl ProjectState {
    /// The word for it in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Missing => "missing",
            Self::Unreachable => "unreachable",
        }
    }
}

/// A project that uses the store.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct ProjectReport {
    /// Its identity.
    pub uuid: Uuid,
    /// Its models directory when it was last seen.
    pub path: String,
    /// The machine it was seen on.
    pub host: String,
    /// When, RFC 3339.
    pub last_seen: String,
    /// What became of it.
    pub state: ProjectState,
    /// Its views.
    #[serde(rename = "models", serialize_with = "super::views")]
    pub views: Vec<ViewKey>,
    /// What else keeps blobs for it: what was placed in other applications, remotes, and owners of a later version.
    #[serde(serialize_with = "super::owners")]
    pub other_owners: Vec<RootOwner>,
    /// Bytes that all of these need.
    pub total_bytes: u64,
}
