//! Inspection before a view is built: what stands where its files belong, and whether it may be replaced. Nothing is
//! changed here.

use super::{
    FileState, ManifestFile, Result, VerifiedExisting, ViewError, ViewManifest, Views,
    link::Targets,
    manifest::MANIFEST_FILE,
    state::{Classifier, digest_of_target},
};
use crate::{
    digest::{SequentialHasher, Sha256Digest},
    disk::{Kind, Open, Stat, is_temp_name},
    names::RelPath,
    settings::LinkMode,
    store::{Stamp, Store, ViewFile, ViewKey},
};
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    path::{Path, PathBuf},
};

/// What stands where a file of the view belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Existing {
    /// Nothing.
    Absent,
    /// A symbolic link of ours.
    Link(PathBuf),
    /// A name of this blob.
    Inode(Sha256Digest),
    /// A file that the manifest records, untouched.
    Recorded(Sha256Digest, LinkMode),
    /// A file of unknown origin with the right content: what a build leaves that died before its manifest.
    Same,
    /// A file that the caller confirms, a damaged one of ours, or one that holds no more than the text of a link of ours.
    Verified,
}

/// A file of a view whose content is going to be fetched.
#[derive(Debug, Clone, Copy)]
pub struct ReplaceRequest<'a> {
    /// Its path below the view's folder.
    pub path: &'a RelPath,
    /// Its content, where that is known before it is here.
    pub sha256: Option<Sha256Digest>,
    /// It is asked for again, whatever there is.
    pub again: bool,
}

pub(super) struct PlanEntry<'f> {
    pub(super) file: &'f ViewFile,
    pub(super) path: PathBuf,
    pub(super) stat: Option<Stat>,
    pub(super) existing: Existing,
    pub(super) target: PathBuf,
}

/// Everything that acting on a view needs.
pub(super) struct BuildPlan<'a> {
    pub(super) store: &'a Store,
    pub(super) dir: PathBuf,
    pub(super) entries: Vec<PlanEntry<'a>>,
    /// Files of ours that the view no longer has.
    pub(super) dropped: Vec<(PathBuf, Stat)>,
    pub(super) old: Option<ViewManifest>,
}

