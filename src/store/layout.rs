//! Every path in a store. No other file assembles one.

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

/// Folders that are made when a store is and never removed.
pub const FIXED_DIRS: [&str; 9] = ["sha256", "meta", "segments", "ingest", "leases", "roots", "lock", "trash", "bad"];
/// Where small files are written before they get their names, and below `lock`, the locks of single blobs.
pub const MORE_FIXED_DIRS: [&str; 2] = ["tmp", "lock/b"];
/// Folders that are split by the first byte of the digest.
pub const SHARDED_DIRS: [&str; 3] = ["sha256", "meta", "segments"];

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
        self.root.join("CACHEDIR.TAG")
    }
    /// One of `FIXED_DIRS` or `MORE_FIXED_DIRS`.
    pub fn dir(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }
    /// A blob.
    pub fn blob(&self, digest: &Sha256Digest) -> PathBuf {
        self.sharded("sha256", digest, "")
    }
    /// What is known about a blob.
    pub fn meta(&self, digest: &Sha256Digest) -> PathBuf {
        self.sharded("meta", digest, ".json")
    }
    /// The values of a blob's segments.
    pub fn segments(&self, digest: &Sha256Digest) -> PathBuf {
        self.sharded("segments", digest, "")
    }
    /// That a blob is known to be damaged.
    pub fn damage(&self, digest: &Sha256Digest) -> PathBuf {
        self.dir("bad").join(format!("{digest}.json"))
    }
    /// The folder of a partial download.
    pub fn ingest(&self, key: &IntakeKey) -> PathBuf {
        self.dir("ingest").join(key.to_string())
    }
    /// Serialises short critical sections (shared) and condemning (exclusive).
    pub fn store_lock(&self) -> PathBuf {
        self.root.join("lock/store")
    }
    /// Held by the one collector.
    pub fn gc_lock(&self) -> PathBuf {
        self.root.join("lock/gc")
    }
    /// Held while what is known about blobs is changed.
    pub fn records_lock(&self) -> PathBuf {
        self.root.join("lock/records")
    }
    /// Held while a copied models directory gets an identity of its own.
    pub fn projects_lock(&self) -> PathBuf {
        self.root.join("lock/projects")
    }
    /// Held across a download, a repair or a quarantine of one blob.
    pub fn blob_lock(&self, key: &IntakeKey) -> PathBuf {
        self.root.join("lock/b").join(key.to_string())
    }
    /// Held while a project's views and their roots are changed.
    pub fn views_lock(&self, project: &Uuid) -> PathBuf {
        self.root.join("lock").join(format!("views-{project}"))
    }
    /// The folder of a project's roots.
    pub fn project(&self, project: &Uuid) -> PathBuf {
        self.dir("roots").join(project.to_string())
    }
    /// What is known about a project.
    pub fn project_record(&self, project: &Uuid) -> PathBuf {
        self.project(project).join("project.json")
    }
    /// A condemned blob.
    pub fn trash(&self, digest: &Sha256Digest) -> PathBuf {
        self.dir("trash").join(digest.to_string())
    }

    /// Whether a folder of this name directly below the store's folder is the store's.
    pub fn is_fixed_dir(name: &str) -> bool {
        FIXED_DIRS.contains(&name) || MORE_FIXED_DIRS.contains(&name)
    }

    /// Whether this is a file of the store that everybody who may write the store may write: all but blobs, and the data
    /// of partial downloads, which may be another name of a file that is being taken in.
    pub fn is_record(&self, path: &Path) -> bool {
        let is_key = |name: &str| name.parse::<IntakeKey>().is_ok();
        if self.is_lock(path) {
            return true;
        }
        match self.names_of(path)[..] {
            [MARKER | "CACHEDIR.TAG"] => true,
            ["ingest", key, "claim" | "journal"] => is_key(key),
            ["meta", _, name] => name.strip_suffix(".json").and_then(Self::digest_of).is_some(),
            ["segments", _, name] => Self::digest_of(name).is_some(),
            ["bad", name] => Self::digest_of_damage(name).is_some(),
            ["roots", project, name] => project.parse::<Uuid>().is_ok() && name.ends_with(".json") && !name.starts_with('.'),
            _ => false,
        }
    }

    /// Whether this is a lock or part of a lease, which only users who may write the store can open.
    pub fn is_lock(&self, path: &Path) -> bool {
        match self.names_of(path)[..] {
            ["lock", "store" | "gc" | "projects" | "records"] => true,
            ["lock", name] => name.starts_with("views-"),
            ["lock", "b", key] => key.parse::<IntakeKey>().is_ok(),
            ["leases", name] => name.starts_with("lease-"),
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

    fn sharded(&self, dir: &str, digest: &Sha256Digest, extension: &str) -> PathBuf {
        // Made in one piece: a census makes a million of them.
        let name = digest.to_string();
        let mut path = PathBuf::with_capacity(self.root.as_os_str().len() + dir.len() + name.len() + 16);
        path.extend([self.root.as_path(), Path::new(dir), Path::new(&name[..2]), Path::new(&name)]);
        path.as_mut_os_string().push(extension);
        path
    }
}

/// The name of a partial download: what is known of its content before it is complete. Two downloads with one key are
/// the same bytes, so they share a lock and a partial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum IntakeKey {
    /// The address is known.
    Sha256(Sha256Digest),
    /// A file outside LFS: git's blob id, which includes the length.
    Git(GitSha1),
    /// Nothing is known, or locks cannot be trusted here: private to one process, never resumed.
    Private(Uuid),
}

impl IntakeKey {
    /// A key nobody else has.
    pub fn private() -> Self {
        Self::Private(Uuid::new_v4())
    }
}

impl fmt::Display for IntakeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256(digest) => write!(f, "{digest}"),
            Self::Git(sha1) => write!(f, "g-{sha1}"),
            Self::Private(random) => write!(f, "r-{random}"),
        }
    }
}

impl FromStr for IntakeKey {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("`{text}` is not the name of a partial download");
        match text.split_at_checked(2) {
            Some(("g-", sha1)) => sha1.parse().map(Self::Git).map_err(|_| bad()),
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
            IntakeKey::Sha256(Sha256Digest::from_bytes([7; 32])),
            IntakeKey::Git(GitSha1::from_bytes([9; 20])),
            IntakeKey::private(),
        ];
        for key in keys {
            assert_eq!(key.to_string().parse(), Ok(key));
        }
        assert!("x-00".parse::<IntakeKey>().is_err());
    }
}
