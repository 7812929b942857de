//! The error at the crate's door: a kind, a message that names the file or id, what to do next as values, and the error of the
//! room as its source. Each room has its own small error enum and turns it into this one where it knows the kind.

use crate::hint::Hint;
use std::{
    fmt,
    path::{Path, PathBuf},
};

/// What went wrong, as programs see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Anything without a kind of its own.
    Failed,
    /// A wrong command line, setting or registry file.
    Usage,
    /// Not in the registry, not present here, or not on the Hub.
    NotFound,
    /// Content does not match its hash.
    Damaged,
    /// Authentication needed or access not granted.
    Auth,
    /// The network failed or is not allowed (offline).
    Network,
    /// The disk is full, or would be.
    NoSpace,
    /// A lock was not free in time.
    Locked,
    /// Stopped by the user.
    Interrupted,
}

impl ErrorKind {
    /// The word for this kind in JSON output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::NotFound => "not_found",
            Self::Damaged => "damaged",
            Self::Auth => "auth",
            Self::Network => "network",
            Self::NoSpace => "no_space",
            Self::Locked => "locked",
            Self::Interrupted => "interrupted",
        }
    }
}

/// A failed use-case.
#[derive(Debug)]
#[non_exhaustive]
pub struct Error {
    kind: ErrorKind,
    message: String,
    hints: Vec<Hint>,
    path: Option<PathBuf>,
    id: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Result with the crate's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A new error; `message` is a lower-case sentence without a full stop that names the file or id.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hints: Vec::new(), path: None, id: None, source: None }
    }

    /// Adds what to do next, after what was added before.
    #[must_use]
    pub fn hint(mut self, hint: Hint) -> Self {
        self.hints.push(hint);
        self
    }

    /// The same for several hints.
    #[must_use]
    pub fn with_hints(mut self, hints: impl IntoIterator<Item = Hint>) -> Self {
        self.hints.extend(hints);
        self
    }

    /// Adds the file or folder that it is about.
    #[must_use]
    pub fn at(mut self, path: impl Into<PathBuf>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Adds the model, digest or project that it is about.
    #[must_use]
    pub fn about(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Adds what caused it.
    #[must_use]
    pub fn caused_by(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// What the system refused to this process: with what helps, where it is a limit.
    pub(crate) fn of_system(message: &str, source: std::io::Error) -> Self {
        let new = Self::new(ErrorKind::Failed, message);
        let new = if is_too_many_files(&source) { new.hint(Hint::RaiseOpenFiles) } else { new };
        new.caused_by(source)
    }

    /// The kind.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What happened, without causes and hints.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do next, in the order of a text. [`hint::words`](crate::hint::words) makes sentences of it.
    pub fn hints(&self) -> &[Hint] {
        &self.hints
    }

    /// The file or folder that it is about, if it is about one.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The model, digest or project that it is about, if it is about one.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }
}

/// Whether this process, or the system, has as many files open as it may: the same of files and of connections.
pub(crate) fn is_too_many_files(error: &std::io::Error) -> bool {
    // ENFILE and EMFILE, or of Windows WSAEMFILE and ERROR_TOO_MANY_OPEN_FILES.
    let codes: &[i32] = if cfg!(windows) { &[10024, 4] } else { &[23, 24] };
    error.raw_os_error().is_some_and(|code| codes.contains(&code))
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}

impl From<crate::names::NameError> for Error {
    fn from(error: crate::names::NameError) -> Self {
        Self::new(ErrorKind::Usage, error.to_string())
    }
}

impl From<crate::digest::DigestError> for Error {
    fn from(error: crate::digest::DigestError) -> Self {
        Self::new(ErrorKind::Usage, error.to_string())
    }
}
