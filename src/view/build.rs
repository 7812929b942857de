//! Building a view: look at everything first, refuse if something foreign is in the way, then change file by file, each
//! in one step. A second build of the same view looks at each file once and writes nothing.

use super::{
    ManifestFile, Result, ViewError, ViewManifest, Views,
    inspect::{BuildPlan, PlanEntry, check_names, is_same},
    link::{self, LinkSource, ProbeSources, Targets},
    state::digest_of_target,
};
use crate::{
    disk::{self, Kind, Stat, is_temp_name, parallel, temp_name},
    names::RelPath,
    settings::LinkMode,
    store::{RootRecord, Stamp, Store, ViewFile, ViewKey, leads_to_marker},
};
use std::{
    collections::{BTreeSet, HashSet},
    io,
    path::{Path, PathBuf},
};
use uuid::Uuid;

/// How often a build looks again because another process got in between.
const RACES: u32 = 20;
/// So many links are worth a thread.
const LEAST_LINKS: usize = 128;

/// What building a view came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// The view's folder.
    pub dir: PathBuf,
    /// How the view is made; never [`LinkMode::Auto`].
    pub mode: LinkMode,
    /// One line, where the mode is not the obvious one or single files are made otherwise.
    pub why: Option<String>,
    /// Whether anything was written.
    pub changed: bool,
}

/// A plain file in a view that the caller confirms, as one that it hashed and found to be the one that belongs there, or
/// as a name of a blob that it replaced: with this stamp it may be replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedExisting {
    /// Its path below the view's folder.
    pub path: RelPath,
    /// What it looked like then.
    pub stamp: Stamp,
}

/// What making files of one folder came to.
struct Filled<'p> {
    entries: Vec<ManifestFile>,
    /// The folder, if anything was made in it.
    touched: Option<&'p Path>,
}

/// The view to build.
#[derive(Clone, Copy)]
struct Request<'r> {
    key: &'r ViewKey,
    files: &'r [ViewFile],
    mode: LinkMode,
    project: &'r Uuid,
    /// Regular files that may be replaced.
    adopted: &'r [VerifiedExisting],
}

impl Views {
    /// Makes a view show these files, which were found rooted and present. Whatever of ours stands in its place is
    /// replaced; anything foreign in the way is an error before anything is changed.
    pub fn build(&self, key: &ViewKey, files: &[ViewFile], mode: LinkMode, project: &Uuid) -> Result<Built> {
        self.build_again(Request { key, files, mode, project, adopted: &[] }, true)
    }

    /// Makes a view again from its root.
    #[cfg(feature = "unstable")]
    pub fn rebuild(&self, root: &RootRecord, mode: LinkMode, project: &Uuid) -> Result<Built> {
        self.build(&root.view, &root.files, mode, project)
    }

    /// Like [`Views::build`], directly after the root was put; and replaces these regular files as if they were ours.
    pub fn build_adopting(
        &self,
        key: &ViewKey,
        files: &[ViewFile],
        mode: LinkMode,
        project: &Uuid,
        adopted: &[VerifiedExisting],
    ) -> Result<Built> {
        self.build_again(Request { key, files, mode, project, adopted }, false)
    }

    /// Builds until no other process interferes. `was_found`: root and blobs were there before this run.
    fn build_again(&self, request: Request<'_>, mut was_found: bool) -> Result<Built> {
        check_names(&self.dir(request.key), request.files)?;
        let mut tries = 1..=RACES;
        loop {
            match self.build_once(request, &mut was_found) {
                // What another process put there meanwhile may be just what we wanted to: look again.
                Err(ViewError::Raced { path }) => match tries.next() {
                    Some(_) => continue,
                    None => return Err(raced(&path)),
                },
                // What an earlier try wrote counts.
                Ok(built) => return Ok(Built { changed: built.changed || *tries.start() > 1, ..built }),
                Err(error) => return Err(error),
            }
        }
    }

