//! How one blob becomes one file of a view, and which ways of doing so work in a place.

use super::{Result, ViewError, Views, error::plural};
use crate::{
    digest::Sha256Digest,
    disk::{Disk, DiskError, Open, TEMP_PREFIX, temp_name},
    settings::LinkMode,
    store::{Store, ViewFile},
};
use std::{
    io,
    path::{Component, Path, PathBuf},
};

/// Bytes that are copied at once.
const COPY_BLOCK: usize = 1 << 20;
/// Blobs and what shows them are read-only, so that no program changes them by accident.
const FILE_MODE: u32 = 0o444;

/// What symbolic links to the store hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Targets {
    /// The store is reached through the models directory, at this path below it: links survive a move of the whole.
    Relative(PathBuf),
    /// The store is elsewhere, at this path.
    Absolute(PathBuf),
}

impl Targets {
    pub(super) fn find(disk: &dyn Disk, models_dir: &Path, store: &Store) -> Result<Self> {
        let models = disk.canonical(models_dir)?;
        let root = store.layout().root();
        let real = disk.canonical(root)?;
        // Only what stands above the store's own name is resolved here: `.blobs` may be a link to a store elsewhere,
        // and a relative link through it survives as well as one to a real folder.
        let named = match (root.parent(), root.file_name()) {
            (Some(parent), Some(name)) => {
                let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
                disk.canonical(parent)?.join(name)
            }
            _ => real.clone(),
        };
        let below = named.strip_prefix(&models).or_else(|_| real.strip_prefix(&models)).map(Path::to_owned);
        // A path that leads up through the project would lead nowhere once the project is moved.
        let leads_up = root.components().any(|part| part == Component::ParentDir);
        Ok(match below {
            Ok(below) => Self::Relative(below),
            Err(_) if root.is_absolute() && !leads_up => Self::Absolute(root.to_owned()),
            Err(_) => Self::Absolute(named),
        })
    }

    /// The target of a link that stands `depth` folders below the models directory.
    pub(super) fn of(&self, depth: usize, store: &Store, digest: &Sha256Digest) -> PathBuf {
        self.to(depth, store, &store.layout().blob(digest))
    }

    /// The same for another file of the store.
    pub(super) fn to(&self, depth: usize, store: &Store, file: &Path) -> PathBuf {
        let file = file.strip_prefix(store.layout().root()).unwrap_or(file);
        match self {
            Self::Relative(below) => {
                let mut target: PathBuf = std::iter::repeat_n("..", depth).collect();
                target.push(below);
                target.join(file)
            }
            Self::Absolute(root) => root.join(file),
        }
    }
}

/// One blob and the link target that leads to it.
#[derive(Debug)]
pub(super) struct LinkSource {
    pub(super) blob: PathBuf,
    pub(super) target: PathBuf,
}

/// Makes `at`, which must not exist, show the blob.
pub(super) fn make(disk: &dyn Disk, mode: LinkMode, source: &LinkSource, at: &Path) -> Result<(), DiskError> {
    match mode {
        LinkMode::Auto | LinkMode::Symlink => disk.symlink(&source.target, at),
        LinkMode::Hardlink => disk.hard_link(&source.blob, at),
        LinkMode::Reflink => {
            disk.reflink(&source.blob, at)?;
            match disk.open(at, Open::Read)?.sync_all() {
                // Windows syncs only what is open for writing. The extents are the blob's, which was synced.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
                other => other,
            }
        }
        LinkMode::Copy => copy(disk, &source.blob, at),
    }
}

fn copy(disk: &dyn Disk, from: &Path, to: &Path) -> Result<(), DiskError> {
    let source = disk.open(from, Open::Read)?;
    let len = source.stat()?.len;
    let target = disk.open(to, Open::CreateNew(0o600))?;
    let mut block = vec![0; COPY_BLOCK];
    let mut at = 0;
    while at < len {
        let got = source.read_at(&mut block, at)?;
        if got == 0 {
            let source = io::Error::new(io::ErrorKind::UnexpectedEof, "it became shorter while it was copied");
            return Err(DiskError { action: "copy", path: from.to_owned(), source });
        }
        target.write_at(&block[..got], at)?;
        target.start_writeback(at, got as u64);
        at += got as u64;
    }
    target.set_mode(FILE_MODE)?;
    target.sync_all()
}

/// Whether a failed hard link is the fault of this one blob or folder, so that this one file may be made otherwise.
pub(super) fn is_local_failure(error: &DiskError) -> bool {
    matches!(error.kind(), io::ErrorKind::TooManyLinks | io::ErrorKind::CrossesDevices)
}

/// A mode that works in a place, and a line about it where it is not the obvious one.
pub(super) type Choice = (LinkMode, Option<String>);

