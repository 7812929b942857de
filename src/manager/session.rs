//! One long-lived [`Session`] for any number of calls, and what belongs to one of them: a [`Call`].
//!
//! Use-cases wait for file locks, write and hash files: they are blocking code, and their network part runs on the threads
//! of the session. So a use-case is a method of [`ModelManager`], which is a session at work for one call; the asynchronous
//! methods of [`Session`] run it on a thread of its own.

use super::{
    AddReport, AddRequest, DownloadOptions, DownloadReport, InfoModel, LintReport, LockOptions, LockReport, ModelManager,
    PlanReport, RepairReport, Selector, SyncOptions, SyncReport, known_stores,
    network::{SessionNetwork, no_thread},
    registry_file::{self, RegistryFile},
};
use crate::{
    disk::{Disk, RealDisk},
    error::{Error, ErrorKind, Result},
    event::{Reporter, Silent},
    hint::Hint,
    registry::Registry,
    settings::Settings,
    source::{FoundRepo, SearchQuery, Sources},
    store::{CheckMode, KnownStores},
};
use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
    thread,
    time::Duration,
};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// Settings, a disk, one HTTP client, one set of network threads, and the registry as its file says it now: all that calls
/// share. A clone is the same session.
///
/// Nothing is read and nothing started before it is needed. The HTTP client, its open connections and the pauses that
/// servers asked for last as long as the session. The registry's file is looked at by each call: one that needs it sees it as
/// it then is, until its end. Where the file cannot be read any more, calls that need it fail and say why; others go on.
#[derive(Clone)]
pub struct Session {
    pub(super) settings: Arc<Settings>,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) network: Arc<SessionNetwork>,
    registry: Arc<RegistryFile>,
    known_stores: Option<Arc<KnownStores>>,
}

/// Who hears of one call, and what stops it. Calls of one session do not disturb each other.
#[derive(Clone)]
pub struct Call {
    /// Receives the events of this call.
    pub(super) reporter: Arc<dyn Reporter>,
    /// Stops it.
    pub(super) cancel: CancellationToken,
}

impl Call {
    /// A call that tells this reporter what happens.
    pub fn new(reporter: impl Reporter + 'static) -> Self {
        Self::reporting_to(Arc::new(reporter))
    }

    /// The same for a reporter that is shared.
    pub fn reporting_to(reporter: Arc<dyn Reporter>) -> Self {
        Self { reporter, cancel: CancellationToken::new() }
    }

    /// The same call, stopped when `cancel` is cancelled. What arrived until then is kept, and the next download resumes
    /// from there.
    #[must_use]
    pub fn stopped_by(self, cancel: CancellationToken) -> Self {
        Self { cancel, ..self }
    }
}

