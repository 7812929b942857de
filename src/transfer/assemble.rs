//! Copies whole segments from blobs of the store while connections fetch the others.

use super::{Run, Signal, schedule::Piece};
use std::{
    collections::VecDeque,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

/// Segments that a task takes at once, so that most segments of a source are read by one task only.
const BATCH: u64 = 8;
/// Tasks at once: one may be hashing while the other reads.
const MOST_TASKS: usize = 2;
/// How long a task that is ahead of the hashing rests.
const BREATH: Duration = Duration::from_millis(1);

/// The segments of the jobs that no task has copied yet, in order.
pub(super) struct Assembly {
    batches: Mutex<VecDeque<(usize, Range<u64>)>>,
    pub(super) tasks: usize,
}

impl Assembly {
    /// What is to be copied of each job, as ranges of segment numbers.
    pub(super) fn new(jobs: impl IntoIterator<Item = Vec<Range<u64>>>) -> Self {
        let mut batches = VecDeque::new();
        for (job, ranges) in jobs.into_iter().enumerate() {
            for Range { start, end } in ranges {
                batches.extend((start..end).step_by(BATCH as usize).map(|first| (job, first..end.min(first + BATCH))));
            }
        }
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let tasks = batches.len().min(cores.min(MOST_TASKS));
        Self { batches: Mutex::new(batches), tasks }
    }

    fn next(&self) -> Option<(usize, Range<u64>)> {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

/// Copies until nothing is left or the run ends.
pub(super) async fn work(run: Arc<Run>) {
    let stop = run.stop.clone();
    tokio::select! {
        () = stop.cancelled() => {}
        () = copy_all(&run) => {}
    }
}

async fn copy_all(run: &Arc<Run>) {
    while let Some((number, segments)) = run.assembly.next() {
        let job = &run.jobs[number];
        let Some(mut reader) = job.reader() else { continue };
        let end = segments.end;
        for index in segments {
            if job.is_fetched_all() {
                run.schedule.requeue(Piece { job: number, segments: index..end });
                run.tell(Signal::More);
                break;
            }
            while job.is_far_ahead(index) {
                tokio::time::sleep(BREATH).await;
            }
            let mut buffer = run.share.pool().take().await;
            let (run, job) = (run.clone(), job.clone());
            let copied = run.clone().tasks.spawn_blocking(move || {
                let borrowed = job.fill(index, &mut buffer, &mut reader, &run);
                let range = job.range(index);
                if buffer.len() as u64 == range.end - range.start {
                    job.leave_slow_disk(run.assembly.tasks, &run);
                    job.take_segment(number, index, (buffer, borrowed), &run);
                } else {
                    // It is fetched. A whole segment that is left to a connection begins with its first byte.
                    drop(buffer);
                    run.schedule.requeue(Piece { job: number, segments: index..index + 1 });
                    run.tell(Signal::More);
                }
                reader
            });
            match copied.await {
                Ok(again) => reader = again,
                // It was counted as a task that died; what it left is requeued at rest.
                Err(_) => return,
            }
        }
    }
}
