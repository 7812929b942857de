//! Scans side by side, each for a bounded time: a volume that does not answer costs that, is reported, and ends nothing else.

use super::{LeftOut, Problem, Scan, folder, scan};
use crate::{disk::Disk, names::App};
use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

/// How often is looked whether a scan is to be stopped.
const LOOK: Duration = Duration::from_millis(50);

/// What a scan and who waits for it know of each other.
#[derive(Debug, Default)]
pub struct Watch {
    beats: AtomicU64,
    is_over: AtomicBool,
}

impl Watch {
    /// The scan is alive. `false` where nobody waits for it any more.
    pub fn beat(&self) -> bool {
        self.beats.fetch_add(1, Ordering::Relaxed);
        !self.is_over.load(Ordering::Relaxed)
    }

    fn beats(&self) -> u64 {
        self.beats.load(Ordering::Relaxed)
    }

    fn stop(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// How long a scan may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Without a step. A file system that takes longer does not answer.
    pub silence: Duration,
    /// In all; what was found until then counts.
    pub whole: Option<Duration>,
}

impl Patience {
    /// Where a person waits for the answer.
    pub const ASKED: Self = Self { silence: Duration::from_secs(5), whole: Some(Duration::from_secs(60)) };
    /// On the way of a download, which needs no application.
    pub const BY_THE_WAY: Self = Self { silence: Duration::from_millis(200), whole: Some(Duration::from_secs(2)) };
    /// Of a disk full of files.
    pub const DISK: Self = Self { silence: Duration::from_secs(30), whole: None };
}

/// What is read.
#[derive(Debug, Clone)]
pub enum Place {
    /// The folder of an application.
    App(App, PathBuf),
    /// A disk full of files, without some of its folders.
    Disk(PathBuf, Vec<LeftOut>),
}

impl Place {
    fn dir(&self) -> &PathBuf {
        match self {
            Self::App(_, dir) | Self::Disk(dir, _) => dir,
        }
    }
}

/// Reads these places side by side; `None` where nothing is at a place. `is_stopped` is asked while they are read.
pub fn scan_all(disk: &Arc<dyn Disk>, places: Vec<Place>, patience: Patience, is_stopped: &dyn Fn() -> bool) -> Vec<Option<Scan>> {
    let begun: Vec<_> = places.into_iter().map(|place| (place.dir().clone(), begin(disk.clone(), place))).collect();
    let start = Instant::now();
    begun.into_iter().map(|(dir, (watch, answer))| wait(dir, &watch, &answer, patience, start, is_stopped)).collect()
}

/// Begins to read a place in a thread of its own, which is left behind where its volume does not answer.
fn begin(disk: Arc<dyn Disk>, place: Place) -> (Arc<Watch>, Receiver<Option<Scan>>) {
    let (watch, (to_us, answer)) = (Arc::new(Watch::default()), mpsc::channel());
    let seen = watch.clone();
    let read = move || {
        let is_there = disk.stat_follow(place.dir()).is_ok();
        let scan = is_there.then(|| match &place {
            Place::App(app, dir) => scan(&*disk, *app, dir, &seen),
            Place::Disk(dir, left_out) => folder::scan(&*disk, dir, left_out, &seen),
        });
        // Nobody may wait any more.
        let _ = to_us.send(scan);
    };
    // Without a thread the channel is closed at once.
    drop(thread::Builder::new().name("scan".into()).spawn(read));
    (watch, answer)
}

fn wait(
    dir: PathBuf,
    watch: &Watch,
    answer: &Receiver<Option<Scan>>,
    patience: Patience,
    start: Instant,
    is_stopped: &dyn Fn() -> bool,
) -> Option<Scan> {
    let (mut beats, mut since) = (watch.beats(), Instant::now());
    let mut too_long = None;
    let given_up = |why: String| Some(Scan { problems: vec![Problem { path: dir.clone(), why }], ..Scan::default() });
    loop {
        match answer.recv_timeout(LOOK.min(patience.silence)) {
            Ok(scan) => {
                return scan.map(|mut scan| {
                    scan.problems.extend(too_long.map(|why| Problem { path: dir.clone(), why }));
                    scan
                });
            }
            Err(RecvTimeoutError::Disconnected) => return given_up("the system has no thread to read it".to_owned()),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if is_stopped() {
            watch.stop();
            return None;
        }
        if patience.whole.is_some_and(|whole| too_long.is_none() && start.elapsed() > whole) {
            watch.stop();
            too_long = patience.whole.map(|whole| format!("reading it took longer than {whole:?}; the rest is left out"));
        }
        let now = watch.beats();
        if now != beats {
            (beats, since) = (now, Instant::now());
        } else if since.elapsed() > patience.silence {
            watch.stop();
            return given_up(format!("it did not answer within {:?}", patience.silence));
        }
    }
}
