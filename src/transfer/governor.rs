//! How many connections to keep open: more while that brings more bytes, fewer when the server or the network objects.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

/// How often the flow is looked at, and how often while a run is young, when connections are missed most.
const PULSE: Duration = Duration::from_millis(250);
const YOUNG_PULSE: Duration = Duration::from_millis(50);
const YOUNG: u32 = 6;
/// The number of connections that turned out to be enough is questioned again after this many pulses: the network may have
/// become free.
const QUESTIONED: u32 = 40;
const START: usize = 4;
const STEP: usize = 2;
/// A step up is kept if it brought this much more...
const WORTH_IT: f64 = 1.08;
/// ...or if fewer bytes than this come in a second. So few come in bursts, and what one step brought cannot be told from
/// chance; where losses keep each connection slow, every one of them counts.
const FEW: f64 = (32 << 20) as f64;

pub(super) struct Governor {
    ceiling: usize,
    target: AtomicUsize,
    trouble: AtomicBool,
    flow: Mutex<Flow>,
}

#[derive(Default)]
struct Flow {
    bytes: u64,
    /// Bytes per second before the last step up, until the step has been judged.
    before: Option<f64>,
    /// The target that turned out to be enough.
    settled: bool,
    /// There was trouble: no step is kept any more that does not show that it is worth it.
    wary: bool,
    pulses: u32,
}

impl Governor {
    /// Small files spend their time waiting, so many of them start with all connections.
    pub(super) fn new(ceiling: usize, files: usize) -> Self {
        let ceiling = ceiling.max(1);
        let target = AtomicUsize::new(START.max(files).min(ceiling));
        Self { ceiling, target, trouble: AtomicBool::new(false), flow: Mutex::default() }
    }

    pub(super) fn target(&self) -> usize {
        self.target.load(Ordering::Relaxed)
    }

    /// A server refused or a connection stalled: half the connections, at once.
    pub(super) fn trouble(&self) {
        if !self.trouble.swap(true, Ordering::Relaxed) {
            let half = self.target().div_ceil(2);
            self.target.store(half, Ordering::Relaxed);
        }
    }

    /// When to look at the flow next.
    pub(super) fn next_pulse(&self) -> Duration {
        if self.flow().pulses < YOUNG { YOUNG_PULSE } else { PULSE }
    }

    /// Looks at the flow; `total` is all bytes so far, `took` the time since the last look.
    pub(super) fn pulse(&self, total: u64, took: Duration) {
        let mut flow = self.flow();
        let rate = total.saturating_sub(flow.bytes) as f64 / took.max(YOUNG_PULSE / 10).as_secs_f64();
        flow.bytes = total;
        flow.pulses = flow.pulses.saturating_add(1);
        if self.trouble.swap(false, Ordering::Relaxed) {
            *flow = Flow { bytes: total, settled: true, wary: true, pulses: YOUNG, ..Flow::default() };
            return;
        }
        let target = self.target();
        if let Some(before) = flow.before.take()
            && (rate >= FEW || flow.wary)
            && rate < before * WORTH_IT
        {
            self.target.store(target.saturating_sub(STEP).max(1), Ordering::Relaxed);
            flow.settled = true;
            return;
        }
        if flow.settled && !flow.pulses.is_multiple_of(QUESTIONED) {
            return;
        }
        if rate > 0.0 && target < self.ceiling {
            flow.settled = false;
            flow.before = Some(rate);
            self.target.store((target + STEP).min(self.ceiling), Ordering::Relaxed);
        }
    }

    fn flow(&self) -> MutexGuard<'_, Flow> {
        self.flow.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pulses(governor: &Governor, rate: impl Fn(usize) -> u64, count: usize) {
        let mut total = 0;
        for _ in 0..count {
            total += rate(governor.target());
            governor.pulse(total, Duration::from_secs(1));
        }
    }

    #[test]
    fn it_grows_to_the_ceiling_while_each_connection_brings_its_share() {
        let governor = Governor::new(8, 1);
        pulses(&governor, |connections| connections as u64 * FEW as u64, 6);
        assert_eq!(governor.target(), 8);
    }

    #[test]
    fn it_stays_low_where_more_connections_bring_nothing() {
        let governor = Governor::new(8, 1);
        pulses(&governor, |_| 2 * FEW as u64, 15);
        assert_eq!(governor.target(), 4);
    }

    #[test]
    fn it_grows_to_the_ceiling_where_so_few_bytes_come_that_nothing_can_be_told_from_them() {
        let governor = Governor::new(8, 1);
        let mut total = 0;
        for bytes in [FEW as u64 / 8, FEW as u64 / 32].repeat(3) {
            total += bytes;
            governor.pulse(total, Duration::from_secs(1));
        }
        assert_eq!(governor.target(), 8);
    }

    #[test]
    fn trouble_halves_it_once_for_each_look() {
        let governor = Governor::new(8, 100);
        governor.trouble();
        governor.trouble();
        assert_eq!(governor.target(), 4);
        governor.pulse(1, PULSE);
        governor.trouble();
        assert_eq!(governor.target(), 2);
    }

    #[test]
    fn after_trouble_it_does_not_climb_back_where_that_brings_nothing() {
        let governor = Governor::new(8, 100);
        governor.trouble();
        pulses(&governor, |_| FEW as u64 / 100, 3 * QUESTIONED as usize);
        assert!(governor.target() <= 6, "{}", governor.target());
        pulses(&governor, |connections| connections as u64 * 1000, 3 * QUESTIONED as usize);
        assert_eq!(governor.target(), 8);
    }

    #[test]
    fn it_never_goes_below_one_or_above_the_ceiling() {
        let governor = Governor::new(1, 50);
        assert_eq!(governor.target(), 1);
        governor.trouble();
        pulses(&governor, |_| 5, 50);
        assert_eq!(governor.target(), 1);
    }
}
