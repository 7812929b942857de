//! Downloads a model: what is missing travels, what is present is used, and the view is built last.
//!
//! The order keeps every promise at any crash: lease, then look; bytes, then blob; blob, then root; root, then links.

use super::{
    DownloadOptions, DownloadReport, FileSupply, ModelManager, PlanReport, Selector,
    plan::{Plan, PlannedFile},
};
use crate::{
    digest::Sha256Digest,
    disk::{LockKind, limits::OpenFiles},
    error::{Error, ErrorKind, Result},
    event::Event,
    hint::{Hint, Invocation, Verb},
    http::Location,
    names::{RelPath, Role, SourceId},
    notice::Notice,
    settings::LinkMode,
    source::ConnectedSources,
    store::{
        Acquired, BlobRequest, ImportMode, IngestKey, Lease, Progress, Project, Stamp, Store, StoreError, Trust, UpstreamFile,
    },
    transfer::{self, Job, TransferError, TransferOptions},
    view::{ExpectedFile, ReplaceRequest, VerifiedExisting, Views},
    weights::head_check,
};
use std::{
    collections::{BTreeMap, HashSet},
    path::Path,
    sync::Arc,
};

impl ModelManager {
    /// What a download would do.
    pub fn plan_download(&self, what: &Selector, options: &DownloadOptions) -> Result<PlanReport> {
        let target = self.target(what, options.revision.as_ref(), Invocation::new(Verb::Download))?.with_options(options)?;
        let store = self.existing_store()?;
        let mut plan = self.ask(self.plan(target, options, store.as_ref()))?;
        let views = self.views(store.clone());
        Self::require_places_of(&plan, &views)?;
        let dir = views.dir(&plan.target.view);
        for file in &plan.files {
            let path = dir.join(file.path.to_path());
            if file.displaces {
                plan.notices.push(Notice::WillReplace { path: path.clone() });
            }
            if let (FileSupply::Adopt, Some(expected)) = (file.supply, file.sha256) {
                let actual = self.hash_plain(&path, file)?;
                if actual != expected {
                    return Err(self.not_the_models(&path, &format!("sha256 {expected}"), &format!("sha256 {actual}")));
                }
            }
        }
        Ok(plan.report(self, store.as_ref()))
    }

    /// Downloads a model, verified, into the store and shows it; what is present is used.
    pub fn download(&self, what: &Selector, options: &DownloadOptions) -> Result<DownloadReport> {
        let target = self.target(what, options.revision.as_ref(), Invocation::new(Verb::Download))?.with_options(options)?;
        self.report_notices(&target.notices);
        let existing = self.existing_store()?;
        let plan = self.ask(self.plan(target.clone(), options, existing.as_ref()))?;
        self.report_notices(&plan.notices);
        self.execute(plan, existing, &|store| self.ask(self.plan(target.clone(), options, Some(store))))
    }