impl Default for Call {
    /// A call that nobody hears of.
    fn default() -> Self {
        Self::new(Silent)
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("cancel", &self.cancel).finish_non_exhaustive()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Session {
    /// A session with these settings. Refuses a registry file that is not there, and touches nothing.
    ///
    /// # Errors
    /// Where `settings.config` names a file that is not there or is none.
    pub fn new(settings: Settings) -> Result<Self> {
        Self::on(settings, Arc::new(RealDisk))
    }

    /// The same on another disk than that of the system.
    ///
    /// # Errors
    /// Where `settings.config` names a file that is not there or is none.
    #[cfg(feature = "unstable")]
    pub fn on_disk(settings: Settings, disk: Arc<dyn Disk>) -> Result<Self> {
        Self::on(settings, disk)
    }

    fn on(settings: Settings, disk: Arc<dyn Disk>) -> Result<Self> {
        if let Some(path) = &settings.config {
            registry_file::require_named(&*disk, path)?;
        }
        let registry = Arc::new(RegistryFile::named(settings.config.clone()));
        Ok(Self::of(settings, disk, registry))
    }

    /// A session with a registry that is read already: `settings.config` is then only where entries are written, and need not
    /// be there.
    pub fn for_registry(settings: Settings, registry: Registry) -> Self {
        Self::of(settings, Arc::new(RealDisk), Arc::new(RegistryFile::given(registry)))
    }

    fn of(settings: Settings, disk: Arc<dyn Disk>, registry: Arc<RegistryFile>) -> Self {
        let network = Arc::new(SessionNetwork::new(settings.network.clone(), Sources::new()));
        let known_stores = known_stores::of_user(&disk, settings.known_stores.as_ref());
        Self { settings: Arc::new(settings), disk, network, registry, known_stores }
    }

    /// The same session with another registry that is read already.
    #[must_use]
    pub fn with_registry(&self, registry: Registry) -> Self {
        Self { registry: Arc::new(RegistryFile::given(registry)), ..self.clone() }
    }

    /// The same session, which asks these sources of the program's own too, or in place of the Hub. It has a client of its own.
    #[must_use]
    pub fn with_sources(&self, sources: Sources) -> Self {
        Self { network: Arc::new(SessionNetwork::new(self.settings.network.clone(), sources)), ..self.clone() }
    }

    /// A session with other settings, which shares the client where those of the network are the same. A registry that was
    /// given stays, and so do the program's own sources.
    #[must_use]
    pub fn with_settings(&self, settings: Settings) -> Self {
        let network = match self.network.has(&settings.network) {
            true => self.network.clone(),
            false => Arc::new(self.network.with_settings(settings.network.clone())),
        };
        // The built-in registry gives way to the file that `add` makes in one project, not in others.
        let is_same_file = settings.config == self.settings.config
            && (settings.config.is_some() || settings.models_dir == self.settings.models_dir);
        let registry = match self.registry.is_given() || is_same_file {
            true => self.registry.clone(),
            false => Arc::new(RegistryFile::named(settings.config.clone())),
        };
        let known_stores = match settings.known_stores == self.settings.known_stores {
            true => self.known_stores.clone(),
            false => known_stores::of_user(&self.disk, settings.known_stores.as_ref()),
        };
        Self { network, registry, known_stores, settings: Arc::new(settings), disk: self.disk.clone() }
    }

    /// Its settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The registry as its file says it now.
    ///
    /// # Errors
    /// Where the file cannot be read or is no registry. Errors of single entries are in [`Registry::bad_entries`].
    pub fn registry(&self) -> Result<Arc<Registry>> {
        match self.network.is_of_parent() {
            // A thread that only the parent has may hold the lock of what was read last.
            true => self.registry.again().read(&*self.disk),
            false => self.registry.read(&*self.disk),
        }
    }

    /// The stores that this user's commands opened; `None` where they are to be left alone.
    pub(super) fn known_stores(&self) -> Option<&KnownStores> {
        self.known_stores.as_deref()
    }

    /// Where it has its registry from.
    pub(super) fn registry_file(&self) -> &RegistryFile {
        &self.registry
    }

    /// This session at work for one call: every use-case as a function that returns when it is done. It may be used inside
    /// of an asynchronous runtime too, whose thread it then blocks.
    ///
    /// In a forked child each call gets a client of its own: the threads of the session are in its parent.
    pub fn blocking(&self, call: Call) -> ModelManager {
        let mut session = self.clone();
        if self.network.is_of_parent() {
            session.network = Arc::new(self.network.again());
            session.registry = Arc::new(self.registry.again());
        }
        ModelManager::of(session, call)
    }

    /// Runs `work` on a thread of its own, from when the future is first polled, under any asynchronous runtime. A future
    /// that is dropped stops the call: what it does ends by itself a moment later, in a state from which it can go on.
    ///
    /// # Errors
    /// Those of `work`, and where the system allows no more threads. A panic of `work` resumes where the future is awaited.
    pub fn run<T: Send + 'static>(
        &self,
        call: Call,
        work: impl FnOnce(&ModelManager) -> Result<T> + Send + 'static,
    ) -> impl Future<Output = Result<T>> + Send + 'static {
        let session = self.clone();
        async move {
            let cancel = call.cancel.child_token();
            let stop_if_dropped = cancel.clone().drop_guard();
            let manager = session.blocking(call.stopped_by(cancel));
            let (send, receive) = oneshot::channel();
            let work = move || {
                let result = catch_unwind(AssertUnwindSafe(|| work(&manager)));
                drop(manager);
                // Nobody may be waiting any more.
                let _ = send.send(result);
            };
            thread::Builder::new().name("model-manager".into()).spawn(work).map_err(no_thread)?;
            let ended = || Error::new(ErrorKind::Failed, "the thread of this call ended without a result").hint(Hint::ReportBug);
            let result = receive.await.map_err(|_| ended())?;
            stop_if_dropped.disarm();
            result.unwrap_or_else(|panic| resume_unwind(panic))
        }
    }

    /// [`ModelManager::plan_download`], asynchronously.
    ///
    /// # Errors
    /// As there.
    pub async fn plan_download(&self, call: Call, what: Selector, options: DownloadOptions) -> Result<PlanReport> {
        self.run(call, move |manager| manager.plan_download(&what, &options)).await
    }