    fn build_once(&self, request: Request<'_>, was_found: &mut bool) -> Result<Built> {
        let Request { key, files, mode, project, adopted } = request;
        let store = self.store()?;
        if self.disk.stat_follow(&self.models_dir).is_err_and(|error| error.is_not_found()) {
            self.make_folders(&self.models_dir, store)?;
        }
        let targets = Targets::find(&*self.disk, &self.models_dir, store)?;
        let base_depth = key.dir().components().count();
        let plan = self.inspect(key, files, mode, store, &targets, base_depth, adopted)?;
        let made_as = plan.old.as_ref().map(|old| old.link);
        let mut link = match mode {
            LinkMode::Auto => made_as.unwrap_or(LinkMode::Symlink),
            mode => mode,
        };
        let mut why = None;
        let mut changed = !plan.dropped.is_empty();
        let lacking: Vec<&ViewFile> = plan.lacking(link).map(|entry| entry.file).collect();
        if !lacking.is_empty() {
            let mut looked_for = HashSet::new();
            for entry in plan.lacking(link).filter(|entry| looked_for.insert(entry.file.sha256)) {
                if store.find(&entry.file.sha256)?.is_none() {
                    return Err(ViewError::BlobMissing { path: entry.path.clone(), digest: entry.file.sha256 });
                }
            }
            if std::mem::take(was_found) {
                // Links imply that their root and blobs are durable, so files that have one need no further sync.
                store.settle_root(project, lacking.iter().map(|file| file.sha256))?;
            }
            let fresh = self.disk.find(&plan.dir)?.is_none();
            self.make_folders(&plan.dir, store)?;
            let probe_sources = ProbeSources::of(store, &targets, base_depth, lacking.iter().copied());
            let chosen = self.choose(mode, made_as, &plan.dir, &probe_sources).and_then(|choice| {
                self.require_space(&plan, choice.0)?;
                Ok(choice)
            });
            match chosen {
                Ok(choice) => (link, why) = choice,
                Err(error) => {
                    if fresh {
                        self.disk.prune_empty(&plan.dir, &self.models_dir)?;
                    }
                    return Err(error);
                }
            }
            changed = true;
        }
        let (entries, odd) = self.act(&plan, link)?;
        if odd > 0 {
            let line = format!(
                "{odd} of {} files are not {}: a blob or a folder allows no further",
                files.len(),
                super::error::plural(link)
            );
            why = Some(why.map_or(line.clone(), |why: String| format!("{why}; {line}")));
        }
        let manifest = ViewManifest {
            format: 1,
            view: key.clone(),
            project: *project,
            store: store.marker().uuid,
            link,
            built_at: disk::timestamp(),
            files: entries,
        };
        if plan.old.as_ref().is_none_or(|old| !old.says_the_same(&manifest)) {
            self.make_folders(&plan.dir, store)?;
            match self.write_manifest(&plan.dir, &manifest) {
                Ok(()) => {
                    changed = true;
                    self.check_stamps(&plan.dir, &manifest)?;
                }
                // The view is right and its manifest a hint: a user who may only read is not refused for it.
                Err(ViewError::Disk(error)) if !changed && error.is_read_only() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Built { dir: plan.dir, mode: link, why, changed })
    }

    /// Two builds at once may replace each other's copies. The build that writes the manifest last finds that out here, and
    /// looks again.
    fn check_stamps(&self, dir: &Path, manifest: &ViewManifest) -> Result<()> {
        for file in manifest.files.iter().filter(|file| file.stamp.is_some()) {
            let path = dir.join(file.path.to_path());
            if !self.disk.find(&path)?.is_some_and(|stat| file.matches(&stat)) {
                return Err(raced(&path));
            }
        }
        Ok(())
    }

    /// Makes the folder and those above it, like the store's where the store stands in the same tree.
    fn make_folders(&self, dir: &Path, store: &Store) -> Result<()> {
        let mode = if store.layout().root().starts_with(&self.models_dir) { store.marker().folder_mode() } else { 0o755 };
        self.disk.create_dirs(dir, mode).map_err(|source| match source.is_read_only() {
            true => ViewError::ReadOnly { path: self.models_dir.clone(), error: source },
            false => source.into(),
        })
    }

    fn require_space(&self, plan: &BuildPlan<'_>, link: LinkMode) -> Result<()> {
        if link != LinkMode::Copy {
            return Ok(());
        }
        let need: u64 = plan.lacking(link).map(|entry| entry.file.size).sum();
        let free = self.disk.space(&plan.dir)?.available;
        match need <= free {
            true => Ok(()),
            false => Err(ViewError::NoSpace { path: plan.dir.clone(), need, free }),
        }
    }

    /// Changes what differs, file by file, and makes it durable. Gives the manifest's entries and how many of them are
    /// not made in the view's mode.
    fn act(&self, plan: &BuildPlan<'_>, link: LinkMode) -> Result<(Vec<ManifestFile>, usize)> {
        let disk = &*self.disk;
        // Even where nothing is to be made: what a copy left that died an hour ago may be as big as a model.
        for dir in plan.folders() {
            self.sweep(&dir)?;
        }
        let workers = match link {
            LinkMode::Symlink | LinkMode::Hardlink => parallel::processors(plan.lacking(link).count(), LEAST_LINKS),
            // One after the other they are laid out, and read, better.
            _ => 1,
        };
        // Files that follow each other in a folder go to one worker: the file system lets one at a time change a folder,
        // and others would wait for their turn.
        let runs = plan.entries.chunk_by(|a, b| a.file.path.folder() == b.file.path.folder());
        let filled = parallel::map(runs, workers, |entries| self.fill(plan, entries, link))?;
        let mut touched: BTreeSet<PathBuf> =
            filled.iter().filter_map(|filled| filled.touched).flat_map(|dir| self.up_to_here(dir)).collect();
        let entries: Vec<ManifestFile> = filled.into_iter().flat_map(|filled| filled.entries).collect();
        let odd = entries.iter().filter(|entry| entry.link != link && entry.size > 0).count();
        for (path, seen) in &plan.dropped {
            if disk.find(path)?.is_some_and(|stat| is_same(&stat, seen)) {
                disk.remove_if_there(path)?;
                let parent = path.parent().unwrap_or(&plan.dir);
                disk.prune_empty(parent, &plan.dir)?;
                touched.insert(plan.dir.clone());
                if disk.find(parent)?.is_some() {
                    touched.insert(parent.to_owned());
                }
            }
        }
        if plan.old.as_ref().is_none_or(|old| old.files != entries) {
            // Another process may have made a right link and died before its name was synced.
            touched.extend(plan.folders().iter().flat_map(|dir| self.up_to_here(dir)));
        }
        disk.sync_dirs(&touched)?;
        Ok((entries, odd))
    }

    /// Makes these files, which are in one folder.
    fn fill<'p>(&self, plan: &'p BuildPlan<'_>, entries: &'p [PlanEntry<'_>], link: LinkMode) -> Result<Filled<'p>> {
        let mut filled = Filled { entries: Vec::with_capacity(entries.len()), touched: None };
        for entry in entries {
            let is_right = plan.is_right(entry, link);
            let made = if is_right {
                entry.kept_mode(link)
            } else {
                filled.touched = Some(entry.path.parent().unwrap_or(&plan.dir));
                self.place(plan, entry, link)?
            };
            let stamp = match made {
                LinkMode::Symlink => None,
                _ if is_right => entry.stat.as_ref().map(Stamp::from),
                _ => Some(Stamp::from(&self.disk.stat(&entry.path)?)),
            };
            let ViewFile { path, sha256, size } = entry.file.clone();
            filled.entries.push(ManifestFile { path, sha256, size, link: made, stamp, mismatch: None });
        }
        Ok(filled)
    }

    /// A folder and those above it, up to the models directory.
    fn up_to_here(&self, dir: &Path) -> impl Iterator<Item = PathBuf> {
        dir.ancestors().take_while(|dir| dir.starts_with(&self.models_dir)).map(Path::to_owned)
    }

    /// Puts one file in its place, and makes its folder where that is missing. A sweep or a pruning by another process may take a
    /// temporary name or an empty folder away in between; then it is done again.
    fn place(&self, plan: &BuildPlan<'_>, entry: &PlanEntry<'_>, link: LinkMode) -> Result<LinkMode> {
        let parent = entry.path.parent().unwrap_or(&plan.dir);
        let mut tries = 1..=RACES;
        loop {
            match self.try_place(plan, entry, link) {
                Err(ViewError::Disk(error)) if error.is_not_found() => {
                    if plan.store.find(&entry.file.sha256)?.is_none() {
                        return Err(ViewError::BlobMissing { path: entry.path.clone(), digest: entry.file.sha256 });
                    }
                    if tries.next().is_none() {
                        return Err(error.into());
                    }
                    self.make_folders(parent, plan.store)?;
                }
                other => return other,
            }
        }
    }

    fn try_place(&self, plan: &BuildPlan<'_>, entry: &PlanEntry<'_>, link: LinkMode) -> Result<LinkMode> {
        let disk = &*self.disk;
        let source = LinkSource { blob: plan.store.layout().blob(&entry.file.sha256), target: entry.target.clone() };
        let attempts: &[LinkMode] = match link {
            // All empty files would share one inode, and a process that writes into one writes into all.
            LinkMode::Hardlink if entry.file.size == 0 => &[LinkMode::Copy],
            LinkMode::Hardlink => &[LinkMode::Hardlink, LinkMode::Reflink, LinkMode::Copy],
            LinkMode::Reflink if entry.file.size == 0 => &[LinkMode::Copy],
            LinkMode::Reflink => &[LinkMode::Reflink],
            LinkMode::Copy => &[LinkMode::Copy],
            LinkMode::Auto | LinkMode::Symlink => &[LinkMode::Symlink],
        };
        let mut attempts = attempts.iter().copied().peekable();
        while let Some(mode) = attempts.next() {
            // Links come into being complete and never replace anything, so a free name needs no temporary one.
            let direct = entry.stat.is_none() && matches!(mode, LinkMode::Symlink | LinkMode::Hardlink);
            let at = if direct { entry.path.clone() } else { entry.path.parent().unwrap_or(&plan.dir).join(temp_name()) };
            let made = link::make(disk, mode, &source, &at);
            let error = match made {
                Ok(()) if direct => return Ok(mode),
                Ok(()) => match self.swap(&at, entry) {
                    Ok(()) => return Ok(mode),
                    Err(error) => {
                        disk.remove_if_there(&at)?;
                        return Err(error);
                    }
                },
                Err(error) if direct && error.kind() == io::ErrorKind::AlreadyExists => return Err(raced(&entry.path)),
                Err(error) => error,
            };
            if !direct {
                disk.remove_if_there(&at)?;
            }
            let may_go_on = match mode {
                LinkMode::Hardlink => link::is_local_failure(&error),
                _ => !error.is_no_space(),
            };
            if !may_go_on || attempts.peek().is_none() {
                return Err(error.into());
            }
        }
        Ok(link)
    }

    /// Gives `temp` the name of the file, if what stands there is still what was looked at.
    fn swap(&self, temp: &Path, entry: &PlanEntry<'_>) -> Result<()> {
        let disk = &*self.disk;
        let now = disk.find(&entry.path)?;
        match (&entry.stat, now) {
            (None, None) => match disk.rename_new(temp, &entry.path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(raced(&entry.path)),
                other => other?,
            },
            (Some(seen), Some(now)) if is_same(seen, &now) => disk.rename(temp, &entry.path)?,
            (Some(_), None) => disk.rename_new(temp, &entry.path)?,
            (_, Some(_)) => return Err(raced(&entry.path)),
        }
        // Renaming one name of a file over another of the same file does nothing and leaves both.
        disk.remove_if_there(temp)?;
        Ok(())
    }

    /// Removes what builds that died left in a folder. What is young may be another build's, at work now. A hard link
    /// shows the age of its blob instead; a build that misses one makes it again.
    pub(super) fn sweep(&self, dir: &Path) -> Result<()> {
        for path in self.strays(dir)? {
            self.disk.remove_if_there(&path)?;
        }
        Ok(())
    }

    pub(super) fn strays(&self, dir: &Path) -> Result<Vec<PathBuf>> {
        let mut strays = Vec::new();
        for entry in self.disk.list_sorted(dir)?.into_iter().filter(|entry| is_temp_name(&entry.name)) {
            let path = dir.join(entry.name);
            let ours = match entry.kind {
                Kind::Symlink => disk::absent_is_none(self.disk.read_link(&path))?
                    .is_some_and(|target| digest_of_target(&target).is_some() || leads_to_marker(&target)),
                Kind::File => true,
                Kind::Dir | Kind::Other => false,
            };
            let stray = ours && self.disk.find(&path)?.is_some_and(|stat| is_old(&stat));
            strays.extend(stray.then_some(path));
        }
        Ok(strays)
    }
}

fn raced(path: &Path) -> ViewError {
    ViewError::Raced { path: path.to_owned() }
}

fn is_old(stat: &Stat) -> bool {
    const AGE_NS: i128 = 3600 * 1_000_000_000;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |now| now.as_nanos() as i128);
    now - i128::from(stat.mtime_ns) >= AGE_NS
}
