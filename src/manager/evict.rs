//! Removes models that were not used for long, to give their space back: the least recently used first.
//!
//! What is planned is a value; acting on it looks again. A model that was used, or changed, since it was planned stays.

use super::{
    BlobReport, EvictedModel, EvictionOptions, EvictionPlan, EvictionReport, ListedModel, ModelManager, Timestamp, remove::Unused,
};
use crate::{
    digest::Sha256Digest,
    error::{Error, ErrorKind, Result},
    event::Event,
    hint::Hint,
    settings::Settings,
    store::{GcOptions, Project, RootRecord, Store, StoreError, ViewKey},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::{Path, PathBuf},
    time::SystemTime,
};
use uuid::Uuid;

/// A view that may go.
struct Candidate {
    root: RootRecord,
    uuid: Uuid,
    project: PathBuf,
    used_at: Option<Timestamp>,
}

impl ModelManager {
    /// Which models would go. `gc` says what is collected besides: that counts as gone. Changes nothing.
    ///
    /// # Errors
    /// Where there is no store, a project is named that it does not have, or a root cannot be read.
    pub fn plan_eviction(&self, options: &EvictionOptions, gc: GcOptions) -> Result<EvictionPlan> {
        let store = self.existing_store()?.ok_or_else(|| StoreError::Absent { path: self.store_dir() })?;
        let mut candidates = Vec::new();
        for (uuid, models_dir) in self.projects_to_evict(&store, &options.projects)? {
            candidates.extend(self.candidates(&store, uuid, &models_dir)?);
        }
        candidates.sort_by(|a, b| (a.used_at, &a.project, &a.root.view).cmp(&(b.used_at, &b.project, &b.root.view)));
        if let Some(unused_for) = options.unused_for {
            let latest = SystemTime::now().checked_sub(unused_for).map(Timestamp::from);
            candidates.retain(|candidate| latest.is_some_and(|latest| candidate.used_at.is_none_or(|used| used <= latest)));
        }
        let mut space = Space::of(&store, gc)?;
        let mut taken = Vec::new();
        for candidate in candidates {
            if options.keep_bytes.is_some_and(|keep| space.left_bytes <= keep) {
                break;
            }
            let freed_bytes = space.take(&store, &candidate.root)?;
            taken.push((candidate, freed_bytes));
        }
        if options.keep_bytes.is_some() {
            // One whose content others keep was in vain.
            let mut needed = Vec::new();
            for (candidate, freed_bytes) in taken.into_iter().rev() {
                match space.is_kept(&candidate.root) {
                    true => space.put_back(&candidate.root),
                    false => needed.push((candidate, freed_bytes)),
                }
            }
            needed.reverse();
            taken = needed;
        }
        Ok(EvictionPlan {
            models: taken.into_iter().map(|(candidate, freed_bytes)| candidate.evicted(freed_bytes)).collect(),
            blobs: space.gone.iter().map(|(sha256, size)| BlobReport { sha256: *sha256, size: *size }).collect(),
            freed_bytes: space.freed_bytes,
            left_bytes: space.left_bytes,
        })
    }

    /// Removes what was planned: in each project the links, then the roots, then what nothing needs any more. Returns what
    /// went, and reports which models stay because they were used or changed since.
    pub fn evict(&self, plan: &EvictionPlan) -> Result<EvictionReport> {
        let mut report = EvictionReport::default();
        let mut of_projects: BTreeMap<&Path, Vec<&EvictedModel>> = BTreeMap::new();
        for model in &plan.models {
            of_projects.entry(&model.project).or_default().push(model);
        }
        for (models_dir, models) in of_projects {
            let unused: Vec<Unused> = models
                .iter()
                .map(|model| Unused { view: model.view.clone(), check: model.check, used_at: model.used_at })
                .collect();
            let manager = self.in_project(models_dir);
            manager.require_project(models[0].uuid)?;
            let done = manager.remove_unused(&unused)?;
            for model in models {
                match done.views.contains(&model.view) {
                    true => report.models.push(model.clone()),
                    false => {
                        let text = format!("{} in {} stays: it was used or changed just now", model.view, models_dir.display());
                        self.report(&Event::Warning(text.into()));
                    }
                }
            }
            report.removal.add(done);
        }
        Ok(report)
    }

    /// The views of these roots that are still there as planned, and were not used since.
    pub(super) fn still_unused(&self, store: &Store, unused: &[Unused], roots: &[RootRecord]) -> Result<BTreeSet<ViewKey>> {
        let used = self.times_of_use(store)?;
        let is_unused = |planned: &&Unused| {
            roots.iter().any(|root| root.view == planned.view && root.check == planned.check)
                && used.get(&planned.view).is_none_or(|used| *used <= planned.used_at)
        };
        Ok(unused.iter().filter(is_unused).map(|planned| planned.view.clone()).collect())
    }