impl Views {
    /// Refuses where something foreign stands in the place of one of these files. For callers that would else fetch
    /// gigabytes first; building looks again.
    pub fn require_free<'a>(&self, key: &ViewKey, files: impl IntoIterator<Item = &'a RelPath>) -> Result<()> {
        let (mut folders, mut states) = (Folders::of(self, key.dir()), self.states());
        for file in files {
            if !folders.has_that_of(file)? {
                continue;
            }
            let path = self.dir(key).join(file.to_path());
            let what = match self.disk.find(&path)?.map(|stat| stat.kind) {
                None => continue,
                Some(Kind::File | Kind::Symlink) if states.at(&path)?.is_none_or(|state| state.is_ours()) => continue,
                Some(Kind::Dir) => "a folder".to_owned(),
                Some(Kind::Symlink) => format!("a link to {}, which is not a blob", self.disk.read_link(&path)?.display()),
                Some(Kind::Other) => "neither a file nor a folder".to_owned(),
                Some(Kind::File) => "a file that model-manager did not make".to_owned(),
            };
            return Err(ViewError::Foreign { path, what });
        }
        Ok(())
    }

    /// Moves what stands in the way to a free name beside it, and gives that name, which begins with a dot so that it is
    /// no view and no neighbour. Nothing is replaced or removed.
    pub fn set_aside(&self, path: &Path) -> Result<PathBuf> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let names = std::iter::once(format!(".{name}.mine")).chain((2..100).map(|number| format!(".{name}.mine-{number}")));
        for aside in names.map(|name| path.with_file_name(name)) {
            match self.disk.rename_new(path, &aside) {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                renamed => return Ok(renamed.map(|()| aside)?),
            }
        }
        Err(ViewError::Foreign { path: path.to_owned(), what: "too many such names beside it are taken".into() })
    }

    /// Hard links in this view that still point at the old inode of a blob about to be replaced. Pass them to
    /// `build_adopting` so that they may be overwritten. Refuses one whose length was changed since it was made, unless its
    /// file is asked for again.
    pub fn links_to<'a>(
        &self,
        key: &ViewKey,
        files: impl IntoIterator<Item = ReplaceRequest<'a>>,
    ) -> Result<Vec<VerifiedExisting>> {
        let Some(store) = &self.store else { return Ok(Vec::new()) };
        let (dir, manifest) = (self.dir(key), self.manifest(key)?);
        let mut folders = Folders::of(self, key.dir());
        let mut links = Vec::new();
        for file in files {
            if !folders.has_that_of(file.path)? {
                continue;
            }
            let path = dir.join(file.path.to_path());
            let Some(stat) = self.disk.find(&path)?.filter(|stat| stat.kind == Kind::File && stat.ino != 0) else { continue };
            let recorded = manifest.as_ref().and_then(|manifest| manifest.file(file.path.as_str()));
            let is_name = |digest: &Sha256Digest| -> Result<bool> {
                Ok(store.stat(digest)?.is_some_and(|blob| (blob.dev, blob.ino) == (stat.dev, stat.ino)))
            };
            // What is fetched may be newer than what is shown.
            for digest in file.sha256.into_iter().chain(recorded.map(|recorded| recorded.sha256)) {
                if !is_name(&digest)? {
                    continue;
                }
                let is_as_made = recorded.is_some_and(|recorded| recorded.matches(&stat));
                if file.again {
                    links.push(VerifiedExisting { path: file.path.clone(), stamp: Stamp::from(&stat) });
                } else if !is_as_made && store.find_whole(&digest, recorded.map(|recorded| recorded.size))?.is_none() {
                    return Err(ViewError::Edited { path });
                }
                break;
            }
        }
        Ok(links)
    }

    /// Refuses files that cannot stand beside each other in a view, before anything is fetched for it.
    pub fn require_fit(&self, key: &ViewKey, files: &[ViewFile]) -> Result<()> {
        check_names(&self.dir(key), files)
    }

    /// Looks at everything and changes nothing.
    #[expect(clippy::too_many_arguments, reason = "one call site; a struct would only rename them")]
    pub(super) fn inspect<'a>(
        &self,
        key: &ViewKey,
        files: &'a [ViewFile],
        mode: LinkMode,
        store: &'a Store,
        targets: &Targets,
        base_depth: usize,
        adopted: &[VerifiedExisting],
    ) -> Result<BuildPlan<'a>> {
        let dir = self.dir(key);
        let below = key.dir();
        let mut folders = Folders::of(self, below.clone());
        self.require_own_folders(&below)?;
        let manifest = dir.join(MANIFEST_FILE);
        if let Some(stat) = self.disk.find(&manifest)?
            && stat.kind != Kind::File
        {
            return Err(ViewError::Foreign { path: manifest, what: "something else than a file of that name".into() });
        }
        let old = self.manifest(key)?;
        let may_hash = match mode {
            LinkMode::Auto => old.as_ref().is_some_and(|old| old.link != LinkMode::Symlink),
            mode => mode != LinkMode::Symlink,
        };
        let classifier = Classifier::new(&*self.disk, Some(store));
        let recorded_files: HashMap<&str, &ManifestFile> =
            old.iter().flat_map(|old| &old.files).map(|file| (file.path.as_str(), file)).collect();
        let vouched_for: HashSet<(&RelPath, Stamp)> = adopted.iter().map(|one| (&one.path, one.stamp)).collect();
        let mut entries = Vec::with_capacity(files.len());
        for file in files {
            let path = dir.join(file.path.to_path());
            let stat = if folders.has_that_of(&file.path)? { self.disk.find(&path)? } else { None };
            let recorded = recorded_files.get(file.path.as_str()).copied();
            let existing = match &stat {
                None => Existing::Absent,
                Some(stat) => {
                    let confirmed = vouched_for.contains(&(&file.path, Stamp::from(stat)));
                    self.existing(&classifier, file, &path, stat, recorded, confirmed, may_hash)?
                }
            };
            let target = targets.of(base_depth + file.path.depth(), store, &file.sha256);
            entries.push(PlanEntry { file, path, stat, existing, target });
        }
        let mut dropped = Vec::new();
        let kept: HashSet<&RelPath> = files.iter().map(|file| &file.path).collect();
        for gone in old.iter().flat_map(|old| &old.files).filter(|gone| !kept.contains(&gone.path)) {
            let path = dir.join(gone.path.to_path());
            // Behind something foreign nothing is ours.
            if self.require_own_folders(&below.join(gone.path.folder())).is_err() {
                continue;
            }
            if let Some(stat) = self.disk.find(&path)?
                && classifier.look(&path, stat.kind, || Ok(Some(gone)))?.is_some_and(|(state, _)| state.is_ours())
            {
                dropped.push((path, stat));
            }
        }
        Ok(BuildPlan { store, dir, entries, dropped, old })
    }

    #[expect(clippy::too_many_arguments, reason = "the facts about one file")]
    fn existing(
        &self,
        classifier: &Classifier<'_>,
        file: &ViewFile,
        path: &Path,
        stat: &Stat,
        recorded: Option<&ManifestFile>,
        confirmed: bool,
        may_hash: bool,
    ) -> Result<Existing> {
        let foreign = |what: &str| Err(ViewError::Foreign { path: path.to_owned(), what: what.to_owned() });
        match stat.kind {
            Kind::Symlink => {
                let target = self.disk.read_link(path)?;
                match digest_of_target(&target) {
                    Some(_) => Ok(Existing::Link(target)),
                    None => foreign(&format!("a link to {}, which is not a blob", target.display())),
                }
            }
            Kind::File => match classifier.plain(path, stat, Some(&file.sha256), recorded)? {
                FileState::Blob { digest, .. } => Ok(Existing::Inode(digest)),
                // One of ours that is not what it was.
                FileState::Copy { .. } if recorded.is_some_and(|recorded| recorded.is_mismatch(stat)) => Ok(Existing::Verified),
                FileState::Copy { digest } => Ok(Existing::Recorded(digest, recorded.map_or(LinkMode::Copy, |file| file.link))),
                // Nothing is lost with it.
                FileState::LinkText { .. } => Ok(Existing::Verified),
                _ if confirmed => Ok(Existing::Verified),
                // Empty is empty: nothing can be lost.
                _ if stat.len == file.size && (file.size == 0 || (may_hash && self.has_content(path, stat, file)?)) => {
                    Ok(Existing::Same)
                }
                _ if recorded.is_some() => foreign("a file of the view that was changed since it was made"),
                _ => foreign("a file that model-manager did not make"),
            },
            Kind::Dir => foreign("a folder"),
            Kind::Other => foreign("neither a file nor a folder"),
        }
    }

    fn has_content(&self, path: &Path, stat: &Stat, wanted: &ViewFile) -> Result<bool> {
        let file = self.disk.open(path, Open::Read)?;
        let mut hasher = SequentialHasher::new(stat.len, false);
        let mut block = vec![0; 1 << 20];
        let mut at = 0;
        loop {
            let got = file.read_at(&mut block, at)?;
            if got == 0 {
                break;
            }
            hasher.update(&block[..got]);
            at += got as u64;
        }
        Ok(hasher.finish().0 == wanted.sha256 && Stamp::from(&file.stat()?) == Stamp::from(stat))
    }
}

