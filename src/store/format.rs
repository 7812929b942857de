//! The content of every small file in a store, with its version. `store-layout.md` is the norm; a difference is a bug.

use super::{
    error::{Result, StoreError},
    relocation::ProjectLocation,
};
use crate::{
    digest::{Blake3Digest, GitSha1, LONGEST_FILE, SEGMENT_LEN, Sha256Digest, sha256_of},
    disk::Stat,
    names::{Format, ModelId, Quant, RelPath},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{fmt, path::Path, str::FromStr};
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
        }
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
        self.flags.first().map(|flag| format!("feature `{flag}`"))
    }
}

/// How far the content of a blob is vouched for, the least first.
///
/// A digest that this program computed or recorded itself is no published one, whatever is compared with it later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trust {
    /// Nothing was published; the digest is that of what came first.
    Tofu,
    /// Its git blob id and size were published before it came, and compared.
    GitSha1Upstream,
    /// Its SHA-256 was published before it came, by the Hub, the registry or a lock file, and compared.
    Sha256Upstream,
}

impl Trust {
    /// Whether anything that was published vouches for the content.
    pub fn is_published(self) -> bool {
        self != Self::Tofu
    }
}

/// Where a blob came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Base address of the Hub or mirror; `local` for a file that was already on this machine.
    pub endpoint: String,
    /// The repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repo: Option<String>,
    /// The commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The file in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Git's blob id, for files outside LFS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_sha1: Option<GitSha1>,
}

/// The facts that tell cheaply whether a file was touched since it was verified. `ctime` is left out: renaming and
/// linking change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// Length in bytes.
    pub size: u64,
    /// Modification time, nanoseconds since 1970.
    pub mtime_ns: i64,
    /// Inode number; 0 where there is none.
    pub ino: u64,
}

impl From<&Stat> for Stamp {
    fn from(stat: &Stat) -> Self {
        Self { size: stat.len, mtime_ns: stat.mtime_ns, ino: stat.ino }
    }
}

/// `meta/ab/<digest>.json`: what is known about a blob. It can be rebuilt from the blob, sources aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobMeta {
    /// Version of this file.
    pub format: u32,
    /// Length in bytes.
    pub size: u64,
    /// BLAKE3 of the whole blob.
    pub blake3: Blake3Digest,
    /// How far it is vouched for.
    pub trust: Trust,
    /// When its SHA-256 was last computed, RFC 3339.
    pub verified_at: String,
    /// What it looked like then.
    pub stamp: Stamp,
    /// Where it came from.
    #[serde(default)]
    pub sources: Vec<Source>,
}

impl BlobMeta {
    /// Merges the sources and the trust of another record of the same blob. Returns whether anything was new.
    pub(super) fn learn(&mut self, sources: &[Source], trust: Trust) -> bool {
        let before = (self.sources.len(), self.trust);
        for source in sources {
            if !self.sources.contains(source) {
                self.sources.push(source.clone());
            }
        }
        self.trust = self.trust.max(trust);
        before != (self.sources.len(), self.trust)
    }
}

/// What a view shows: `models/<id>/<format>/<quant>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ViewKey {
    /// The model.
    pub model: ModelId,
    /// Its format.
    pub format: Format,
    /// Its quantization, where the format has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quant: Option<Quant>,
}

impl ViewKey {
    /// The folder of the view, relative to the models directory.
    pub fn dir(&self) -> std::path::PathBuf {
        let mut dir = Path::new(self.model.as_str()).join(self.format.as_str());
        if let Some(quant) = &self.quant {
            dir.push(quant.as_str());
        }
        dir
    }

    /// Its name as every command takes it, and no other view has it.
    pub fn name(&self) -> String {
        match &self.quant {
            Some(quant) if self.format.is_single_file() => format!("{}:{quant}", self.model),
            _ => self.to_string(),
        }
    }

    /// The name of its root record. `~` stands in no id, format or quantization.
    pub fn record_name(&self) -> String {
        match &self.quant {
            Some(quant) => format!("{}~{}~{quant}.json", self.model, self.format),
            None => format!("{}~{}.json", self.model, self.format),
        }
    }
}

impl fmt::Display for ViewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.model, self.format)?;
        match &self.quant {
            Some(quant) => write!(f, "/{quant}"),
            None => Ok(()),
        }
    }
}

/// One file of a view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewFile {
    /// Its path below the view's folder.
    pub path: RelPath,
    /// Its content.
    pub sha256: Sha256Digest,
    /// Its length in bytes.
    pub size: u64,
}

/// `roots/<project>/<view>.json`: the blobs a view needs. The collector reads only these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootRecord {
    /// Version of this file.
    pub format: u32,
    /// The view.
    pub view: ViewKey,
    /// Every file in it.
    pub files: Vec<ViewFile>,
    /// SHA-256 over the lines `<sha256> <size> <path>\n` of `files`.
    pub check: Sha256Digest,
}

impl RootRecord {
    /// The record of a view.
    pub fn new(view: ViewKey, files: Vec<ViewFile>) -> Self {
        let check = Self::check_of(&files);
        Self { format: 1, view, files, check }
    }

    fn check_of(files: &[ViewFile]) -> Sha256Digest {
        let lines: String = files.iter().map(|file| format!("{} {} {}\n", file.sha256, file.size, file.path)).collect();
        sha256_of(lines.as_bytes())
    }
}

/// `roots/<project>/project.json`: whose roots these are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectRecord {
    /// Version of this file.
    pub format: u32,
    /// The project's identity.
    pub uuid: Uuid,
    /// Its models directory when it was last seen.
    #[serde(flatten)]
    pub location: ProjectLocation,
    /// Owner of the models directory.
    pub uid: u32,
    /// When it was first seen, RFC 3339.
    pub created: String,
    /// When it was last seen, RFC 3339; renewed at most once a day.
    pub last_seen: String,
}

/// `ingest/<key>/claim`: what a partial download will become, for people and for the collector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
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

/// Reads a root record and checks it.
pub fn root_from_json(path: &Path, text: &[u8]) -> Result<RootRecord> {
    let record: RootRecord = from_json(path, text)?;
    let bad = |why: &str| StoreError::BadRecord { path: path.to_owned(), why: why.to_owned() };
    if record.format != RECORD_VERSION {
        return Err(bad(&format!("its format is {}, this program knows {RECORD_VERSION}", record.format)));
    }
    if record.files.iter().any(|file| file.size > LONGEST_FILE) {
        return Err(bad("a file in it has more bytes than a file can have"));
    }
    if record.check != RootRecord::check_of(&record.files) {
        return Err(bad("its check does not match its files"));
    }
    Ok(record)
}

/// Reads the lines of a lease: one digest each; a torn last line is not one yet.
pub fn lease_from_text(text: &[u8]) -> Vec<Sha256Digest> {
    let text = String::from_utf8_lossy(text);
    text.split_inclusive('\n')
        .filter_map(|line| line.strip_suffix('\n'))
        .filter_map(|line| Sha256Digest::from_str(line).ok())
        .collect()
}

/// Now, as records write it.
pub fn now() -> String {
    jiff::Timestamp::now().round(jiff::Unit::Second).unwrap_or_else(|_| jiff::Timestamp::now()).to_string()
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
