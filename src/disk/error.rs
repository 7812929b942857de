//! A failed file operation: what, on which path, and which kinds of failure callers tell apart.

use super::system;
use std::{
    io,
    path::{Path, PathBuf},
};

/// A failed file operation. `Clone` keeps kind and OS code, so one failure can be
/// reported for several files.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}", path.display())]
pub struct DiskError {
    /// What was attempted, as a verb phrase.
    pub action: &'static str,
    /// On which path.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// Result of a file operation.
pub type Result<T, E = DiskError> = std::result::Result<T, E>;

impl Clone for DiskError {
    fn clone(&self) -> Self {
        let source = match self.source.raw_os_error() {
            Some(code) => io::Error::from_raw_os_error(code),
            None => io::Error::new(self.source.kind(), self.source.to_string()),
        };
        Self { action: self.action, path: self.path.clone(), source }
    }
}

/// Something other than a regular file is in place of one.
pub(crate) fn not_regular() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")
}

impl DiskError {
    /// `path` is not a regular file with a single name: a folder, a link, a pipe, a socket, a device, or a file that
    /// has further names.
    pub(crate) fn wrong_kind(action: &'static str, path: &Path) -> Self {
        let source = io::Error::new(io::ErrorKind::InvalidInput, "not a regular file with one name");
        Self { action, path: path.to_owned(), source }
    }

    /// Whether the path is not of the expected kind: a folder, a link, a pipe, a socket, a device, or a file that is
    /// larger than such a file can be.
    pub fn is_wrong_kind(&self) -> bool {
        let kinds = [io::ErrorKind::InvalidInput, io::ErrorKind::FileTooLarge, io::ErrorKind::IsADirectory];
        !self.is_too_large() && (kinds.contains(&self.kind()) || self.source.raw_os_error().is_some_and(system::is_wrong_kind))
    }

    /// The system's class of error.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }
    /// Whether the path, or a folder above it, does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
    }
    /// Whether the volume or the user's quota is full.
    pub fn is_no_space(&self) -> bool {
        matches!(self.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }
    /// Whether a program has the file open in a way that shuts others out. Only Windows knows such.
    pub fn is_in_use(&self) -> bool {
        // ERROR_SHARING_VIOLATION, ERROR_LOCK_VIOLATION, ERROR_USER_MAPPED_FILE
        cfg!(windows) && matches!(self.source.raw_os_error(), Some(32 | 33 | 1224))
    }
    /// Whether this process, or the system, has as many files open as it may.
    pub fn is_too_many_files(&self) -> bool {
        cfg!(unix) && crate::error::is_too_many_files(&self.source)
    }
    /// Whether a write would have made the file larger than a limit of the process, or the file system, allows.
    pub fn is_too_large(&self) -> bool {
        // What this room refuses for its size has no code of the system.
        self.kind() == io::ErrorKind::FileTooLarge && self.source.raw_os_error().is_some()
    }
    /// Whether the place cannot be written by this user.
    pub fn is_read_only(&self) -> bool {
        matches!(self.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
    }
}

pub(crate) trait At<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T> {
        self.map_err(|source| DiskError { action, path: path.to_owned(), source })
    }
}