    /// [`ModelManager::download`], asynchronously.
    ///
    /// # Errors
    /// As there.
    pub async fn download(&self, call: Call, what: Selector, options: DownloadOptions) -> Result<DownloadReport> {
        self.run(call, move |manager| manager.download(&what, &options)).await
    }

    /// [`ModelManager::download_all`], asynchronously.
    ///
    /// # Errors
    /// Where the call itself fails; each model has its own result.
    pub async fn download_all(
        &self,
        call: Call,
        what: Vec<Selector>,
        options: DownloadOptions,
    ) -> Result<Vec<(Result<DownloadReport>, Duration)>> {
        self.run(call, move |manager| Ok(manager.download_all(&what, &options))).await
    }

    /// [`ModelManager::lock`], asynchronously.
    ///
    /// # Errors
    /// As there.
    pub async fn lock(&self, call: Call, what: Vec<Selector>, options: LockOptions) -> Result<LockReport> {
        self.run(call, move |manager| manager.lock(&what, options)).await
    }

    /// [`ModelManager::sync`], asynchronously.
    ///
    /// # Errors
    /// As there.
    pub async fn sync(&self, call: Call, options: SyncOptions) -> Result<SyncReport> {
        self.run(call, move |manager| manager.sync(options)).await
    }

    /// [`ModelManager::add`], asynchronously.
    ///
    /// # Errors
    /// As there.
    pub async fn add(&self, call: Call, request: AddRequest) -> Result<AddReport> {
        self.run(call, move |manager| manager.add(&request)).await
    }

    /// [`ModelManager::lint`], asynchronously.
    ///
    /// # Errors
    /// As there.
    pub async fn lint(&self, call: Call, online: bool) -> Result<LintReport> {
        self.run(call, move |manager| manager.lint(online)).await
    }

    /// [`ModelManager::search`], asynchronously.
    ///
    /// # Errors
    /// As there.
    pub async fn search(&self, call: Call, query: SearchQuery) -> Result<Vec<FoundRepo>> {
        self.run(call, move |manager| manager.search(&query)).await
    }

    /// [`ModelManager::info_of`], asynchronously.
    ///
    /// # Errors
    /// As there.
    pub async fn info_of(&self, call: Call, what: Selector, remote: bool) -> Result<InfoModel> {
        self.run(call, move |manager| manager.info_of(&what, remote)).await
    }

