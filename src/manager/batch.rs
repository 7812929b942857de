//! Several plans of one command, carried out side by side over one connection budget.
//!
//! Each plan is carried out as if it were alone: with a lease, locks, a root and a view of its own, in the order that
//! `download.rs` keeps. Plans that want the same content or show the same view follow each other, so that nothing is fetched
//! twice and no thread of this process waits for a lock of another.

use super::{
    DownloadReport, FileSupply, ModelManager,
    plan::{Plan, PlannedFile},
};
use crate::{
    disk::limits::{OpenFiles, spare_threads},
    error::{Error, Result},
    event::{Event, Reporter},
    http::Http,
    names::RelPath,
    store::{IngestKey, Store, StoreError, ViewKey},
    transfer::{Budget, TransferError},
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    mem,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// Plans that are carried out at once. Each has at least one connection, and more of them would only divide what the line
/// gives into smaller parts.
const LANES: usize = 4;
/// Who waits for locks no longer than this would be refused by another thread of its own process.
const PATIENCE: Duration = Duration::from_secs(1);

/// Plans anew under a lease, where what was found was collected meanwhile.
pub(super) type Again<'a> = Box<dyn Fn(&ModelManager, &Store) -> Result<Plan> + Send + Sync + 'a>;

/// A plan with what carrying it out needs.
pub(super) struct Step<'a> {
    pub(super) plan: Plan,
    pub(super) existing: Option<Store>,
    pub(super) again: Again<'a>,
}

/// How a step ended, and how long it took.
pub(super) type Ended = (Result<DownloadReport>, Duration);

/// What the plans of a batch share while they are carried out.
pub(super) struct Batch {
    lanes: usize,
    /// Bytes of each content that is to be fetched.
    sizes: Vec<u64>,
    budget: OnceLock<Budget>,
    /// Files that are in the total already.
    announced: Mutex<BTreeSet<(ViewKey, RelPath)>>,
}

impl Batch {
    /// The connections of all plans together.
    pub(super) fn budget(&self, http: &Http, manager: &ModelManager) -> &Budget {
        self.budget.get_or_init(|| Budget::new(http, manager.connections(), self.sizes.iter().copied()))
    }

    /// Of so many files that may be open at once, the part of one plan.
    pub(super) fn part_of(&self, files: usize) -> usize {
        (files / self.lanes).max(1)
    }

    /// What must travel for a plan and is in no total yet.
    pub(super) fn unannounced<'p>(&self, plan: &'p Plan) -> Vec<&'p PlannedFile> {
        let mut announced = locked(&self.announced);
        let is_new = |file: &&PlannedFile| announced.insert((plan.target.view.clone(), file.path.clone()));
        plan.missing().into_values().filter(is_new).collect()
    }
}

impl ModelManager {
    /// Connections that may be open at once, as far as the system allows them.
    pub(super) fn connections(&self) -> crate::settings::Connections {
        self.settings.network.connections.at_most(OpenFiles::now().connections)
    }

