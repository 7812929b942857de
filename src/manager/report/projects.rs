//! The projects that use a store.

use crate::store::RootOwner;
use serde::Serialize;

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

/// A project that uses the store.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct ProjectLine {
    /// Its identity.
    pub uuid: String,
    /// Its models directory when it was last seen.
    pub path: String,
    /// The machine it was seen on.
    pub host: String,
    /// When, RFC 3339.
    pub last_seen: String,
    /// What became of it.
    pub state: ProjectState,
    /// Its views.
    pub views: Vec<String>,
    /// What else keeps blobs for it: what was placed in other applications, remotes, and owners of a later version.
    pub other_owners: Vec<RootOwner>,
    /// Bytes that all of these need.
    pub size: u64,
}
