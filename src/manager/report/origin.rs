//! Where models and their files come from.

use crate::{
    digest::Sha256Digest,
    facts::FileFacts,
    names::{RelPath, Revision, SourceId},
};
use serde::Serialize;

/// Where a model comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelOrigin {
    /// The repository, or the address of a folder on a web server.
    pub repo: SourceId,
    /// The branch or tag that is followed; `null` where a commit is pinned, or the repository's own branch is meant.
    pub revision: Option<Revision>,
    /// The commit; `null` while nobody was asked.
    pub commit: Option<Revision>,
}

impl ModelOrigin {
    /// A repository at what may be a branch, a tag or a commit.
    pub(in crate::manager) fn at(repo: &SourceId, at: Option<&Revision>) -> Self {
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

impl From<&FileFacts> for RepoFile {
    fn from(file: &FileFacts) -> Self {
        Self { repo_path: file.path.clone(), size: file.size, sha256: file.sha256 }
    }
}
