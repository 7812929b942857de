//! Collects blobs that nothing needs, and tells what keeps the others.

use super::{BlobLine, DfReport, GcSummary, ModelManager, PartialLine, Selector, WhyReport};
use crate::{
    digest::Sha256Digest,
    error::{Error, ErrorKind, Result},
    event::Event,
    store::{GcOptions, Store, StoreError},
    view::Found,
};
use std::{
    collections::{BTreeSet, HashMap},
    path::Path,
    time::SystemTime,
};
use uuid::Uuid;

impl ModelManager {
    /// Removes what nothing needs; with `dry_run`, only tells it. `alone` promises, for a store on a network file system,
    /// that no other host uses it now.
    pub fn gc(&self, options: GcOptions, dry_run: bool, alone: bool) -> Result<GcSummary> {
        let store = self.existing_store()?.ok_or_else(|| StoreError::Absent { path: self.store_dir() })?;
        let now = SystemTime::now();
        // The one collector plans, so that no other one acts between plan and act.
        let mut collector = if dry_run { None } else { Some(store.collector(alone, store.wait())?) };
        let plan = store.plan_collection(options, now)?;
        if plan.hidden_leases > 0 {
            let text = "this user may not see what running commands of others rely on, so what is told here may be needed";
            self.report(&Event::Warning(text.into()));
        }
        let mut summary = GcSummary {
            dry_run,
            blobs: plan.blobs.iter().chain(&plan.trash).map(BlobLine::from).collect(),
            partials: plan.partials.iter().map(PartialLine::from).collect(),
            leftovers: plan.orphans.iter().chain(&plan.strays).cloned().collect(),
            kept: plan.kept,
            young: plan.young.0,
            young_bytes: plan.young.1,
            freed: plan.frees(),
            frees_nothing: plan.blobs.iter().filter(|blob| blob.frees == 0 && blob.size > 0).map(BlobLine::from).collect(),
            open: Vec::new(),
            longest_section_ms: None,
        };
        if let Some(collector) = &mut collector {
            let report = collector.carry_out(&plan, options, now)?;
            summary.blobs = report.removed.iter().map(BlobLine::from).collect();
            summary.partials = report.partials.iter().map(PartialLine::from).collect();
            summary.leftovers = report.leftovers;
            summary.open = report.open.iter().map(BlobLine::from).collect();
            summary.freed = report.freed;
            summary.frees_nothing =
                report.removed.iter().filter(|blob| blob.frees == 0 && blob.size > 0).map(BlobLine::from).collect();
            summary.longest_section_ms = Some(report.longest_section.as_secs_f64() * 1e3);
        }
        Ok(summary)
    }

    /// Who keeps a blob: `what` is a digest or the beginning of one, a path, or a model.
    pub fn why(&self, what: &str) -> Result<Vec<WhyReport>> {
        let store = self.existing_store()?.ok_or_else(|| StoreError::Absent { path: self.store_dir() })?;
        let digests = self.digests_of(what, &store)?;
        let users = store.users()?;
        let leased = store.leased()?;
        let mut names: HashMap<Uuid, String> = HashMap::new();
        let mut reports = Vec::new();
        for digest in digests {
            let mut by = Vec::new();
            for (project, view) in users.get(&digest).into_iter().flatten() {
                let name = self.project_name(&store, project, &mut names)?;
                by.push(format!("{name}: {view}"));
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

    fn digests_of(&self, what: &str, store: &Store) -> Result<BTreeSet<Sha256Digest>> {
        let is_hex = what.len() >= 8 && what.len() <= 64 && what.bytes().all(|b| b.is_ascii_hexdigit());
        if is_hex {
            let prefix = what.to_ascii_lowercase();
            let mut found: BTreeSet<Sha256Digest> =
                store.blobs()?.into_iter().filter(|digest| digest.to_string().starts_with(&prefix)).collect();
            found.extend(store.users()?.into_keys().filter(|digest| digest.to_string().starts_with(&prefix)));
            if !found.is_empty() {
                return Ok(found);
            }
        }
        let path = std::path::absolute(Path::new(what)).unwrap_or_else(|_| what.into());
        if self.disk.find(&path)?.is_some() {
            if let Some(name) = path.file_name().and_then(|name| name.to_str())
                && let Ok(digest) = name.parse()
            {
                return Ok(BTreeSet::from([digest]));
            }
            let views = self.views(Some(store.clone()));
            if let Some(digest) = views.state_of(&path)?.and_then(|state| state.digest()) {
                return Ok(BTreeSet::from([digest]));
            }
            let below: BTreeSet<Sha256Digest> =
                views.scan(None)?.iter().filter(|file| file.path.starts_with(&path)).filter_map(Found::digest).collect();
            if !below.is_empty() {
                return Ok(below);
            }
            return Err(Error::new(ErrorKind::NotFound, format!("{} is not ours: no blob belongs to it", path.display())));
        }
        let selector = Selector { model: what.to_owned(), ..Selector::default() };
        let (model, quant) = self.folder_of(&selector)?;
        let of_model =
            |file: &Found| file.belongs && quant.as_ref().is_none_or(|quant| file.quant.as_deref() == Some(quant.as_str()));
        let found = self.views(Some(store.clone())).scan_models(Some(&model), None, |found| found)?;
        let digests: BTreeSet<Sha256Digest> = found.iter().filter(|file| of_model(file)).filter_map(Found::digest).collect();
        match digests.is_empty() {
            true => Err(self.not_present(&selector, &model, &[])),
            false => Ok(digests),
        }
    }

    /// Where the store's bytes are.
    pub fn df(&self) -> Result<DfReport> {
        let store = self.existing_store()?.ok_or_else(|| StoreError::Absent { path: self.store_dir() })?;
        let users = store.users()?;
        let leased = store.leased()?;
        let mut report = DfReport { store: store.layout().root().to_owned(), ..DfReport::default() };
        for digest in store.blobs()? {
            let Some(stat) = store.stat(&digest)? else { continue };
            report.blobs += 1;
            report.physical += stat.allocated;
            match users.get(&digest) {
                Some(users) => {
                    report.logical += stat.len * users.len() as u64;
                    if users.len() > 1 {
                        report.shared += stat.len * (users.len() as u64 - 1);
                    }
                }
                None if leased.contains(&digest) => {}
                None => report.reclaimable += if stat.nlink > 1 { 0 } else { stat.allocated },
            }
        }
        report.partial = store.partials()?.iter().map(|partial| partial.allocated).sum();
        report.projects = store.projects()?.len();
        report.damaged = store.damaged()?.len();
        let space = store.disk().space(store.layout().root())?;
        (report.free, report.total) = (space.available, space.total);
        Ok(report)
    }

    pub(super) fn project_name(&self, store: &Store, project: &Uuid, names: &mut HashMap<Uuid, String>) -> Result<String> {
        if let Some(name) = names.get(project) {
            return Ok(name.clone());
        }
        let name = store.known_project(project).map_or_else(|| project.to_string(), |record| record.location.path);
        names.insert(*project, name.clone());
        Ok(name)
    }
}
