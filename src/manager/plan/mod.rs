//! What a download will do, as a value: `make` decides it, `download.rs` acts on it.

mod asked;
pub(super) mod choose;
pub(super) mod index;
mod make;
mod shown;
pub(super) mod target;

use super::{
    FileReport, FileSupply, LeftOut, MemoryReport, ModelManager, ModelOrigin, PlanReport, apps::supply::FoundInApp, fetch::Moved,
    plan::target::Target,
};
use crate::{
    digest::{GitSha1, Sha256Digest},
    disk::total_memory,
    error::Result,
    facts::FileFacts,
    http::Location,
    names::{RelPath, Revision, SourceId},
    notice::Notice,
    settings::LinkMode,
    source::{ConnectedSources, locations},
    store::{FoundBlob, IngestKey, Store, Trust, VersionKey, ViewFile, ViewKey},
    view::ExpectedFile,
    weights::is_weights,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    path::{Path, PathBuf},
};

/// Files that are left out and reported one by one.
const MOST_LEFT_OUT: usize = 1000;

/// A download, decided.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) target: Target,
    /// The source by the name that was asked for; the Hub may call it otherwise now.
    pub(super) requested: SourceId,
    /// The revision whose files are fetched: a commit wherever the Hub was asked. `None` where the source has none.
    pub(super) revision: Option<Revision>,
    pub(super) files: Vec<PlannedFile>,
    pub(super) api_requests: u32,
    /// What planning chose and why, beside what its target says.
    pub(super) notices: Vec<Notice>,
}

/// One file of a plan.
#[derive(Debug, Clone)]
pub(super) struct PlannedFile {
    /// Below the view's folder.
    pub(super) path: RelPath,
    /// In the repository.
    pub(super) repo_path: RelPath,
    pub(super) size: Option<u64>,
    pub(super) sha256: Option<Sha256Digest>,
    pub(super) git_sha1: Option<GitSha1>,
    /// The hash by which a Xet server finds it.
    pub(super) xet_hash: Option<String>,
    /// What tells this content from an earlier one at the same place, where no hash does, and the key that it makes.
    pub(super) version: Option<(String, VersionKey)>,
    /// Whether its SHA-256 was published: by the Hub, the registry or a lock file. A hash from our own records, or
    /// computed here, is not.
    pub(super) published: bool,
    pub(super) supply: FileSupply,
    /// Whether it must travel although its blob may be here.
    pub(super) again: bool,
    /// Bytes of an interrupted download.
    pub(super) held: u64,
    /// The blob of another store from which it is imported.
    pub(super) found: Option<FoundBlob>,
    /// The file of another application that may be it.
    pub(super) in_app: Option<FoundInApp>,
    /// Its SHA-256, once it was imported.
    pub(super) imported: Option<Sha256Digest>,
    /// Whether it is of the view already and only stays: nobody was asked about it.
    pub(super) stays: bool,
    /// Whether a regular file with other content is in its place. It is replaced after its content was imported.
    pub(super) displaces: bool,
}

impl PlannedFile {
    pub(super) fn new(path: RelPath, repo_path: RelPath, size: Option<u64>, sha256: Option<Sha256Digest>) -> Self {
        Self {
            path,
            repo_path,
            size,
            sha256,
            git_sha1: None,
            xet_hash: None,
            version: None,
            published: false,
            supply: FileSupply::Fetch,
            again: false,
            held: 0,
            found: None,
            in_app: None,
            imported: None,
            stays: false,
            displaces: false,
        }
    }

    /// The same, where its SHA-256, if there is one, is what was published.
    pub(super) fn published(self) -> Self {
        Self { published: self.sha256.is_some(), ..self }
    }

    /// What content that fits its key is trusted by.
    pub(super) fn trust(&self) -> Trust {
        match self.git_sha1 {
            _ if self.published => Trust::Sha256Upstream,
            Some(_) => Trust::GitSha1Upstream,
            None => Trust::Tofu,
        }
    }

    /// Whether nothing tells its content from another of the same size: neither a hash nor a version.
    pub(super) fn cannot_tell_versions(&self) -> bool {
        self.sha256.is_none() && self.git_sha1.is_none() && self.version.is_none()
    }

    /// Whether bytes of it must travel.
    pub(super) fn is_missing(&self) -> bool {
        matches!(self.supply, FileSupply::Partial | FileSupply::Fetch | FileSupply::Damaged)
    }

    /// Bytes that must travel.
    pub(super) fn to_fetch(&self) -> u64 {
        if self.is_missing() { self.size.unwrap_or(0).saturating_sub(self.held) } else { 0 }
    }

