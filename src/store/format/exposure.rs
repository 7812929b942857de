//! The record of an exposure: the root of what was placed in the folders of another application, and how to undo it.

use super::{RECORD_VERSION, Root, RootOwner, ViewFile, ViewKey, from_json, root::check_of, root_from_json, to_json};
use crate::{digest::Sha256Digest, store::error::Result};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// How far an exposure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExposureState {
    /// Something of it may be missing: the process that makes it, or made it, was not done.
    Making,
    /// All of it is there.
    Made,
    /// Something of it may be gone: it is being undone.
    Undoing,
}

/// Something that was made in a folder of an application. It is removed only where it still is that.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum PlacedItem {
    /// A folder; removed where it is empty.
    Folder {
        /// Where.
        path: PathBuf,
    },
    /// A further name of a blob.
    File {
        /// Where.
        path: PathBuf,
        /// The blob.
        sha256: Sha256Digest,
    },
    /// A symbolic link.
    Link {
        /// Where.
        path: PathBuf,
        /// What it holds.
        target: PathBuf,
    },
    /// A small file.
    Text {
        /// Where.
        path: PathBuf,
        /// Its content.
        sha256: Sha256Digest,
    },
}

impl PlacedItem {
    /// Where it is.
    pub fn path(&self) -> &Path {
        match self {
            Self::Folder { path } | Self::File { path, .. } | Self::Link { path, .. } | Self::Text { path, .. } => path,
        }
    }
}

/// What was placed in the folders of an application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exposure {
    /// Its identity, which its record is named by.
    pub id: Uuid,
    /// The application, or `folder`.
    pub app: String,
    /// The folder of the application.
    pub dir: PathBuf,
    /// The model.
    pub view: ViewKey,
    /// What the application calls it.
    pub name: String,
    /// How far it is.
    pub state: ExposureState,
    /// What was made, in this order.
    pub items: Vec<PlacedItem>,
    /// The blobs that it needs.
    pub files: Vec<ViewFile>,
}

/// The fields of the record besides those of every root.
#[derive(Serialize, Deserialize)]
struct Fields {
    dir: PathBuf,
    view: ViewKey,
    name: String,
    state: ExposureState,
    items: Vec<PlacedItem>,
}

impl Exposure {
    /// Whether the application reads the model in the project's own folder: nothing but records was made for it.
    pub fn names_view(&self) -> bool {
        self.items.iter().all(|item| matches!(item, PlacedItem::Text { .. } | PlacedItem::Folder { .. }))
    }

    /// The text of its record.
    pub fn to_json(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Record<'a> {
            format: u32,
            owner: RootOwner,
            files: &'a [ViewFile],
            check: Sha256Digest,
            exposure: Fields,
        }
        to_json(&Record {
            format: RECORD_VERSION,
            owner: RootOwner::Exposure { app: self.app.clone(), id: self.id },
            files: &self.files,
            check: check_of(&self.files),
            exposure: Fields {
                dir: self.dir.clone(),
                view: self.view.clone(),
                name: self.name.clone(),
                state: self.state,
                items: self.items.clone(),
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
            exposure: Fields,
        }
        let Root { owner, files } = root_from_json(path, text)?;
        let RootOwner::Exposure { app, id } = owner else { return Ok(None) };
        let Fields { dir, view, name, state, items } = from_json::<Text>(path, text)?.exposure;
        Ok(Some(Self { id, app, dir, view, name, state, items, files }))
    }
}