    /// [`ModelManager::verify`] and then [`ModelManager::repair`] of what it found, asynchronously.
    ///
    /// # Errors
    /// As there.
    pub async fn repair(&self, call: Call, what: Vec<Selector>, mode: CheckMode) -> Result<RepairReport> {
        self.run(call, move |manager| manager.repair(&manager.verify(&what, mode)?)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use std::{
        future::pending,
        path::Path,
        pin::pin,
        sync::{Mutex, mpsc},
        task::{Context, Poll, Wake, Waker},
    };

    const _: () = {
        const fn may_be_shared<T: Send + Sync + Clone>() {}
        may_be_shared::<Session>();
        may_be_shared::<Call>();
    };

    fn session() -> Session {
        Session::new(Settings::new("/nowhere/models")).unwrap()
    }

    /// Drives a future on this thread, without any runtime.
    fn wait_for<T>(future: impl Future<Output = T>) -> T {
        struct Unpark(thread::Thread);
        impl Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let (mut future, mut context) = (pin!(future), Context::from_waker(&waker));
        loop {
            match future.as_mut().poll(&mut context) {
                Poll::Ready(result) => return result,
                Poll::Pending => thread::park(),
            }
        }
    }

    #[test]
    fn a_call_runs_in_any_runtime_and_in_none() {
        let session = session();
        let call = || session.run(Call::default(), |manager| manager.ask(async { Ok(7) }));
        assert_eq!(wait_for(call()).unwrap(), 7);
        for mut runtime in [tokio::runtime::Builder::new_current_thread(), tokio::runtime::Builder::new_multi_thread()] {
            let runtime = runtime.worker_threads(1).build().unwrap();
            assert_eq!(runtime.block_on(call()).unwrap(), 7);
            assert_eq!(runtime.block_on(async { tokio::spawn(call()).await.unwrap() }).unwrap(), 7);
            let blocking = session.blocking(Call::default());
            assert_eq!(runtime.block_on(async { blocking.ask(async { Ok(7) }) }).unwrap(), 7);
        }
    }

    #[test]
    fn a_session_that_ends_inside_of_a_runtime_disturbs_nobody() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let session = session();
            assert_eq!(session.run(Call::default(), |manager| manager.ask(async { Ok(7) })).await.unwrap(), 7);
            drop(session);
        });
    }

    #[test]
    fn two_calls_of_a_session_have_their_own_listener_and_their_own_stop() {
        let session = session();
        let heard = [(); 2].map(|()| Arc::new(Mutex::new(Vec::new())));
        let stops = [(); 2].map(|()| CancellationToken::new());
        let (go_on, wait) = tokio::sync::oneshot::channel();
        let call = |number: usize| {
            let heard = heard[number].clone();
            Call::new(move |event: &Event| heard.lock().unwrap().push(event.clone())).stopped_by(stops[number].clone())
        };
        let notice = |text: &str| Event::Waiting { what: text.into(), holder: String::new(), since: std::time::Duration::ZERO };
        let (first, second) = (notice("first"), notice("second"));
        let (told_first, told_second) = (first.clone(), second.clone());
        let stopped = session.run(call(0), move |manager| {
            manager.report(&told_first);
            manager.ask(pending::<Result<()>>())
        });
        let goes_on = session.run(call(1), move |manager| {
            manager.report(&told_second);
            manager.ask(async { wait.await.map_err(|_| Error::new(ErrorKind::Failed, "nobody sent")) })
        });
        let running = thread::spawn(|| wait_for(goes_on));
        stops[0].cancel();
        assert_eq!(wait_for(stopped).unwrap_err().kind(), ErrorKind::Interrupted);
        go_on.send(7).unwrap();
        assert_eq!(running.join().unwrap().unwrap(), 7);
        assert_eq!(*heard[0].lock().unwrap(), [first]);
        assert_eq!(*heard[1].lock().unwrap(), [second]);
        assert!(!stops[1].is_cancelled());
    }

    #[test]
    fn a_future_that_is_dropped_stops_its_call_and_no_other() {
        let session = session();
        let (begun, began) = mpsc::channel();
        let (end, ended) = mpsc::channel();
        let stop = CancellationToken::new();
        let mut future = Box::pin(session.run(Call::default().stopped_by(stop.clone()), move |manager| {
            begun.send(()).unwrap();
            let result = manager.ask(pending::<Result<()>>());
            end.send(result.map_err(|error| error.kind())).unwrap();
            Ok(())
        }));
        assert!(began.try_recv().is_err(), "nothing begins before it is polled");
        assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        began.recv().unwrap();
        drop(future);
        assert_eq!(ended.recv().unwrap(), Err(ErrorKind::Interrupted));
        assert!(!stop.is_cancelled(), "the token of the caller may serve other calls");
        assert_eq!(wait_for(session.run(Call::default().stopped_by(stop), |manager| manager.ask(async { Ok(7) }))).unwrap(), 7);
    }

    #[test]
    fn a_panic_of_the_work_reaches_who_awaits_it_and_leaves_the_session_usable() {
        let session = session();
        let broken = session.run(Call::default(), |_| -> Result<()> { panic!("a bug") });
        assert!(catch_unwind(AssertUnwindSafe(|| wait_for(broken))).is_err());
        assert_eq!(wait_for(session.run(Call::default(), |manager| manager.ask(async { Ok(7) }))).unwrap(), 7);
    }

    #[test]
    fn calls_share_a_client_also_under_other_settings_for_places() {
        let session = session();
        let (first, second) = (session.blocking(Call::default()), session.clone().blocking(Call::default()));
        assert!(Arc::ptr_eq(&first.session().network, &second.session().network));
        let mut settings = session.settings().clone();
        settings.models_dir = "/elsewhere".into();
        assert!(Arc::ptr_eq(&session.network, &session.with_settings(settings.clone()).network));
        settings.network.offline = true;
        assert!(!Arc::ptr_eq(&session.network, &session.with_settings(settings).network));
    }

    /// Writes a registry with this one model that was last changed so many seconds ago.
    fn write_registry(path: &Path, id: &str, age: u64) {
        let text =
            format!("models:\n  {id}:\n    huggingface_id: o/r\n    formats:\n      gguf:\n        q4_k_m: {{file: {id}.gguf}}\n");
        write_aged(path, &text, age);
    }

    #[allow(clippy::disallowed_methods, reason = "the time of a file is set as no use-case does it")]
    fn write_aged(path: &Path, text: &str, age: u64) {
        std::fs::write(path, text).unwrap();
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(age)).unwrap();
    }

    #[test]
    fn a_call_sees_the_registry_as_its_file_is_when_it_needs_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("models.yaml");
        write_registry(&path, "old", 100);
        let mut settings = Settings::new(folder.path().join("models"));
        settings.config = Some(path.clone());
        let session = Session::new(settings).unwrap();
        let ids = |manager: &ModelManager| -> Vec<String> {
            manager.registry().unwrap().models().map(|model| model.id.to_string()).collect()
        };
        let before = session.blocking(Call::default());
        assert_eq!(ids(&before), ["old"]);
        assert!(Arc::ptr_eq(&session.registry().unwrap(), &session.registry().unwrap()), "what did not change is not read again");
        write_registry(&path, "new", 50);
        assert_eq!(ids(&session.blocking(Call::default())), ["new"]);
        assert_eq!(ids(&before), ["old"], "a call that has begun keeps what it saw");
        // As short as before and written within the precision of the file's time.
        for id in ["one", "two"] {
            write_registry(&path, id, 0);
            assert_eq!(ids(&session.blocking(Call::default())), [id]);
        }
    }

    #[test]
    fn a_bad_edit_of_the_registry_fails_what_needs_it_and_nothing_else_and_ends_with_the_next_edit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("models.yaml");
        write_registry(&path, "good", 100);
        let mut settings = Settings::new(folder.path().join("models"));
        settings.config = Some(path.clone());
        let session = Session::new(settings).unwrap();
        assert!(session.blocking(Call::default()).registry().is_ok());
        write_aged(&path, "models: [", 90);
        for _ in 0..2 {
            let error = session.blocking(Call::default()).registry().unwrap_err();
            assert!(error.message().contains("models.yaml"), "{error}");
        }
        assert!(session.blocking(Call::default()).list(None).unwrap().is_empty());
        write_registry(&path, "right", 80);
        assert_eq!(session.registry().unwrap().models().count(), 1);
    }

    #[test]
    fn a_registry_file_that_is_made_in_the_place_of_the_built_in_one_is_read_by_the_next_call_and_in_no_other_project() {
        let folder = tempfile::tempdir().unwrap();
        let session = Session::new(Settings::new(folder.path().join("models"))).unwrap();
        let other = session.with_settings(Settings::new(folder.path().join("other/models")));
        assert!(session.registry().unwrap().model("made").is_err());
        let text = "models:\n  made:\n    huggingface_id: o/r\n    formats:\n      gguf:\n        q4_k_m: {file: made.gguf}\n";
        let edit = |_: &str| Ok(crate::registry::Edited { text: text.into(), entry: String::new(), line: 2 });
        let path = folder.path().join("configs/models.yaml");
        let manager = session.blocking(Call::default());
        manager.preview_edit(&path, edit).unwrap();
        assert!(session.registry().unwrap().model("made").is_err(), "nothing was written");
        manager.edit_registry(&path, edit).unwrap();
        assert!(session.registry().unwrap().model("made").is_ok());
        assert!(session.blocking(Call::default()).registry().unwrap().model("made").is_ok());
        assert!(other.registry().unwrap().model("made").is_err());
    }

    #[test]
    fn what_is_wrong_in_the_registry_is_reported_by_one_of_the_threads_that_need_it_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("models.yaml");
        write_aged(&path, "models:\n  bad:\n    huggingface: o/r\n    formats: {}\n", 0);
        let mut settings = Settings::new(folder.path().join("models"));
        settings.config = Some(path);
        let session = Session::new(settings).unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let listener = heard.clone();
        let manager = session.blocking(Call::new(move |event: &Event| listener.lock().unwrap().push(event.clone())));
        let start = std::sync::Barrier::new(8);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    start.wait();
                    assert_eq!(manager.registry().unwrap().bad_entries().len(), 1);
                });
            }
        });
        assert_eq!(heard.lock().unwrap().len(), 1);
    }

    #[test]
    fn the_registry_of_a_forked_child_waits_for_no_thread_of_its_parent() {
        let session = session();
        let forked =
            Session { network: Arc::new(SessionNetwork::of_another_process(session.settings.network.clone())), ..session.clone() };
        let _held_in_the_parent = session.registry.hold();
        assert!(forked.registry().unwrap().models().count() > 0);
    }
}
