//! How many connections to keep open: more while that brings more bytes, fewer when the server or the network objects.
//!
//! Up to the usual number the search is quick, and where few bytes come every step is kept. Beyond it there is one large step,
//! which has to show what it brings: where losses or the server keep each connection slow, twice the connections are twice
//! the bytes; where the line is full they would only take it from others.

use crate::settings::Connections;
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
/// ...or if fewer bytes than this come in a second (32 MiB/s): below that, measurements are too noisy to judge a step, and
/// on lossy links every connection helps.
const FEW: f64 = (32 << 20) as f64;
/// How long connections get to be opened and come to speed before the step beyond is measured, and for how long it then is.
const SETTLING: Duration = Duration::from_secs(1);
const MEASURED: Duration = Duration::from_secs(2);
/// After it brought nothing, it is not taken for this long.
const RESTING: Duration = Duration::from_secs(60);

pub(super) struct Governor {
    connections: Connections,
    target: AtomicUsize,
    congested: AtomicBool,
    flow: Mutex<Flow>,
}

#[derive(Default)]
struct Flow {
    bytes: u64,
    /// Bytes per second before the last step up, until the step has been judged.
    before: Option<f64>,
    /// The target that turned out to be enough.
    settled: bool,
    /// There was congestion: from then on a step is kept only if it shows that it is worth it.
    wary: bool,
    pulses: u32,
    widening: WideningTrial,
}

/// The trial of the step beyond the usual number.
#[derive(Default)]
struct WideningTrial {
    /// How long it is not taken yet.
    resting: Duration,
    /// How long connections have had to come to speed.
    settled: Duration,
    /// What came since, and in which time.
    came: u64,
    measured: Duration,
    /// Bytes per second before the step, until it has been judged.
    before: Option<f64>,
}

impl Governor {
    /// Small files spend their time waiting, so many of them start with all connections.
    pub(super) fn new(connections: Connections, files: usize) -> Self {
        let usual = connections.usual.max(1);
        let connections = Connections { usual, most: connections.most.max(usual) };
        let target = AtomicUsize::new(START.max(files).min(usual));
        Self { connections, target, congested: AtomicBool::new(false), flow: Mutex::default() }
    }

    pub(super) fn target(&self) -> usize {
        self.target.load(Ordering::Relaxed)
    }

    /// A server refused or a connection stalled: half the connections, at once.
    pub(super) fn on_congestion(&self) {
        if !self.congested.swap(true, Ordering::Relaxed) {
            let half = self.target().div_ceil(2);
            self.target.store(half, Ordering::Relaxed);
        }
    }

    /// When to look at the flow next.
    pub(super) fn next_tick(&self) -> Duration {
        if self.flow().pulses < YOUNG { YOUNG_PULSE } else { PULSE }
    }

    /// Looks at the flow; `total` is all bytes so far, `took` the time since the last look.
    pub(super) fn tick(&self, total: u64, took: Duration) {
        let mut flow = self.flow();
        let came = total.saturating_sub(flow.bytes);
        let rate = came as f64 / took.max(YOUNG_PULSE / 10).as_secs_f64();
        flow.bytes = total;
        flow.pulses = flow.pulses.saturating_add(1);
        if self.congested.swap(false, Ordering::Relaxed) {
            *flow = Flow { bytes: total, settled: true, wary: true, pulses: YOUNG, ..Flow::default() };
            return;
        }
        let target = self.target();
        if target >= self.connections.usual && flow.before.is_none() {
            if !flow.wary {
                self.widen(&mut flow.widening, target, came, took);
            }
            return;
        }
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
        if rate > 0.0 && target < self.connections.usual {
            flow.settled = false;
            flow.before = Some(rate);
            self.target.store((target + STEP).min(self.connections.usual), Ordering::Relaxed);
        }
    }

    /// Goes beyond the usual number, and back where that brought too little.
    fn widen(&self, trial: &mut WideningTrial, target: usize, came: u64, took: Duration) {
        let Connections { usual, most } = self.connections;
        trial.resting = trial.resting.saturating_sub(took);
        if (target == most && trial.before.is_none()) || !trial.resting.is_zero() {
            return;
        }
        if trial.settled < SETTLING {
            trial.settled += took;
            return;
        }
        trial.came += came;
        trial.measured += took;
        if trial.measured < MEASURED {
            return;
        }
        let WideningTrial { came, measured, before, .. } = std::mem::take(trial);
        let rate = came as f64 / measured.as_secs_f64();
        if before.is_some_and(|before| rate < before * WORTH_IT) {
            trial.resting = RESTING;
            self.target.store(usual, Ordering::Relaxed);
        } else if rate > 0.0 && rate < FEW && target < most {
            trial.before = Some(rate);
            self.target.store(most, Ordering::Relaxed);
        }
    }