    /// Makes true what was planned, in the one order that keeps every promise. `again` plans anew, for where what the
    /// plan found in the store was collected before it was under a lease.
    pub(super) fn execute(
        &self,
        mut plan: Plan,
        existing: Option<Store>,
        again: &dyn Fn(&Store) -> Result<Plan>,
    ) -> Result<DownloadReport> {
        if let Some(store) = &existing
            && plan.is_present()
            && let Some(report) = self.already_there(&plan, store)?
        {
            return Ok(report);
        }
        let mut sources = self.network_for(&plan)?;
        Self::require_places_of(&plan, &self.views(existing))?;
        let store = self.store()?;
        let lease = Arc::new(store.lease()?);
        loop {
            let known: Vec<Sha256Digest> = plan.files.iter().filter_map(|file| file.sha256).collect();
            lease.protect(&known)?;
            if plan.has_all_present(&store)? {
                break;
            }
            plan = again(&store)?;
            sources = self.network_for(&plan)?;
        }
        let project = Project::register(&store, &self.settings.models_dir)?;
        let views = self.views(Some(store.clone()));
        if sources.is_some() || plan.has_local() {
            let expected: Vec<ExpectedFile<'_>> = plan.files.iter().map(PlannedFile::expected).collect();
            views.require_possible(&plan.target.view, &expected, self.settings.link, || plan.room(&store))?;
        }
        let mut adopted = links_of(&plan, &views)?;
        adopted.extend(self.adopt_all(&mut plan, &store, &lease)?);
        for file in plan.files.iter().filter(|file| file.displaces) {
            let stamp = self.keep_content(&store, &views.dir(&plan.target.view).join(file.path.to_path()), &lease)?;
            adopted.push(VerifiedExisting { path: file.path.clone(), stamp });
        }
        self.import_found(&mut plan, &store, &lease)?;
        if sources.is_none() {
            // Something may not have been where it was found.
            sources = self.network_for(&plan)?;
        }
        let fetched = self.fetch_all(&mut plan, &store, &lease, sources)?;
        self.tell_unpublished(&plan);
        self.note_sources(&plan, &store)?;
        let Some(mut files) = plan.view_files() else {
            return Err(Error::new(ErrorKind::Failed, format!("{} is not complete", plan.target.view)).hint(Hint::RunAgain));
        };
        let _views_lock = project.lock_views(store.wait())?;
        if plan.target.adds
            && let Some(root) = store.root_of(project.uuid(), &plan.target.view)?
        {
            // What another process added since the plan was made stays.
            files.extend(root.files.into_iter().filter(|file| !plan.has(&file.path)));
        }
        project.put_root(&plan.target.view, &files)?;
        let built = views.build_adopting(&plan.target.view, &files, self.settings.link, project.uuid(), &adopted)?;
        if let Some(why) = &built.why {
            self.report(&Event::Notice(Notice::OtherLink { why: why.clone() }));
        }
        Ok(self.downloaded(&plan, &store, &fetched, built.mode))
    }

    /// Adds a notice about files without a published hash.
    fn tell_unpublished(&self, plan: &Plan) {
        let is_new = |file: &&PlannedFile| file.is_missing() && !file.trust().is_published();
        let (mut paths, mut compare) = (Vec::new(), Vec::new());
        for file in plan.files.iter().filter(is_new) {
            match (file.sha256, plan.target.source.web()) {
                (Some(sha256), Some(_)) => compare.push(Notice::CompareDigest { path: file.path.clone(), sha256 }),
                _ => paths.push(file.path.clone()),
            }
        }
        compare.into_iter().for_each(|notice| self.report(&Event::Notice(notice)));
        if !paths.is_empty() {
            self.report(&Event::Notice(Notice::Unpublished { paths }));
        }
    }

    /// Refuses where something stands in the place of one of these files that may not be replaced.
    pub(super) fn require_places_of(plan: &Plan, views: &Views) -> Result<()> {
        let links = links_of(plan, views)?;
        let vouched: HashSet<&RelPath> = links.iter().map(|link| &link.path).collect();
        let gives_way = |file: &PlannedFile| file.supply == FileSupply::Adopt || file.displaces;
        let expected = plan.files.iter().filter(|file| !gives_way(file) && !vouched.contains(&file.path));
        Ok(views.require_free(&plan.target.view, expected.map(|file| &file.path))?)
    }

