//! Moves bytes from locations into blob writers: several files and several ranges of one file at once.
//!
//! Connections read; segments of 1 MiB are written, hashed and journalled on blocking threads, and the SHA-256 of
//! each file is known when its last byte is there. What is in flight is bounded by a pool of
//! buffers, so memory does not depend on the size of a file. Runs side by side share connections and buffers: `budget.rs`.

mod assemble;
mod borrow;
mod budget;
mod buffer;
mod commits;
mod error;
mod governor;
mod job;
mod mirrors;
mod progress;
mod schedule;
mod worker;

pub use borrow::{Borrow, LocalRange};
pub use budget::Budget;
pub use error::TransferError;
pub use job::{HeadCheck, Job};

use crate::{
    event::{Event, Reporter},
    http::Http,
    settings::Connections,
    store::{Blob, StoreError},
};
use assemble::Assembly;
use budget::Share;
use commits::Commits;
use job::FileTransfer;
use mirrors::Mirrors;
use progress::Ticker;
use schedule::{Piece, Schedule};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How a run fetches.
#[derive(Debug, Clone, Copy)]
pub struct TransferOptions {
    /// Connections open at once.
    pub connections: Connections,
    /// Failures of one piece without progress before the run gives up.
    pub tries: u32,
}

/// A file that was fetched and published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transferred {
    /// The blob it is now.
    pub blob: Blob,
    /// Bytes that travelled for it.
    pub fetched: u64,
    /// Bytes of it that were copied from other blobs of the store.
    pub borrowed: u64,
}

/// What the threads of a run tell the one that waits.
enum Signal {
    /// Every segment of this job is there and hashed.
    Complete(usize),
    /// A worker ended: it found nothing to do, or there were too many.
    Idle,
    /// Pieces are to be had again, because a damaged segment was found.
    More,
    /// The run cannot go on.
    Failed(usize, TransferError),
}

/// Everything that the tasks of a run share.
struct Run {
    http: Http,
    jobs: Vec<Arc<FileTransfer>>,
    schedule: Schedule,
    assembly: Assembly,
    mirrors: Mirrors,
    /// What it may have of the connections and buffers.
    share: Share,
    tries: u32,
    reporter: Arc<dyn Reporter>,
    messages: mpsc::UnboundedSender<Signal>,
    workers: AtomicUsize,
    /// What the blocking threads do for the jobs, but for publishing them.
    tasks: TaskTracker,
    /// Cancelled when the user stops the run or a part of it failed for good.
    stop: CancellationToken,
}

/// Fetches what the jobs' writers miss and publishes each file when it is complete. The results are in the jobs' order.
///
/// On failure, and when `cancel` is cancelled, the first error is returned, files that were complete are published, and
/// every whole segment that arrived of the others stays for the next run, where a file has more than one.
pub async fn run(
    http: &Http,
    jobs: Vec<Job>,
    options: TransferOptions,
    reporter: Arc<dyn Reporter>,
    cancel: &CancellationToken,
) -> Result<Vec<Transferred>, TransferError> {
    let budget = Budget::new(http, options.connections, jobs.iter().map(|job| job.writer.size()));
    run_within(&budget, http, jobs, options.tries, reporter, cancel).await
}

/// The same beside other runs of one budget.
pub async fn run_within(
    budget: &Budget,
    http: &Http,
    jobs: Vec<Job>,
    tries: u32,
    reporter: Arc<dyn Reporter>,
    cancel: &CancellationToken,
) -> Result<Vec<Transferred>, TransferError> {
    let (messages, mut inbox) = mpsc::unbounded_channel();
    let jobs: Vec<Arc<FileTransfer>> = jobs.into_iter().map(|job| Arc::new(FileTransfer::new(job))).collect();
    let run = Arc::new(Run {
        http: http.clone(),
        // Under a limit all connections are slow, and helping would only fetch more than is needed.
        schedule: Schedule::new(jobs.iter().map(|job| job.to_fetch()).collect(), !http.is_limited()),
        assembly: Assembly::new(jobs.iter().map(|job| job.to_assemble())),
        mirrors: Mirrors::default(),
        share: budget.share(),
        jobs,
        tries,
        reporter: reporter.clone(),
        messages,
        workers: AtomicUsize::new(0),
        tasks: TaskTracker::new(),
        stop: cancel.child_token(),
    });
    let ticker = Ticker::start(run.jobs.clone(), reporter);
    let mut workers = JoinSet::new();
    let result = supervise(&run, &mut inbox, &mut workers, cancel).await;
    run.stop.cancel();
    ticker.stop().await;
    // What is left of the run holds the locks and the lease of its files.
    while workers.join_next().await.is_some() {}
    run.tasks.close();
    run.tasks.wait().await;
    result
}