/// The folders of a view's files, each looked at once.
struct Folders<'v, 'f> {
    views: &'v Views,
    below: PathBuf,
    seen: HashMap<&'f str, bool>,
}

impl<'v, 'f> Folders<'v, 'f> {
    fn of(views: &'v Views, below: PathBuf) -> Self {
        Self { views, below, seen: HashMap::new() }
    }

    /// Whether the folder of this file is there; where it is not, the file is not either. Refuses what is no folder of ours.
    fn has_that_of(&mut self, file: &'f RelPath) -> Result<bool> {
        let folder = file.folder();
        if let Some(is_there) = self.seen.get(folder) {
            return Ok(*is_there);
        }
        let is_there = self.views.require_own_folders(&self.below.join(folder))?;
        self.seen.insert(folder, is_there);
        Ok(is_there)
    }
}

impl<'a> BuildPlan<'a> {
    pub(super) fn lacking(&self, link: LinkMode) -> impl Iterator<Item = &PlanEntry<'a>> {
        self.entries.iter().filter(move |entry| !self.is_right(entry, link))
    }

    /// Whether a file is what a view of this mode should hold.
    pub(super) fn is_right(&self, entry: &PlanEntry<'_>, link: LinkMode) -> bool {
        let wanted = entry.file.sha256;
        let was_so = self.old.as_ref().is_some_and(|old| old.link == link);
        match &entry.existing {
            Existing::Absent | Existing::Verified => false,
            Existing::Link(target) => link == LinkMode::Symlink && *target == entry.target,
            Existing::Inode(digest) => link == LinkMode::Hardlink && *digest == wanted,
            // It was a name of a blob that is no longer: a waste of space.
            Existing::Recorded(_, LinkMode::Hardlink) => false,
            // A file that could not be made in the view's mode stays as it could.
            Existing::Recorded(digest, mode) => *digest == wanted && link != LinkMode::Symlink && (*mode == link || was_so),
            Existing::Same => link != LinkMode::Symlink,
        }
    }

    /// The folders in which files of the view stand.
    pub(super) fn folders(&self) -> BTreeSet<PathBuf> {
        let folders = self.entries.chunk_by(|a, b| a.file.path.folder() == b.file.path.folder());
        folders.filter_map(|entries| entries[0].path.parent()).map(Path::to_owned).chain([self.dir.clone()]).collect()
    }
}

impl PlanEntry<'_> {
    pub(super) fn kept_mode(&self, link: LinkMode) -> LinkMode {
        match self.existing {
            Existing::Recorded(_, mode) => mode,
            Existing::Same => LinkMode::Copy,
            _ => link,
        }
    }
}

/// Refuses names that the room uses itself, and files that stand in each other's way.
pub(super) fn check_names(dir: &Path, files: &[ViewFile]) -> Result<()> {
    let bad = |file: &ViewFile, why| Err(ViewError::BadFile { path: dir.to_owned(), file: file.path.to_string(), why });
    let mut names: HashSet<&str> = HashSet::new();
    for file in files {
        if file.path.as_str() == MANIFEST_FILE || is_temp_name(file.path.file_name()) {
            return bad(file, "the name is kept for model-manager's own files");
        }
        if !names.insert(file.path.as_str()) {
            return bad(file, "it is listed twice");
        }
    }
    for file in files {
        let mut folder = file.path.as_str();
        while let Some((above, _)) = folder.rsplit_once('/') {
            folder = above;
            if names.contains(folder) {
                return bad(file, "a folder of its path is a file of the view");
            }
        }
    }
    Ok(())
}

/// Whether both describe the same untouched file. The number of its names may change at any time.
pub(super) fn is_same(a: &Stat, b: &Stat) -> bool {
    (a.kind, a.dev, Stamp::from(a)) == (b.kind, b.dev, Stamp::from(b))
}