    /// What is known of the content.
    pub(super) fn key(&self) -> IngestKey {
        match (self.sha256, self.git_sha1) {
            (Some(digest), _) => IngestKey::Sha256(digest),
            (None, Some(sha1)) => IngestKey::Git(sha1),
            (None, None) => self.version.as_ref().map_or_else(IngestKey::private, |(_, key)| IngestKey::Version(*key)),
        }
    }
}

impl Plan {
    /// The path that is printed: the file of a GGUF, part 1 of a split one, the folder of a set.
    pub(super) fn shown_path(&self, manager: &ModelManager) -> PathBuf {
        let files: Vec<&RelPath> = self.files.iter().map(|file| &file.path).collect();
        manager.shown_path(&self.target.view, &files)
    }

    /// The source and the state of its files, for messages: `owner/name at 0123…`.
    pub(super) fn state(&self) -> String {
        match &self.revision {
            Some(revision) => format!("{revision} of {}", self.target.source),
            None => self.target.source.to_string(),
        }
    }

    /// Where the bytes of a file of it are.
    pub(super) fn places(&self, sources: &ConnectedSources, file: &PlannedFile) -> Result<Vec<Location>> {
        let (source, version) = (&self.target.source, file.version.as_ref().map(|(version, _)| version.as_str()));
        Ok(locations(sources.of(source)?.locate(source, self.revision.as_ref(), &file.repo_path, version)))
    }

    /// Whether it has a file of this path in the view.
    pub(super) fn has(&self, path: &RelPath) -> bool {
        self.files.iter().any(|file| file.path == *path)
    }

    /// What must travel: one content under several names is fetched and kept once.
    pub(super) fn missing(&self) -> BTreeMap<IngestKey, &PlannedFile> {
        self.files.iter().filter(|file| file.is_missing()).map(|file| (file.key(), file)).collect()
    }

    /// Bytes that what must travel still takes in the store.
    pub(super) fn room(&self, store: &Store) -> u64 {
        self.rooms(Some(store)).values().sum()
    }

    /// The same for each content. Without a store all of it is still to come.
    pub(super) fn rooms(&self, store: Option<&Store>) -> BTreeMap<IngestKey, u64> {
        let room = |key: &IngestKey, size: u64| store.map_or(size, |store| store.required_space(key, size));
        let mut rooms = self.copied();
        rooms.extend(self.missing().into_iter().map(|(key, file)| (key, room(&key, file.size.unwrap_or(0)))));
        rooms
    }

    /// What is copied from stores on other volumes, with its bytes. On one volume nothing is taken.
    fn copied(&self) -> BTreeMap<IngestKey, u64> {
        let is_copied = |file: &&PlannedFile| {
            file.found.as_ref().is_some_and(|found| !found.is_on_volume)
                || file.in_app.as_ref().is_some_and(|found| !found.is_on_volume)
        };
        self.files.iter().filter(is_copied).map(|file| (file.key(), file.size.unwrap_or(0))).collect()
    }

    /// Whether something is taken from another store.
    pub(super) fn has_local(&self) -> bool {
        self.files.iter().any(|file| file.supply == FileSupply::Local)
    }

    /// Whether nothing has to travel or be taken in.
    pub(super) fn is_present(&self) -> bool {
        self.files.iter().all(|file| file.supply == FileSupply::Present)
    }

