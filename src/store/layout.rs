//! Every path in a store. No other file assembles one.

use super::format::ViewKey;
use crate::digest::{GitSha1, Sha256Digest};
use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};
use uuid::Uuid;

/// The name of the store inside a models directory.
pub const STORE_DIR: &str = ".blobs";

/// The name of the marker in a store.
const MARKER: &str = "STORE.json";

/// The name of the file that tells backup programs to leave a store out.
const CACHEDIR_TAG: &str = "CACHEDIR.TAG";

/// The names of leases begin so.
const LEASE_PREFIX: &str = "lease-";
/// The ending of the lock beside a lease.
const LEASE_LOCK: &str = ".lock";
/// Names in the trash that begin so cannot be brought back; their bytes are being removed.
const PURGED_PREFIX: &str = "dead-";
/// The roots of exposures begin so: no model id does.
const EXPOSURE_PREFIX: &str = "~exposure-";
/// Those of replacements begin so.
const REPLACEMENT_PREFIX: &str = "~replacement-";
/// What is kept of the headers of blobs, among the records of these.
const HEADERS: &str = "headers";
/// The record of a project, among its roots.
const PROJECT_RECORD: &str = "project.json";

/// A folder of a store. All are made with it and never removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dir {
    /// Blobs.
    Blobs,
    /// What is known about blobs.
    Meta,
    /// The values of their segments.
    Segments,
    /// Partial downloads.
    Ingest,
    /// What running processes need.
    Leases,
    /// What projects need.
    Roots,
    /// Locks.
    Lock,
    /// Blobs that are being removed.
    Trash,
    /// Known damage, and damaged blobs that were put aside.
    Damaged,
    /// Small files before they get their names.
    Temp,
    /// Locks of single blobs.
    BlobLocks,
}

impl Dir {
    /// Every folder, in the order in which they are made.
    pub const ALL: [Self; 11] = [
        Self::Blobs,
        Self::Meta,
        Self::Segments,
        Self::Ingest,
        Self::Leases,
        Self::Roots,
        Self::Lock,
        Self::Trash,
        Self::Damaged,
        Self::Temp,
        Self::BlobLocks,
    ];
    /// Folders that are split by the first byte of the digest.
    pub const SHARDED: [Self; 3] = [Self::Blobs, Self::Meta, Self::Segments];
    /// Folders whose files are opened for writing by everybody who uses the store.
    pub const WRITTEN_IN_PLACE: [Self; 3] = [Self::Lock, Self::BlobLocks, Self::Leases];

    /// Its path below the store's folder.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Blobs => "sha256",
            Self::Meta => "meta",
            Self::Segments => "segments",
            Self::Ingest => "ingest",
            Self::Leases => "leases",
            Self::Roots => "roots",
            Self::Lock => "lock",
            Self::Trash => "trash",
            Self::Damaged => "bad",
            Self::Temp => "tmp",
            Self::BlobLocks => "lock/b",
        }
    }

    /// The ending of the names in a sharded folder.
    const fn extension(self) -> &'static str {
        if matches!(self, Self::Meta) { ".json" } else { "" }
    }
}

/// The paths of a partial download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartialPaths {
    /// Its folder.
    pub dir: PathBuf,
    /// The bytes.
    pub data: PathBuf,
    /// Which segments are there.
    pub journal: PathBuf,
    /// What it will become.
    pub record: PathBuf,
}

impl PartialPaths {
    const DATA: &str = "data";
    const JOURNAL: &str = "journal";
    const RECORD: &str = "claim";

    fn of(dir: PathBuf) -> Self {
        Self { data: dir.join(Self::DATA), journal: dir.join(Self::JOURNAL), record: dir.join(Self::RECORD), dir }
    }

    /// The three files in the order in which they are removed: the journal last, so that a crash leaves something that can
    /// go on.
    pub fn files(&self) -> [&Path; 3] {
        [&self.data, &self.record, &self.journal]
    }
}

/// Whether a symbolic link holds the path of some store's marker: links are tried out with it.
pub fn leads_to_marker(target: &Path) -> bool {
    target.file_name().is_some_and(|name| name == MARKER)
}

