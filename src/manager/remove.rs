//! Removes a model: links first, then the root, then the blobs that nothing else uses.

use super::{
    BlobReport, BlobUser, KeptFile, ListedModel, ModelManager, RemoveReport, Selector, SharedBlob, Timestamp,
    name::{Named, Subject},
};
use crate::{
    digest::Sha256Digest,
    disk::{Kind, LockKind},
    error::{Error, ErrorKind, Result},
    event::{Event, Warning},
    hint::{Action, Hint, Invocation, Verb, view_name},
    names::{App, Format, Quant},
    store::{Collector, Exposure, FileLock, IngestKey, Project, RootRecord, Store, StoreError, ViewKey},
    view::Found,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use uuid::Uuid;

/// A view that goes if it is still as it was seen.
pub(super) struct Unused {
    pub(super) view: ViewKey,
    /// The check of its root.
    pub(super) check: Sha256Digest,
    pub(super) used_at: Option<Timestamp>,
}

/// What is to be removed.
#[derive(Clone, Copy)]
enum Which<'a> {
    /// All views that selectors mean, with the plain files of their models.
    Selected(&'a [Selector]),
    /// Those of these views that were not used since they were seen, and of them only what is ours.
    Unused(&'a [Unused]),
    /// These views, and of them only what is ours.
    Exactly(&'a BTreeSet<ViewKey>),
}

/// What a removal takes away, decided.
#[derive(Default)]
struct Plan {
    /// Why nothing goes for some of several selectors.
    failed: Vec<Error>,
    views: BTreeSet<ViewKey>,
    roots: Vec<RootRecord>,
    /// Regular files of these models, including those added by hand.
    plain: Vec<Found>,
    partials: Vec<IngestKey>,
}

/// What was taken and decided before the first link went.
struct Means {
    keep_blobs: bool,
    views_lock: Option<FileLock>,
    collector: Option<Collector>,
}

impl Plan {
    /// These views, with those of the roots that are theirs.
    fn of_views(views: BTreeSet<ViewKey>, mut roots: Vec<RootRecord>) -> Self {
        roots.retain(|root| views.contains(&root.view));
        Self { views, roots, ..Self::default() }
    }

    /// Takes in what goes for another selector.
    fn add(&mut self, other: Self) {
        self.failed.extend(other.failed);
        self.roots.extend(other.roots.into_iter().filter(|root| !self.views.contains(&root.view)));
        self.views.extend(other.views);
        for file in other.plain {
            if !self.plain.iter().any(|known| known.path == file.path) {
                self.plain.push(file);
            }
        }
        let known = self.partials.clone();
        self.partials.extend(other.partials.into_iter().filter(|key| !known.contains(key)));
    }

    fn digests(&self) -> BTreeMap<Sha256Digest, u64> {
        self.roots.iter().flat_map(|root| &root.files).map(|file| (file.sha256, file.size)).collect()
    }
}

impl ModelManager {
    /// Removes views and the blobs that nothing else uses.
    ///
    /// What goes is what `list` shows for the model: the files of its record, and of a model without one the files that were
    /// put there by hand or by the old tool. Any other file stays and is reported.
    pub fn remove(&self, what: &Selector, keep_blobs: bool, dry_run: bool) -> Result<RemoveReport> {
        self.remove_all(std::slice::from_ref(what), keep_blobs, dry_run).map(|(report, _)| report)
    }

    /// The same for several: what can be removed goes together, so that what only they share goes too. Beside what went are the
    /// errors of those for which nothing did.
    ///
    /// # Errors
    /// Where nothing can be removed for any of them.
    pub fn remove_all(&self, what: &[Selector], keep_blobs: bool, dry_run: bool) -> Result<(RemoveReport, Vec<Error>)> {
        self.remove_these(Which::Selected(what), keep_blobs, dry_run)
    }

    /// Removes those of these views that were not used since they were seen, and of them only what is ours.
    pub(super) fn remove_unused(&self, unused: &[Unused]) -> Result<RemoveReport> {
        self.remove_these(Which::Unused(unused), false, false).map(|(report, _)| report)
    }

    /// Removes exactly these views, and of them only what is ours.
    pub(super) fn remove_views(&self, views: &BTreeSet<ViewKey>, dry_run: bool) -> Result<RemoveReport> {
        self.remove_these(Which::Exactly(views), false, dry_run).map(|(report, _)| report)
    }

    fn remove_these(&self, which: Which<'_>, keep_blobs: bool, dry_run: bool) -> Result<(RemoveReport, Vec<Error>)> {
        let store = self.existing_store()?;
        if let (Some(store), false) = (&store, dry_run) {
            // A copy that still has the identity of its original must not remove the original's roots.
            Project::settle(store, &self.settings.models_dir)?;
        }
        let project = Project::identify(&*self.models_disk(), &self.settings.models_dir)?;
        // A removal of what is not there ends here, before anything is written.
        let plan = self.plan_removal(which, store.as_ref(), project.as_ref())?;
        // What no root protects is taken away in the models directory alone.
        if let (Some(store), false, false) = (&store, dry_run, plan.roots.is_empty()) {
            store.require_writable()?;
        }
        // Before anything goes, so that a wait in vain changes nothing.
        let collector = match &store {
            Some(store) if !dry_run && !keep_blobs && !plan.roots.is_empty() => self.collector_for(store)?,
            _ => None,
        };
        // From the plan to the last root, so that no download shows a view meanwhile whose root is about to go.
        let views_lock = match (&store, &project) {
            (Some(store), Some(project)) if !dry_run => store.lock_views(project, LockKind::Exclusive, store.wait())?,
            _ => None,
        };
        if let (Some(store), false, false) = (&store, dry_run, plan.roots.is_empty()) {
            // Removing a root needs the store lock: fail before the links are gone if it is not available.
            drop(store.shared()?);
        }
        let plan = match views_lock {
            Some(_) => self.plan_removal(which, store.as_ref(), project.as_ref())?,
            None => plan,
        };
        let mut report = RemoveReport { views: plan.views.iter().cloned().collect(), dry_run, ..RemoveReport::default() };
        let views = self.views(store.clone());
        for view in &plan.views {
            let removal = views.plan_remove(view)?;
            let is_plain = |path: &std::path::Path| plan.plain.iter().any(|file| file.path == path);
            if dry_run {
                report.removed.extend(removal.files.clone());
                report.kept.extend(removal.kept.into_iter().filter(|(path, _)| !is_plain(path)).map(KeptFile::from));
            } else {
                let done = views.execute(removal)?;
                report.removed.extend(done.removed);
                report.kept.extend(done.kept.into_iter().filter(|(path, _)| !is_plain(path)).map(KeptFile::from));
            }
        }
        self.remove_plain(&plan, dry_run, &mut report)?;
        if let (Some(store), Some(project)) = (store.as_ref().filter(|store| dry_run || store.is_writable()), &project) {
            self.remove_from_store(&plan, store, project, Means { keep_blobs, views_lock, collector }, &mut report)?;
        }
        Ok((report, plan.failed))
    }

    fn plan_removal(&self, which: Which<'_>, store: Option<&Store>, project: Option<&Uuid>) -> Result<Plan> {
        match which {
            Which::Selected(what) => {
                let mut plan = Plan::default();
                for what in what {
                    match self.plan_selected(what, store, project) {
                        Ok(more) => plan.add(more),
                        Err(error) => plan.failed.push(error),
                    }
                }
                // Of one there is nothing else to tell; of several the first says why.
                if plan.failed.len() == what.len() && !plan.failed.is_empty() { Err(plan.failed.remove(0)) } else { Ok(plan) }
            }
            Which::Exactly(views) => {
                let views = without(views.clone(), &read_by_apps(store, project)?);
                Ok(Plan::of_views(views, roots_of(store, project)?))
            }
            Which::Unused(unused) => {
                let roots = roots_of(store, project)?;
                let views = store.map_or(Ok(BTreeSet::new()), |store| self.still_unused(store, unused, &roots))?;
                Ok(Plan::of_views(without(views, &read_by_apps(store, project)?), roots))
            }
        }
    }

    fn plan_selected(&self, what: &Selector, store: Option<&Store>, project: Option<&Uuid>) -> Result<Plan> {
        let command = Invocation::new(Verb::Remove);
        let named = self.form_of(&self.named(what, command)?, command)?;
        self.require_whole(&named, store, project)?;
        let is_wanted = |view: &ViewKey| named.fits_view(view);
        let views = self.views(store.cloned());
        let mut plan = Plan::default();
        let found = views.scan_models(Some(&named.folder), named.format.as_ref(), |found| found)?;
        for file in found.iter().filter(|file| named.fits(&file.model, &file.format, file.quant.as_deref())) {
            if !file.belongs {
                continue;
            }
            plan.views.extend(file.view());
            if !file.state.is_ours() && !file.is_behind_link {
                plan.plain.push(file.clone());
            }
        }
        if let (Some(store), Some(project)) = (store, project) {
            plan.roots = store.roots_of(project)?.into_iter().filter(|root| is_wanted(&root.view)).collect();
            plan.views.extend(plan.roots.iter().map(|root| root.view.clone()));
            plan.partials = self.partials_of(store, &named.folder, &is_wanted)?;
        }
        if plan.views.is_empty() && plan.partials.is_empty() {
            let here: Vec<_> = self.list_here()?.into_iter().filter(|listed| listed.model == named.folder).collect();
            return Err(self.nothing_to_remove(&named, &here, command));
        }
        if let Some((view, app)) = read_by_apps(store, project)?.into_iter().find(|(view, _)| plan.views.contains(view)) {
            let app = app.parse::<App>().map_or(app, |app| app.title().to_owned());
            let unexpose = Action::new(Verb::Unexpose).name(view.name());
            return Err(Error::new(ErrorKind::Failed, format!("{view} is shown to {app}, which reads it where it is"))
                .hint(Hint::NothingChanged)
                .hint(Hint::Run(unexpose)));
        }
        Ok(plan)
    }

    /// Refuses a name of one file where the view has others: it would take them all.
    fn require_whole(&self, named: &Named, store: Option<&Store>, project: Option<&Uuid>) -> Result<()> {
        let (Some(file), Some(store), Some(project)) = (&named.file, store, project) else { return Ok(()) };
        let roots = store.roots_of(project)?;
        match roots.iter().find(|root| named.fits_view(&root.view)) {
            Some(root) if root.files.len() > 1 => {
                let text = format!("{file} is one of the {} files of {}, which are removed together", root.files.len(), root.view);
                Err(Error::new(ErrorKind::Usage, text).hint(Hint::RemoveAll(Action::new(Verb::Remove).name(root.view.name()))))
            }
            _ => Ok(()),
        }
    }

    /// Why there is nothing to remove. An entry of the project's own registry goes by another command.
    fn nothing_to_remove(&self, named: &Named, here: &[ListedModel], command: Invocation<'_>) -> Error {
        let error = self.not_present(named, here, command);
        let Subject::Entry(id) = &named.subject else { return error };
        let Ok(registry) = self.registry() else { return error };
        if !here.is_empty() || registry.select(id.as_str(), named.format.as_ref(), named.quant.as_ref()).is_err() {
            return error;
        }
        let error = Error::new(error.kind(), error.message());
        if self.settings.config.is_none() {
            return error.hint(Hint::IsBuiltIn).hint(Hint::DownloadedBy(named.download_action()));
        }
        let name = match (&named.format, &named.quant) {
            (None, None) => id.to_string(),
            (format, quant) => {
                let format = format.clone().unwrap_or_else(Format::gguf);
                view_name(id.as_str(), format.as_str(), quant.as_ref().map(Quant::as_str))
            }
        };
        let unregister = Action::new(Verb::Unregister).name(name);
        let download = named.download_action();
        error.hint(Hint::NothingRemoved).hint(Hint::UnregisterOrDownload { unregister, download })
    }

    /// Interrupted downloads of the files that the registry names for the views.
    fn partials_of(&self, store: &Store, model: &str, is_wanted: &dyn Fn(&ViewKey) -> bool) -> Result<Vec<IngestKey>> {
        let Ok(model) = self.registry()?.model(model) else { return Ok(Vec::new()) };
        let mut keys = Vec::new();
        for entry in &model.formats {
            let quants = entry.quants.iter().map(|quant| (Some(quant.quant.clone()), &quant.artifact));
            for (quant, artifact) in quants.chain(entry.whole.iter().map(|artifact| (None, artifact))) {
                if is_wanted(&ViewKey { model: model.id.clone(), format: entry.format.clone(), quant }) {
                    keys.extend(
                        artifact.files.iter().chain(&artifact.expect).filter_map(|file| file.sha256).map(IngestKey::Sha256),
                    );
                }
            }
        }
        let mut there = Vec::new();
        for key in keys {
            if self.disk.find(&store.layout().partial(&key).dir)?.is_some() {
                there.push(key);
            }
        }
        Ok(there)
    }

    fn remove_plain(&self, plan: &Plan, dry_run: bool, report: &mut RemoveReport) -> Result<()> {
        for file in &plan.plain {
            let stat = self.disk.find(&file.path)?;
            let Some(stat) = stat.filter(|stat| matches!(stat.kind, Kind::File | Kind::Symlink)) else { continue };
            report.totals.freed_bytes += if stat.nlink > 1 { 0 } else { stat.allocated };
            report.removed.push(file.path.clone());
            if !dry_run {
                self.views(None).remove_plain(&file.path)?;
            }
        }
        Ok(())
    }

    fn remove_from_store(&self, plan: &Plan, store: &Store, project: &Uuid, means: Means, report: &mut RemoveReport) -> Result<()> {
        let Means { keep_blobs, views_lock, collector } = means;
        let digests = plan.digests();
        let others = self.other_users(store, project, plan)?;
        let unused: Vec<Sha256Digest> = digests.keys().filter(|digest| !others.contains_key(digest)).copied().collect();
        for (digest, users) in others {
            report.shared.push(SharedBlob { sha256: digest, size: digests[&digest], users });
        }
        report.shared.sort_by_key(|shared| shared.sha256);
        if report.dry_run {
            let mut freed = store.plan_drop(&unused)?;
            if keep_blobs {
                freed.clear();
            }
            report.blobs = freed.iter().map(BlobReport::from).collect();
            report.totals.freed_bytes += freed.iter().map(|blob| blob.frees).sum::<u64>();
            report.totals.freed_bytes += plan.partials.iter().map(|key| store.partial_size(key)).sum::<u64>();
            return Ok(());
        }
        let registered = Project::register(store, &self.settings.models_dir)?;
        for root in &plan.roots {
            registered.remove_root(&root.view)?;
        }
        drop(views_lock);
        for key in &plan.partials {
            report.totals.freed_bytes += store.drop_partial(key)?;
        }
        if keep_blobs || unused.is_empty() {
            return Ok(());
        }
        if let Some(mut collector) = collector {
            let done = collector.drop_unreferenced(&unused)?;
            report.totals.freed_bytes += done.freed;
            report.blobs = done.removed.iter().map(BlobReport::from).collect();
            for blob in &done.open {
                let digest = blob.digest.short();
                let text = format!("{digest} stays in the store, for a program has it open");
                self.report(&Event::Warning(Warning::with_hint(text, Hint::CollectLater)));
            }
        }
        Ok(())
    }

    /// The right to drop blobs; none where that is not safe, which is reported.
    fn collector_for(&self, store: &Store) -> Result<Option<Collector>> {
        match store.collector(false, store.wait()) {
            Err(StoreError::NoSafeCollection { .. }) => {
                let text = "the store is where other hosts may use it, so its blobs stay";
                self.report(&Event::Warning(Warning::with_hint(text, Hint::CollectLater)));
                Ok(None)
            }
            other => Ok(other.map(Some)?),
        }
    }

    /// Blobs of the plan that somebody besides the plan's views needs, and who.
    fn other_users(&self, store: &Store, project: &Uuid, plan: &Plan) -> Result<HashMap<Sha256Digest, Vec<BlobUser>>> {
        let digests = plan.digests();
        let mut others: HashMap<Sha256Digest, Vec<BlobUser>> = HashMap::new();
        let mut names: HashMap<Uuid, String> = HashMap::new();
        for (digest, users) in store.users()? {
            if !digests.contains_key(&digest) {
                continue;
            }
            for (user, owner) in users {
                if user == *project && owner.view().is_some_and(|view| plan.views.contains(view)) {
                    continue;
                }
                let project = self.project_name(store, &user, &mut names);
                others.entry(digest).or_default().push(BlobUser { project, owner });
            }
        }
        Ok(others)
    }
}

/// Views that an application reads in the project's folder, and which one does.
fn read_by_apps(store: Option<&Store>, project: Option<&Uuid>) -> Result<BTreeMap<ViewKey, String>> {
    let (Some(store), Some(project)) = (store, project) else { return Ok(BTreeMap::new()) };
    let exposures = Project::exposures(store, project)?;
    Ok(exposures.into_iter().filter(Exposure::names_view).map(|exposure| (exposure.view, exposure.app)).collect())
}

fn without(mut views: BTreeSet<ViewKey>, others: &BTreeMap<ViewKey, String>) -> BTreeSet<ViewKey> {
    views.retain(|view| !others.contains_key(view));
    views
}

fn roots_of(store: Option<&Store>, project: Option<&Uuid>) -> Result<Vec<RootRecord>> {
    Ok(store.zip(project).map_or(Ok(Vec::new()), |(store, project)| store.roots_of(project))?)
}