    /// A model whose blobs and root are there: at most its links are repaired.
    fn already_there(&self, plan: &Plan, store: &Store) -> Result<Option<DownloadReport>> {
        let Some(files) = plan.view_files() else { return Ok(None) };
        let Some(project) = Project::identify(&*self.models_disk(), &self.settings.models_dir)? else { return Ok(None) };
        // Its roots may be those of the directory that it was copied from.
        if store.is_writable() && !Project::is_at_home(store, &self.settings.models_dir)? {
            return Ok(None);
        }
        let _views_lock = store.lock_views(&project, LockKind::Shared, store.wait())?;
        if store.root_of(&project, &plan.target.view)?.is_none_or(|root| root.files != files) {
            return Ok(None);
        }
        // The plan may have looked at the blobs before the root was there; a root protects only from when it is.
        if !plan.has_all_present(store)? {
            return Ok(None);
        }
        self.note_sources(plan, store)?;
        let built = self.views(Some(store.clone())).build(&plan.target.view, &files, self.settings.link, &project)?;
        Ok(Some(self.downloaded(plan, store, &[], built.mode)))
    }

    /// Records what the Hub was asked for and said, so that the next run need not ask again: for blobs that came for
    /// another model, and for repositories that have another name now.
    fn note_sources(&self, plan: &Plan, store: &Store) -> Result<()> {
        if plan.api_requests == 0 || !store.is_writable() {
            return Ok(());
        }
        // What stays in the view may be of another commit, or have another path there.
        for file in plan.files.iter().filter(|file| file.supply != FileSupply::Adopt && !file.stays) {
            if let Some(digest) = &file.sha256 {
                // The git id was compared only where the file came by it.
                let trust = if file.published || file.is_missing() { file.trust() } else { Trust::Tofu };
                store.add_source(digest, self.source(&plan.requested, plan, file), trust)?;
            }
        }
        Ok(())
    }

    /// The server that a record names for a source: its own, or the first endpoint.
    pub(super) fn endpoint_of(&self, id: &SourceId) -> String {
        let first = || self.settings.network.endpoints.first().cloned().unwrap_or_default();
        id.web().map_or_else(first, |folder| folder.origin().to_owned())
    }

    /// What is recorded of where a file came from: no query of an address.
    pub(super) fn source(&self, id: &SourceId, plan: &Plan, file: &PlannedFile) -> UpstreamFile {
        UpstreamFile {
            endpoint: self.endpoint_of(id),
            repo: Some(id.to_string()),
            commit: plan.revision.as_ref().map(ToString::to_string),
            path: Some(file.repo_path.to_string()),
            git_sha1: file.git_sha1,
        }
    }

    fn downloaded(&self, plan: &Plan, store: &Store, fetched: &[u64], link: LinkMode) -> DownloadReport {
        let fetched = |index: usize| fetched.get(index).copied().unwrap_or(0);
        let trusts = plan.trusts(Some(store));
        let path = plan.shown_path(self);
        let dir = self.settings.models_dir.join(plan.target.view.dir());
        let mut notices = plan.notices();
        if let Some(name) = path.file_name().filter(|_| plan.target.view.format.is_single_file())
            && Role::of_gguf_name(&name.to_string_lossy()) == Role::Model
            && let Some(role) = self.role_by_header(&path)
        {
            notices.push(Notice::NoModel { file: name.to_string_lossy().into_owned(), role, repo: plan.requested.clone() });
        }
        DownloadReport {
            view: plan.target.view.clone(),
            path,
            files: plan.files.iter().enumerate().map(|(index, file)| file.report(&dir, fetched(index), &trusts)).collect(),
            total_bytes: plan.files.iter().filter_map(|file| file.size).sum(),
            download_bytes: (0..plan.files.len()).map(fetched).sum(),
            link,
            notices,
        }
    }

    /// Takes plain files that stand where the view's files belong into the store.
    fn adopt_all(&self, plan: &mut Plan, store: &Store, lease: &Lease) -> Result<Vec<VerifiedExisting>> {
        let dir = self.settings.models_dir.join(plan.target.view.dir());
        let mut adopted = Vec::new();
        for file in plan.files.iter_mut().filter(|file| file.supply == FileSupply::Adopt) {
            let path = dir.join(file.path.to_path());
            let stamp = Stamp::from(&self.models_disk().stat(&path)?);
            file.sha256 = Some(self.adopt(store, &path, file, lease)?);
            adopted.push(VerifiedExisting { path: file.path.clone(), stamp });
        }
        Ok(adopted)
    }

