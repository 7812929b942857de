//! What the use-cases are asked: which model, and the choices of each.

use super::ModelName;
use crate::{
    digest::Sha256Digest,
    error::Result,
    names::{Format, Quant, Revision},
    source::hub::Companion,
    store::ViewKey,
};

/// Which model, and which of its forms.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Selector {
    /// What it is called.
    pub model: ModelName,
    /// Only this format.
    pub format: Option<Format>,
    /// Only this quantization.
    pub quant: Option<Quant>,
}

impl Selector {
    /// The model of this name, in any of its forms: an id, a repository such as `owner/repo:Q4_K_M`, an address, a path or
    /// the first digits of a digest.
    ///
    /// # Errors
    /// Of the kind [`Usage`](crate::error::ErrorKind::Usage) for a text that can name nothing.
    pub fn new(model: impl AsRef<str>) -> Result<Self> {
        Ok(model.as_ref().parse::<ModelName>()?.into())
    }
}

impl From<ModelName> for Selector {
    fn from(model: ModelName) -> Self {
        Self { model, format: None, quant: None }
    }
}

impl From<ViewKey> for Selector {
    fn from(ViewKey { model, format, quant }: ViewKey) -> Self {
        Self { model: model.into(), format: Some(format), quant }
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
    /// Of a repository, only files that fit one of these patterns (`*.json`, `onnx/*`, `tokenizer/`), if there are any; `*` also
    /// crosses `/`. They are added to those that its view shows already.
    pub include: Vec<String>,
    /// Of a repository, no file that fits one of these patterns.
    pub exclude: Vec<String>,
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
