//! The connection of one manager to the Hub: one HTTP client and the threads that it runs on.
//!
//! Open connections belong to the threads that opened them, and a pause that a server asked for, to the client: a manager
//! that asks many questions keeps both.

use crate::{
    disk::{Disk, limits},
    error::{Error, ErrorKind, Result},
    event::Reporter,
    http::{Http, check_certificates},
    settings::Network,
    source::hub::Hub,
};
use std::{
    panic::resume_unwind,
    path::Path,
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

/// A client of the Hub and the threads that it runs on.
#[derive(Debug)]
pub(super) struct Session {
    hub: Hub,
    /// Taken when this is dropped.
    runtime: Option<Runtime>,
}

impl Session {
    /// Starts the threads and makes the client. Sends nothing.
    pub(super) fn begin(network: &Network, disk: &dyn Disk, reporter: Arc<dyn Reporter>) -> Result<Self> {
        let ca = network.ca_file.as_deref().map(|path| certificates(disk, path)).transpose()?;
        let hub = Hub::new(Http::new(network, ca.as_deref(), reporter)?);
        Ok(Self { hub, runtime: Some(runtime(limits::spare_threads(NETWORK_THREADS + BLOCKING_THREADS))?) })
    }

    /// The client.
    pub(super) fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Runs `work` to its end, also for a caller that is in an asynchronous runtime of its own, whose thread it blocks.
    pub(super) fn block_on<T: Send>(&self, work: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let Some(runtime) = &self.runtime else { return Err(no_threads()) };
        if Handle::try_current().is_err() {
            return runtime.block_on(work);
        }
        // Tokio refuses to block a thread that drives its tasks.
        thread::scope(|scope| {
            let thread = thread::Builder::new().spawn_scoped(scope, || runtime.block_on(work)).map_err(|_| no_threads())?;
            thread.join().unwrap_or_else(|panic| resume_unwind(panic))
        })
    }
}

impl Drop for Session {
    /// Waits for no thread: what still runs was cancelled, and tokio refuses to wait in a task.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The place of a session that begins when it is first needed.
#[derive(Debug, Default)]
pub(super) struct Slot(Mutex<Option<Arc<Session>>>);

impl Slot {
    /// The session that was begun, or a new one.
    pub(super) fn get_or_begin(&self, begin: impl FnOnce() -> Result<Session>) -> Result<Arc<Session>> {
        let mut slot = self.slot();
        if let Some(session) = &*slot {
            return Ok(session.clone());
        }
        Ok(slot.insert(Arc::new(begin()?)).clone())
    }

    /// Lets the session end with the work that is using it.
    pub(super) fn clear(&self) {
        drop(self.slot().take());
    }

    fn slot(&self) -> MutexGuard<'_, Option<Arc<Session>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn certificates(disk: &dyn Disk, path: &Path) -> Result<Vec<u8>> {
    let wrong = |why: String| Error::new(ErrorKind::Usage, why).hint("Check `--ca-file` and SSL_CERT_FILE.");
    let pem = disk.read_small(path).map_err(|error| wrong(error.to_string()))?;
    let pem = pem.ok_or_else(|| wrong(format!("there is no certificate file at {}", path.display())))?;
    check_certificates(&pem).map_err(|why| wrong(format!("{}: {why}", path.display())))?;
    Ok(pem)
}

fn no_threads() -> Error {
    let why = "cannot start the threads for network work: the system allows this user no more";
    Error::new(ErrorKind::Failed, why).hint(
        "End other programs of this user, or allow more processes with `ulimit -u unlimited` or in the container's \
         settings (`pids.max`), and run the command again.",
    )
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
    use crate::event::Silent;

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

    #[test]
    fn a_session_serves_callers_in_and_outside_of_a_runtime_and_ends_in_both() {
        let begin = || Session::begin(&Network::default(), &crate::disk::RealDisk, Arc::new(Silent)).unwrap();
        let ask = |session: &Session| session.block_on(async { Ok(tokio::spawn(async { 7 }).await.unwrap()) }).unwrap();
        let slot = Slot::default();
        let first = slot.get_or_begin(|| Ok(begin())).unwrap();
        assert_eq!(ask(&first), 7);
        assert!(Arc::ptr_eq(&first, &slot.get_or_begin(|| Ok(begin())).unwrap()));
        Builder::new_current_thread().build().unwrap().block_on(async {
            assert_eq!(ask(&first), 7);
            slot.clear();
            drop(first);
        });
        assert_eq!(ask(&slot.get_or_begin(|| Ok(begin())).unwrap()), 7);
    }
}
