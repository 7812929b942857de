//! What can go wrong with a view, and what that means at the crate's door.

use crate::{
    digest::Sha256Digest,
    disk::DiskError,
    error::{Error, ErrorKind},
    settings::LinkMode,
    store::StoreError,
    text,
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
    #[error("{} cannot be written: {}", path.display(), source.source)]
    ReadOnly {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: DiskError,
    },
    /// Copies need more room than there is.
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

/// The name to move something away to, as a shell reads it.
fn aside(path: &Path) -> String {
    text::shell_path(&path.with_file_name(format!("{}.mine", path.file_name().unwrap_or_default().to_string_lossy())))
}

impl From<ViewError> for Error {
    fn from(error: ViewError) -> Self {
        let message = error.to_string();
        match error {
            ViewError::Disk(error) => error.into(),
            ViewError::Store(error) => error.into(),
            ViewError::NoStore { .. } => Self::new(ErrorKind::NotFound, message)
                .hint("Download a model first, or name the store with `--store` or MODEL_MANAGER_STORE."),
            ViewError::Foreign { path, .. } => Self::new(ErrorKind::Failed, message).hint(format!(
                "Nothing was changed, and it is left alone: move it away (`mv {0} {1}`) and run the command again. A plain \
                 file is replaced by a download with `--force`, after its content was kept in the store.",
                text::shell_path(&path),
                aside(&path)
            )),
            ViewError::Edited { path } => Self::new(ErrorKind::Failed, message).hint(format!(
                "It may be an edit of yours, and is left alone. To keep it, move it away (`mv {0} {1}`) and run the command \
                 again; `model-manager verify {0} --repair` puts the published file in its place.",
                text::shell_path(&path),
                aside(&path)
            )),
            ViewError::Raced { .. } => Self::new(ErrorKind::Failed, message).hint("Run the command again."),
            ViewError::BlobMissing { path, .. } => {
                let path = text::shell_path(&path);
                Self::new(ErrorKind::Damaged, message).hint(format!("Run `model-manager download {path}` to fetch it again."))
            }
            ViewError::BadFile { .. } => Self::new(ErrorKind::Usage, message)
                .hint("Check the entry's `file`, `include` and `exclude` in the registry (`model-manager info <model>`)."),
            ViewError::Mode { mode, .. } => Self::new(ErrorKind::Failed, message).hint(format!(
                "Nothing was changed. Take another mode: `--link auto` finds what works here{}.",
                match mode {
                    LinkMode::Symlink => ", `--link hardlink` needs the store on the same volume",
                    _ => ", `--link copy` works everywhere and takes the space twice",
                }
            )),
            ViewError::NoMode { .. } => Self::new(ErrorKind::Failed, message).hint(
                "Run the command again with `--link copy` to have copies, which take the space twice, or choose another place with \
                 `--models-dir`.",
            ),
            ViewError::ReadOnly { .. } => Self::new(ErrorKind::Failed, message).hint(
                "Check who owns the folder and whether the volume is mounted read-only; `--models-dir` chooses another place.",
            ),
            ViewError::NoSpace { .. } => Self::new(ErrorKind::NoSpace, message)
                .hint("Links take no space: run the command again with `--link auto`, or remove models you do not use."),
        }
    }
}
