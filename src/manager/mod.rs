//! One file per use-case. The manager decides what happens in which order; how it is done is the other rooms' business.

mod add;
pub(crate) mod bounds;
mod choose;
mod collect;
mod doctor;
mod download;
mod index;
mod info;
mod inspect;
mod lint;
mod list;
mod lock;
mod lock_check;
mod lock_entry;
mod lock_file;
mod lock_projector;
mod lock_report;
mod memory;
mod path;
mod plan;
mod projects;
mod registry_file;
mod remove;
mod repair;
mod report;
mod sync;
mod target;
mod use_model;
mod verify;

pub use add::{AddReport, AddRequest};
pub use choose::WithProjector;
pub use lint::{LintReport, Linted};
pub use lock_report::*;
pub use memory::{MemoryReport, MemoryVerdict};
pub use report::*;
pub use use_model::{UseOptions, UsePlan, UseReport};

use crate::{
    disk::{Disk, RealDisk, Space, limits},
    error::{Error, ErrorKind, Result},
    event::{Event, Reporter},
    registry::Registry,
    settings::Settings,
    store::{Project, STORE_DIR, Store, StoreError, Wait, require_folder_or_nothing},
    transfer::TransferError,
    view::Views,
};
use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

/// Threads that read what comes.
const NETWORK_THREADS: usize = 2;
/// Threads that write and hash: enough to keep two cores and a disk busy, with two to spare for syncing.
const BLOCKING_THREADS: usize = 6;
/// How long such a thread stays without work.
const THREADS_STAY: Duration = Duration::from_secs(3600);
/// How long work has to stop by itself after it was asked to.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// Everything that can be done with models, over one models directory and one store.
pub struct ModelManager {
    settings: Settings,
    disk: Arc<dyn Disk>,
    /// Read when it is first asked for: much can be done without it.
    registry: OnceLock<Registry>,
    reporter: Arc<dyn Reporter>,
    cancel: CancellationToken,
}

impl ModelManager {
    /// A manager with these settings. Refuses a registry file that is not there, and touches nothing. The registry is read
    /// when it is first needed, so that a slip in it keeps nobody from what needs none, such as listing and making room.
    pub fn new(settings: Settings, reporter: Arc<dyn Reporter>) -> Result<Self> {
        if let Some(path) = &settings.config {
            registry_file::require_named(&RealDisk, path)?;
        }
        Ok(Self::with(settings, OnceLock::new(), reporter))
    }

    /// A manager with a registry that is read already; `settings.config` is not looked at.
    pub fn with_registry(settings: Settings, registry: Registry, reporter: Arc<dyn Reporter>) -> Self {
        Self::with(settings, registry.into(), reporter)
    }

    fn with(settings: Settings, registry: OnceLock<Registry>, reporter: Arc<dyn Reporter>) -> Self {
        Self { settings, disk: Arc::new(RealDisk), registry, reporter, cancel: CancellationToken::new() }
    }

    /// Its settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Its registry; fails where that cannot be read. What is wrong with single entries is told once.
    pub fn registry(&self) -> Result<&Registry> {
        if let Some(registry) = self.registry.get() {
            return Ok(registry);
        }
        let registry = self.read_registry()?;
        if let Some(text) = unusable(registry) {
            self.report(&Event::Warning(text));
        }
        Ok(registry)
    }

    /// The same without telling anything.
    fn read_registry(&self) -> Result<&Registry> {
        let registry = match &self.settings.config {
            None => Registry::built_in(),
            Some(path) => Registry::parse(&registry_file::read_named(&*self.disk, path)?, &path.display().to_string())?,
        };
        Ok(self.registry.get_or_init(|| registry))
    }

    /// Cancelling this ends what the manager is doing, in a state from which it can go on.
    pub fn cancel_token(&self) -> CancellationToken {
        self.cancel.clone()
    }

    /// Where the store is, or would be made.
    pub fn store_dir(&self) -> PathBuf {
        self.settings.store.clone().unwrap_or_else(|| self.settings.models_dir.join(STORE_DIR))
    }

    /// The store, if there is one.
    pub(crate) fn existing_store(&self) -> Result<Option<Store>> {
        match Store::open(self.models_disk(), &self.store_dir()) {
            Ok(store) => {
                let store = store.waiting(self.wait());
                self.note_place(&store);
                Ok(Some(store))
            }
            Err(StoreError::Absent { .. }) => {
                // Without its folder nothing is there to be listed, which is not the same as an empty one.
                require_folder_or_nothing(&*self.disk, &self.settings.models_dir)?;
                Ok(None)
            }
            // An initialisation that was cut short is completed by the next command that writes.
            Err(StoreError::NotAStore { .. }) if self.settings.store.is_none() => Ok(None),
            Err(StoreError::NotAStore { .. }) if Store::is_unfinished(&*self.disk, &self.store_dir())? => Ok(None),
            // Another process may have completed it since we looked.
            Err(StoreError::NotAStore { .. }) => Ok(Some(Store::open(self.models_disk(), &self.store_dir())?.waiting(self.wait()))),
            Err(error) => Err(error.into()),
        }
    }

