//! What runs that go on side by side share: connections and buffers. So neither a server nor the memory notices whether one
//! run fetches many files or many runs a few each.

use super::{buffer::Pool, governor::Governor};
use crate::{digest::SEGMENT_LEN, http::Http, settings::Connections};
use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// Buffers of one segment each: the memory of all runs.
const BUFFERS: usize = 24;
/// How many of them may be kept for the hash cursors.
const KEPT: usize = 16;

/// What comes in less time than this says nothing of how fast the line is: it may have waited in buffers.
const MEASURED: Duration = Duration::from_millis(200);

/// Connections and buffers for one run, or for several side by side. Clones are the same budget.
#[derive(Clone)]
pub struct Budget(Arc<Shared>);

struct Shared {
    governor: Governor,
    pool: Pool,
    /// Connections of all runs.
    open: AtomicUsize,
    runs: Mutex<Runs>,
}

struct Runs {
    active: Vec<Demand>,
    next: u64,
    /// Bytes of runs that have ended.
    ended: u64,
    looked: Instant,
    /// All bytes then.
    total: u64,
    /// The most bytes of a second that were seen to come.
    fastest: u64,
}

/// What one run wants.
#[derive(Debug, Clone, Copy)]
struct Demand {
    run: u64,
    /// Connections that it has work for.
    connections: usize,
    /// Bytes that came for it.
    bytes: u64,
}

impl Budget {
    /// A budget of so many connections for files of these sizes in bytes.
    pub fn new(http: &Http, Connections { usual, most }: Connections, sizes: impl IntoIterator<Item = u64>) -> Self {
        let (mut files, mut are_small) = (0, true);
        for size in sizes {
            files += 1;
            are_small &= size <= SEGMENT_LEN;
        }
        let connections = match () {
            () if are_small => Connections::exactly(most),
            // The limit makes them slow, and not the way to the server.
            () if http.is_limited() => Connections::exactly(usual),
            () => Connections { usual, most },
        };
        Self::of(Governor::new(connections, files))
    }

    fn of(governor: Governor) -> Self {
        let runs = Runs { active: Vec::new(), next: 0, ended: 0, looked: Instant::now(), total: 0, fastest: 0 };
        Self(Arc::new(Shared { governor, pool: Pool::new(BUFFERS, KEPT), open: AtomicUsize::new(0), runs: Mutex::new(runs) }))
    }

    /// Enters a run. It leaves when the share is dropped.
    pub(super) fn share(&self) -> Share {
        let mut runs = self.runs();
        if runs.active.is_empty() {
            // What was not fetched between two runs is no measure.
            runs.looked = Instant::now();
        }
        let run = runs.next;
        runs.next += 1;
        runs.active.push(Demand { run, connections: 0, bytes: 0 });
        Share { budget: self.clone(), run }
    }

    fn runs(&self) -> MutexGuard<'_, Runs> {
        self.0.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget").field("open", &self.0.open).finish_non_exhaustive()
    }
}

/// A run's part of a budget.
pub(super) struct Share {
    budget: Budget,
    run: u64,
}

impl Share {
    pub(super) fn pool(&self) -> &Pool {
        &self.budget.0.pool
    }

    /// Connections of all runs together.
    pub(super) fn target(&self) -> usize {
        self.budget.0.governor.target()
    }

    /// A server refused or a connection stalled.
    pub(super) fn on_congestion(&self) {
        self.budget.0.governor.on_congestion();
    }

    /// The most bytes of a second that this budget's connections were seen to bring.
    pub(super) fn line_rate(&self) -> u64 {
        self.budget.runs().fastest
    }

    /// Says how many connections this run has work for, and how many bytes came.
    pub(super) fn want(&self, connections: usize, bytes: u64) {
        if let Some(demand) = self.budget.runs().active.iter_mut().find(|demand| demand.run == self.run) {
            (demand.connections, demand.bytes) = (connections, bytes);
        }
    }

    /// Connections that this run may have, if it has work for them: what others leave, and never less than an equal part.
    pub(super) fn limit(&self) -> usize {
        let others: Vec<usize> =
            self.budget.runs().active.iter().filter(|demand| demand.run != self.run).map(|demand| demand.connections).collect();
        part_beside(self.target(), others)
    }

