//! What a file in the models directory is: ours, and then which blob, or not ours, and then it is never touched.

use super::{Result, ViewError, Views, manifest::ManifestFile};
use crate::{
    digest::Sha256Digest,
    disk::{Disk, DiskError, Folder, Kind, Stat},
    settings::LinkMode,
    store::Store,
};
use std::{
    collections::HashMap,
    path::{Component, Path, PathBuf},
    sync::{Mutex, PoisonError},
};

/// Lengths that the text of a link can have: from `sha256/ab/<64 hex>` to the longest path.
const LINK_TEXT: std::ops::RangeInclusive<u64> = 74..=4097;

/// What a file in the models directory is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileState {
    /// A symbolic link to a blob, or a further name of one.
    Blob {
        /// The blob.
        digest: Sha256Digest,
        /// [`LinkMode::Symlink`] or [`LinkMode::Hardlink`].
        mode: LinkMode,
    },
    /// A copy or reflink that we made, untouched since, as far as its stamp tells.
    Copy {
        /// The blob it was made of.
        digest: Sha256Digest,
    },
    /// A plain file that holds the text of a link of ours, as a checkout or a copy without links makes it.
    LinkText {
        /// The blob that the text names.
        digest: Sha256Digest,
    },
    /// Not ours: never changed, never removed.
    Foreign,
    /// The record of the view has it, and nothing is there.
    Absent,
    /// A symbolic link that leads to nothing this user can read.
    Dangling {
        /// What it holds.
        target: PathBuf,
        /// The blob it names; `None` for a link that is not ours.
        digest: Option<Sha256Digest>,
    },
}

impl FileState {
    /// Whether we made it, so that we may replace and remove it.
    pub fn is_ours(&self) -> bool {
        !matches!(self, Self::Foreign | Self::Absent | Self::Dangling { digest: None, .. })
    }

    /// The blob it shows, or showed.
    pub fn digest(&self) -> Option<Sha256Digest> {
        match self {
            Self::Blob { digest, .. } | Self::Copy { digest } | Self::LinkText { digest } => Some(*digest),
            Self::Dangling { digest, .. } => *digest,
            Self::Foreign | Self::Absent => None,
        }
    }
}

/// What is known of the content that a file shows, without reading it; all 0 where that cannot be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shown {
    /// Length in bytes.
    pub size: u64,
    /// When it was last written, in nanoseconds since 1970.
    pub modified_ns: i64,
    /// When it was last read, as far as the volume keeps that.
    pub accessed_ns: i64,
}

impl Shown {
    pub(super) fn of(stat: &Stat) -> Self {
        Self { size: stat.len, modified_ns: stat.mtime_ns, accessed_ns: stat.atime_ns }
    }
}

/// The blob that a link to `…/sha256/ab/<64 hex>` names, in whatever store.
pub(super) fn digest_of_target(target: &Path) -> Option<Sha256Digest> {
    let mut parts = target.components().rev().map(|part| part.as_os_str().to_str());
    let (name, shard, kind) = (parts.next()??, parts.next()??, parts.next()??);
    (kind == "sha256" && shard.len() == 2 && name.starts_with(shard)).then(|| name.parse().ok())?
}

/// Tells what files are.
#[derive(Debug)]
pub(super) struct Classifier<'a> {
    disk: &'a dyn Disk,
    store: Option<&'a Store>,
    /// Blobs by inode, made when a plain file may be a name of one and no manifest tells of which.
    /// The first thread makes it and the others wait, for it is a walk over the whole store.
    inodes: Mutex<Option<HashMap<(u64, u64), Sha256Digest>>>,
}

impl<'a> Classifier<'a> {
    pub(super) fn new(disk: &'a dyn Disk, store: Option<&'a Store>) -> Self {
        Self { disk, store, inodes: Mutex::default() }
    }

