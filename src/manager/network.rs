//! What a session uses for the network: the sources over one client, and the threads that network work runs on, both made when
//! they are first needed.
//!
//! Pauses that a server asked for and open connections belong to the client, so all calls of a session share one. An open
//! connection is driven by the threads that opened it; where these end, the client opens another.

use crate::{
    disk::{Disk, limits},
    error::{Error, ErrorKind, Result},
    event::Silent,
    hint::Hint,
    http::{Http, check_certificates},
    names::SourceId,
    settings,
    source::{ConnectedSources, Sources},
};
use std::{
    io, mem,
    panic::resume_unwind,
    path::Path,
    process,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};
use tokio::runtime::{Builder, Handle, Runtime};

/// Threads that read from connections.
const NETWORK_THREADS: usize = 2;
/// Threads that write and hash: enough to keep two cores and a disk busy, with two to spare for syncing.
const BLOCKING_THREADS: usize = 6;
/// How long such a thread stays without work.
const THREADS_STAY: Duration = Duration::from_secs(3600);

/// The client and the threads of a session.
#[derive(Debug)]
pub(super) struct SessionNetwork {
    settings: settings::Network,
    /// What the program has beside the Hub and web servers.
    own: Sources,
    sources: Mutex<Option<ConnectedSources>>,
    threads: Mutex<Option<Arc<Threads>>>,
    /// The process that made it: a forked child has the memory of its parent, and none of its threads.
    process: u32,
}

impl SessionNetwork {
    /// A network with these settings. Starts and checks nothing.
    pub(super) fn new(settings: settings::Network, own: Sources) -> Self {
        Self { settings, own, sources: Mutex::default(), threads: Mutex::default(), process: process::id() }
    }

    /// One that is as a forked child finds it.
    #[cfg(test)]
    pub(super) fn of_another_process(settings: settings::Network) -> Self {
        let mut network = Self::new(settings, Sources::new());
        network.process = network.process.wrapping_add(1);
        network
    }

    /// Whether a parent of this process made it.
    pub(super) fn is_of_parent(&self) -> bool {
        self.process != process::id()
    }

    /// A network of its own with the same settings and sources.
    pub(super) fn again(&self) -> Self {
        Self::new(self.settings.clone(), self.own.clone())
    }

    /// One with other settings and the same sources of the program.
    pub(super) fn with_settings(&self, settings: settings::Network) -> Self {
        Self::new(settings, self.own.clone())
    }

    /// Whether somebody can be asked for what this names.
    pub(super) fn knows(&self, id: &SourceId) -> bool {
        self.own.knows(id)
    }

    /// Whether it would be the same with these settings.
    pub(super) fn has(&self, settings: &settings::Network) -> bool {
        self.settings == *settings
    }

    /// The client, which tells nobody anything. Made once; a setting that is wrong is reported each time.
    pub(super) fn sources(&self, disk: &dyn Disk) -> Result<ConnectedSources> {
        let mut sources = locked(&self.sources);
        if let Some(sources) = &*sources {
            return Ok(sources.clone());
        }
        let ca = self.settings.ca_file.as_deref().map(|path| certificates(disk, path)).transpose()?;
        let http = Http::new(&self.settings, ca.as_deref(), Arc::new(Silent))?;
        Ok(sources.insert(ConnectedSources::new(&http, &self.settings, self.own.clone())?).clone())
    }

    /// The threads; every holder keeps them running.
    pub(super) fn threads(&self) -> Result<Arc<Threads>> {
        let mut threads = locked(&self.threads);
        if let Some(threads) = &*threads {
            return Ok(threads.clone());
        }
        Ok(threads.insert(Arc::new(Threads::start(limits::spare_threads(NETWORK_THREADS + BLOCKING_THREADS))?)).clone())
    }

    /// Gives later calls new threads, where these may be held up by work that does not end. Other calls that use them go on,
    /// and the client stays.
    pub(super) fn give_up(&self, held_up: &Arc<Threads>) {
        locked(&self.threads).take_if(|threads| Arc::ptr_eq(threads, held_up));
    }
}

impl Drop for SessionNetwork {
    /// In a forked child a lock inside may be held by a thread that only its parent has, so nothing is released there.
    fn drop(&mut self) {
        if self.is_of_parent() {
            mem::forget(self.sources.get_mut().unwrap_or_else(PoisonError::into_inner).take());
            mem::forget(self.threads.get_mut().unwrap_or_else(PoisonError::into_inner).take());
        }
    }
}

/// Threads that network work runs on.
#[derive(Debug)]
pub(super) struct Threads {
    /// Taken when this is dropped.
    runtime: Option<Runtime>,
}

