//! Collects blobs that nothing needs, and tells what keeps the others.

use super::{
    BlobReport, BlobUser, DfReport, EvictionPlan, GcSummary, GcTotals, ModelManager, ModelName, PartialReport, WhyReport,
    name::NameMeaning,
};
use crate::{
    digest::Sha256Digest,
    error::{Error, ErrorKind, Result},
    event::Event,
    hint::{Action, Hint, Invocation, Verb, view_name},
    store::{GcOptions, Store, StoreError},
    view::Found,
};
use std::{
    collections::{BTreeSet, HashMap},
    time::SystemTime,
};
use uuid::Uuid;

impl ModelManager {
    /// The same with the models of a plan; with `dry_run` nothing is removed.
    pub fn gc_with(&self, plan: &EvictionPlan, options: GcOptions, dry_run: bool, alone: bool) -> Result<GcSummary> {
        let removed = if dry_run { None } else { Some(self.evict(plan)?) };
        let mut summary = self.gc(options, dry_run, alone)?;
        summary.models.clone_from(&plan.models);
        match removed {
            None => {
                summary.blobs.extend(&plan.blobs);
                summary.totals.freed_bytes += plan.freed_bytes;
                summary.totals.kept_blobs = summary.totals.kept_blobs.saturating_sub(plan.blobs.len());
            }
            Some(removed) => {
                summary.models = removed.models;
                summary.blobs.extend(&removed.removal.blobs);
                summary.totals.freed_bytes += removed.removal.totals.freed_bytes;
            }
        }
        Ok(summary)
    }

    /// Removes what nothing needs; with `dry_run`, only tells it. `alone` promises, for a store on a network file system,
    /// that no other host uses it now.
    pub fn gc(&self, options: GcOptions, dry_run: bool, alone: bool) -> Result<GcSummary> {
        let store = self.existing_store()?.ok_or_else(|| StoreError::Absent { path: self.store_dir() })?;
        let now = SystemTime::now();
        // The one collector plans, so that no other one acts between plan and act.
        let mut collector = if dry_run { None } else { Some(store.collector(alone, store.wait())?) };
        let plan = store.plan_collection(options, now)?;
        if plan.hidden_leases > 0 {
            let text =
                "this user cannot see what running commands of other users need, so some of what is listed here may be in use";
            self.report(&Event::Warning(text.into()));
        }
        let mut summary = GcSummary {
            dry_run,
            models: Vec::new(),
            blobs: plan.blobs.iter().chain(&plan.trash).map(BlobReport::from).collect(),
            partials: plan.partials.iter().map(PartialReport::from).collect(),
            leftovers: plan.orphans.iter().chain(&plan.orphan_temps).cloned().collect(),
            frees_nothing: plan.blobs.iter().filter(|blob| blob.frees == 0 && blob.size > 0).map(BlobReport::from).collect(),
            open: Vec::new(),
            totals: GcTotals {
                kept_blobs: plan.kept,
                young_blobs: plan.young.0,
                young_bytes: plan.young.1,
                freed_bytes: plan.frees(),
            },
            longest_section_ms: None,
        };
        if let Some(collector) = &mut collector {
            let report = collector.execute(&plan, options, now)?;
            summary.blobs = report.removed.iter().map(BlobReport::from).collect();
            summary.partials = report.partials.iter().map(PartialReport::from).collect();
            summary.leftovers = report.leftovers;
            summary.open = report.open.iter().map(BlobReport::from).collect();
            summary.totals.freed_bytes = report.freed;
            summary.frees_nothing =
                report.removed.iter().filter(|blob| blob.frees == 0 && blob.size > 0).map(BlobReport::from).collect();
            summary.longest_section_ms = Some(report.longest_section.as_secs_f64() * 1e3);
        }
        Ok(summary)
    }

    /// Who keeps a blob: `what` is a digest or the beginning of one, a path, or a model.
    pub fn why(&self, what: &ModelName) -> Result<Vec<WhyReport>> {
        let store = self.existing_store()?.ok_or_else(|| StoreError::Absent { path: self.store_dir() })?;
        let digests = self.digests_of(what, &store)?;
        let users = store.users()?;
        let leased = store.leased()?;
        let mut names: HashMap<Uuid, String> = HashMap::new();
        let mut reports = Vec::new();
        for digest in digests {
            let mut by = Vec::new();
            for (project, owner) in users.get(&digest).into_iter().flatten() {
                let project = self.project_name(&store, project, &mut names);
                by.push(BlobUser { project, owner: owner.clone() });
            }
            let stat = store.stat(&digest)?;
            let meta = store.meta(&digest)?;
            reports.push(WhyReport {
                sha256: digest,
                size: stat.map(|stat| stat.len),
                present: stat.is_some(),
                damaged: stat.is_some() && store.damage(&digest)?.is_some(),
                users: by,
                leased: leased.contains(&digest),
                trust: meta.as_ref().map(|meta| meta.trust),
                sources: meta.map(|meta| meta.sources).unwrap_or_default(),
            });
        }
        Ok(reports)
    }