    /// Opens a connection, if all runs together have fewer than they may.
    pub(super) fn open(&self) -> Option<OpenConnection> {
        let target = self.target();
        let more = |open: usize| (open < target).then_some(open + 1);
        let opened = self.budget.0.open.fetch_update(Ordering::AcqRel, Ordering::Relaxed, more);
        opened.ok().map(|_| OpenConnection(self.budget.clone()))
    }

    /// When the flow is to be looked at next.
    pub(super) fn next_tick(&self) -> Instant {
        self.budget.runs().looked + self.budget.0.governor.next_tick()
    }

    /// Looks at the flow of all runs, if it is time and no other run just did.
    pub(super) fn tick(&self) {
        let mut runs = self.budget.runs();
        let took = runs.looked.elapsed();
        if took < self.budget.0.governor.next_tick() {
            return;
        }
        let total = runs.active.iter().map(|demand| demand.bytes).fold(runs.ended, u64::saturating_add);
        self.budget.0.governor.tick(total, took);
        let came = total.saturating_sub(runs.total);
        if took >= MEASURED {
            runs.fastest = runs.fastest.max((came as f64 / took.as_secs_f64()) as u64);
        }
        (runs.looked, runs.total) = (Instant::now(), total);
    }
}

/// One of the connections of a budget; dropping it lets others have it.
pub(super) struct OpenConnection(Budget);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.0.open.fetch_sub(1, Ordering::Release);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut runs = self.budget.runs();
        if let Some(at) = runs.active.iter().position(|demand| demand.run == self.run) {
            let demand = runs.active.remove(at);
            runs.ended = runs.ended.saturating_add(demand.bytes);
        }
    }
}

/// What one of several gets of a number of connections: each gets what it wants up to an equal part, and what is left over by
/// those that want less goes to the others.
fn part_beside(connections: usize, mut others: Vec<usize>) -> usize {
    others.sort_unstable();
    let (mut left, mut sharers) = (connections, others.len() + 1);
    for wanted in others {
        let part = left.div_ceil(sharers);
        if wanted >= part {
            return part.max(1);
        }
        left -= wanted;
        sharers -= 1;
    }
    left.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(connections: usize) -> Budget {
        Budget::of(Governor::new(Connections::exactly(connections), 100))
    }

    #[test]
    fn a_run_gets_an_equal_part_and_what_others_have_no_work_for() {
        for (others, part) in [(vec![], 8), (vec![8], 4), (vec![1], 7), (vec![0], 8), (vec![8, 8, 8], 2), (vec![1, 8], 4)] {
            assert_eq!(part_beside(8, others.clone()), part, "{others:?}");
        }
        assert_eq!(part_beside(1, vec![8, 8]), 1);
        assert_eq!(part_beside(0, vec![]), 1);
    }

    #[tokio::test]
    async fn runs_have_no_more_connections_together_than_one_would() {
        let budget = of(8);
        let (one, other) = (budget.share(), budget.share());
        one.want(100, 0);
        assert_eq!((one.limit(), other.limit()), (8, 4));
        other.want(100, 0);
        assert_eq!((one.limit(), other.limit()), (4, 4));
        let mut opened: Vec<OpenConnection> = (0..8).filter_map(|_| one.open()).collect();
        assert_eq!(opened.len(), 8);
        assert!(other.open().is_none());
        opened.pop();
        let others = other.open();
        assert!(others.is_some() && other.open().is_none());
        drop(other);
        assert_eq!(one.limit(), 8);
    }

    #[tokio::test]
    async fn the_flow_that_is_looked_at_is_that_of_all_runs_and_once() {
        let budget = of(8);
        let (one, other) = (budget.share(), budget.share());
        one.want(8, 1000);
        other.want(8, 500);
        let before = budget.runs().looked - std::time::Duration::from_secs(1);
        budget.runs().looked = before;
        one.tick();
        let looked = budget.runs().looked;
        assert!(looked > before);
        other.tick();
        assert_eq!(budget.runs().looked, looked);
        drop(one);
        assert_eq!(budget.runs().ended, 1000);
    }
}
