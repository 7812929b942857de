//! Downloads a model: what is missing travels, what is present is used, and the view is built last.
//!
//! The order keeps every promise at any crash: lease, then look; bytes, then blob; blob, then root; root, then links.

use super::{
    DownloadOptions, DownloadReport, FileSupply, ModelManager, PlanReport, Selector,
    batch::{Again, Step},
    fetch::Moved,
    plan::{Plan, PlannedFile},
};
use crate::{
    digest::Sha256Digest,
    disk::LockKind,
    error::{Error, ErrorKind, Result},
    event::Event,
    hint::{Hint, Invocation, Verb},
    names::{RelPath, Role, SourceId},
    notice::Notice,
    settings::LinkMode,
    source::ConnectedSources,
    store::{ImportMode, Lease, Project, Stamp, Store, StoreError, Trust, UpstreamFile, ViewKey},
    transfer::TransferError,
    view::{ExpectedFile, ReplaceRequest, VerifiedExisting, Views},
};
use std::{
    collections::HashSet,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
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
        let mut report = plan.report(self, store.as_ref());
        if let Some(store) = &store
            && let Some(found) = self.borrowed_by(&plan, store)?
        {
            (report.borrow_bytes, report.borrow_from) = (found.bytes, found.from);
        }
        Ok(report)
    }

    /// Downloads a model, verified, into the store and shows it; what is present is used.
    pub fn download(&self, what: &Selector, options: &DownloadOptions) -> Result<DownloadReport> {
        let mut ends = self.download_all(std::slice::from_ref(what), options);
        let stopped = || Err(TransferError::Cancelled.into());
        ends.pop().map_or_else(stopped, |(result, _)| result)
    }

    /// Downloads models side by side, over one connection budget. How each ended, and how long it took, is in the order in
    /// which they were asked for; one that cannot be had keeps no other back.
    pub fn download_all(&self, what: &[Selector], options: &DownloadOptions) -> Vec<(Result<DownloadReport>, Duration)> {
        let planned: Vec<_> = what
            .iter()
            .map(|what| {
                let begun = Instant::now();
                let step = match self.cancel.is_cancelled() {
                    true => Err(TransferError::Cancelled.into()),
                    false => self.download_step(what, options),
                };
                (step, begun.elapsed())
            })
            .collect();
        let (mut steps, mut outcomes) = (Vec::new(), Vec::new());
        for (step, took) in planned {
            outcomes.push((step.map(|step| steps.push(step)), took));
        }
        let mut ends = self.execute_all(steps).into_iter();
        let mut end = |took: Duration| ends.next().map(|(result, time)| (result, took + time));
        outcomes
            .into_iter()
            .filter_map(|(planned, took)| match planned {
                Ok(()) => end(took),
                Err(error) => Some((Err(error), took)),
            })
            .collect()
    }

    fn download_step<'a>(&self, what: &Selector, options: &'a DownloadOptions) -> Result<Step<'a>> {
        let target = self.target(what, options.revision.as_ref(), Invocation::new(Verb::Download))?.with_options(options)?;
        self.report_notices(&target.notices);
        let existing = self.existing_store()?;
        let plan = self.ask(self.plan(target.clone(), options, existing.as_ref()))?;
        self.report_notices(&plan.notices);
        let again: Again<'a> = Box::new(move |manager, store| manager.ask(manager.plan(target.clone(), options, Some(store))));
        Ok(Step { plan, existing, again })
    }

    /// Makes true what was planned, and says so.
    pub(super) fn execute(
        &self,
        plan: Plan,
        existing: Option<Store>,
        again: &dyn Fn(&Store) -> Result<Plan>,
    ) -> Result<DownloadReport> {
        let begun = Instant::now();
        let report = self.carry_out(plan, existing, again)?;
        let ViewKey { model, format, quant } = report.view.clone();
        let (path, fetched, took) = (report.path.clone(), report.download_bytes, begun.elapsed());
        self.report(&Event::ModelFinished { model, format, quant, path, fetched, took });
        Ok(report)
    }

    /// Makes true what was planned, in the one order that keeps every promise. `again` plans anew, for where what the
    /// plan found in the store was collected before it was under a lease.
    fn carry_out(&self, mut plan: Plan, existing: Option<Store>, again: &dyn Fn(&Store) -> Result<Plan>) -> Result<DownloadReport> {
        if let Some(store) = &existing
            && plan.is_present()
            && let Some(report) = self.already_there(&plan, store)?
        {
            return Ok(report);
        }
        if let Some(store) = existing.as_ref().filter(|store| !store.is_writable() && plan.is_present()) {
            return self.show_unprotected(plan, store);
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
        self.import_from_apps(&mut plan, &store, &lease)?;
        if sources.is_none() {
            // Something may not have been where it was found.
            sources = self.network_for(&plan)?;
        }
        let fetched = self.fetch_all(&mut plan, &store, &lease, sources)?;
        self.tell_unpublished(&plan);
        self.note_sources(&plan, &store)?;
        let known = plan.files.iter().filter_map(|file| Some((&file.path, file.size?, file.sha256?)));
        self.keep_headers(&store, known);
        let Some(mut files) = plan.view_files() else {
            return Err(Error::new(ErrorKind::Failed, format!("{} is not complete", plan.target.view)).hint(Hint::RunAgain));
        };
        // Who adds to a view reads its root and writes it again, so nobody else may do so meanwhile.
        let kind = if plan.target.adds { LockKind::Exclusive } else { LockKind::Shared };
        let _views_lock = store.lock_views(project.uuid(), kind, store.wait())?;
        if plan.target.adds
            && let Some(root) = store.root_of(project.uuid(), &plan.target.view)?
        {
            // What was added since the plan was made stays.
            files.extend(root.files.into_iter().filter(|file| !plan.has(&file.path)));
        }
        project.put_root(&plan.target.view, &files)?;
        store.note_use(project.uuid(), &plan.target.view);
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
        let confirmed: HashSet<&RelPath> = links.iter().map(|link| &link.path).collect();
        let gives_way = |file: &PlannedFile| file.supply == FileSupply::Adopt || file.displaces;
        let expected = plan.files.iter().filter(|file| !gives_way(file) && !confirmed.contains(&file.path));
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
        store.note_use(&project, &plan.target.view);
        Ok(Some(self.downloaded(plan, store, &[], built.mode)))
    }

    /// Shows a model whose blobs are all in a store that this user cannot write. It gets no root, which is said: only who writes
    /// the store can protect it.
    fn show_unprotected(&self, mut plan: Plan, store: &Store) -> Result<DownloadReport> {
        let Some(files) = plan.view_files().filter(|_| plan.has_all_present(store).unwrap_or(false)) else {
            return Err(store.require_writable().err().map_or_else(|| StoreError::Cancelled.into(), Error::from));
        };
        let views = self.views(Some(store.clone()));
        Self::require_places_of(&plan, &views)?;
        self.disk.create_dirs(&self.settings.models_dir, 0o755)?;
        let project = Project::identify_or_name(store, &self.settings.models_dir)?;
        let built = views.build(&plan.target.view, &files, self.settings.link, &project)?;
        let notice = Notice::Unprotected { store: store.layout().root().to_owned() };
        self.report(&Event::Notice(notice.clone()));
        plan.notices.push(notice);
        Ok(self.downloaded(&plan, store, &[], built.mode))
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
            xet_hash: file.xet_hash.clone(),
        }
    }

    fn downloaded(&self, plan: &Plan, store: &Store, moved: &[Moved], link: LinkMode) -> DownloadReport {
        let moved = |index: usize| moved.get(index).copied().unwrap_or_default();
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
            files: plan.files.iter().enumerate().map(|(index, file)| file.report(&dir, moved(index), &trusts)).collect(),
            total_bytes: plan.files.iter().filter_map(|file| file.size).sum(),
            download_bytes: (0..plan.files.len()).map(|index| moved(index).fetched).sum(),
            borrowed_bytes: (0..plan.files.len()).map(|index| moved(index).borrowed).sum(),
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
            file.sha256 = Some(self.take_plain_file(store, &path, file, lease)?);
            adopted.push(VerifiedExisting { path: file.path.clone(), stamp });
        }
        Ok(adopted)
    }

    fn take_plain_file(&self, store: &Store, path: &Path, file: &PlannedFile, lease: &Lease) -> Result<Sha256Digest> {
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
}

/// The hard links of ours that still show what is fetched anew as it was, for building to replace.
fn links_of(plan: &Plan, views: &Views) -> Result<Vec<VerifiedExisting>> {
    let fetched = plan.files.iter().filter(|file| file.is_missing());
    let fetched = fetched.map(|file| ReplaceRequest { path: &file.path, sha256: file.sha256, again: file.again });
    Ok(views.links_to(&plan.target.view, fetched)?)
}