    /// Judges what stands at `path`, `None` where nothing does. `recorded` is asked for only where it matters.
    /// The second value tells of the content that is shown.
    pub(super) fn look<'m>(
        &self,
        path: &Path,
        kind: Kind,
        recorded: impl FnOnce() -> Result<Option<&'m ManifestFile>>,
    ) -> Result<Option<(FileState, Shown)>> {
        match kind {
            Kind::Symlink => {
                let target = self.disk.read_link(path);
                Ok(Self::link(target.map(|target| (target, self.disk.stat_follow(path)))))
            }
            Kind::File => self.file(path, self.disk.find(path)?, recorded),
            Kind::Dir | Kind::Other => Ok(Some((FileState::Foreign, Shown::default()))),
        }
    }

    /// Judges a plain file as it was found.
    fn file<'m>(
        &self,
        path: &Path,
        found: Option<Stat>,
        recorded: impl FnOnce() -> Result<Option<&'m ManifestFile>>,
    ) -> Result<Option<(FileState, Shown)>> {
        match found {
            None => Ok(None),
            Some(stat) if stat.kind != Kind::File => Ok(Some((FileState::Foreign, Shown::default()))),
            Some(stat) => Ok(Some((self.plain(path, &stat, None, recorded()?)?, Shown::of(&stat)))),
        }
    }

    /// The same for a name in a folder, which is `path`.
    pub(super) fn look_in<'m>(
        &self,
        (folder, name): (&dyn Folder, &str),
        path: &Path,
        kind: Kind,
        recorded: impl FnOnce() -> Result<Option<&'m ManifestFile>>,
    ) -> Result<Option<(FileState, Shown)>> {
        match kind {
            Kind::Symlink => Ok(Self::link(folder.link(name))),
            Kind::File => self.file(path, crate::disk::absent_is_none(folder.stat(name))?, recorded),
            Kind::Dir | Kind::Other => Ok(Some((FileState::Foreign, Shown::default()))),
        }
    }

    /// Judges a link by what it holds, and what it leads to.
    fn link(link: Result<(PathBuf, Result<Stat, DiskError>), DiskError>) -> Option<(FileState, Shown)> {
        let (target, shown) = match link {
            Ok(link) => link,
            Err(error) if error.is_not_found() => return None,
            // No longer a link.
            Err(_) => return Some((FileState::Foreign, Shown::default())),
        };
        let digest = digest_of_target(&target);
        Some(match (shown, digest) {
            (Ok(stat), Some(digest)) => (FileState::Blob { digest, mode: LinkMode::Symlink }, Shown::of(&stat)),
            (Ok(stat), None) => (FileState::Foreign, if stat.kind == Kind::File { Shown::of(&stat) } else { Shown::default() }),
            (Err(_), digest) => (FileState::Dangling { target, digest }, Shown::default()),
        })
    }

    /// Judges a regular file. `wanted` is the blob that should be there.
    pub(super) fn plain(
        &self,
        path: &Path,
        stat: &Stat,
        wanted: Option<&Sha256Digest>,
        recorded: Option<&ManifestFile>,
    ) -> Result<FileState> {
        if stat.nlink > 1 && stat.ino != 0 {
            for digest in wanted.into_iter().chain(recorded.map(|file| &file.sha256)) {
                if self.is_blob(stat, digest)? {
                    return Ok(FileState::Blob { digest: *digest, mode: LinkMode::Hardlink });
                }
            }
            // Blobs are read-only, which spares most files of others the walk over the store.
            if stat.mode & 0o222 == 0
                && let Some(digest) = self.blob_of_inode(stat)?
            {
                return Ok(FileState::Blob { digest, mode: LinkMode::Hardlink });
            }
        }
        Ok(match recorded.filter(|file| file.matches(stat)) {
            // Where files have no inode numbers, the stamp is all there is.
            Some(file) if file.link == LinkMode::Hardlink && stat.ino == 0 => {
                FileState::Blob { digest: file.sha256, mode: LinkMode::Hardlink }
            }
            Some(file) => FileState::Copy { digest: file.sha256 },
            // Only where a link of ours belongs: elsewhere small files are not read.
            None if wanted.is_some() || recorded.is_some() => {
                self.link_text(path, stat)?.map_or(FileState::Foreign, |digest| FileState::LinkText { digest })
            }
            None => FileState::Foreign,
        })
    }

    /// The blob that the text of a file names, where that is the text of a link of ours and nothing else.
    fn link_text(&self, path: &Path, stat: &Stat) -> Result<Option<Sha256Digest>> {
        if !LINK_TEXT.contains(&stat.len) {
            return Ok(None);
        }
        let text = match self.disk.read_at_most(path, *LINK_TEXT.end()) {
            Err(error) if error.is_wrong_kind() || error.is_read_only() => None,
            text => text?,
        };
        let text = text.as_deref().map(std::str::from_utf8).and_then(|text| text.ok());
        Ok(text.and_then(|text| digest_of_target(Path::new(text.trim_end_matches(['\r', '\n'])))))
    }

    fn is_blob(&self, stat: &Stat, digest: &Sha256Digest) -> Result<bool> {
        let Some(store) = self.store else { return Ok(false) };
        Ok(store.stat(digest)?.is_some_and(|blob| (blob.dev, blob.ino) == (stat.dev, stat.ino)))
    }

    fn blob_of_inode(&self, stat: &Stat) -> Result<Option<Sha256Digest>> {
        let Some(store) = self.store else { return Ok(None) };
        let mut known = self.inodes.lock().unwrap_or_else(PoisonError::into_inner);
        let inodes = match &mut *known {
            Some(inodes) => inodes,
            none => none.insert(inodes_of(store)?),
        };
        Ok(inodes.get(&(stat.dev, stat.ino)).copied())
    }
}