impl Threads {
    fn start(spare: usize) -> Result<Self> {
        Ok(Self { runtime: Some(runtime(spare)?) })
    }

    /// Runs `work` to its end, also for a caller that is in an asynchronous runtime of its own, whose thread it blocks.
    pub(super) fn block_on<T: Send>(&self, work: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let Some(runtime) = &self.runtime else { return Err(no_threads()) };
        if Handle::try_current().is_err() {
            return runtime.block_on(work);
        }
        // Tokio refuses to block a thread that drives its tasks.
        thread::scope(|scope| {
            let thread = thread::Builder::new().spawn_scoped(scope, || runtime.block_on(work)).map_err(no_thread)?;
            thread.join().unwrap_or_else(|panic| resume_unwind(panic))
        })
    }
}

impl Drop for Threads {
    /// Waits for no thread: what still runs was cancelled, and tokio refuses to wait in a task.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn certificates(disk: &dyn Disk, path: &Path) -> Result<Vec<u8>> {
    let wrong = |why: String| Error::new(ErrorKind::Usage, why).hint(Hint::CheckCertificates);
    let pem = disk.read_small(path).map_err(|error| wrong(error.to_string()))?;
    let pem = pem.ok_or_else(|| wrong(format!("there is no certificate file at {}", path.display())))?;
    check_certificates(&pem).map_err(|why| wrong(format!("{}: {why}", path.display())))?;
    Ok(pem)
}

/// Why a thread for the whole of a call cannot be started.
pub(super) fn no_thread(error: io::Error) -> Error {
    let helps = error.kind() == io::ErrorKind::WouldBlock;
    Error::of_system("cannot start a thread", error).with_hints(helps.then_some(Hint::RaiseProcesses))
}

fn no_threads() -> Error {
    let why = "cannot start the threads for network work: the system allows this user no more";
    Error::new(ErrorKind::Failed, why).hint(Hint::RaiseProcesses)
}

/// What runs network work on so many threads beside the caller's, of which it needs one at least: names are looked up and
/// files are written there.
fn runtime(threads: usize) -> Result<Runtime> {
    let (mut builder, blocking) = match threads.checked_sub(NETWORK_THREADS) {
        _ if threads == 0 => return Err(no_threads()),
        None | Some(0) => (Builder::new_current_thread(), threads),
        Some(blocking) => (Builder::new_multi_thread(), blocking),
    };
    builder
        .worker_threads(NETWORK_THREADS)
        .max_blocking_threads(blocking)
        // A thread that ended might not be available again, and tasks that need one would block for ever.
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
        assert_eq!(error.hints(), [Hint::RaiseProcesses]);
    }

    #[test]
    fn a_thread_that_cannot_be_started_is_reported_with_what_the_system_said() {
        let error = no_thread(io::ErrorKind::WouldBlock.into());
        assert!(std::error::Error::source(&error).is_some() && !error.message().contains("network"), "{error}");
        assert_eq!(error.hints(), [Hint::RaiseProcesses]);
        assert!(no_thread(io::ErrorKind::Other.into()).hints().is_empty());
    }

    #[test]
    fn network_work_serves_callers_in_and_outside_of_a_runtime_and_its_threads_end_in_both() {
        let network = SessionNetwork::new(settings::Network::default(), Sources::new());
        let ask = |threads: &Threads| threads.block_on(async { Ok(tokio::spawn(async { 7 }).await.unwrap()) }).unwrap();
        let first = network.threads().unwrap();
        assert_eq!(ask(&first), 7);
        assert!(Arc::ptr_eq(&first, &network.threads().unwrap()));
        Builder::new_current_thread().build().unwrap().block_on(async {
            assert_eq!(ask(&first), 7);
            network.give_up(&first);
            drop(first);
        });
        assert_eq!(ask(&network.threads().unwrap()), 7);
    }

    #[test]
    fn threads_that_are_given_up_serve_those_that_still_use_them() {
        let network = SessionNetwork::new(settings::Network::default(), Sources::new());
        let (held_up, other) = (network.threads().unwrap(), network.threads().unwrap());
        network.give_up(&held_up);
        drop(held_up);
        let next = network.threads().unwrap();
        assert!(!Arc::ptr_eq(&other, &next));
        network.give_up(&other);
        assert!(Arc::ptr_eq(&next, &network.threads().unwrap()), "a call that comes late ends no other threads");
        assert_eq!(other.block_on(async { Ok(tokio::spawn(async { 7 }).await.unwrap()) }).unwrap(), 7);
    }
}
