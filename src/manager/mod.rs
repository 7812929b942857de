//! One file per use-case. The manager decides what happens in which order; how it is done is the other rooms' business.

mod add;
mod apps;
mod assemble;
mod batch;
mod beginning;
mod borrow;
mod bounds;
mod collect;
mod doctor;
mod download;
mod evict;
mod fetch;
mod info;
mod inspect;
mod known_stores;
mod lint;
mod list;
mod lock;
mod move_store;
mod name;
mod nameable;
mod network;
mod path;
mod plan;
mod projects;
mod registry_file;
mod remove;
mod repair;
mod report;
mod request;
mod search;
mod session;
mod sync;
mod unregister;
mod usage;
mod use_model;
mod verify;

use batch::Batch;

pub use crate::source::{FoundRepo, SearchLimit, SearchOrder, SearchQuery};
pub use add::{AddReport, AddRequest};
pub use apps::{AdoptOptions, DedupeOptions, DedupePlan, ExposeTarget};
pub use lint::{LintReport, LintTotals};
pub use move_store::StoreSwitch;
pub use name::ModelName;
pub(crate) use nameable::NameableModel;
pub use plan::choose::Companions;
pub use report::*;
pub use request::{DownloadOptions, LockOptions, Selector, SyncOptions};
pub use session::{Call, Session};
pub use unregister::UnregisterReport;
pub use use_model::{UseOptions, UsePlan, UseReport};

use apps::supply::AppFiles;

use crate::{
    disk::{Disk, Space},
    error::Result,
    event::{Event, Reporter, Warning},
    hint::Hint,
    names::SourceId,
    notice::Notice,
    registry::Registry,
    settings::Settings,
    source::{ConnectedSources, Source},
    store::{Project, STORE_DIR, Store, StoreError, Wait, require_folder_or_nothing},
    transfer::TransferError,
    view::Views,
};
use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// How long work has to stop by itself after it was asked to.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// A [`Session`] at work for one call: everything that can be done with models, over one models directory and one store.
///
/// All use-cases block the caller until they are done. It sees the registry as it is when the call first needs it, so a
/// program that runs for long makes one for each call, which costs nothing.
pub struct ModelManager {
    session: Session,
    // Of the session and the call, at hand for the use-cases.
    settings: Arc<Settings>,
    disk: Arc<dyn Disk>,
    reporter: Arc<dyn Reporter>,
    cancel: CancellationToken,
    /// Read when it is first asked for: much can be done without it.
    registry: OnceLock<Arc<Registry>>,
    /// The session's sources, which tell this call's reporter.
    sources: OnceLock<ConnectedSources>,
    /// What applications have, read when something of theirs may be wanted.
    app_files: OnceLock<AppFiles>,
    /// Where it carries out one of several plans of a command.
    batch: Option<Arc<Batch>>,
}

impl ModelManager {
    /// A session of its own for one call. Refuses a registry file that is not there, and touches nothing. The registry is read
    /// when it is first needed, so that a slip in it keeps nobody from what needs none, such as listing and making room.
    ///
    /// # Errors
    /// Where `settings.config` names a file that is not there or is none.
    pub fn new(settings: Settings, reporter: Arc<dyn Reporter>) -> Result<Self> {
        Ok(Session::new(settings)?.blocking(Call::reporting_to(reporter)))
    }

    /// A session that works for a call.
    fn of(session: Session, Call { reporter, cancel }: Call) -> Self {
        let (settings, disk) = (session.settings.clone(), session.disk.clone());
        Self {
            session,
            settings,
            disk,
            reporter,
            cancel,
            registry: OnceLock::new(),
            sources: OnceLock::new(),
            app_files: OnceLock::new(),
            batch: None,
        }
    }