/// Paths below a store's root folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The paths of the store at `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }
    /// The store's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }
    /// The marker that makes a folder a store.
    pub fn marker(&self) -> PathBuf {
        self.root.join(MARKER)
    }
    /// Tells backup programs to leave this folder out.
    pub fn cachedir_tag(&self) -> PathBuf {
        self.root.join(CACHEDIR_TAG)
    }
    /// A folder.
    pub fn dir(&self, dir: Dir) -> PathBuf {
        self.root.join(dir.as_str())
    }
    /// The part of a sharded folder for digests that begin with this byte.
    pub fn shard(&self, dir: Dir, first: u8) -> PathBuf {
        self.dir(dir).join(format!("{first:02x}"))
    }
    /// A blob.
    pub fn blob(&self, digest: &Sha256Digest) -> PathBuf {
        self.sharded(Dir::Blobs, digest)
    }
    /// What is known about a blob.
    pub fn meta(&self, digest: &Sha256Digest) -> PathBuf {
        self.sharded(Dir::Meta, digest)
    }
    /// What is kept of the headers of blobs whose digests begin with this byte.
    pub fn headers(&self, first: u8) -> PathBuf {
        self.shard(Dir::Meta, first).join(HEADERS)
    }
    /// The values of a blob's segments.
    pub fn segments(&self, digest: &Sha256Digest) -> PathBuf {
        self.sharded(Dir::Segments, digest)
    }
    /// That a blob is known to be damaged.
    pub fn damage(&self, digest: &Sha256Digest) -> PathBuf {
        self.dir(Dir::Damaged).join(format!("{digest}.json"))
    }
    /// A new place for a damaged blob that is put aside.
    pub fn set_aside(&self, digest: &Sha256Digest) -> PathBuf {
        self.dir(Dir::Damaged).join(format!("{digest}-{}", Uuid::new_v4()))
    }
    /// A partial download.
    pub fn partial(&self, key: &IngestKey) -> PartialPaths {
        PartialPaths::of(self.dir(Dir::Ingest).join(key.to_string()))
    }
    /// Critical sections: shared by everybody, exclusive by the collector.
    pub fn store_lock(&self) -> PathBuf {
        self.dir(Dir::Lock).join("store")
    }
    /// Held by the one collector.
    pub fn gc_lock(&self) -> PathBuf {
        self.dir(Dir::Lock).join("gc")
    }
    /// Held while what is known about blobs is changed.
    pub fn records_lock(&self) -> PathBuf {
        self.dir(Dir::Lock).join("records")
    }
    /// Held while a copied models directory gets an identity of its own.
    pub fn projects_lock(&self) -> PathBuf {
        self.dir(Dir::Lock).join("projects")
    }
    /// Held across a download, a repair or a quarantine of one blob.
    pub fn blob_lock(&self, key: &IngestKey) -> PathBuf {
        self.dir(Dir::BlobLocks).join(key.to_string())
    }
    /// Held while a project's views and their roots are changed.
    pub fn views_lock(&self, project: &Uuid) -> PathBuf {
        self.dir(Dir::Lock).join(format!("views-{project}"))
    }
    /// The folder of a project's roots.
    pub fn project(&self, project: &Uuid) -> PathBuf {
        self.dir(Dir::Roots).join(project.to_string())
    }
    /// The root of one view of a project.
    pub fn root_record(&self, project: &Uuid, view: &ViewKey) -> PathBuf {
        self.project(project).join(view.record_name())
    }
    /// The root of an exposure.
    pub fn exposure_record(&self, project: &Uuid, id: &Uuid) -> PathBuf {
        self.project(project).join(format!("{EXPOSURE_PREFIX}{id}.json"))
    }
    /// The record of a replaced file.
    pub fn replacement_record(&self, project: &Uuid, id: &Uuid) -> PathBuf {
        self.project(project).join(format!("{REPLACEMENT_PREFIX}{id}.json"))
    }
    /// What is known about a project.
    pub fn project_record(&self, project: &Uuid) -> PathBuf {
        self.project(project).join(PROJECT_RECORD)
    }
    /// A blob that was moved to the trash, and can be brought back.
    pub fn trash(&self, digest: &Sha256Digest) -> PathBuf {
        self.dir(Dir::Trash).join(digest.to_string())
    }
    /// A blob in the trash that cannot be brought back.
    pub fn purged(&self, digest: &Sha256Digest) -> PathBuf {
        self.dir(Dir::Trash).join(format!("{PURGED_PREFIX}{digest}"))
    }
    /// The blob that a name in the trash stands for, and whether it can be brought back.
    pub fn trashed(name: &str) -> Option<(Sha256Digest, bool)> {
        match name.strip_prefix(PURGED_PREFIX) {
            Some(name) => Self::digest_of(name).map(|digest| (digest, false)),
            None => Self::digest_of(name).map(|digest| (digest, true)),
        }
    }
    /// How the names of leases begin.
    pub const fn lease_prefix() -> &'static str {
        LEASE_PREFIX
    }
    /// The lock beside a lease.
    pub fn lease_lock(lease: &Path) -> PathBuf {
        let mut path = lease.as_os_str().to_owned();
        path.push(LEASE_LOCK);
        path.into()
    }
    /// The name of the lease that this is the lock of, both without their folder.
    pub fn lease_of_lock(name: &str) -> Option<&str> {
        name.strip_suffix(LEASE_LOCK).filter(|name| Self::is_lease(name))
    }
    /// Whether this is the name of a lease, or of the lock of one.
    pub fn is_lease(name: &str) -> bool {
        name.starts_with(LEASE_PREFIX)
    }
    /// Whether a name in a project's folder is that of a root. Names that begin with a dot are unfinished files.
    pub fn is_root(name: &str) -> bool {
        name.ends_with(".json") && name != PROJECT_RECORD && !name.starts_with('.')
    }

    /// Whether a name in a project's folder is that of an exposure's root.
    pub fn is_exposure(name: &str) -> bool {
        name.starts_with(EXPOSURE_PREFIX) && Self::is_root(name)
    }

    /// Whether a name in a project's folder is that of a replacement's record.
    pub fn is_replacement(name: &str) -> bool {
        name.starts_with(REPLACEMENT_PREFIX) && Self::is_root(name)
    }

    /// Whether a folder of this name directly below the store's folder is the store's.
    pub fn is_fixed_dir(name: &str) -> bool {
        Dir::ALL.iter().any(|dir| dir.as_str() == name)
    }

    /// Whether this is the name of a file directly below the store's folder that is the store's.
    pub fn is_top_file(name: &str) -> bool {
        matches!(name, MARKER | CACHEDIR_TAG)
    }

    /// Whether this is a file of the store that everybody who may write the store may write: all but blobs, and the data
    /// of partial downloads, which may be another name of a file that is being imported.
    pub fn is_record(&self, path: &Path) -> bool {
        let is_key = |name: &str| name.parse::<IngestKey>().is_ok();
        if self.is_lock(path) {
            return true;
        }
        match self.names_of(path)[..] {
            [name] => Self::is_top_file(name),
            ["ingest", key, PartialPaths::RECORD | PartialPaths::JOURNAL] => is_key(key),
            ["meta", _, HEADERS] => true,
            ["meta", _, name] => name.strip_suffix(".json").and_then(Self::digest_of).is_some(),
            ["segments", _, name] => Self::digest_of(name).is_some(),
            ["bad", name] => Self::digest_of_damage(name).is_some(),
            ["roots", project, name] => project.parse::<Uuid>().is_ok() && name.ends_with(".json") && !name.starts_with('.'),
            _ => false,
        }
    }

    /// Whether this is the data of a partial download.
    pub fn is_partial_data(&self, path: &Path) -> bool {
        matches!(self.names_of(path)[..], ["ingest", _, PartialPaths::DATA])
    }

    /// Whether this is a lock or part of a lease, which only users who may write the store can open.
    pub fn is_lock(&self, path: &Path) -> bool {
        match self.names_of(path)[..] {
            ["lock", "store" | "gc" | "projects" | "records"] => true,
            ["lock", name] => name.starts_with("views-"),
            ["lock", "b", key] => key.parse::<IngestKey>().is_ok(),
            ["leases", name] => Self::is_lease(name),
            _ => false,
        }
    }

    /// The names below the store's folder that lead to `path`; none where it is elsewhere.
    fn names_of<'p>(&self, path: &'p Path) -> Vec<&'p str> {
        let inner = path.strip_prefix(&self.root).unwrap_or(Path::new(""));
        inner.iter().map(|name| name.to_str().unwrap_or_default()).collect()
    }

    /// The digest that a file name is, exactly as this layout writes it; names of others are not ours.
    pub fn digest_of(name: &str) -> Option<Sha256Digest> {
        let as_written = !name.bytes().any(|byte| byte.is_ascii_uppercase());
        name.parse().ok().filter(|_| as_written)
    }

    /// The digest of the blob whose mark has this name.
    pub fn digest_of_damage(name: &str) -> Option<Sha256Digest> {
        Self::digest_of(name.strip_suffix(".json")?)
    }

    /// The digest that a name in the folder of these digests stands for; `None` where it is not ours.
    pub fn digest_in(dir: Dir, first: u8, name: &str) -> Option<Sha256Digest> {
        let digest = name.strip_suffix(dir.extension()).and_then(Self::digest_of);
        digest.filter(|digest| digest.as_bytes()[0] == first)
    }

    /// Whether this is the name of what is kept of headers, in a folder of records.
    pub fn is_headers(dir: Dir, name: &str) -> bool {
        dir == Dir::Meta && name == HEADERS
    }

    fn sharded(&self, dir: Dir, digest: &Sha256Digest) -> PathBuf {
        // Made in one piece: a scan makes a million of them.
        let (dir, extension, name) = (dir.as_str(), dir.extension(), digest.to_string());
        let mut path = PathBuf::with_capacity(self.root.as_os_str().len() + dir.len() + name.len() + 16);
        path.extend([self.root.as_path(), Path::new(dir), Path::new(&name[..2]), Path::new(&name)]);
        path.as_mut_os_string().push(extension);
        path
    }
}

