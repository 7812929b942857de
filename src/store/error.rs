//! What can go wrong in a store, and what that means at the crate's door.

use super::{WhyReadOnly, layout::IntakeKey, ownership::ShutOut};
use crate::{
    digest::{LONGEST_FILE, Sha256Digest},
    disk::{DiskError, RealDisk, limits},
    error::{Error, ErrorKind, TOO_MANY_FILES},
};
use std::{path::PathBuf, time::Duration};

/// A failed store operation.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A file operation failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The folder holds something, but no store.
    #[error("{} is not a store: it holds files but no STORE.json", path.display())]
    NotAStore {
        /// The folder.
        path: PathBuf,
    },
    /// Something that is no folder stands where one belongs.
    #[error("{} is in the way: a folder belongs there", path.display())]
    NotAFolder {
        /// What stands there.
        path: PathBuf,
    },
    /// A link that should lead to a folder leads nowhere.
    #[error("{} is a link to {}, where nothing is", path.display(), target.display())]
    LinkToNothing {
        /// The link.
        path: PathBuf,
        /// What it holds.
        target: PathBuf,
    },
    /// No store is there.
    #[error("there is no store at {}", path.display())]
    Absent {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A newer program made it.
    #[error("the store at {} needs a newer model-manager: {needs}", path.display())]
    TooNew {
        /// The store.
        path: PathBuf,
        /// Which version or feature is missing.
        needs: String,
    },
    /// A record cannot be read; nothing that depends on it is done.
    #[error("the record {} cannot be read: {why}", path.display())]
    BadRecord {
        /// The record.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A root of another owner than a view is neither changed nor removed here.
    #[error("the root {} belongs to {owner}", path.display())]
    OtherOwner {
        /// The root's record.
        path: PathBuf,
        /// Its owner, for people.
        owner: String,
    },
    /// Writing was asked of a store that this user can only read.
    #[error("the store at {} cannot be written {}", path.display(), match why {
        WhyReadOnly::Volume => "where it is mounted read-only",
        WhyReadOnly::Permission => "by this user",
        WhyReadOnly::NewerLayout => "by this version of model-manager",
        WhyReadOnly::NoLocks => "while something that is no folder stands in the place of its folder `lock`",
    })]
    ReadOnly {
        /// The store.
        path: PathBuf,
        /// Why not.
        why: WhyReadOnly,
    },
    /// Somebody else held a lock for too long.
    #[error("{} {what}, held by {holder}", how_long(*waited, *in_all))]
    LockTimeout {
        /// What the lock guards.
        what: String,
        /// Who holds it, as far as its file tells.
        holder: String,
        /// For how long.
        waited: Duration,
        /// For how long the command waited for locks in all.
        in_all: Duration,
    },
    /// The bytes are complete but not the ones that were promised.
    #[error("the content of {what} is wrong: expected {expected}, got {actual}")]
    Mismatch {
        /// The file.
        what: String,
        /// The digest that was promised.
        expected: String,
        /// The digest of what arrived.
        actual: String,
    },
    /// A file is said to be longer than any file may be.
    #[error("{what} has {size} bytes by what is said of it, and no file may have more than {LONGEST_FILE}")]
    TooLong {
        /// The file.
        what: String,
        /// Its length in bytes.
        size: u64,
    },
    /// Fewer bytes are free than needed.
    #[error("not enough space on the volume of {}: {need} bytes are needed, {free} are free", path.display())]
    NoSpace {
        /// The store.
        path: PathBuf,
        /// Bytes needed.
        need: u64,
        /// Bytes free.
        free: u64,
    },
    /// A blob that was present is gone.
    #[error("the blob {0} is gone from the store")]
    Vanished(Sha256Digest),
    /// A download was asked to be published before it was complete.
    #[error("the partial download {key} still misses {missing} segments")]
    Incomplete {
        /// Its name.
        key: IntakeKey,
        /// How many segments are missing.
        missing: u64,
    },
    /// Locks cannot be relied on where the store is.
    #[error("the store at {} is where locks of other hosts cannot be seen, so nothing can be collected safely", path.display())]
    NoSafeCollection {
        /// The store.
        path: PathBuf,
    },
    /// A file changed while it was taken into the store.
    #[error("{} changed while it was being read", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The user stopped it.
    #[error("stopped")]
    Cancelled,
}

impl StoreError {
    /// The error for a required record that was not read. If something else is in its place, the record is bad, not the
    /// disk.
    pub(super) fn of_record(error: DiskError) -> Self {
        match error.is_wrong_kind() {
            true => Self::BadRecord { why: error.source.to_string(), path: error.path },
            false => error.into(),
        }
    }
}

/// Result of a store operation.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