    /// Carries out all steps, and gives how each ended, in their order. One that fails keeps no other back.
    pub(super) fn execute_all(&self, steps: Vec<Step<'_>>) -> Vec<Ended> {
        if let [_] | [] = &*steps {
            return steps.into_iter().map(|step| self.execute_step(step)).collect();
        }
        let mut ends: Vec<Option<Ended>> = steps.iter().map(|_| None).collect();
        let steps = self.those_with_room(steps, &mut ends);
        let groups = groups(&steps);
        let lanes = self.lanes(groups.len());
        let batch = Arc::new(self.announce(&steps, lanes));
        let mut steps: Vec<Option<Step<'_>>> = steps.into_iter().map(|(_, step)| step).collect();
        let queue: VecDeque<Vec<(usize, Step<'_>)>> = groups
            .into_iter()
            .map(|group| group.into_iter().filter_map(|number| Some((number, steps[number].take()?))).collect())
            .collect();
        let (queue, done) = (Mutex::new(queue), Mutex::new(mem::take(&mut ends)));
        let work = || {
            loop {
                // Not in the condition of the loop, which would hold it while a group is carried out.
                let group = locked(&queue).pop_front();
                let Some(group) = group else { return };
                for (number, step) in group {
                    let ended = match self.cancel.is_cancelled() {
                        true => (Err(TransferError::Cancelled.into()), Duration::ZERO),
                        false => self.lane(&step.plan, &batch).execute_step(step),
                    };
                    locked(&done)[number] = Some(ended);
                }
            }
        };
        thread::scope(|scope| {
            for _ in 1..lanes {
                // Where the system has no thread for it, the others do its work.
                let _ = thread::Builder::new().name("model-manager-lane".into()).spawn_scoped(scope, work);
            }
            work();
        });
        let done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.into_iter().flatten().collect()
    }

    fn execute_step(&self, Step { plan, existing, again }: Step<'_>) -> Ended {
        let begun = Instant::now();
        (self.execute(plan, existing, &|store| again(self, store)), begun.elapsed())
    }

    /// How many plans are carried out at once.
    fn lanes(&self, groups: usize) -> usize {
        if self.settings.lock_timeout.is_some_and(|timeout| timeout < PATIENCE) {
            return 1;
        }
        let most = groups.min(LANES).min(self.settings.network.connections.usual).max(1);
        1 + spare_threads(most - 1)
    }

    /// A manager for one plan of a batch, whose events say which view they are about.
    fn lane(&self, plan: &Plan, batch: &Arc<Batch>) -> Self {
        let (view, listener) = (plan.target.view.to_string(), self.reporter.clone());
        Self {
            session: self.session.clone(),
            settings: self.settings.clone(),
            disk: self.disk.clone(),
            reporter: Arc::new(LaneReporter { view, listener }),
            cancel: self.cancel.clone(),
            registry: self.registry.clone(),
            sources: OnceLock::new(),
            app_files: OnceLock::new(),
            batch: Some(batch.clone()),
        }
    }

    /// Says what all steps will fetch, each content once.
    fn announce(&self, steps: &[(usize, Option<Step<'_>>)], lanes: usize) -> Batch {
        let plans = || steps.iter().filter_map(|(_, step)| Some(&step.as_ref()?.plan));
        let missing: BTreeMap<IngestKey, u64> = plans().flat_map(Plan::missing).map(|(key, file)| (key, file.to_fetch())).collect();
        let announced = plans().flat_map(|plan| {
            let missing = plan.files.iter().filter(|file| file.is_missing());
            missing.map(|file| (plan.target.view.clone(), file.path.clone()))
        });
        if !missing.is_empty() {
            self.report(&Event::Planned { files: missing.len(), bytes: missing.values().sum() });
        }
        Batch { lanes, sizes: missing.into_values().collect(), budget: OnceLock::new(), announced: Mutex::new(announced.collect()) }
    }

    /// Of these steps those for which there is room beside all before them: side by side they would otherwise all run out of
    /// it. The number of each is its place in `ends`.
    fn those_with_room<'a>(&self, steps: Vec<Step<'a>>, ends: &mut [Option<Ended>]) -> Vec<(usize, Option<Step<'a>>)> {
        let mut taken: BTreeMap<IngestKey, u64> = BTreeMap::new();
        let mut fitting = Vec::new();
        for (number, step) in steps.into_iter().enumerate() {
            let mut with_it = taken.clone();
            with_it.extend(step.plan.rooms(step.existing.as_ref()));
            let need = with_it.values().sum();
            match self.require_room(step.existing.as_ref(), need) {
                Ok(()) => {
                    taken = with_it;
                    fitting.push((number, Some(step)));
                }
                Err(error) => {
                    ends[number] = Some((Err(error), Duration::ZERO));
                    fitting.push((number, None));
                }
            }
        }
        fitting
    }

    fn require_room(&self, store: Option<&Store>, need: u64) -> Result<()> {
        match (store, self.space_for_new_store()) {
            (Some(store), _) => Ok(store.require_space(need)?),
            (None, Some(space)) if space.available < need => {
                Err(Error::from(StoreError::NoSpace { path: self.store_dir(), need, free: space.available }))
            }
            (None, _) => Ok(()),
        }
    }
}

/// Steps that want the same content or view, in the order of their first.
fn groups(steps: &[(usize, Option<Step<'_>>)]) -> Vec<Vec<usize>> {
    let mut groups: Vec<(BTreeSet<Claim<'_>>, Vec<usize>)> = Vec::new();
    for (number, step) in steps {
        let Some(step) = step else { continue };
        let mut claims = claims_of(&step.plan);
        let mut numbers = vec![*number];
        let mut apart = Vec::new();
        let mut at = None;
        for (others, members) in groups {
            if others.is_disjoint(&claims) {
                apart.push((others, members));
                continue;
            }
            at.get_or_insert(apart.len());
            claims.extend(others);
            numbers.extend(members);
        }
        numbers.sort_unstable();
        apart.insert(at.unwrap_or(apart.len()), (claims, numbers));
        groups = apart;
    }
    groups.into_iter().map(|(_, numbers)| numbers).collect()
}

/// What only one plan at a time may work on.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Claim<'a> {
    View(&'a ViewKey),
    Content(IngestKey),
}

fn claims_of(plan: &Plan) -> BTreeSet<Claim<'_>> {
    let contents = plan.files.iter().filter(|file| file.supply != FileSupply::Present).map(|file| Claim::Content(file.key()));
    contents.chain([Claim::View(&plan.target.view)]).collect()
}

/// Tells of a plan's files with the view before their names: several views may have files of one name.
struct LaneReporter {
    view: String,
    listener: Arc<dyn Reporter>,
}

impl Reporter for LaneReporter {
    fn event(&self, event: &Event) {
        let mut event = event.clone();
        match &mut event {
            Event::FileStarted { file, .. }
            | Event::Progress { file, .. }
            | Event::Hashing { file, .. }
            | Event::Awaited { file, .. }
            | Event::Borrowed { file, .. }
            | Event::FileFinished { file, .. }
            | Event::FileFailed { file }
                if !file.starts_with(&self.view) && !Path::new(&file).is_absolute() =>
            {
                *file = format!("{}/{file}", self.view);
            }
            _ => {}
        }
        self.listener.event(&event);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