    /// Whether what it found in the store is still there.
    pub(super) fn has_all_present(&self, store: &Store) -> Result<bool> {
        let mut looked_for = BTreeSet::new();
        for file in self.files.iter().filter(|file| file.supply == FileSupply::Present) {
            if let Some(digest) = &file.sha256
                && looked_for.insert((digest, file.size))
                && store.find_whole(digest, file.size)?.is_none()
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A file of the repository, as it is planned before it is looked for.
    pub(super) fn planned(&self, file: &FileFacts) -> Result<PlannedFile> {
        let path = view_path(&self.target.view, &file.path)?;
        // The Hub names no SHA-256 of a plain file; the registry may.
        let sha256 = file.sha256.or_else(|| self.target.wanted.sha256_of(&file.path));
        let planned = PlannedFile::new(path, file.path.clone(), file.size, sha256).published();
        let key = |version: &String| {
            let (name, state) = self.target.source.web()?.version_key(&file.path, version, file.size?);
            Some((version.clone(), VersionKey::new(&name, &state)))
        };
        let version = file.version.as_ref().and_then(key);
        let is_hash = |xet: &&String| xet.len() == 64 && xet.bytes().all(|byte| byte.is_ascii_hexdigit());
        Ok(PlannedFile { git_sha1: file.git_sha1, xet_hash: file.xet.as_ref().filter(is_hash).cloned(), version, ..planned })
    }

    /// The files of the view, once every digest is known.
    pub(super) fn view_files(&self) -> Option<Vec<ViewFile>> {
        let file = |file: &PlannedFile| Some(ViewFile { path: file.path.clone(), sha256: file.sha256?, size: file.size? });
        self.files.iter().map(file).collect()
    }

    /// How far what is here is trusted. Each record is read once, however many files have its content.
    pub(super) fn trusts(&self, store: Option<&Store>) -> HashMap<Sha256Digest, Trust> {
        let Some(store) = store else { return HashMap::new() };
        let digests: HashSet<Sha256Digest> = self.files.iter().filter_map(|file| file.sha256).collect();
        let recorded = |digest| Some((digest, store.meta(&digest).ok()??.trust));
        digests.into_iter().filter_map(recorded).collect()
    }

    /// All that is to be said of it.
    pub(super) fn notices(&self) -> Vec<Notice> {
        self.target.notices.iter().chain(&self.notices).cloned().collect()
    }

    /// The plan for people and programs.
    pub(super) fn report(&self, manager: &ModelManager, store: Option<&Store>) -> PlanReport {
        let space = store.and_then(|store| store.disk().space(store.layout().root()).ok());
        let free = space.or_else(|| manager.space_for_new_store()).map(|space| space.available);
        let total_bytes = self.files.iter().filter_map(|file| file.size).sum();
        let missing = self.missing();
        let download_bytes = missing.values().map(|file| file.to_fetch()).sum();
        let disk_bytes = self.rooms(store).values().sum();
        let weights =
            self.files.iter().filter(|file| is_weights(&file.path)).try_fold(0u64, |sum, file| sum.checked_add(file.size?));
        let mut notices = self.notices();
        if let Some(free) = free.filter(|free| *free < disk_bytes) {
            notices.push(Notice::DoesNotFit { disk_bytes, free_bytes: free });
        }
        if manager.settings.link == LinkMode::Copy {
            notices.push(Notice::ViewIsCopy);
        }
        let trusts = self.trusts(store);
        let dir = manager.settings.models_dir.join(self.target.view.dir());
        PlanReport {
            view: self.target.view.clone(),
            path: self.shown_path(manager),
            origin: ModelOrigin::at(&self.target.source, self.revision.as_ref()),
            license: self.target.license.clone(),
            gated: self.target.gated,
            files: self
                .files
                .iter()
                .map(|file| file.report(&dir, Moved { fetched: file.to_fetch(), borrowed: 0 }, &trusts))
                .collect(),
            total_bytes,
            download_bytes,
            borrow_bytes: 0,
            borrow_from: Vec::new(),
            disk_bytes,
            store: manager.store_dir(),
            free_bytes: free,
            free_bytes_after: free.and_then(|free| free.checked_sub(disk_bytes)),
            memory: MemoryReport::of(weights, self.target.ram.clone(), total_memory()),
            api_requests: self.api_requests,
            requests: self.api_requests + missing.len() as u32,
            left_out: self.target.left_out.iter().take(MOST_LEFT_OUT).map(|(file, why)| LeftOut::new(file, why)).collect(),
            notices,
        }
    }
}

impl PlannedFile {
    /// What the view records of it before it is here.
    pub(super) fn expected(&self) -> ExpectedFile<'_> {
        ExpectedFile { path: &self.path, sha256: self.sha256, size: self.size.unwrap_or(0) }
    }

    /// How far what is here is trusted; `None` while it is not here, or where nothing is recorded.
    pub(super) fn trust_here(&self, store: Option<&Store>) -> Option<Trust> {
        store?.meta(&self.sha256?).ok().flatten().map(|meta| meta.trust)
    }

    pub(super) fn report(&self, dir: &Path, moved: Moved, trusts: &HashMap<Sha256Digest, Trust>) -> FileReport {
        FileReport {
            trust: self.sha256.and_then(|digest| trusts.get(&digest).copied()),
            file: self.path.clone(),
            path: dir.join(self.path.to_path()),
            size: self.size,
            sha256: self.sha256,
            git_sha1: self.git_sha1,
            state: self.supply,
            download_bytes: moved.fetched,
            borrowed_bytes: moved.borrowed,
        }
    }
}

/// Where a file of the repository stands in the view: a GGUF by its name alone, for `<quant>` is its folder; a set as in
/// the repository, for its files name each other.
pub(super) fn view_path(view: &ViewKey, path: &RelPath) -> Result<RelPath> {
    Ok(match view.format.is_single_file() {
        true => path.file_name().parse()?,
        false => path.clone(),
    })
}
