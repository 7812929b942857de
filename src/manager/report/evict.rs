//! What would go of the models that were not used for long.

use super::{remove::RemoveReport, store::BlobReport, time::Timestamp};
use crate::{digest::Sha256Digest, store::ViewKey};
use serde::Serialize;
use std::path::PathBuf;
use uuid::Uuid;

/// Which models a collection may remove besides what nothing needs.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct EvictionOptions {
    /// Those that were not used for so many seconds; with `keep_bytes` only such ones are considered.
    pub unused_for: Option<std::time::Duration>,
    /// The least recently used ones, until the blobs of the store take no more bytes than this.
    pub keep_bytes: Option<u64>,
    /// Of these projects, named by their folder or their models directory; where none is named, of the manager's own.
    pub projects: Vec<PathBuf>,
}

/// The models that would go, decided. Acting on it looks at each again.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct EvictionPlan {
    /// They, in the order in which they were last used.
    pub models: Vec<EvictedModel>,
    /// The blobs that go with them.
    pub blobs: Vec<BlobReport>,
    /// Bytes that are given back.
    pub freed_bytes: u64,
    /// Bytes that the store would take afterwards, without what nothing needs now.
    pub left_bytes: u64,
}

#[cfg(test)]
impl EvictedModel {
    /// A model of which nothing else is needed.
    pub(crate) fn example(view: ViewKey, project: &str, used_at: Timestamp, bytes: u64) -> Self {
        let check = crate::digest::sha256_of(b"");
        let (project, uuid) = (project.into(), Uuid::nil());
        Self { view, project, used_at: Some(used_at), total_bytes: bytes, freed_bytes: bytes, uuid, check }
    }
}

/// What an eviction did.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct EvictionReport {
    /// The models that are gone.
    pub models: Vec<EvictedModel>,
    /// What went with them.
    pub removal: RemoveReport,
}

/// A model that goes.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct EvictedModel {
    /// Its view.
    #[serde(flatten, serialize_with = "super::view")]
    pub view: ViewKey,
    /// The models directory that it is in.
    pub project: PathBuf,
    /// When it was last used.
    pub used_at: Option<Timestamp>,
    /// Bytes of all its files.
    pub total_bytes: u64,
    /// Bytes that are given back when it goes after those before it.
    pub freed_bytes: u64,
    /// Its project.
    #[serde(skip)]
    pub(in crate::manager) uuid: Uuid,
    /// The check of its root, by which it is known again.
    #[serde(skip)]
    pub(in crate::manager) check: Sha256Digest,
}
