//! Equal files of applications share their bytes: a plan that was hashed, acting on it, and making own copies again.

use super::super::{AppProblem, DedupeReport, DedupeUndoReport, ModelManager, ReplacedFile, RestoredFile};
use super::distinct;
use crate::{
    digest::Sha256Digest,
    disk::{Kind, LockKind, Open, Stat, user_id},
    error::{Error, ErrorKind, Result},
    event::Event,
    foreign::{Patience, Scan, survives_hard_links},
    hint::Hint,
    names::App,
    settings::AppPlace,
    store::{FileToReplace, Progress, Project, Provenance, Replacement, Store, StoreError, hash_file},
};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::{Path, PathBuf},
};

/// Files of fewer bytes are left as they are: they take one block.
const LEAST: u64 = 4096;

/// Which files are to share their bytes.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct DedupeOptions {
    /// The applications whose files are replaced; all where none is named.
    pub from: Vec<App>,
    /// Replace a file that can be written by a hard link of one that is read-only.
    pub protect: bool,
}

/// What would be replaced: all of it was hashed. Nothing was changed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DedupePlan {
    /// The files, for people and programs.
    pub report: DedupeReport,
    files: Vec<FileToReplace>,
}

/// A file that was found, and may be equal to others.
#[derive(Debug, Clone)]
struct Candidate {
    /// The application; `None` for a blob of the store.
    app: Option<App>,
    /// The folder that it is in, without links.
    dir: PathBuf,
    path: PathBuf,
    stat: Stat,
    /// A blob's name.
    digest: Option<Sha256Digest>,
    may_be_replaced: bool,
}