    fn adopt(&self, store: &Store, path: &Path, file: &PlannedFile, lease: &Lease) -> Result<Sha256Digest> {
        let size = file.size.unwrap_or(0);
        let name = file.path.to_string();
        let progress = |done| self.report(&Event::Hashing { file: name.clone(), done, size });
        let expected = file.sha256.map(|digest| (digest, file.trust()));
        let taken = store.import(path, ImportMode::Move, expected, lease, &progress, &self.cancel);
        match taken {
            Ok(blob) => {
                let is_published = store.meta(&blob.digest)?.is_some_and(|meta| meta.trust.is_published());
                if !is_published {
                    self.report(&Event::Notice(Notice::ImportedUnverified { path: path.to_owned() }));
                }
                Ok(blob.digest)
            }
            Err(StoreError::Mismatch { expected, actual, .. }) => Err(self.not_the_models(path, &expected, &actual)),
            Err(error) => Err(error.into()),
        }
    }

    /// A plain file in the place of one of the model's that is another.
    fn not_the_models(&self, path: &Path, expected: &str, actual: &str) -> Error {
        let text = format!("{} is in the way and is not the model's file: expected {expected}, got {actual}", path.display());
        Error::new(ErrorKind::Damaged, text).hint(Hint::MovePlain { path: path.to_owned() }).at(path)
    }

    /// Takes a plain file that is going to be replaced into the store. Gives what it looks like then.
    pub(super) fn keep_content(&self, store: &Store, path: &Path, lease: &Lease) -> Result<Stamp> {
        let size = self.models_disk().stat(path)?.len;
        let name = path.display().to_string();
        let progress = |done| self.report(&Event::Hashing { file: name.clone(), done, size });
        let blob = store.import(path, ImportMode::Move, None, lease, &progress, &self.cancel)?;
        let (sha256, blob) = (blob.digest, store.layout().blob(&blob.digest));
        self.report(&Event::Notice(Notice::ContentKept { path: path.to_owned(), sha256, blob }));
        Ok(Stamp::from(&self.models_disk().stat(path)?))
    }

    /// The sources where something must travel. Refuses offline, and where they cannot be asked, before anything is
    /// made on disk.
    pub(super) fn network_for(&self, plan: &Plan) -> Result<Option<&ConnectedSources>> {
        let missing = plan.files.iter().filter(|file| file.is_missing());
        let missing: Vec<&str> = missing.map(|file| file.path.as_str()).collect();
        if missing.is_empty() {
            return Ok(None);
        }
        if !self.settings.network.offline {
            self.source_of(&plan.target.source)?;
            return self.sources().map(Some);
        }
        let damaged = plan.files.iter().filter(|file| file.supply == FileSupply::Damaged).map(|file| file.path.as_str());
        let damaged: Vec<&str> = damaged.collect();
        let what = match damaged.len() == missing.len() {
            true => format!("what the store has of {} is damaged", plan.target.view),
            false => format!("not all of {} is here", plan.target.view),
        };
        let text = format!("offline, and {what}: {}", crate::text::list(&missing));
        Err(Error::new(ErrorKind::Network, text).hint(Hint::AllowNetwork))
    }