    fn digests_of(&self, what: &ModelName, store: &Store) -> Result<BTreeSet<Sha256Digest>> {
        let command = Invocation::new(Verb::Why);
        let named = match self.meaning(&what.clone().into(), command)? {
            NameMeaning::Model(named) => self.form_of(&named, command)?,
            NameMeaning::Blob(digest) if store.stat(&digest)?.is_none() && !store.users()?.contains_key(&digest) => {
                return Err(self.no_blob(&digest.into()));
            }
            NameMeaning::Blob(digest) => return Ok(BTreeSet::from([digest])),
        };
        let is_file = |file: &str| named.file.as_ref().is_none_or(|wanted| wanted == file);
        let found = self.views(Some(store.clone())).scan_models(Some(&named.folder), named.format.as_ref(), |found| found)?;
        let of_model =
            |file: &&Found| file.belongs && named.fits(&file.model, &file.format, file.quant.as_deref()) && is_file(&file.file);
        let found: Vec<&Found> = found.iter().filter(of_model).collect();
        let mut digests: BTreeSet<Sha256Digest> = found.iter().filter_map(|file| file.digest()).collect();
        if digests.is_empty() {
            // A link that is gone leaves its root.
            let roots = self.own_roots(Some(store))?;
            let files = roots.iter().filter(|(view, _)| named.fits_view(view)).flat_map(|(_, root)| &root.files);
            digests.extend(files.filter(|file| is_file(file.path.as_str())).map(|file| file.sha256));
        }
        if let (true, Some(first)) = (digests.is_empty(), found.first()) {
            let text = format!("{} is not ours: no blob belongs to it", first.path.display());
            let verify = Action::new(Verb::Verify).name(view_name(&first.model, &first.format, first.quant.as_deref()));
            return Err(Error::new(ErrorKind::NotFound, text).hint(Hint::ShowChecked(verify)));
        }
        match digests.is_empty() {
            true => {
                let here: Vec<_> = self.list_here()?.into_iter().filter(|listed| listed.model == named.folder).collect();
                Err(self.not_present(&named, &here, command))
            }
            false => Ok(digests),
        }
    }

    /// Where the store's bytes are.
    pub fn df(&self) -> Result<DfReport> {
        let store = self.existing_store()?.ok_or_else(|| StoreError::Absent { path: self.store_dir() })?;
        let users = store.users()?;
        let leased = store.leased()?;
        let mut report = DfReport { store: store.layout().root().to_owned(), ..DfReport::default() };
        let totals = &mut report.totals;
        for digest in store.blobs()? {
            let Some(stat) = store.stat(&digest)? else { continue };
            totals.blobs += 1;
            totals.stored_bytes += stat.allocated;
            match users.get(&digest) {
                Some(users) => {
                    totals.shown_bytes += stat.len * users.len() as u64;
                    if users.len() > 1 {
                        totals.shared_bytes += stat.len * (users.len() as u64 - 1);
                    }
                }
                None if leased.contains(&digest) => {}
                None => totals.reclaimable_bytes += if stat.nlink > 1 { 0 } else { stat.allocated },
            }
        }
        totals.partial_bytes = store.partials()?.iter().map(|partial| partial.allocated).sum();
        totals.projects = store.projects()?.len();
        totals.damaged_blobs = store.damaged()?.len();
        let space = store.disk().space(store.layout().root())?;
        (totals.free_bytes, totals.volume_bytes) = (space.available, space.total);
        Ok(report)
    }

    /// The models directory of a project, or its identity where that is not known; each is read once.
    pub(super) fn project_name(&self, store: &Store, project: &Uuid, names: &mut HashMap<Uuid, String>) -> String {
        let name = || store.known_project(project).map_or_else(|| project.to_string(), |record| record.location.path);
        names.entry(*project).or_insert_with(name).clone()
    }
}
