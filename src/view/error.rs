//! What can go wrong with a view, and what that means at the crate's door.

use crate::{
    digest::Sha256Digest,
    disk::DiskError,
    error::{Error, ErrorKind},
    hint::{Hint, Setting},
    settings::LinkMode,
    store::StoreError,
};
use std::path::{Path, PathBuf};

/// A failed operation on a view.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ViewError {
    /// A file operation failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no store to show files of.
    #[error("there is no store for the models directory {}", path.display())]
    NoStore {
        /// The models directory.
        path: PathBuf,
    },
    /// Something that is not ours stands where a view or one of its files belongs. Nothing was changed.
    #[error("{} is in the way: {what}", path.display())]
    Foreign {
        /// Where it stands.
        path: PathBuf,
        /// What it is.
        what: String,
    },
    /// A blob was changed through its name in a view. Nothing was changed.
    #[error("{} and its blob are one file, which was changed since it was made", path.display())]
    Edited {
        /// The file of the view.
        path: PathBuf,
    },
    /// Another process changed the view at the same time, again and again.
    #[error("{} was changed by another process at the same time", path.display())]
    Raced {
        /// The file.
        path: PathBuf,
    },
    /// A blob that a view needs is not in the store.
    #[error("the blob {digest} for {} is not in the store", path.display())]
    BlobMissing {
        /// The file of the view.
        path: PathBuf,
        /// The blob.
        digest: Sha256Digest,
    },
    /// The files cannot stand beside each other in one view.
    #[error("the view {} cannot hold `{file}`: {why}", path.display())]
    BadFile {
        /// The view's folder.
        path: PathBuf,
        /// The file.
        file: String,
        /// The rule it breaks.
        why: &'static str,
    },
    /// The link mode that was asked for does not work in this place.
    #[error("{} do not work in {}: {why}", plural(*mode), path.display())]
    Mode {
        /// The mode.
        mode: LinkMode,
        /// The view's folder.
        path: PathBuf,
        /// What failed.
        why: String,
    },
    /// No link mode works in this place, and copies are made only when they are asked for.
    #[error("no kind of link works in {}: {why}", path.display())]
    NoMode {
        /// The view's folder.
        path: PathBuf,
        /// What failed, for each mode.
        why: String,
    },
    /// This user cannot write the models directory.
    #[error("{} cannot be written: {}", path.display(), error.source)]
    ReadOnly {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        error: DiskError,
    },
    /// Copies need more space than is free.
    #[error("not enough disk space in {}: the copies need {need} bytes, {free} are free", path.display())]
    NoSpace {
        /// The view's folder.
        path: PathBuf,
        /// Bytes needed.
        need: u64,
        /// Bytes free.
        free: u64,
    },
}

/// Result of an operation on a view.
pub type Result<T, E = ViewError> = std::result::Result<T, E>;

/// What people call files of this mode.
pub(super) fn plural(mode: LinkMode) -> &'static str {
    match mode {
        LinkMode::Auto => "links",
        LinkMode::Symlink => "symbolic links",
        LinkMode::Hardlink => "hard links",
        LinkMode::Reflink => "reflinks",
        LinkMode::Copy => "copies",
    }
}

impl ViewError {
    /// The kind at the crate's door.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Disk(error) => StoreError::from(error.clone()).kind(),
            Self::Store(error) => error.kind(),
            Self::NoStore { .. } => ErrorKind::NotFound,
            Self::BlobMissing { .. } => ErrorKind::Damaged,
            Self::BadFile { .. } => ErrorKind::Usage,
            Self::NoSpace { .. } => ErrorKind::NoSpace,
            Self::Foreign { .. }
            | Self::Edited { .. }
            | Self::Raced { .. }
            | Self::Mode { .. }
            | Self::NoMode { .. }
            | Self::ReadOnly { .. } => ErrorKind::Failed,
        }
    }

    /// What to do next.
    pub fn hint(&self) -> Option<Hint> {
        Some(match self {
            Self::Disk(error) => return StoreError::from(error.clone()).hint(),
            Self::Store(error) => return error.hint(),
            Self::NoStore { .. } => Hint::NoStoreYet,
            Self::Foreign { path, .. } => Hint::MoveForeign { path: path.clone() },
            Self::Edited { path } => Hint::MoveEdited { path: path.clone() },
            Self::Raced { .. } => Hint::RunAgain,
            Self::BlobMissing { path, .. } => Hint::DownloadMissing { path: path.clone() },
            Self::BadFile { .. } => Hint::CheckPatterns,
            Self::Mode { mode, .. } => Hint::OtherLinkMode { failed: *mode },
            Self::NoMode { .. } => Hint::AllowCopies,
            Self::ReadOnly { .. } => Hint::CheckWritable { settings: vec![Setting::ModelsDir] },
            Self::NoSpace { .. } => Hint::UseLinks,
        })
    }

    /// The file or folder that it is about.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Disk(error) => Some(&error.path),
            Self::Store(error) => error.path(),
            Self::NoStore { path }
            | Self::Foreign { path, .. }
            | Self::Edited { path }
            | Self::Raced { path }
            | Self::BlobMissing { path, .. }
            | Self::BadFile { path, .. }
            | Self::Mode { path, .. }
            | Self::NoMode { path, .. }
            | Self::ReadOnly { path, .. }
            | Self::NoSpace { path, .. } => Some(path),
        }
    }
}

impl From<ViewError> for Error {
    fn from(error: ViewError) -> Self {
        let error = match error {
            ViewError::Disk(error) => return error.into(),
            ViewError::Store(error) => return error.into(),
            error => error,
        };
        let mut new = Self::new(error.kind(), error.to_string()).with_hints(error.hint());
        if let Some(path) = error.path() {
            new = new.at(path);
        }
        if let ViewError::BlobMissing { digest, .. } = &error {
            new = new.about(digest.to_string());
        }
        new.caused_by(error)
    }
}
