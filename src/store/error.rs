//! What can go wrong in a store, and what that means at the crate's door.

use super::{WhyReadOnly, layout::IngestKey, ownership::ShutOut};
use crate::{
    digest::{LONGEST_FILE, Sha256Digest},
    disk::{
        DiskError, RealDisk, limits,
        lock::{LockError, LockHeld},
    },
    error::{Error, ErrorKind},
    hint::{Hint, Setting},
};
use std::path::{Path, PathBuf};

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
    /// The content of the store is in another place.
    #[error("the store at {} was moved to {}", path.display(), to.display())]
    Moved {
        /// Where it was.
        path: PathBuf,
        /// Where its marker says that it is.
        to: PathBuf,
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
        WhyReadOnly::ForReading => "here: it was opened for reading",
    })]
    ReadOnly {
        /// The store.
        path: PathBuf,
        /// Why not.
        why: WhyReadOnly,
    },
    /// Another process held a lock for too long.
    #[error(transparent)]
    LockTimeout(LockHeld),
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
    /// The bytes are complete and not the ones that were promised, and some of them were copied from other blobs: only these
    /// are missing again.
    #[error("the content of {what} is wrong with {bytes} bytes that came from other files of the store; these are missing again")]
    BorrowedMismatch {
        /// The file.
        what: String,
        /// Bytes of the segments that are missing again.
        bytes: u64,
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
    #[error("not enough disk space on the volume of {}: {} are needed, {} are free", path.display(), gigabytes(*need), gigabytes(*free))]
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
        key: IngestKey,
        /// How many segments are missing.
        missing: u64,
    },
    /// Locks cannot be relied on where the store is.
    #[error("the store at {} is where locks of other hosts cannot be seen, so nothing can be collected safely", path.display())]
    NoSafeCollection {
        /// The store.
        path: PathBuf,
    },
    /// A file changed while it was imported.
    #[error("{} changed while it was being read", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// A file of another program cannot become a blob without being copied.
    #[error("{} cannot be shared with the store: {why}", path.display())]
    NeedsCopy {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: &'static str,
    },
    /// A file of another program is not replaced by one that shares its bytes.
    #[error("{} stays as it is: {why}", path.display())]
    NotReplaced {
        /// The file.
        path: PathBuf,
        /// Why.
        why: &'static str,
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

/// The kind of a failed file operation at the crate's door, and what helps.
fn judge(error: &DiskError) -> (ErrorKind, Option<Hint>) {
    if let Some(shut_out) = ShutOut::of(&RealDisk, error) {
        return (ErrorKind::Auth, Some(shut_out.hint()));
    }
    let dir = || error.path.parent().unwrap_or(&error.path).to_owned();
    let is_wrong_kind =
        error.is_wrong_kind() || matches!(error.kind(), std::io::ErrorKind::AlreadyExists | std::io::ErrorKind::NotADirectory);
    match error {
        _ if error.is_no_space() && limits::lacks_inodes(&error.path) => (ErrorKind::NoSpace, Some(Hint::FreeInodes)),
        _ if error.is_no_space() => (ErrorKind::NoSpace, Some(Hint::FreeSpace { dir: dir(), needed: None })),
        _ if error.is_too_many_files() => (ErrorKind::Failed, Some(Hint::RaiseOpenFiles)),
        _ if error.is_too_large() => (ErrorKind::NoSpace, Some(Hint::RaiseFileSize)),
        _ if error.is_in_use() => (ErrorKind::Failed, Some(Hint::CloseFile)),
        _ if error.is_read_only() => {
            (ErrorKind::Failed, Some(Hint::CheckWritable { settings: vec![Setting::Store, Setting::ModelsDir] }))
        }
        _ if is_wrong_kind => (ErrorKind::Failed, Some(Hint::OtherKindInTheWay)),
        _ if error.kind() == std::io::ErrorKind::InvalidFilename => (ErrorKind::Failed, Some(Hint::ShortenName)),
        _ => (ErrorKind::Failed, None),
    }
}

impl From<LockError> for StoreError {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Disk(error) => error.into(),
            LockError::Timeout(held) => Self::LockTimeout(held),
            LockError::Cancelled => Self::Cancelled,
        }
    }
}

impl From<LockError> for Error {
    fn from(error: LockError) -> Self {
        StoreError::from(error).into()
    }
}

impl From<DiskError> for Error {
    fn from(error: DiskError) -> Self {
        let (kind, hint) = judge(&error);
        Self::new(kind, error.to_string()).with_hints(hint).at(error.path.clone()).caused_by(error)
    }
}

