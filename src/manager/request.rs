//! What the use-cases are asked: which model, and the choices of each.

use crate::{
    digest::Sha256Digest,
    names::{Format, Quant, Revision},
    source::hub::Companion,
    store::ViewKey,
};

/// Which model, and which of its forms.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Selector {
    /// Its name: an id, a repository such as `owner/repo:Q4_K_M`, a path or a digest.
    pub model: String,
    /// Only this format.
    pub format: Option<Format>,
    /// Only this quantization.
    pub quant: Option<Quant>,
}

impl Selector {
    /// The model of this name, in any of its forms.
    pub fn new(model: impl Into<String>) -> Self {
        Self { model: model.into(), format: None, quant: None }
    }
}

impl From<ViewKey> for Selector {
    fn from(ViewKey { model, format, quant }: ViewKey) -> Self {
        Self { model: model.to_string(), format: Some(format), quant }
    }
}

/// Choices of a download.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct DownloadOptions {
    /// Fetch again even what is present.
    pub force: bool,
    /// Another revision than the registry's.
    pub revision: Option<Revision>,
    /// What else a GGUF model gets of its repository: a projector, a draft and so on.
    pub with: Vec<Companion>,
    /// The SHA-256 of a file that is named by its address, as its publisher gives it.
    pub sha256: Option<Sha256Digest>,
}

/// Choices of locking.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct LockOptions {
    /// Ask the Hub what the branches of locked views stand for now.
    pub update: bool,
    /// Only tell what would be locked.
    pub dry_run: bool,
}

/// Choices of a sync.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct SyncOptions {
    /// Never change the lock file; one that the registry disagrees with is an error.
    pub locked: bool,
    /// Remove views of ours that are not locked.
    pub prune: bool,
    /// Trust size and modification time of what is here.
    pub quick: bool,
    /// Only tell what would be done.
    pub dry_run: bool,
}