impl Views {
    /// Finds a mode that works in `dir`, which exists, by trying it with `probe_sources`. `kept` is how the view was made before.
    pub(super) fn choose(
        &self,
        asked: LinkMode,
        kept: Option<LinkMode>,
        dir: &Path,
        probe_sources: &ProbeSources,
    ) -> Result<Choice> {
        if asked != LinkMode::Auto {
            return match self.probe(asked, dir, probe_sources) {
                Ok(()) => Ok((asked, None)),
                Err(error) => {
                    self.require_writable(dir)?;
                    Err(ViewError::Mode { mode: asked, path: dir.to_owned(), why: reason(&error) })
                }
            };
        }
        if kept == Some(LinkMode::Copy) {
            return Ok((LinkMode::Copy, Some("the view holds copies, and keeps doing so until another link mode is set".into())));
        }
        let order = [LinkMode::Symlink, LinkMode::Hardlink, LinkMode::Reflink];
        let first = kept.filter(|kept| order.contains(kept));
        let mut failures: Vec<String> = Vec::new();
        for mode in first.into_iter().chain(order.into_iter().filter(|mode| Some(*mode) != first)) {
            match self.probe(mode, dir, probe_sources) {
                Ok(()) if failures.is_empty() => return Ok((mode, None)),
                Ok(()) => return Ok((mode, Some(format!("{} are used: {}", plural(mode), failures.join("; "))))),
                Err(error) => failures.push(format!("{} do not work here ({})", plural(mode), reason(&error))),
            }
        }
        self.require_writable(dir)?;
        Err(ViewError::NoMode { path: dir.to_owned(), why: failures.join("; ") })
    }

    /// Tries a mode in `dir` and leaves nothing behind.
    pub(super) fn probe(&self, mode: LinkMode, dir: &Path, probe_sources: &ProbeSources) -> Result<(), DiskError> {
        let disk = &*self.disk;
        let Some(source) = probe_sources.source(mode) else { return Ok(()) };
        // The models directory itself may be a link.
        let device = disk.stat_follow(dir)?.dev;
        if mode == LinkMode::Symlink && self.symlinks_work_on(device) {
            return Ok(());
        }
        let temp = dir.join(temp_name());
        let result = match mode {
            LinkMode::Symlink => disk.symlink(&source.target, &temp).and_then(|()| leads_to(disk, &temp, &source.blob)),
            // The blob has all the names it can have, so the volume knows hard links.
            LinkMode::Hardlink => match disk.hard_link(&source.blob, &temp) {
                Err(error) if error.kind() == io::ErrorKind::TooManyLinks => Ok(()),
                other => other,
            },
            LinkMode::Reflink => disk.reflink(&source.blob, &temp),
            LinkMode::Auto | LinkMode::Copy => Ok(()),
        };
        disk.remove_if_there(&temp)?;
        if mode == LinkMode::Symlink && result.is_ok() {
            self.note_symlinks_work_on(device);
        }
        result
    }

    pub(super) fn require_writable(&self, dir: &Path) -> Result<()> {
        match self.disk.create_temp(dir, TEMP_PREFIX, 0o600) {
            Ok((temp, _)) => {
                self.disk.remove_if_there(&temp)?;
                Ok(())
            }
            Err(source) if source.is_read_only() => Err(ViewError::ReadOnly { path: dir.to_owned(), error: source }),
            Err(error) => Err(error.into()),
        }
    }
}

/// What a probe may use: links stand for real files, so the probe makes just those.
#[derive(Debug, Default)]
pub(super) struct ProbeSources {
    /// What a symbolic link may lead to.
    pub(super) shown: Option<LinkSource>,
    /// What may get a further name or share its extents. Empty files never do.
    pub(super) solid: Option<LinkSource>,
}

impl ProbeSources {
    /// Of the blobs of these files; the probed folder is `depth` folders below the models directory.
    pub(super) fn of<'f>(
        store: &Store,
        targets: &Targets,
        depth: usize,
        files: impl IntoIterator<Item = &'f ViewFile> + Clone,
    ) -> Self {
        let source = |file: &ViewFile| LinkSource {
            blob: store.layout().blob(&file.sha256),
            target: targets.of(depth, store, &file.sha256),
        };
        let (first, solid) = (files.clone().into_iter().next(), files.into_iter().find(|file| file.size > 0));
        Self { shown: first.map(source), solid: solid.map(source) }
    }

    fn source(&self, mode: LinkMode) -> Option<&LinkSource> {
        match mode {
            LinkMode::Symlink => self.shown.as_ref(),
            _ => self.solid.as_ref(),
        }
    }
}

/// Whether a file opened through `link` is the blob: a mount may forbid following links (`nosymfollow`), and a
/// container may show another tree than the one the link was made for.
fn leads_to(disk: &dyn Disk, link: &Path, blob: &Path) -> Result<(), DiskError> {
    let through = disk.open(link, Open::ReadFollow)?.stat()?;
    let direct = disk.stat(blob)?;
    match (through.dev, through.ino, through.len) == (direct.dev, direct.ino, direct.len) {
        true => Ok(()),
        false => {
            let source = io::Error::other("a link to the store leads to another file");
            Err(DiskError { action: "read through", path: link.to_owned(), source })
        }
    }
}

/// What failed, in a few words: without the temporary name, which means nothing to people.
fn reason(error: &DiskError) -> String {
    // ERROR_PRIVILEGE_NOT_HELD
    if cfg!(windows) && error.source.raw_os_error() == Some(1314) {
        return "Windows asks for developer mode or administrator rights".into();
    }
    match error.kind() {
        io::ErrorKind::CrossesDevices => "the store is on another volume".into(),
        _ => error.source.to_string(),
    }
}