    /// Fetches every file that is not in the store; returns the bytes that travelled for each.
    pub(super) fn fetch_all(
        &self,
        plan: &mut Plan,
        store: &Store,
        lease: &Arc<Lease>,
        sources: Option<&ConnectedSources>,
    ) -> Result<Vec<u64>> {
        let mut fetched = vec![0; plan.files.len()];
        let order: Vec<usize> = (0..plan.files.len()).filter(|index| plan.files[*index].is_missing()).collect();
        let Some(sources) = sources.filter(|_| !order.is_empty()) else {
            self.check_indexes(plan, store)?;
            return Ok(fetched);
        };
        let need: u64 = plan.missing().values().map(|file| file.to_fetch()).sum();
        self.report(&Event::Planned { files: order.len(), bytes: need });
        store.require_space(plan.room(store))?;
        let (first, rest): (Vec<usize>, Vec<usize>) = order.into_iter().partition(|index| plan.comes_first(&plan.files[*index]));
        let from = Supplier { store, lease, sources };
        self.fetch_some(plan, first, &mut fetched, &from)?;
        self.check_indexes(plan, store)?;
        self.fetch_some(plan, rest, &mut fetched, &from)?;
        Ok(fetched)
    }

    /// Fetches these files, as many side by side as may be open.
    fn fetch_some(&self, plan: &mut Plan, order: Vec<usize>, fetched: &mut [u64], from: &Supplier<'_>) -> Result<()> {
        // Every process takes the locks of a set in one order, so that two of them cannot wait for each other.
        let mut order: Vec<(IngestKey, usize)> = order.into_iter().map(|index| (plan.files[index].key(), index)).collect();
        order.sort();
        order.chunks(OpenFiles::now().downloads).try_for_each(|part| self.fetch_part(plan, part, fetched, from))
    }

    /// Fetches these files side by side. All their locks are released at the end.
    ///
    /// Where the endpoints sent something else than a file's hash, that file begins anew at the next of them: its hash
    /// decides, not who serves it.
    fn fetch_part(&self, plan: &mut Plan, order: &[(IngestKey, usize)], fetched: &mut [u64], from: &Supplier<'_>) -> Result<()> {
        let connections = self.settings.network.connections.at_most(OpenFiles::now().connections);
        let effort = TransferOptions { connections, tries: self.settings.network.tries };
        let mut begin: BTreeMap<usize, Begin> = BTreeMap::new();
        let mut wrong = None;
        loop {
            let Batch { jobs, job_of } = self.admit_all(plan, order, &begin, from)?;
            let run = transfer::run(from.sources.http(), jobs, effort, self.reporter.clone(), &self.cancel);
            let error = match self.block_on(async { Ok(run.await) })? {
                Ok(arrived) => {
                    self.remember_hashes(from.store, arrived.iter().map(|done| &done.blob.digest));
                    let mut told = None;
                    for (index, job) in job_of {
                        plan.files[index].sha256 = Some(arrived[job].blob.digest);
                        // What was transferred once is reported once, with the first of its names.
                        fetched[index] = if told == Some(job) { 0 } else { arrived[job].fetched };
                        told = Some(job);
                    }
                    return Ok(());
                }
                Err(error) => error,
            };
            let Some(file) = error.wrong_content() else {
                // That no other endpoint could be asked is not what went wrong.
                let could_not_ask = matches!(error, TransferError::Http { .. });
                return Err(wrong.filter(|_| could_not_ask).unwrap_or(error).into());
            };
            let index = job_of.iter().map(|(index, _)| *index).find(|index| plan.files[*index].path.as_str() == file);
            let Some(index) = index else { return Err(error.into()) };
            let places = plan.places(from.sources, &plan.files[index])?;
            let Some(next) = begin.get(&index).copied().unwrap_or(Begin::AT_FIRST).next(places.len()) else {
                return Err(error.into());
            };
            let place = places.get(next.first).or(places.first()).and_then(Location::origin);
            let at = place.map_or_else(String::new, |origin| origin.to_string());
            let how = if next.as_whole { " and as a whole" } else { "" };
            self.report(&Event::Warning(format!("{error}; it is downloaded again from {at}{how}").into()));
            begin.insert(index, next);
            wrong = Some(error);
        }
    }