    /// Notes where a moved project is now, and gives a copied one roots of its own. For a command that only reads this is
    /// by the way; one that writes meets the error again.
    fn note_place(&self, store: &Store) {
        let settled = Project::settle(store, &self.settings.models_dir);
        // A record that cannot be read is told by the commands that need it, and by `doctor`.
        if let Err(error) = settled.or_else(|error| if matches!(error, StoreError::BadRecord { .. }) { Ok(()) } else { Err(error) })
        {
            let text = format!("the store cannot be told where {} is now: {error}", self.settings.models_dir.display());
            self.report(&Event::Warning(text));
        }
    }

    /// The store; it and the models directory are made if they are missing.
    pub(crate) fn store(&self) -> Result<Store> {
        require_folder_or_nothing(&*self.disk, &self.settings.models_dir)?;
        self.disk.create_dirs(&self.settings.models_dir, 0o755)?;
        Ok(Store::open_or_init(self.models_disk(), &self.store_dir(), false)?.waiting(self.wait()))
    }

    /// The disk, with the models directory entered by handle: the store writes the project's file there, and takes files in.
    pub(crate) fn models_disk(&self) -> Arc<dyn Disk> {
        self.disk.clone().confined(&self.settings.models_dir)
    }

    pub(crate) fn views(&self, store: Option<Store>) -> Views {
        Views::new(self.disk.clone(), self.settings.models_dir.clone(), store)
    }

    pub(crate) fn wait(&self) -> Wait {
        Wait::new(self.settings.lock_timeout, self.reporter.clone(), self.cancel.clone())
    }

    /// Room on the volume where the store would be made.
    pub(crate) fn space_for_new_store(&self) -> Option<Space> {
        let dir = self.store_dir();
        dir.ancestors().find_map(|dir| self.disk.space(dir).ok())
    }

    /// Runs questions to the Hub to their end, or until the user stops them: they leave nothing that would have to end well.
    fn ask<T>(&self, questions: impl Future<Output = Result<T>>) -> Result<T> {
        self.block_on(async {
            tokio::select! {
                result = questions => result,
                () = self.cancel.cancelled() => Err(TransferError::Cancelled.into()),
            }
        })
    }

    /// Runs network work to its end. Writing and hashing happen on a few blocking threads beside it.
    fn block_on<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let runtime = runtime(limits::spare_threads(NETWORK_THREADS + BLOCKING_THREADS))?;
        let cancel = self.cancel.clone();
        runtime.block_on(async {
            tokio::pin!(work);
            tokio::select! {
                result = &mut work => result,
                () = cancel.cancelled() => {
                    // What runs notices by itself and leaves a state that can go on.
                    match tokio::time::timeout(STOP_GRACE, &mut work).await {
                        Ok(result) => result,
                        Err(_) => Err(TransferError::Cancelled.into()),
                    }
                }
            }
        })
    }

    pub(crate) fn report(&self, event: &Event) {
        self.reporter.event(event);
    }
}

/// What is wrong with entries of a registry, in a line.
fn unusable(registry: &Registry) -> Option<String> {
    const SHOWN: usize = 3;
    let bad = registry.bad_entries();
    let shown: Vec<String> = bad.iter().take(SHOWN).map(|bad| bad.error.in_short()).collect();
    let more = match bad.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!("; and {more} more, which `model-manager lint` lists"),
    };
    (!bad.is_empty()).then(|| format!("entries of the registry that cannot be used are left out: {}{more}", shown.join("; ")))
}

/// What runs network work on so many threads beside the caller's, of which it needs one at least: names are looked up and
/// files are written there.
fn runtime(threads: usize) -> Result<Runtime> {
    let no_threads = || {
        let why = "cannot start the threads for network work: the system allows this user no more";
        Error::new(ErrorKind::Failed, why).hint(
            "End other programs of this user, or allow more processes with `ulimit -u unlimited` or in the container's \
             settings (`pids.max`), and run the command again.",
        )
    };
    let (mut builder, blocking) = match threads.checked_sub(NETWORK_THREADS) {
        _ if threads == 0 => return Err(no_threads()),
        None | Some(0) => (Builder::new_current_thread(), threads),
        Some(blocking) => (Builder::new_multi_thread(), blocking),
    };
    builder
        .worker_threads(NETWORK_THREADS)
        .max_blocking_threads(blocking)
        // A thread that ended might not be had again, and what waits for one would wait for ever.
        .thread_keep_alive(THREADS_STAY)
        .enable_all()
        .build()
        .map_err(|error| Error::of_system("cannot start the threads for network work", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_work_runs_on_however_few_threads_there_are_but_on_none() {
        for threads in [1, 2, 3, NETWORK_THREADS + BLOCKING_THREADS] {
            let runtime = runtime(threads).unwrap();
            let sum = runtime.block_on(async {
                let all = (0..20).map(|n| tokio::spawn(async move { tokio::task::spawn_blocking(move || n).await.unwrap() }));
                let mut sum = 0;
                for one in all.collect::<Vec<_>>() {
                    sum += one.await.unwrap();
                }
                sum
            });
            assert_eq!(sum, 190, "{threads}");
        }
        let error = runtime(0).unwrap_err();
        assert!(error.message().contains("allows this user no more"), "{error}");
        assert!(error.next_step().unwrap().contains("`ulimit -u unlimited`"));
    }
}