/// Every blob by its device and inode.
fn inodes_of(store: &Store) -> Result<HashMap<(u64, u64), Sha256Digest>> {
    let mut inodes = HashMap::new();
    for digest in store.blobs()? {
        if let Some(blob) = store.stat(&digest)? {
            inodes.insert((blob.dev, blob.ino), digest);
        }
    }
    Ok(inodes)
}

/// Tells what stands in the place of many files, and reads the manifest of each view once for all of them.
#[derive(Debug)]
pub struct States<'v> {
    views: &'v Views,
    classifier: Classifier<'v>,
    recorded: HashMap<PathBuf, HashMap<String, ManifestFile>>,
}

impl<'v> States<'v> {
    fn of(views: &'v Views) -> Self {
        Self { views, classifier: Classifier::new(&*views.disk, views.store.as_ref()), recorded: HashMap::new() }
    }

    /// What stands at `path`, `None` where nothing does. Everything behind a symbolic link to a folder is foreign.
    pub fn at(&mut self, path: &Path) -> Result<Option<FileState>> {
        let disk = &*self.views.disk;
        let found = match disk.find(path) {
            // Behind a link to a folder nothing is ours.
            Err(error) if error.is_wrong_kind() => {
                return Ok(crate::disk::absent_is_none(disk.stat_follow(path))?.map(|_| FileState::Foreign));
            }
            found => found?,
        };
        let Some(stat) = found else { return Ok(None) };
        let below = path.strip_prefix(&self.views.models_dir).ok();
        let parts: Vec<&str> = below.into_iter().flat_map(Path::components).filter_map(normal).collect();
        let mut dir = self.views.models_dir.clone();
        let mut recorded = None;
        for (depth, part) in parts.iter().enumerate().take(parts.len().saturating_sub(1)) {
            dir.push(part);
            if disk.find(&dir)?.is_some_and(|stat| stat.kind == Kind::Symlink) {
                return Ok(Some(FileState::Foreign));
            }
            // A view is two or three folders down.
            if stat.kind == Kind::File && (1..=2).contains(&depth) {
                if !self.recorded.contains_key(&dir) {
                    let files = self.views.manifest_in(&dir)?.map(|manifest| manifest.files).unwrap_or_default();
                    let files = files.into_iter().map(|file| (file.path.to_string(), file)).collect();
                    self.recorded.insert(dir.clone(), files);
                }
                let found = self.recorded.get(&dir).filter(|files| !files.is_empty());
                recorded = found.map(|_| (dir.clone(), parts[depth + 1..].join("/"))).or(recorded);
            }
        }
        let recorded = recorded.and_then(|(dir, file)| self.recorded.get(&dir)?.get(&file));
        Ok(self.classifier.look(path, stat.kind, || Ok(recorded))?.map(|(state, _)| state))
    }
}

impl Views {
    /// What stands at `path`, `None` where nothing does. Everything behind a symbolic link to a folder is foreign.
    #[cfg(feature = "unstable")]
    pub fn state_of(&self, path: &Path) -> Result<Option<FileState>> {
        self.states().at(path)
    }

    /// The states of many files: what is read of a manifest is kept for the next file.
    pub fn states(&self) -> States<'_> {
        States::of(self)
    }

    /// Refuses where a folder of a view, from the model's down to `dir`, is something else: writing through a user's
    /// link would change what it leads to. Tells whether all of them are there.
    pub(super) fn require_own_folders(&self, below: &Path) -> Result<bool> {
        let mut dir = self.models_dir.clone();
        for part in below.components() {
            dir.push(part);
            match self.disk.find(&dir)?.map(|stat| stat.kind) {
                None => return Ok(false),
                Some(Kind::Dir) => {}
                Some(Kind::Symlink) => {
                    let what = format!("a link to {}, where a folder of ours belongs", self.disk.read_link(&dir)?.display());
                    return Err(ViewError::Foreign { path: dir, what });
                }
                Some(_) => return Err(ViewError::Foreign { path: dir, what: "a file, where a folder of ours belongs".into() }),
            }
        }
        Ok(true)
    }
}

fn normal(part: Component<'_>) -> Option<&str> {
    match part {
        Component::Normal(name) => name.to_str(),
        _ => None,
    }
}
