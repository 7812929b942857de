//! The content of every small file in a store, with its version. `store-layout.md` is the norm; a difference is a bug.

mod blob;
mod exposure;
mod replacement;
mod root;

pub use blob::{BlobMeta, OpaqueJson, Provenance, Stamp, Trust, TrustWord, UpstreamFile};
pub use exposure::{Exposure, ExposureState, PlacedItem};
pub use replacement::{FileFacts, Replacement};
pub use root::{ProjectRecord, Root, RootOwner, RootRecord, ViewFile, ViewKey, root_from_json};

use super::error::{Result, StoreError};
use crate::digest::{SEGMENT_LEN, Sha256Digest};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    path::{Path, PathBuf},
    str::FromStr,
};
use uuid::Uuid;

/// The layout this program reads and writes.
pub const LAYOUT_VERSION: u32 = 1;

/// The version of each small file that this program writes.
pub const RECORD_VERSION: u32 = 1;

/// So many bytes are read of a record whose length nothing in the store decides: this program writes some hundreds.
pub const SHORT_RECORD: u64 = 64 << 10;
/// The most bytes that are read of a blob's record.
pub const LONGEST_META: u64 = 1 << 20;
/// So many bytes are read of a record that grows with files, segments or digests.
pub const LONG_RECORD: u64 = 64 << 20;

/// The flag of a store whose content was moved to another place: programs that do not know it refuse the store.
pub const MOVED: &str = "moved";

/// Content of `CACHEDIR.TAG` (Cache Directory Tagging Specification, bford.info/cachedir).
pub const CACHEDIR_TAG: &str =
    "Signature: 8a477f597d28d172789f06886806bc55\n# Made by model-manager: blobs can be downloaded again.\n";

/// `STORE.json`: makes a folder a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// Version of the layout.
    pub layout: u32,
    /// The store's identity, wherever it is mounted.
    pub uuid: Uuid,
    /// The hash that names blobs.
    pub hash: String,
    /// Bytes in one segment.
    pub segment_len: u64,
    /// The lowest layout version a program must know to read it.
    pub min_reader: u32,
    /// The lowest layout version a program must know to write it.
    pub min_writer: u32,
    /// Features a program must know to do anything with it.
    #[serde(default)]
    pub flags: Vec<String>,
    /// Permission bits of folders; 0o2775 in a store that a group shares.
    #[serde(default)]
    pub dir_mode: DirMode,
    /// With the flag [`MOVED`], where the content went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_to: Option<PathBuf>,
}

/// The permission bits of a store's folders as its marker has them. Another user may have written the marker, so it is
/// not applied as it is: see [`DirMode::bits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DirMode(u64);

impl DirMode {
    /// Of a store of one user.
    pub const PRIVATE: Self = Self(0o755);
    /// Of a store that a group shares.
    pub const SHARED: Self = Self(0o2775);

    /// The bits that are used: all for the owner, nothing to write for strangers, no setuid and no sticky bit, and setgid
    /// only where the group may write.
    pub fn bits(self) -> u32 {
        let asked = (self.0 & 0o7777) as u32;
        let setgid = if asked & 0o020 == 0 { 0 } else { asked & 0o2000 };
        0o700 | (asked & 0o075) | setgid
    }

    /// What the marker asks for and is not done; `None` where it is all done.
    pub fn refused(self) -> Option<u64> {
        (u64::from(self.bits()) != self.0).then_some(self.0)
    }
}

impl Default for DirMode {
    fn default() -> Self {
        Self::PRIVATE
    }
}

impl Marker {
    /// Whether the group of the store's folder may write it.
    pub fn is_shared(&self) -> bool {
        self.dir_mode.bits() & 0o020 != 0
    }

    /// A new store.
    pub fn new(shared: bool) -> Self {
        Self {
            layout: LAYOUT_VERSION,
            uuid: Uuid::new_v4(),
            hash: "sha256".to_owned(),
            segment_len: SEGMENT_LEN,
            min_reader: 1,
            min_writer: 1,
            flags: Vec::new(),
            dir_mode: if shared { DirMode::SHARED } else { DirMode::PRIVATE },
            moved_to: None,
        }
    }

    /// Whether the content was moved away.
    pub fn is_moved(&self) -> bool {
        self.flags.iter().any(|flag| flag == MOVED)
    }