impl From<DiskError> for Error {
    fn from(error: DiskError) -> Self {
        let (kind, hint) = if error.is_no_space() && limits::lacks_inodes(&error.path) {
            (
                ErrorKind::NoSpace,
                Some(
                    "The volume has no inodes left for more files, as `df -i` shows: remove files or models (`model-manager list`, \
                     `model-manager remove <model>`), or choose a place on another with `--store`.",
                ),
            )
        } else if error.is_no_space() {
            (
                ErrorKind::NoSpace,
                Some(
                    "Free some space (`model-manager list` shows what models take, `model-manager remove <model>` removes one) and run the command again; what was downloaded is kept.",
                ),
            )
        } else if error.is_too_many_files() {
            (ErrorKind::Failed, Some(TOO_MANY_FILES))
        } else if error.is_too_large() {
            (
                ErrorKind::NoSpace,
                Some(
                    "No file may be so large here: allow larger ones with `ulimit -f unlimited`, or, where the file system \
                     itself holds none (FAT32: 4 GiB), choose a place on another with `--store`.",
                ),
            )
        } else if error.is_in_use() {
            (ErrorKind::Failed, Some("A program has the file open: end it and run the command again."))
        } else if error.is_read_only() {
            (
                ErrorKind::Failed,
                Some(
                    "Check who owns the folder and whether the volume is mounted read-only; `--store` and `--models-dir` choose other places.",
                ),
            )
        } else if error.is_wrong_kind()
            || matches!(error.kind(), std::io::ErrorKind::AlreadyExists | std::io::ErrorKind::NotADirectory)
        {
            (
                ErrorKind::Failed,
                Some(
                    "Something of another kind is in the way: move it away, or choose another place with `--models-dir` or \
                     `--store`.",
                ),
            )
        } else if error.kind() == std::io::ErrorKind::InvalidFilename {
            (ErrorKind::Failed, Some("Choose a place with a shorter name with `--models-dir` or `--store`."))
        } else {
            (ErrorKind::Failed, None)
        };
        if let Some(shut_out) = ShutOut::of(&RealDisk, &error) {
            return Self::new(ErrorKind::Auth, error.to_string()).hint(shut_out.to_string());
        }
        let new = Self::new(kind, error.to_string());
        match hint {
            Some(hint) => new.hint(hint),
            None => new,
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let message = error.to_string();
        match error {
            StoreError::Disk(error) => error.into(),
            StoreError::NotAStore { .. } => Self::new(ErrorKind::Usage, message)
                .hint("Choose an empty or new folder, or the folder of an existing store, with `--store`."),
            StoreError::NotAFolder { .. } => Self::new(ErrorKind::Failed, message)
                .hint("Move it away, or choose another place with `--models-dir` or `--store`."),
            StoreError::LinkToNothing { .. } => Self::new(ErrorKind::Failed, message)
                .hint("Mount the volume that it leads to, or make that folder, and run the command again. Nothing was changed."),
            StoreError::Absent { .. } => Self::new(ErrorKind::NotFound, message)
                .hint("Download a model first, or name the store with `--store` or MODEL_MANAGER_STORE."),
            StoreError::TooNew { .. } => {
                Self::new(ErrorKind::Failed, message).hint("Update model-manager; the store was not touched.")
            }
            StoreError::BadRecord { .. } => Self::new(ErrorKind::Damaged, message)
                .hint("Restore the file from a backup or move it away, then run the command again."),
            StoreError::OtherOwner { .. } => Self::new(ErrorKind::Failed, message)
                .hint("Leave it to the program that made it, or to a newer version of this one."),
            StoreError::ReadOnly { why, path } => match ShutOut::from_store(&RealDisk, &path) {
                Some(shut_out) if why == WhyReadOnly::Permission => {
                    Self::new(ErrorKind::Auth, message).hint(shut_out.to_string())
                }
                _ => Self::new(ErrorKind::Failed, message).hint(match why {
                    WhyReadOnly::Volume => {
                        "Run it where the store is mounted writable, or name another store with `--store`; what is here can be \
                         listed, verified and used."
                    }
                    WhyReadOnly::Permission => {
                        "`model-manager doctor` says who can let you write it; or name another store with `--store`."
                    }
                    WhyReadOnly::NewerLayout => "Update model-manager; until then the store can be listed, verified and used.",
                    WhyReadOnly::NoLocks => {
                        "Move `lock` in the store's folder elsewhere, then run `model-manager init`; until then the store can be \
                         listed, verified and used."
                    }
                }),
            },
            StoreError::LockTimeout { .. } => Self::new(ErrorKind::Locked, message)
                .hint("Wait for the other process, or give a longer `--lock-timeout`. A lock is released when its process ends."),
            StoreError::TooLong { .. } => Self::new(ErrorKind::Damaged, message)
                .hint("Check the `size` of the registry or the lock file, or what the server says of the file."),
            StoreError::Mismatch { .. } => Self::new(ErrorKind::Damaged, message).hint(
                "Nothing was published and the wrong bytes were dropped. Run the download again; if it repeats, the source serves \
                 another file than the registry pins: check its `sha256` and `revision`.",
            ),
            StoreError::NoSpace { path, need, free } => Self::new(
                ErrorKind::NoSpace,
                format!(
                    "not enough disk space on the volume of {}: {} are needed, {} are free",
                    path.display(),
                    gigabytes(need),
                    gigabytes(free)
                ),
            )
            .hint("Remove models you do not use (`model-manager list`, then `model-manager remove <model>`), or choose a smaller quantization."),
            StoreError::NoSafeCollection { .. } => Self::new(ErrorKind::Failed, message)
                .hint("If no other host uses this store now, say so with `model-manager gc --only-this-host`."),
            StoreError::Vanished(_) => {
                Self::new(ErrorKind::Failed, message).hint("Run the command again.")
            }
            StoreError::Incomplete { .. } | StoreError::Changed { .. } => {
                Self::new(ErrorKind::Failed, message).hint("Run the command again.")
            }
            StoreError::Cancelled => Self::new(ErrorKind::Interrupted, message),
        }
    }
}

/// How long it was waited for a lock, in words: what was asked is in all, and may be no time at all.
fn how_long(waited: Duration, in_all: Duration) -> String {
    let seconds = |time: Duration| format!("{:.1} s", time.as_secs_f64());
    match in_all.saturating_sub(waited) {
        _ if in_all < Duration::from_millis(50) => "did not wait for".to_owned(),
        before if before < Duration::from_millis(100) => format!("waited {} for", seconds(waited)),
        _ => format!("waited {} for locks, at last for", seconds(in_all)),
    }
}

fn gigabytes(bytes: u64) -> String {
    if bytes < 100_000_000 { format!("{:.2} MB", bytes as f64 / 1e6) } else { format!("{:.2} GB", bytes as f64 / 1e9) }
}
