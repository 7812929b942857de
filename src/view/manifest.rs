//! `.view.json`: what a view should hold and how it was made. A hint: whatever it says is checked against the files, and
//! building the view again makes it anew.

use super::{Result, ViewError, Views};
use crate::{
    digest::{LONGEST_FILE, Sha256Digest},
    disk::Stat,
    names::RelPath,
    settings::LinkMode,
    store::{Stamp, ViewFile, ViewKey, format},
};
use serde::{Deserialize, Serialize};
use std::path::Path;
use uuid::Uuid;

/// The name of the manifest in a view's folder.
pub const MANIFEST_FILE: &str = ".view.json";

/// A view of ten thousand files has four megabytes.
const MOST_BYTES: u64 = 16 << 20;

/// Content of [`MANIFEST_FILE`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewManifest {
    /// Version of this file.
    pub format: u32,
    /// The view.
    pub view: ViewKey,
    /// The project whose root keeps the blobs.
    pub project: Uuid,
    /// The store that has them.
    pub store: Uuid,
    /// How the view was made. Single files may differ.
    #[serde(with = "link_word")]
    pub link: LinkMode,
    /// When it was last changed, RFC 3339.
    pub built_at: String,
    /// Every file in it.
    pub files: Vec<ManifestFile>,
}

/// One file of a [`ViewManifest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestFile {
    /// Its path below the view's folder.
    pub path: RelPath,
    /// Its content.
    pub sha256: Sha256Digest,
    /// Its length in bytes.
    pub size: u64,
    /// How it was made.
    #[serde(with = "link_word")]
    pub link: LinkMode,
    /// What it looked like then; symbolic links need none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stamp: Option<Stamp>,
    /// What a plain file in its place looked like when it was read and found to be another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mismatch: Option<Stamp>,
}

impl ViewManifest {
    /// What is recorded about a file of the view.
    pub fn file(&self, path: &str) -> Option<&ManifestFile> {
        self.files.iter().find(|file| file.path.as_str() == path)
    }

    /// Its files, as a root has them.
    pub(super) fn view_files(&self) -> Vec<ViewFile> {
        self.files.iter().map(|file| ViewFile { path: file.path.clone(), sha256: file.sha256, size: file.size }).collect()
    }

    /// Whether a file of the view stands below this top folder.
    pub(super) fn has_folder(&self, name: &str) -> bool {
        self.files.iter().any(|file| file.path.as_str().split_once('/').is_some_and(|(top, _)| top == name))
    }

    /// Whether both say the same, the time aside.
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        let Self { format, view, project, store, link, built_at: _, files } = self;
        (format, view, project, store, link, files)
            == (&other.format, &other.view, &other.project, &other.store, &other.link, &other.files)
    }
}

impl ManifestFile {
    /// Whether a plain file is still the one that was recorded.
    pub(super) fn matches(&self, stat: &Stat) -> bool {
        self.stamp == Some(Stamp::from(stat))
    }

    /// Whether a regular file is still the one that was found to have other content.
    pub(super) fn is_mismatch(&self, stat: &Stat) -> bool {
        self.mismatch == Some(Stamp::from(stat))
    }
}

impl Views {
    /// The manifest of a view; `None` where there is none or it cannot be understood, for it can be rebuilt.
    pub fn manifest(&self, key: &ViewKey) -> Result<Option<ViewManifest>> {
        self.manifest_in(&self.dir(key))
    }

    pub(super) fn manifest_in(&self, dir: &Path) -> Result<Option<ViewManifest>> {
        let path = dir.join(MANIFEST_FILE);
        let text = match self.disk.read_at_most(&path, MOST_BYTES) {
            // A link, a folder or too long to be one: not ours. What this user may not read says nothing either.
            Err(error) if error.is_wrong_kind() || error.is_read_only() => return Ok(None),
            text => text?.unwrap_or_default(),
        };
        let is_sound =
            |manifest: &ViewManifest| manifest.format == 1 && manifest.files.iter().all(|file| file.size <= LONGEST_FILE);
        Ok(serde_json::from_slice::<ViewManifest>(&text).ok().filter(is_sound))
    }

    /// Remembers of plain files of a view that they were read and found to be others, with the looks that they had; `None` of
    /// those that were found right. Nothing is noted where there is no manifest, or where it cannot be written.
    pub fn note_mismatches(&self, key: &ViewKey, found: &[(String, Option<Stamp>)]) -> Result<()> {
        let dir = self.dir(key);
        let Some(mut manifest) = self.manifest_in(&dir)? else { return Ok(()) };
        let before = manifest.clone();
        for (path, mismatch) in found {
            manifest.files.iter_mut().filter(|file| file.path.as_str() == path).for_each(|file| file.mismatch = *mismatch);
        }
        if manifest == before {
            return Ok(());
        }
        match self.write_manifest(&dir, &manifest) {
            Err(ViewError::Disk(error)) if error.is_read_only() || error.is_no_space() || error.is_wrong_kind() => Ok(()),
            written => written,
        }
    }

    pub(super) fn write_manifest(&self, dir: &Path, manifest: &ViewManifest) -> Result<()> {
        let (path, text) = (dir.join(MANIFEST_FILE), format::to_json(manifest));
        // Links tell their blobs themselves, so that a manifest which a power loss took is not missed.
        let written = match manifest.link {
            LinkMode::Symlink => self.disk.replace_hint(&path, &text, 0o644, dir),
            _ => self.disk.replace_small(&path, &text, 0o644, dir),
        };
        Ok(written?)
    }
}

/// Link modes as the words of the command line.
mod link_word {
    use crate::settings::LinkMode;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(mode: &LinkMode, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(mode.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<LinkMode, D::Error> {
        let word = String::deserialize(deserializer)?;
        word.parse().map_err(serde::de::Error::custom)
    }
}
