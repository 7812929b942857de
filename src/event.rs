//! Events of the core. It reports them to a listener; only `cli/` and the Python package write text for people.
//!
//! Contract of a [`Reporter`]: it is called from any thread, must return quickly and must not panic. Between a
//! `FileStarted` and its `FileFinished` or `FileFailed` there are any number of `Progress` events of that file.

use crate::{
    digest::Sha256Digest,
    hint::Hint,
    names::{Format, ModelId, Quant},
    notice::Notice,
};
use std::{fmt, path::PathBuf, time::Duration};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The work of a command is known.
    Planned {
        /// Files that will be fetched.
        files: usize,
        /// Bytes that will be fetched, partial downloads already taken off.
        bytes: u64,
    },
    /// A file's transfer begins.
    FileStarted {
        /// Its path in the view.
        file: String,
        /// Its size in bytes.
        size: u64,
        /// Bytes an earlier run left and that will not be fetched again.
        resumed: u64,
    },
    /// Some bytes of a file arrived.
    Progress {
        /// Its path in the view.
        file: String,
        /// Bytes held so far, earlier runs included.
        done: u64,
        /// Its size in bytes.
        size: u64,
        /// Bytes per second over the last seconds.
        rate: u64,
        /// Time left at that rate; `None` while it is not known.
        eta: Option<Duration>,
    },
    /// Bytes that are already here are being hashed.
    Hashing {
        /// The file.
        file: String,
        /// Bytes hashed so far.
        done: u64,
        /// Its size in bytes.
        size: u64,
    },
    /// Bytes of a file that is complete were copied from other files of the store, and did not travel.
    Borrowed {
        /// Its path in the view.
        file: String,
        /// How many bytes.
        bytes: u64,
        /// The blobs that had them.
        from: Vec<Sha256Digest>,
    },
    /// A file is complete and in the store. What its source published of it, if anything, was compared.
    FileFinished {
        /// Its path in the view.
        file: String,
        /// Its size in bytes.
        size: u64,
        /// Bytes that came over the network in this run.
        fetched: u64,
        /// Bytes that were copied from other files of the store in this run.
        borrowed: u64,
        /// How long it took.
        took: Duration,
        /// Whether its source published a hash, so that it is verified.
        published: bool,
    },
    /// A file's transfer ended without a result; what arrived is kept.
    FileFailed {
        /// Its path in the view.
        file: String,
    },
    /// A file that is waited for came further: another process fetches it.
    Awaited {
        /// Its path in the view.
        file: String,
        /// Bytes that are recorded so far.
        done: u64,
        /// Its size in bytes.
        size: u64,
    },
    /// A model is complete and shown.
    ModelFinished {
        /// Its id.
        model: ModelId,
        /// Its format.
        format: Format,
        /// Its quantization, where it has one.
        quant: Option<Quant>,
        /// The path to give to a backend.
        path: PathBuf,
        /// Bytes that came over the network for it in this run.
        fetched: u64,
        /// How long it took, from the time when its turn came.
        took: Duration,
    },
    /// A request failed and is tried again.
    Retry {
        /// What is being fetched.
        what: String,
        /// Why the last try failed.
        why: String,
        /// When the next one starts.
        after: Duration,
    },
    /// An endpoint could not answer, or does not have what was asked for, and the next is asked.
    Elsewhere {
        /// What it said, with its address.
        why: String,
    },
    /// Worth a line for people who asked for details.
    Detail(String),
    /// A lock is held by somebody else.
    Waiting {
        /// What the lock guards.
        what: String,
        /// Who holds it, as far as the lock file tells.
        holder: String,
        /// How long this has lasted.
        since: Duration,
    },
    /// Something worth one line, not a fault.
    Notice(Notice),
    /// Something that may need attention, not a failure.
    Warning(Warning),
}

/// What may need attention, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Warning {
    /// What it is: a sentence without a capital and a full stop.
    pub message: String,
    /// What to do.
    pub hints: Vec<Hint>,
}

impl Warning {
    /// A warning with something to do.
    pub fn with_hint(message: impl Into<String>, hint: Hint) -> Self {
        Self { message: message.into(), hints: vec![hint] }
    }
}

impl<T: Into<String>> From<T> for Warning {
    fn from(message: T) -> Self {
        Self { message: message.into(), hints: Vec::new() }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Receives events.
pub trait Reporter: Send + Sync {
    /// Takes one event.
    fn event(&self, event: &Event);
}

/// Receives events and drops them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Reporter for Silent {
    fn event(&self, _: &Event) {}
}

impl<F: Fn(&Event) + Send + Sync> Reporter for F {
    fn event(&self, event: &Event) {
        self(event);
    }
}