impl StoreError {
    /// The kind at the crate's door.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Disk(error) => judge(error).0,
            Self::NotAStore { .. } => ErrorKind::Usage,
            Self::Moved { .. } => ErrorKind::NotFound,
            Self::Absent { .. } => ErrorKind::NotFound,
            Self::ReadOnly { why: WhyReadOnly::Permission, path } if ShutOut::from_store(&RealDisk, path).is_some() => {
                ErrorKind::Auth
            }
            Self::BadRecord { .. } | Self::TooLong { .. } | Self::Mismatch { .. } | Self::BorrowedMismatch { .. } => {
                ErrorKind::Damaged
            }
            Self::LockTimeout(_) => ErrorKind::Locked,
            Self::NoSpace { .. } => ErrorKind::NoSpace,
            Self::Cancelled => ErrorKind::Interrupted,
            Self::NotAFolder { .. }
            | Self::LinkToNothing { .. }
            | Self::TooNew { .. }
            | Self::ReadOnly { .. }
            | Self::NoSafeCollection { .. }
            | Self::OtherOwner { .. }
            | Self::Vanished(_)
            | Self::Incomplete { .. }
            | Self::NeedsCopy { .. }
            | Self::NotReplaced { .. }
            | Self::Changed { .. } => ErrorKind::Failed,
        }
    }

    /// What to do next.
    pub fn hint(&self) -> Option<Hint> {
        Some(match self {
            Self::Disk(error) => return judge(error).1,
            Self::NotAStore { .. } => Hint::ChooseStore,
            Self::Moved { to, .. } => Hint::UseMovedStore { to: to.clone() },
            Self::NotAFolder { .. } => Hint::ClearTheWay,
            Self::LinkToNothing { .. } => Hint::MountTarget,
            Self::Absent { .. } => Hint::NoStoreYet,
            Self::TooNew { .. } => Hint::UpdateProgram { is_readable: false },
            Self::BadRecord { .. } => Hint::RestoreRecord,
            Self::ReadOnly { why, path } => match why {
                WhyReadOnly::Volume => Hint::WriteElsewhere,
                WhyReadOnly::Permission => {
                    ShutOut::from_store(&RealDisk, path).map_or(Hint::AskForAccess, |shut_out| shut_out.hint())
                }
                WhyReadOnly::NewerLayout => Hint::UpdateProgram { is_readable: true },
                WhyReadOnly::NoLocks => Hint::RestoreLocks,
                WhyReadOnly::ForReading => return None,
            },
            Self::OtherOwner { .. } => Hint::LeaveToOwner,
            Self::LockTimeout(_) => Hint::WaitForLock,
            Self::TooLong { .. } => Hint::CheckSize,
            Self::Mismatch { .. } => Hint::DownloadAgain,
            Self::NoSpace { path, need, .. } => Hint::FreeSpace { dir: path.clone(), needed: Some(*need) },
            Self::NoSafeCollection { .. } => Hint::OnlyThisHost,
            Self::BorrowedMismatch { .. } | Self::Vanished(_) | Self::Incomplete { .. } | Self::Changed { .. } => Hint::RunAgain,
            Self::NeedsCopy { .. } => Hint::CopyInstead,
            Self::NotReplaced { .. } | Self::Cancelled => return None,
        })
    }

    /// The file or folder that it is about.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Disk(error) => Some(&error.path),
            Self::NotAStore { path }
            | Self::NotAFolder { path }
            | Self::Moved { path, .. }
            | Self::LinkToNothing { path, .. }
            | Self::Absent { path }
            | Self::TooNew { path, .. }
            | Self::BadRecord { path, .. }
            | Self::OtherOwner { path, .. }
            | Self::ReadOnly { path, .. }
            | Self::NoSpace { path, .. }
            | Self::NoSafeCollection { path }
            | Self::NeedsCopy { path, .. }
            | Self::NotReplaced { path, .. }
            | Self::Changed { path } => Some(path),
            Self::LockTimeout(_)
            | Self::Mismatch { .. }
            | Self::BorrowedMismatch { .. }
            | Self::TooLong { .. }
            | Self::Vanished(_)
            | Self::Incomplete { .. }
            | Self::Cancelled => None,
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let mut new = Self::new(error.kind(), error.to_string()).with_hints(error.hint());
        if let Some(path) = error.path() {
            new = new.at(path);
        }
        if let StoreError::Vanished(digest) = &error {
            new = new.about(digest.to_string());
        }
        new.caused_by(error)
    }
}

fn gigabytes(bytes: u64) -> String {
    if bytes < 100_000_000 { format!("{:.2} MB", bytes as f64 / 1e6) } else { format!("{:.2} GB", bytes as f64 / 1e9) }
}
