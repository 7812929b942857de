//! Tells four times a second how far each file is.

use super::job::FileTransfer;
use crate::event::{Event, Reporter};
use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{sync::oneshot, task::JoinHandle};

const TICK: Duration = Duration::from_millis(250);
/// The rate is that of the last this many ticks.
const WINDOW: usize = 20;

pub(super) struct Ticker {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Ticker {
    pub(super) fn start(jobs: Vec<Arc<FileTransfer>>, reporter: Arc<dyn Reporter>) -> Self {
        let (stop, mut stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            let mut meters: Vec<Meter> = jobs.iter().map(|job| Meter::new(job.fetched())).collect();
            let mut tick = tokio::time::interval(TICK);
            while tokio::select! { _ = tick.tick() => true, _ = &mut stopped => false } {
                for (job, meter) in jobs.iter().zip(&mut meters) {
                    if let Some((rate, eta)) = meter.read(job) {
                        let (file, done, size) = (job.file.clone(), job.held(), job.size());
                        reporter.event(&Event::Progress { file, done, size, rate, eta });
                    }
                }
            }
        });
        Self { stop, task }
    }

    pub(super) async fn stop(self) {
        let _ = self.stop.send(());
        let _ = self.task.await;
    }
}

struct Meter {
    samples: VecDeque<(Instant, u64)>,
    started: bool,
}

impl Meter {
    fn new(fetched: u64) -> Self {
        Self { samples: VecDeque::from([(Instant::now(), fetched)]), started: false }
    }

    /// Rate and time left, if there is something new to tell.
    fn read(&mut self, job: &FileTransfer) -> Option<(u64, Option<Duration>)> {
        let (held, fetched) = (job.held(), job.fetched());
        if job.is_complete() || (!self.started && fetched == 0) {
            return None;
        }
        self.started = true;
        self.samples.push_back((Instant::now(), fetched));
        if self.samples.len() > WINDOW {
            self.samples.pop_front();
        }
        let (begin, before) = *self.samples.front()?;
        let seconds = begin.elapsed().as_secs_f64();
        let rate = if seconds > 0.0 { (fetched.saturating_sub(before) as f64 / seconds) as u64 } else { 0 };
        let left = job.size().saturating_sub(held).saturating_sub(job.left_to_borrow());
        Some((rate, (rate > 0).then(|| Duration::from_secs_f64(left as f64 / rate as f64))))
    }
}
