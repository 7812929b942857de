//! Where models and their files come from.

use crate::{
    digest::Sha256Digest,
    names::{RelPath, RepoId, Revision},
    registry::ArtifactFile,
};
use serde::Serialize;

/// Where a model comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelOrigin {
    /// The repository.
    pub repo: RepoId,
    /// The branch or tag that is followed; `null` where a commit is pinned, or the repository's own branch is meant.
    pub revision: Option<Revision>,
    /// The commit; `null` while nobody was asked.
    pub commit: Option<Revision>,
}

impl ModelOrigin {
    /// A repository at what may be a branch, a tag or a commit.
    pub(in crate::manager) fn at(repo: &RepoId, at: Option<&Revision>) -> Self {
        let (commit, revision) =
            at.cloned().map_or((None, None), |at| if at.is_commit() { (Some(at), None) } else { (None, Some(at)) });
        Self { repo: repo.clone(), revision, commit }
    }
}

/// A file of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RepoFile {
    /// Its path in the repository.
    pub repo_path: RelPath,
    /// Its length in bytes, where it is known.
    pub size: Option<u64>,
    /// Its SHA-256, where it is known.
    pub sha256: Option<Sha256Digest>,
}

impl From<&ArtifactFile> for RepoFile {
    fn from(file: &ArtifactFile) -> Self {
        Self { repo_path: file.path.clone(), size: file.size, sha256: file.sha256 }
    }
}