    /// The session.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Its settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Its registry; fails if that cannot be read. Errors of single entries are reported once.
    ///
    /// # Errors
    /// Where the file cannot be read or is no registry.
    pub fn registry(&self) -> Result<&Registry> {
        if let Some(registry) = self.registry.get() {
            return Ok(registry);
        }
        let read = self.session.registry()?;
        let mut is_first = false;
        let registry = self.registry.get_or_init(|| {
            is_first = true;
            read
        });
        // Of several threads that need it at once, one reports.
        if let Some(warning) = unusable(registry).filter(|_| is_first) {
            self.report(&Event::Warning(warning));
        }
        Ok(registry)
    }

    /// The same without telling anything.
    fn read_registry(&self) -> Result<&Registry> {
        let registry = self.session.registry()?;
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
                self.remember(&store);
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
        // A record that cannot be read is reported by the commands that need it, and by `doctor`.
        if let Err(error) = settled.or_else(|error| if matches!(error, StoreError::BadRecord { .. }) { Ok(()) } else { Err(error) })
        {
            let text = format!("the store cannot record where {} is now: {error}", self.settings.models_dir.display());
            self.report(&Event::Warning(text.into()));
        }
    }

    /// The store; it and the models directory are made if they are missing.
    pub(crate) fn store(&self) -> Result<Store> {
        require_folder_or_nothing(&*self.disk, &self.settings.models_dir)?;
        self.disk.create_dirs(&self.settings.models_dir, 0o755)?;
        let store = Store::open_or_init(self.models_disk(), &self.store_dir(), false)?.waiting(self.wait());
        self.remember(&store);
        Ok(store)
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
    fn ask<T: Send>(&self, questions: impl Future<Output = Result<T>> + Send) -> Result<T> {
        self.block_on(async {
            tokio::select! {
                result = questions => result,
                () = self.cancel.cancelled() => Err(TransferError::Cancelled.into()),
            }
        })
    }

    /// Runs network work to its end. Writing and hashing happen on a few blocking threads beside it.
    fn block_on<T: Send>(&self, work: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let threads = self.session.network.threads()?;
        let cancel = self.cancel.clone();
        threads.block_on(async {
            tokio::pin!(work);
            tokio::select! {
                result = &mut work => result,
                () = cancel.cancelled() => {
                    // What runs notices by itself and leaves a state that can go on.
                    match tokio::time::timeout(STOP_GRACE, &mut work).await {
                        Ok(result) => result,
                        Err(_) => {
                            // What does not notice may hold up its threads.
                            self.session.network.give_up(&threads);
                            Err(TransferError::Cancelled.into())
                        }
                    }
                }
            }
        })
    }

    /// The sources of the session, which tell this call's reporter.
    fn sources(&self) -> Result<&ConnectedSources> {
        if let Some(sources) = self.sources.get() {
            return Ok(sources);
        }
        let sources = self.session.network.sources(&*self.disk)?.for_listener(&self.reporter);
        Ok(self.sources.get_or_init(|| sources))
    }

    /// The source that knows this name.
    fn source_of(&self, id: &SourceId) -> Result<&Arc<dyn Source>> {
        Ok(self.sources()?.of(id)?)
    }

    pub(crate) fn report_notices(&self, notices: &[Notice]) {
        notices.iter().for_each(|notice| self.report(&Event::Notice(notice.clone())));
    }

    pub(crate) fn report(&self, event: &Event) {
        self.reporter.event(event);
    }
}

/// What is wrong with entries of a registry, in a line.
fn unusable(registry: &Registry) -> Option<Warning> {
    const SHOWN: usize = 3;
    let bad = registry.bad_entries();
    let shown: Vec<String> = bad.iter().take(SHOWN).map(|bad| bad.error.in_short()).collect();
    let more = bad.len().saturating_sub(SHOWN);
    let text = format!("entries of the registry that cannot be used are left out: {}", shown.join("; "));
    (!bad.is_empty()).then(|| match more {
        0 => text.into(),
        more => Warning::with_hint(format!("{text}; and {more} more"), Hint::ListBadEntries),
    })
}