/// The name of a partial download: what is known of its content before it is complete. Two downloads with one key are
/// the same bytes, so they share a lock and a partial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum IngestKey {
    /// The address is known.
    Sha256(Sha256Digest),
    /// A file outside LFS: git's blob id, which includes the length.
    Git(GitSha1),
    /// No hash is known, but what tells this content from an earlier one at the same address.
    Version(VersionKey),
    /// Nothing is known, or locks cannot be trusted here: private to one process, never resumed.
    Private(Uuid),
}

/// What stands for one version of a file of which no hash is known: a hash of its address, and one of what its server
/// calls the version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VersionKey {
    /// Half of each hash.
    halves: [[u8; 16]; 2],
}

impl VersionKey {
    /// Made of these hashes, of which half is enough to tell files of one store apart.
    pub fn new(file: &Sha256Digest, version: &Sha256Digest) -> Self {
        let half = |digest: &Sha256Digest| {
            let mut half = [0; 16];
            half.copy_from_slice(&digest.as_bytes()[..16]);
            half
        };
        Self { halves: [half(file), half(version)] }
    }

    fn of_bytes(bytes: &Sha256Digest) -> Self {
        let (mut file, mut version) = ([0; 16], [0; 16]);
        file.copy_from_slice(&bytes.as_bytes()[..16]);
        version.copy_from_slice(&bytes.as_bytes()[16..]);
        Self { halves: [file, version] }
    }

