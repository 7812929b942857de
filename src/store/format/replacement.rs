//! The record of a file of another application that was replaced by one which shares its bytes with an equal file.

use super::{RECORD_VERSION, Root, RootOwner, ViewFile, from_json, root::check_of, root_from_json, to_json};
use crate::{
    digest::Sha256Digest,
    store::{Sharing, error::Result},
};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// What a file was before it was replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileFacts {
    /// Its inode number.
    pub ino: u64,
    /// Its modification time, nanoseconds since 1970.
    pub mtime_ns: i64,
    /// Its permission bits.
    pub mode: u32,
    /// Its group.
    pub gid: u32,
}

/// A file of an application that was replaced, or is about to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    /// Its identity, which its record and its temporary files are named by.
    pub id: Uuid,
    /// The application.
    pub app: String,
    /// The folder of the application.
    pub dir: PathBuf,
    /// The file, below that folder.
    pub path: PathBuf,
    /// Its content.
    pub sha256: Sha256Digest,
    /// Its length in bytes.
    pub size: u64,
    /// How the new file shares its bytes.
    pub sharing: Option<Sharing>,
    /// The file that was there.
    pub before: FileFacts,
    /// The inode of the new file, once it may be in the place of the old one. Without it the old one is still there.
    pub ino: Option<u64>,
}

/// The fields of the record besides those of every root.
#[derive(Serialize, Deserialize)]
struct Fields {
    dir: PathBuf,
    path: PathBuf,
    sha256: Sha256Digest,
    size: u64,
    #[serde(default)]
    sharing: Option<String>,
    before: FileFacts,
    #[serde(default)]
    ino: Option<u64>,
}

impl Replacement {
    /// The text of its record. It is a root that keeps no blob, so that no program removes it.
    pub fn to_json(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Record {
            format: u32,
            owner: RootOwner,
            files: [ViewFile; 0],
            check: Sha256Digest,
            replacement: Fields,
        }
        to_json(&Record {
            format: RECORD_VERSION,
            owner: RootOwner::Replacement { app: self.app.clone(), id: self.id },
            files: [],
            check: check_of(&[]),
            replacement: Fields {
                dir: self.dir.clone(),
                path: self.path.clone(),
                sha256: self.sha256,
                size: self.size,
                sharing: self.sharing.map(|sharing| sharing.as_str().to_owned()),
                before: self.before,
                ino: self.ino,
            },
        })
    }

    /// Reads a record; `None` where it is of another owner.
    ///
    /// # Errors
    /// Where it is none that this version reads.
    pub fn from_json(path: &Path, text: &[u8]) -> Result<Option<Self>> {
        #[derive(Deserialize)]
        struct Text {
            replacement: Fields,
        }
        let Root { owner, .. } = root_from_json(path, text)?;
        let RootOwner::Replacement { app, id } = owner else { return Ok(None) };
        let Fields { dir, path, sha256, size, sharing, before, ino } = from_json::<Text>(path, text)?.replacement;
        let sharing = [Sharing::Reflink, Sharing::HardLink].into_iter().find(|known| Some(known.as_str()) == sharing.as_deref());
        Ok(Some(Self { id, app, dir, path, sha256, size, sharing, before, ino }))
    }
}
