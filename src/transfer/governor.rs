//! How many connections to keep open: more while that brings more bytes, fewer when the server or the network objects.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

/// How often the flow is looked at.
pub(super) const PULSE: Duration = Duration::from_millis(250);
const START: usize = 4;
const STEP: usize = 2;
/// A step up is kept if it brought this much more...
const WORTH_IT: f64 = 1.08;
/// ...or if fewer bytes than this came in a pulse. So few come in bursts, and what one step brought cannot be told from
/// chance; where losses keep each connection slow, every one of them counts.
const FEW: u64 = 8 << 20;

pub(super) struct Governor {
    ceiling: usize,
    target: AtomicUsize,
    trouble: AtomicBool,
    flow: Mutex<Flow>,
}

#[derive(Default)]
struct Flow {
    bytes: u64,
    /// Bytes per pulse before the last step up, until the step has been judged.
    before: Option<u64>,
    /// The target that turned out to be enough.
    settled: bool,
    calm: u32,
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

    /// Looks at the flow; `total` is all bytes so far.
    pub(super) fn pulse(&self, total: u64) {
        let mut flow = self.flow.lock().unwrap_or_else(PoisonError::into_inner);
        let delta = total.saturating_sub(flow.bytes);
        flow.bytes = total;
        if self.trouble.swap(false, Ordering::Relaxed) {
            *flow = Flow { bytes: total, settled: true, ..Flow::default() };
            return;
        }
        flow.calm += 1;
        let target = self.target();
        if let Some(before) = flow.before.take()
            && delta >= FEW
            && (delta as f64) < before as f64 * WORTH_IT
        {
            self.target.store(target.saturating_sub(STEP).max(1), Ordering::Relaxed);
            flow.settled = true;
            return;
        }
        // What was enough is questioned again now and then: the network may have become free.
        if flow.settled && !flow.calm.is_multiple_of(40) {
            return;
        }
        if delta > 0 && target < self.ceiling {
            flow.settled = false;
            flow.before = Some(delta);
            self.target.store((target + STEP).min(self.ceiling), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pulses(governor: &Governor, rate: impl Fn(usize) -> u64, count: usize) {
        let mut total = 0;
        for _ in 0..count {
            total += rate(governor.target());
            governor.pulse(total);
        }
    }

    #[test]
    fn it_grows_to_the_ceiling_while_each_connection_brings_its_share() {
        let governor = Governor::new(8, 1);
        pulses(&governor, |connections| connections as u64 * 10, 6);
        assert_eq!(governor.target(), 8);
    }

    #[test]
    fn it_stays_low_where_more_connections_bring_nothing() {
        let governor = Governor::new(8, 1);
        pulses(&governor, |_| 2 * FEW, 15);
        assert_eq!(governor.target(), 4);
    }

    #[test]
    fn it_grows_to_the_ceiling_where_so_few_bytes_come_that_nothing_can_be_told_from_them() {
        let governor = Governor::new(8, 1);
        let mut total = 0;
        for bytes in [FEW / 8, FEW / 32].repeat(3) {
            total += bytes;
            governor.pulse(total);
        }
        assert_eq!(governor.target(), 8);
    }

    #[test]
    fn trouble_halves_it_once_for_each_look() {
        let governor = Governor::new(8, 100);
        governor.trouble();
        governor.trouble();
        assert_eq!(governor.target(), 4);
        governor.pulse(1);
        governor.trouble();
        assert_eq!(governor.target(), 2);
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