impl Run {
    /// Whether no task fetches, writes, hashes or looks at anything, and nothing waits to be fetched. It stays so for who
    /// begins the workers: these begin the tasks, and only tasks give something back.
    fn is_at_rest(&self) -> bool {
        self.workers.load(Ordering::Acquire) == 0 && self.tasks.is_empty() && self.schedule.is_empty()
    }

    /// Fetches what was borrowed of a file whose hash is wrong with it.
    fn replace_borrowed(self: &Arc<Self>, number: usize, bytes: u64) {
        let job = self.jobs[number].clone();
        let text =
            format!("not all that the store has in common with {} is the same; {bytes} bytes of it are downloaded", job.file);
        self.reporter.event(&Event::Warning(text.into()));
        let run = self.clone();
        self.tasks.spawn_blocking(move || job.replace_borrowed(number, &run));
    }

    /// Bytes that came so far.
    fn fetched(&self) -> u64 {
        self.jobs.iter().map(|job| job.fetched()).sum()
    }

    /// Gives back what is missing of each file although it came: it was damaged when the one connection to a server without
    /// ranges was past it. Only at rest is that known for sure, for until then it may be on its way to the disk.
    fn requeue_missing(&self) {
        for (number, job) in self.jobs.iter().enumerate() {
            job.missing().into_iter().for_each(|segments| self.schedule.requeue(Piece { job: number, segments }));
        }
    }
}

async fn supervise(
    run: &Arc<Run>,
    inbox: &mut mpsc::UnboundedReceiver<Signal>,
    workers: &mut JoinSet<()>,
    cancel: &CancellationToken,
) -> Result<Vec<Transferred>, TransferError> {
    let mut arrived: Vec<Option<Transferred>> = vec![None; run.jobs.len()];
    let mut commits = Commits::default();
    let mut failure = None;
    for (number, job) in run.jobs.iter().enumerate() {
        job.announce(&*run.reporter);
        // What an earlier run left is hashed from the disk while the rest is fetched.
        let (run, job) = (run.clone(), job.clone());
        run.tasks.clone().spawn_blocking(move || job.resume(number, &run));
    }
    for _ in 0..run.assembly.tasks {
        run.tasks.spawn(assemble::work(run.clone()));
    }
    let unverified: Vec<usize> = (0..run.jobs.len()).filter(|number| run.jobs[*number].is_unverified()).collect();
    if !unverified.is_empty() {
        // One file after the other, for each takes all cores.
        let run = run.clone();
        run.tasks
            .clone()
            .spawn_blocking(move || unverified.into_iter().for_each(|number| run.jobs[number].verify_resumed(number, &run)));
    }
    while failure.is_none() && arrived.iter().any(Option::is_none) {
        if run.is_at_rest() && inbox.is_empty() {
            run.requeue_missing();
        }
        let slots = run.schedule.slots(Instant::now());
        run.share.want(slots, run.fetched());
        for _ in run.workers.load(Ordering::Relaxed)..run.share.limit().min(slots) {
            // Where other runs have too many, they notice with their next piece.
            let Some(connection) = run.share.open() else { break };
            run.workers.fetch_add(1, Ordering::Relaxed);
            workers.spawn(worker::work(run.clone(), connection));
        }
        tokio::select! {
            () = cancel.cancelled() => failure = Some(TransferError::Cancelled),
            message = inbox.recv() => match message {
                Some(Signal::Complete(number)) => commits.add(number, run),
                Some(Signal::Failed(number, error)) => {
                    run.jobs[number].fail(&*run.reporter);
                    failure = Some(error);
                }
                Some(Signal::Idle | Signal::More) | None => {}
            },
            Some(committed) = commits.next(run) => {
                for (number, result) in committed.map_err(|panic| TransferError::Panicked(panic.to_string()))? {
                    match result {
                        Ok(blob) => {
                            run.jobs[number].finish(&*run.reporter);
                            let (fetched, borrowed) = (run.jobs[number].fetched(), run.jobs[number].borrowed());
                            arrived[number] = Some(Transferred { blob, fetched, borrowed });
                        }
                        Err(TransferError::Store(StoreError::BorrowedMismatch { bytes, .. })) => run.replace_borrowed(number, bytes),
                        Err(error) => {
                            run.jobs[number].fail(&*run.reporter);
                            failure.get_or_insert(error);
                        }
                    }
                }
            },
            () = tokio::time::sleep_until(run.share.next_tick()) => {
                run.share.want(slots, run.fetched());
                run.share.tick();
            }
        }
    }
    run.stop.cancel();
    // A file that is complete shall be published whatever became of the others.
    while let Ok(message) = inbox.try_recv() {
        if let Signal::Complete(number) = message {
            commits.add(number, run);
        }
    }
    while commits.next(run).await.is_some() {}
    match failure {
        Some(error) => Err(error),
        None => Ok(arrived.into_iter().flatten().collect()),
    }
}