    fn bytes(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(&self.halves[0]);
        bytes[16..].copy_from_slice(&self.halves[1]);
        bytes
    }

    /// Whether another one is of the same file.
    pub fn is_of_same_file(&self, other: &Self) -> bool {
        self.halves[0] == other.halves[0]
    }
}

impl IngestKey {
    /// A key that no other process has.
    pub fn private() -> Self {
        Self::Private(Uuid::new_v4())
    }
}

impl fmt::Display for IngestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256(digest) => write!(f, "{digest}"),
            Self::Git(sha1) => write!(f, "g-{sha1}"),
            Self::Version(key) => write!(f, "v-{}", Sha256Digest::from_bytes(key.bytes())),
            Self::Private(random) => write!(f, "r-{random}"),
        }
    }
}

impl FromStr for IngestKey {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("`{text}` is not the name of a partial download");
        match text.split_at_checked(2) {
            Some(("g-", sha1)) => sha1.parse().map(Self::Git).map_err(|_| bad()),
            Some(("v-", hex)) => hex.parse().map(|digest| Self::Version(VersionKey::of_bytes(&digest))).map_err(|_| bad()),
            Some(("r-", random)) => random.parse().map(Self::Private).map_err(|_| bad()),
            _ => text.parse().map(Self::Sha256).map_err(|_| bad()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_partial_download_is_read_back_as_written() {
        let keys = [
            IngestKey::Sha256(Sha256Digest::from_bytes([7; 32])),
            IngestKey::Git(GitSha1::from_bytes([9; 20])),
            IngestKey::Version(VersionKey::new(&Sha256Digest::from_bytes([3; 32]), &Sha256Digest::from_bytes([4; 32]))),
            IngestKey::private(),
        ];
        for key in keys {
            assert_eq!(key.to_string().parse(), Ok(key));
        }
        assert!("x-00".parse::<IngestKey>().is_err());
    }
}