    /// The same marker, once the content is in the store at `to`.
    pub fn moved_away(&self, to: &Path) -> Self {
        let flags = self.flags.iter().filter(|flag| *flag != MOVED).cloned().chain([MOVED.to_owned()]).collect();
        Self { flags, moved_to: Some(to.to_owned()), ..self.clone() }
    }

    /// The error for a store at `path` that was moved away.
    pub(in crate::store) fn moved(&self, path: &Path) -> StoreError {
        StoreError::Moved { path: path.to_owned(), to: self.moved_to.clone().unwrap_or_default() }
    }

    /// Permission bits of folders.
    pub fn folder_mode(&self) -> u32 {
        self.dir_mode.bits()
    }

    /// Permission bits of small files and journals.
    pub fn file_mode(&self) -> u32 {
        self.dir_mode.bits() & 0o666
    }

    /// Permission bits of locks and leases: who can open a file can lock it, even for reading only.
    pub fn lock_mode(&self) -> u32 {
        if self.is_shared() { 0o660 } else { 0o600 }
    }

    /// The same, with no modes asked for but those that are used.
    pub fn without_refused(&self) -> Self {
        Self { dir_mode: DirMode(self.dir_mode.bits().into()), ..self.clone() }
    }

    /// What a program of this version lacks to read it.
    pub fn reader_lacks(&self) -> Option<String> {
        if self.min_reader > LAYOUT_VERSION {
            return Some(format!("layout version {}", self.min_reader));
        }
        if self.hash != "sha256" || self.segment_len != SEGMENT_LEN {
            return Some(format!("hash {} with segments of {} bytes", self.hash, self.segment_len));
        }
        self.flags.iter().find(|flag| *flag != MOVED).map(|flag| format!("feature `{flag}`"))
    }
}

/// The file `claim` of a partial download: what it will become, for people and for the collector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartialRecord {
    /// Version of this file.
    pub format: u32,
    /// Length of the finished file.
    pub size: u64,
    /// The file, as a person would name it.
    pub what: String,
    /// When it was begun, RFC 3339.
    pub begun: String,
}

/// Text of a JSON record, with a newline at its end.
pub fn to_json<T: Serialize>(value: &T) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(value).expect("records hold nothing that JSON cannot");
    text.push(b'\n');
    text
}

/// Reads a JSON record.
pub fn from_json<T: DeserializeOwned>(path: &Path, text: &[u8]) -> Result<T> {
    // The reader repeats a text that it did not expect, however long that is.
    let why = |error: serde_json::Error| format!("{:.200}", error.to_string());
    serde_json::from_slice(text).map_err(|error| StoreError::BadRecord { path: path.to_owned(), why: why(error) })
}

/// The version that a JSON record says it has; 0 where it says none.
pub fn version_of(text: &[u8]) -> u32 {
    #[derive(Deserialize)]
    struct Versioned {
        format: u32,
    }
    serde_json::from_slice::<Versioned>(text).map_or(0, |record| record.format)
}

/// Reads the lines of a lease: one digest each; a torn last line is not one yet.
pub fn lease_from_text(text: &[u8]) -> Vec<Sha256Digest> {
    let text = String::from_utf8_lossy(text);
    text.split_inclusive('\n')
        .filter_map(|line| line.strip_suffix('\n'))
        .filter_map(|line| Sha256Digest::from_str(line).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_marker_asks_for_strangers_cannot_write_and_nothing_runs_as_its_owner() {
        for asked in (0..=0o7777).chain([1 << 20, u64::MAX]) {
            let mode = DirMode(asked).bits();
            assert_eq!(mode & 0o5002, 0, "{asked:o} gives {mode:o}");
            assert_eq!(mode & 0o700, 0o700, "{asked:o} gives {mode:o}");
            assert!(mode & 0o2000 == 0 || mode & 0o020 != 0, "{asked:o} gives {mode:o}");
        }
        for usual in [DirMode::PRIVATE, DirMode::SHARED, DirMode(0o700), DirMode(0o750), DirMode(0o2770)] {
            assert_eq!((u64::from(usual.bits()), usual.refused()), (usual.0, None));
        }
        assert_eq!(DirMode(0o7777).refused(), Some(0o7777));
    }
}