    /// The projects whose models may go, by their models directories.
    fn projects_to_evict(&self, store: &Store, named: &[PathBuf]) -> Result<Vec<(Uuid, PathBuf)>> {
        if named.is_empty() {
            let own = Project::identify(&*self.models_disk(), &self.settings.models_dir)?;
            return Ok(own.into_iter().map(|uuid| (uuid, self.settings.models_dir.clone())).collect());
        }
        let known: Vec<_> = store.projects()?.into_iter().filter_map(|uuid| store.known_project(&uuid)).collect();
        let mut found = BTreeMap::new();
        for name in named {
            let path = self.disk.real_place(&std::path::absolute(name).unwrap_or_else(|_| name.clone()))?;
            let is_it = |at: &str| Path::new(at) == path || Path::new(at) == path.join("models");
            let Some(record) = known.iter().find(|record| is_it(&record.location.path)) else {
                let text = format!("the store knows no project `{}`", name.display());
                return Err(Error::new(ErrorKind::NotFound, text).hint(Hint::NameProject));
            };
            let models_dir = PathBuf::from(&record.location.path);
            self.in_project(&models_dir).require_project(record.uuid)?;
            found.insert(record.uuid, models_dir);
        }
        Ok(found.into_iter().collect())
    }

    /// Refuses where the models directory is not that of this project, as while its volume is not mounted.
    fn require_project(&self, uuid: Uuid) -> Result<()> {
        match Project::identify(&*self.models_disk(), &self.settings.models_dir)? {
            Some(here) if here == uuid => Ok(()),
            _ => {
                let text = format!("the project {uuid} is not in {} now", self.settings.models_dir.display());
                Err(Error::new(ErrorKind::NotFound, text).hint(Hint::NameProject))
            }
        }
    }

    /// This manager at work in another project of the store.
    fn in_project(&self, models_dir: &Path) -> Self {
        let (reporter, cancel) = (self.reporter.clone(), self.cancel.clone());
        let settings = Settings { models_dir: models_dir.to_owned(), store: Some(self.store_dir()), ..(*self.settings).clone() };
        Self::of(self.session.with_settings(settings), super::Call { reporter, cancel })
    }

    fn candidates(&self, store: &Store, uuid: Uuid, models_dir: &Path) -> Result<Vec<Candidate>> {
        let used = self.in_project(models_dir).times_of_use(store)?;
        let candidate = |root: RootRecord| {
            let used_at = used.get(&root.view).copied().flatten();
            Candidate { root, uuid, project: models_dir.to_owned(), used_at }
        };
        Ok(store.roots_of(&uuid)?.into_iter().map(candidate).collect())
    }

    /// When each view of the models directory was last used.
    fn times_of_use(&self, store: &Store) -> Result<HashMap<ViewKey, Option<Timestamp>>> {
        let time = |listed: ListedModel| listed.view.map(|view| (view, listed.used_at));
        Ok(self.list_with_use(store)?.into_iter().filter_map(time).collect())
    }
}

impl Candidate {
    fn evicted(self, freed_bytes: u64) -> EvictedModel {
        let Self { root, uuid, project, used_at } = self;
        let total_bytes = root.files.iter().map(|file| file.size).sum();
        EvictedModel { view: root.view, project, used_at, total_bytes, freed_bytes, uuid, check: root.check }
    }
}

/// What the store takes, and who needs it, while views are taken out of it one after the other.
struct Space {
    /// In how many places of roots a blob stands. Those that running processes need have one more.
    uses: HashMap<Sha256Digest, usize>,
    /// Blobs that nothing needs any more, and their lengths.
    gone: BTreeMap<Sha256Digest, u64>,
    freed_bytes: u64,
    left_bytes: u64,
}

impl Space {
    fn of(store: &Store, gc: GcOptions) -> Result<Self> {
        let mut uses: HashMap<Sha256Digest, usize> =
            store.users()?.into_iter().map(|(digest, users)| (digest, users.len())).collect();
        let leased = store.leased()?;
        let mut stored = 0;
        for digest in store.blobs()? {
            stored += store.stat(&digest)?.map_or(0, |stat| stat.allocated);
            if leased.contains(&digest) {
                *uses.entry(digest).or_default() += 1;
            }
        }
        let plan = store.plan_collection(gc, SystemTime::now())?;
        let unneeded: u64 = plan.blobs.iter().map(|blob| blob.frees).sum();
        Ok(Self { uses, gone: BTreeMap::new(), freed_bytes: 0, left_bytes: stored.saturating_sub(unneeded) })
    }

    /// Takes a view out; the bytes that its blobs give back.
    fn take(&mut self, store: &Store, root: &RootRecord) -> Result<u64> {
        let mut freed = 0;
        for file in &root.files {
            let uses = self.uses.entry(file.sha256).or_default();
            *uses = uses.saturating_sub(1);
            if *uses == 0
                && !self.gone.contains_key(&file.sha256)
                && let Some(stat) = store.stat(&file.sha256)?
            {
                freed += if stat.nlink > 1 { 0 } else { stat.allocated };
                self.gone.insert(file.sha256, stat.len);
            }
        }
        self.freed_bytes += freed;
        self.left_bytes = self.left_bytes.saturating_sub(freed);
        Ok(freed)
    }

    /// Whether something else needs all that a view that was taken out has.
    fn is_kept(&self, root: &RootRecord) -> bool {
        root.files.iter().all(|file| self.uses.get(&file.sha256).is_some_and(|uses| *uses > 0))
    }

    fn put_back(&mut self, root: &RootRecord) {
        root.files.iter().for_each(|file| *self.uses.entry(file.sha256).or_default() += 1);
    }
}
