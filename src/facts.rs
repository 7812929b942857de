//! What is known of a file before it is here.

use crate::{
    digest::{GitSha1, Sha256Digest},
    names::RelPath,
};
use serde::Serialize;

/// The facts of a file: what a source publishes of it, or a registry entry says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileFacts {
    /// Its path in the source, letter for letter.
    pub path: RelPath,
    /// The length of its content in bytes.
    pub size: Option<u64>,
    /// The SHA-256 of its content.
    pub sha256: Option<Sha256Digest>,
    /// Git's blob id of the content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git_sha1: Option<GitSha1>,
    /// The hash by which a Xet server finds it, as the Hub writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub xet: Option<String>,
    /// What tells this content from an earlier one under the same address, where no hash does: an entity tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

impl FileFacts {
    /// A file of which only its path is known.
    pub fn named(path: RelPath) -> Self {
        Self { path, size: None, sha256: None, git_sha1: None, xet: None, version: None }
    }
}