    /// Takes the locks of these files and opens what is to be filled.
    fn admit_all(
        &self,
        plan: &mut Plan,
        order: &[(IngestKey, usize)],
        begin: &BTreeMap<usize, Begin>,
        from: &Supplier<'_>,
    ) -> Result<Batch> {
        let Supplier { store, lease, sources } = *from;
        let mut batch = Batch { jobs: Vec::new(), job_of: Vec::new() };
        let mut last = None;
        for &(key, index) in order {
            // A set may hold one content under several names: it is fetched once, and its lock is ours already.
            if last == Some(key) {
                batch.job_of.push((index, batch.jobs.len() - 1));
                continue;
            }
            let file = &mut plan.files[index];
            let want = BlobRequest { key, size: file.size.unwrap_or(0), what: file.path.to_string(), trust: file.trust() };
            let acquired = match (file.again, file.supply, file.sha256) {
                (true, ..) => store.begin_replace(want, lease, store.wait())?,
                // What is whole of it need not travel again.
                (false, FileSupply::Damaged, Some(digest)) if store.locks_work() && store.damage(&digest)?.is_some() => {
                    let blob = store.layout().blob(&digest);
                    let progress = Progress { bytes: &|_| (), cancel: &self.cancel };
                    Acquired::Writer(store.begin_repair(&digest, want.size, &blob, lease, store.wait(), progress)?)
                }
                _ => store.begin_ingest(want, lease, store.wait())?,
            };
            match acquired {
                Acquired::Present(blob) => file.sha256 = Some(blob.digest),
                Acquired::Writer(writer) => {
                    let source = self.source(&plan.target.source, plan, &plan.files[index]);
                    let file = &plan.files[index];
                    let mut locations = plan.places(sources, file)?;
                    let begin = begin.get(&index).copied().unwrap_or(Begin::AT_FIRST);
                    match begin.first < locations.len() {
                        true => drop(locations.drain(..begin.first)),
                        false => locations.truncate(1),
                    }
                    last = Some(key);
                    batch.job_of.push((index, batch.jobs.len()));
                    batch.jobs.push(Job {
                        file: file.path.to_string(),
                        writer,
                        locations,
                        expected: file.sha256,
                        source: Some(source.into()),
                        check_head: head_check(file.path.file_name()),
                        // Nothing would tell that two ranges are of two versions.
                        as_whole: begin.as_whole || file.cannot_tell_versions(),
                    });
                }
            }
        }
        Ok(batch)
    }
}

/// With which endpoint a file begins.
#[derive(Clone, Copy)]
struct Begin {
    /// Its number; behind the last one, the first alone.
    first: usize,
    /// In one answer and without ranges.
    as_whole: bool,
}

impl Begin {
    const AT_FIRST: Self = Self { first: 0, as_whole: false };

    /// After something wrong came, the next endpoint; after the last, the first once more and alone, for it may have sent only
    /// a part of what was wrong; and in the end the whole file in one answer, for ranges may be what is wrong.
    fn next(self, endpoints: usize) -> Option<Self> {
        match self {
            Self { as_whole: true, .. } => None,
            Self { first, .. } if endpoints > 1 && first < endpoints => Some(Self { first: first + 1, as_whole: false }),
            _ => Some(Self { first: 0, as_whole: true }),
        }
    }
}

/// Files whose locks are held, and for each index of a plan the job that fills it.
struct Batch {
    jobs: Vec<Job>,
    job_of: Vec<(usize, usize)>,
}

/// The hard links of ours that go on showing what is fetched anew as it was, for building to replace.
fn links_of(plan: &Plan, views: &Views) -> Result<Vec<VerifiedExisting>> {
    let fetched = plan.files.iter().filter(|file| file.is_missing());
    let fetched = fetched.map(|file| ReplaceRequest { path: &file.path, sha256: file.sha256, again: file.again });
    Ok(views.links_to(&plan.target.view, fetched)?)
}

/// What fetching needs beside the files themselves.
struct Supplier<'a> {
    store: &'a Store,
    lease: &'a Arc<Lease>,
    sources: &'a ConnectedSources,
}