    fn flow(&self) -> MutexGuard<'_, Flow> {
        self.flow.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EIGHT: Connections = Connections::exactly(8);
    const UP_TO_SIXTEEN: Connections = Connections { usual: 8, most: 16 };

    fn pulses(governor: &Governor, rate: impl Fn(usize) -> u64, count: usize) {
        let mut total = 0;
        for _ in 0..count {
            total += rate(governor.target());
            governor.tick(total, Duration::from_secs(1));
        }
    }

    #[test]
    fn it_grows_to_the_ceiling_while_each_connection_brings_its_share() {
        let governor = Governor::new(EIGHT, 1);
        pulses(&governor, |connections| connections as u64 * FEW as u64, 6);
        assert_eq!(governor.target(), 8);
    }

    #[test]
    fn it_stays_low_where_more_connections_bring_nothing() {
        let governor = Governor::new(EIGHT, 1);
        pulses(&governor, |_| 2 * FEW as u64, 15);
        assert_eq!(governor.target(), 4);
    }

    #[test]
    fn it_grows_to_the_ceiling_where_so_few_bytes_come_that_nothing_can_be_told_from_them() {
        let governor = Governor::new(EIGHT, 1);
        let mut total = 0;
        for bytes in [FEW as u64 / 8, FEW as u64 / 32].repeat(3) {
            total += bytes;
            governor.tick(total, Duration::from_secs(1));
        }
        assert_eq!(governor.target(), 8);
    }

    #[test]
    fn congestion_halves_it_once_for_each_look() {
        let governor = Governor::new(EIGHT, 100);
        governor.on_congestion();
        governor.on_congestion();
        assert_eq!(governor.target(), 4);
        governor.tick(1, PULSE);
        governor.on_congestion();
        assert_eq!(governor.target(), 2);
    }

    #[test]
    fn after_congestion_it_does_not_climb_back_where_that_brings_nothing() {
        let governor = Governor::new(EIGHT, 100);
        governor.on_congestion();
        pulses(&governor, |_| FEW as u64 / 100, 3 * QUESTIONED as usize);
        assert!(governor.target() <= 6, "{}", governor.target());
        pulses(&governor, |connections| connections as u64 * 1000, 3 * QUESTIONED as usize);
        assert_eq!(governor.target(), 8);
    }

    #[test]
    fn it_never_goes_below_one_or_above_the_ceiling() {
        let governor = Governor::new(Connections::exactly(1), 50);
        assert_eq!(governor.target(), 1);
        governor.on_congestion();
        pulses(&governor, |_| 5, 50);
        assert_eq!(governor.target(), 1);
    }

    #[test]
    fn it_goes_beyond_the_usual_number_where_each_connection_is_slow() {
        let governor = Governor::new(UP_TO_SIXTEEN, 1);
        pulses(&governor, |connections| connections as u64 * 300_000, 20);
        assert_eq!(governor.target(), 16);
    }

    #[test]
    fn it_stays_at_the_usual_number_where_that_fills_the_line_and_asks_again_after_a_minute() {
        let governor = Governor::new(UP_TO_SIXTEEN, 1);
        let mut total = 0;
        let mut wide = Vec::new();
        for second in 0..150 {
            total += 2_500_000;
            governor.tick(total, Duration::from_secs(1));
            if governor.target() > 8 {
                wide.push(second);
            }
        }
        let tried = wide.chunk_by(|a, b| a + 1 == *b).map(<[i32]>::len).collect::<Vec<_>>();
        assert_eq!(tried, [3, 3, 3], "seconds of each try");
        assert_eq!(governor.target(), 8);
        pulses(&governor, |connections| connections as u64 * 300_000, 100);
        assert_eq!(governor.target(), 16);
    }

    #[test]
    fn it_stays_at_the_usual_number_where_much_comes() {
        let governor = Governor::new(UP_TO_SIXTEEN, 1);
        pulses(&governor, |connections| connections as u64 * FEW as u64, 60);
        assert_eq!(governor.target(), 8);
    }

    #[test]
    fn it_never_goes_beyond_the_usual_number_after_congestion() {
        let governor = Governor::new(UP_TO_SIXTEEN, 1);
        pulses(&governor, |connections| connections as u64 * 300_000, 20);
        governor.on_congestion();
        pulses(&governor, |connections| connections as u64 * 300_000, 200);
        assert_eq!(governor.target(), 8);
    }
}