impl ModelManager {
    /// Finds files of applications that are equal to one of another application, or to a blob. Every file that has the length
    /// of another one on its volume is read and hashed; nothing is changed.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn plan_dedupe(&self, options: &DedupeOptions) -> Result<DedupePlan> {
        let mut report = DedupeReport { dry_run: true, ..DedupeReport::default() };
        let store = self.existing_store()?;
        let scans = self.scan_apps(&[], Patience::ASKED);
        self.stop_if_cancelled()?;
        report.problems.extend(scans.iter().flat_map(|(_, scan)| &scan.problems).map(super::of_problem));
        let mut by_size: BTreeMap<(u64, u64), Vec<Candidate>> = BTreeMap::new();
        let mut seen = HashSet::new();
        for (place, scan) in &scans {
            for file in self.files_to_compare(place, scan, options) {
                if seen.insert((file.stat.dev, file.stat.ino)) {
                    by_size.entry((file.stat.dev, file.stat.len)).or_default().push(file);
                }
            }
        }
        if let Some(store) = &store {
            self.add_blobs(store, &mut by_size)?;
        }
        let done = self.replaced_inodes(store.as_ref())?;
        let mut files = Vec::new();
        for group in by_size.into_values() {
            let group: Vec<Candidate> =
                group.into_iter().filter(|file| !done.contains(&(file.path.clone(), file.stat.ino))).collect();
            if group.len() > 1 && group.iter().any(|file| file.may_be_replaced) {
                self.plan_group(group, options, &mut files, &mut report)?;
            }
        }
        for file in &files {
            report.add(planned(file));
        }
        Ok(DedupePlan { report, files })
    }

    /// Replaces what a plan says. A file that is no longer as it was when it was hashed stays, and is reported.
    ///
    /// # Errors
    /// Where the store cannot be written.
    pub fn dedupe(&self, plan: &DedupePlan) -> Result<DedupeReport> {
        let mut report = DedupeReport { problems: plan.report.problems.clone(), ..DedupeReport::default() };
        // With nothing to replace, there may be something that was cut off.
        if plan.files.is_empty() && self.existing_store()?.is_none() {
            return Ok(report);
        }
        let store = self.store()?;
        let project = Project::register(&store, &self.settings.models_dir)?;
        let _views_lock = store.lock_views(project.uuid(), LockKind::Exclusive, store.wait())?;
        self.settle_replacements(&store, &project, &mut report.problems)?;
        for file in &plan.files {
            self.stop_if_cancelled()?;
            match project.replace(&self.disk, file) {
                Ok(replacement) => {
                    let (path, sharing) = (file.path.clone(), replacement.sharing);
                    report.add(ReplacedFile { path, sharing, ..planned(file) });
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => return Err(error.into()),
                Err(error) => report.fail(file.path.clone(), &error.into()),
            }
        }
        Ok(report)
    }

    /// Makes replaced files own copies again: those of these applications and paths, or all of them.
    ///
    /// # Errors
    /// Where the store cannot be written, or nothing was replaced so.
    pub fn undo_dedupe(&self, from: &[App], paths: &[PathBuf]) -> Result<DedupeUndoReport> {
        let mut report = DedupeUndoReport::default();
        let store = self.existing_store()?.ok_or_else(|| StoreError::Absent { path: self.store_dir() })?;
        let project = Project::register(&store, &self.settings.models_dir)?;
        let _views_lock = store.lock_views(project.uuid(), LockKind::Exclusive, store.wait())?;
        let paths: Vec<PathBuf> = paths.iter().map(|path| self.real_parent(path)).collect();
        let is_wanted = |replacement: &Replacement| {
            let is_app = from.is_empty() || from.iter().any(|app| app.as_str() == replacement.app);
            is_app && (paths.is_empty() || paths.iter().any(|path| replacement.path.starts_with(path)))
        };
        let places = self.real_places();
        let mut is_any = false;
        for replacement in Project::replacements(&store, project.uuid())?.into_iter().filter(is_wanted) {
            self.stop_if_cancelled()?;
            is_any = true;
            if !places.contains(&replacement.dir) {
                let folder = replacement.dir.display();
                let problem = format!("its folder {folder} is none of {}; the setting `apps` names its folders", replacement.app);
                report.fail(replacement.path, &Error::new(ErrorKind::Failed, problem));
                continue;
            }
            let name = replacement.path.display().to_string();
            let progress = |done| self.report(&Event::Hashing { file: name.clone(), done, size: replacement.size });
            match project.make_own_copy(&self.disk, &replacement, &progress, &self.cancel) {
                Ok(true) => report.add(RestoredFile {
                    app: replacement.app,
                    path: replacement.path,
                    size: replacement.size,
                    sha256: replacement.sha256,
                }),
                Ok(false) => {
                    let problem = "it is not what was put there any more".to_owned();
                    report.left.push(AppProblem { path: replacement.path, problem });
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => return Err(error.into()),
                Err(error) => report.fail(replacement.path, &error.into()),
            }
        }
        if !is_any {
            let text = "no file of an application was replaced so by this project";
            return Err(Error::new(ErrorKind::NotFound, text).hint(Hint::NothingChanged));
        }
        Ok(report)
    }

    /// Ends what was cut off of earlier replacements, while no other process replaces anything.
    pub(super) fn settle_earlier_replacements(
        &self,
        store: &Store,
        project: &Project,
        problems: &mut Vec<AppProblem>,
    ) -> Result<()> {
        if Project::replacements(store, project.uuid())?.is_empty() {
            return Ok(());
        }
        let _views_lock = store.lock_views(project.uuid(), LockKind::Exclusive, store.wait())?;
        self.settle_replacements(store, project, problems)
    }

    /// The same under the lock of the views, in folders that the settings name.
    fn settle_replacements(&self, store: &Store, project: &Project, problems: &mut Vec<AppProblem>) -> Result<()> {
        let places = self.real_places();
        let replacements = Project::replacements(store, project.uuid())?.into_iter();
        for replacement in replacements.filter(|replacement| places.contains(&replacement.dir)) {
            if let Err(error) = project.settle_replacement(&self.disk, &replacement) {
                problems.push(AppProblem { path: replacement.path.clone(), problem: error.to_string() });
            }
        }
        Ok(())
    }

    /// The files of a place that may be equal to others, with what they are now.
    fn files_to_compare(&self, place: &AppPlace, scan: &Scan, options: &DedupeOptions) -> Vec<Candidate> {
        let Ok(dir) = self.disk.canonical(&place.dir) else { return Vec::new() };
        let may_be_replaced = options.from.is_empty() || options.from.contains(&place.app);
        let candidate = |path: &Path| {
            let path = path.strip_prefix(&place.dir).map_or_else(|_| path.to_owned(), |below| dir.join(below));
            let below = path.strip_prefix(&dir).ok()?;
            // What several caches share has a record of its own for each file.
            if place.app == App::Hf && below.starts_with("blobs") {
                return None;
            }
            let stat = self.disk.stat(&path).ok()?;
            let is_one = stat.kind == Kind::File && stat.len >= LEAST && stat.ino != 0;
            is_one.then(|| Candidate { app: Some(place.app), dir: dir.clone(), path, stat, digest: None, may_be_replaced })
        };
        distinct(scan).into_iter().filter_map(|file| candidate(&file.path)).collect()
    }

    /// Adds the blobs that have the length of a file of an application.
    fn add_blobs(&self, store: &Store, by_size: &mut BTreeMap<(u64, u64), Vec<Candidate>>) -> Result<()> {
        let root = self.disk.canonical(store.layout().root())?;
        for digest in store.blobs()? {
            let Some(stat) = store.stat(&digest)? else { continue };
            let Some(group) = by_size.get_mut(&(stat.dev, stat.len)) else { continue };
            if group.iter().all(|file| file.stat.ino != stat.ino) && store.find_whole(&digest, None)?.is_some() {
                let Ok(below) = store.layout().blob(&digest).strip_prefix(store.layout().root()).map(Path::to_owned) else {
                    continue;
                };
                let path = root.join(below);
                group.push(Candidate { app: None, dir: root.clone(), path, stat, digest: Some(digest), may_be_replaced: false });
            }
        }
        Ok(())
    }

    /// Files that share their bytes already, by path and inode.
    fn replaced_inodes(&self, store: Option<&Store>) -> Result<HashSet<(PathBuf, u64)>> {
        let Some(store) = store else { return Ok(HashSet::new()) };
        let Some(project) = Project::identify(&*self.models_disk(), &self.settings.models_dir)? else { return Ok(HashSet::new()) };
        let replacements = Project::replacements(store, &project)?;
        Ok(replacements.into_iter().filter_map(|replacement| Some((replacement.path, replacement.ino?))).collect())
    }

    /// Hashes files of one length, and plans which of them are replaced.
    fn plan_group(
        &self,
        group: Vec<Candidate>,
        options: &DedupeOptions,
        files: &mut Vec<FileToReplace>,
        report: &mut DedupeReport,
    ) -> Result<()> {
        let mut by_content: HashMap<Sha256Digest, Vec<Candidate>> = HashMap::new();
        let (blobs, of_apps): (Vec<Candidate>, Vec<Candidate>) = group.into_iter().partition(|file| file.app.is_none());
        for file in of_apps {
            match self.hash_unchanged(&file)? {
                Ok(digest) => by_content.entry(digest).or_default().push(file),
                Err(problem) => report.problems.push(AppProblem { path: file.path, problem }),
            }
        }
        for (digest, equal) in by_content {
            let blob = blobs.iter().find(|blob| blob.digest == Some(digest));
            // Its name is no proof: it may be damaged.
            let keeper = match blob.map(|blob| self.hash_unchanged(blob)).transpose()? {
                Some(Ok(found)) if found == digest => blob,
                // One of which a further name is elsewhere would free nothing.
                _ => equal.iter().rev().max_by_key(|file| (!file.may_be_replaced, file.stat.nlink)),
            };
            let Some(keeper) = keeper.cloned() else { continue };
            let shared = if keeper.app.is_none() { self.adopted_from(&digest)? } else { HashSet::new() };
            let is_apart = |file: &Candidate| file.stat.ino != keeper.stat.ino && !shared.contains(&file.path);
            for file in equal.into_iter().filter(|file| file.may_be_replaced && is_apart(file)) {
                match why_not_replaced(&file) {
                    Some(problem) => report.problems.push(AppProblem { path: file.path, problem }),
                    None => files.push(to_replace(file, &keeper, digest, options)),
                }
            }
        }
        Ok(())
    }

    /// The files of applications that a blob was made of, without links: those of another inode share its blocks.
    fn adopted_from(&self, digest: &Sha256Digest) -> Result<HashSet<PathBuf>> {
        let meta = self.existing_store()?.map(|store| store.meta(digest)).transpose()?.flatten();
        let of_app = |source: &Provenance| match source {
            Provenance::App { path: Some(path), .. } => self.disk.canonical(Path::new(path)).ok(),
            _ => None,
        };
        Ok(meta.iter().flat_map(|meta| &meta.sources).filter_map(of_app).collect())
    }

    /// The hash of a file that is as it was seen, before and after. The inner error is a problem of this file alone.
    fn hash_unchanged(&self, file: &Candidate) -> Result<Result<Sha256Digest, String>> {
        let name = file.path.display().to_string();
        let progress = |done| self.report(&Event::Hashing { file: name.clone(), done, size: file.stat.len });
        let hashed = (|| -> Result<Result<Sha256Digest, String>, StoreError> {
            let disk = self.disk.clone().confined(&file.dir);
            if disk.open(&file.path, Open::Read)?.has_writer() == Some(true) {
                return Ok(Err("a program has it open for writing".to_owned()));
            }
            let digest = hash_file(&*disk, &file.path, Progress { bytes: &progress, cancel: &self.cancel })?;
            let after = disk.stat(&file.path)?;
            let facts = |stat: &Stat| (stat.dev, stat.ino, stat.len, stat.mtime_ns);
            Ok(if facts(&after) == facts(&file.stat) { Ok(digest) } else { Err("it changed while it was being read".to_owned()) })
        })();
        match hashed {
            Ok(result) => Ok(result),
            Err(error) if error.kind() == ErrorKind::Interrupted => Err(error.into()),
            Err(error) => Ok(Err(error.to_string())),
        }
    }

    /// The folders of applications that the settings name, without links.
    pub(super) fn real_places(&self) -> HashSet<PathBuf> {
        self.settings.apps.iter().filter_map(|place| self.disk.canonical(&place.dir).ok()).collect()
    }

    /// A path whose folder is without links, whatever stands there.
    fn real_parent(&self, path: &Path) -> PathBuf {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let real = |dir: &Path| self.disk.canonical(dir).ok();
        if self.disk.stat(&path).is_ok_and(|stat| stat.kind == Kind::Dir) {
            return real(&path).unwrap_or(path);
        }
        match (path.parent().and_then(real), path.file_name()) {
            (Some(dir), Some(name)) => dir.join(name),
            _ => path,
        }
    }
}

/// Why a file is not replaced, although an equal one is there.
fn why_not_replaced(file: &Candidate) -> Option<String> {
    if file.stat.nlink > 1 {
        return Some(format!("it has {} names, and replacing one of them frees nothing", file.stat.nlink));
    }
    let is_other = user_id().is_some_and(|user| user != 0 && user != file.stat.uid);
    is_other.then(|| "it belongs to another user".to_owned())
}

fn to_replace(file: Candidate, keeper: &Candidate, sha256: Sha256Digest, options: &DedupeOptions) -> FileToReplace {
    let survives = |file: &Candidate| file.app.is_none_or(survives_hard_links);
    let is_protected = options.protect && keeper.stat.mode & 0o222 == 0;
    let has_its_mode = (file.stat.uid, file.stat.gid) == (keeper.stat.uid, keeper.stat.gid)
        && (file.stat.mode == keeper.stat.mode || is_protected);
    FileToReplace {
        may_link: survives(&file) && survives(keeper) && has_its_mode,
        app: file.app.map_or_else(String::new, |app| app.to_string()),
        dir: file.dir,
        path: file.path,
        sha256,
        stat: file.stat,
        same_as: keeper.path.clone(),
        same_as_dir: keeper.dir.clone(),
        same_as_stat: keeper.stat,
    }
}

fn planned(file: &FileToReplace) -> ReplacedFile {
    ReplacedFile {
        app: file.app.clone(),
        path: file.path.clone(),
        size: file.stat.len,
        sha256: file.sha256,
        same_as: file.same_as.clone(),
        sharing: None,
        freed_bytes: file.stat.allocated,
    }
}
