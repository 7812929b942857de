//! Stall detection: whether bytes arrive fast enough.
//!
//! A byte now and then keeps a connection alive without progress, so less than [`SLOWEST`] counts as a stall. Many
//! connections that share a slow line may each be slower than that: then it is enough that their total is not, and that
//! this one has a share of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// Bytes a second below which a server is left, on the average of the stall timeout.
pub const SLOWEST: u64 = 1024;
/// A connection that has less than this part of an equal share is slow by itself, and not because the line is.
const PART: f64 = 8.0;
/// The shortest time that a rate is judged by.
const SHORTEST: Duration = Duration::from_secs(1);

/// What all bodies bring together.
#[derive(Debug)]
pub struct Throughput {
    floor: f64,
    bytes: AtomicU64,
    bodies: AtomicU64,
}

impl Throughput {
    /// Where the user limits the rate, less is enough.
    pub fn new(limit_rate: Option<u64>) -> Self {
        let floor = limit_rate.map_or(SLOWEST as f64, |limit| (limit as f64 / 4.0).min(SLOWEST as f64));
        Self { floor, bytes: AtomicU64::new(0), bodies: AtomicU64::new(0) }
    }
}

/// How fast one body comes.
#[derive(Debug)]
pub struct Pace {
    throughput: Arc<Throughput>,
    begun: Instant,
    /// What all bodies had brought then.
    before: u64,
    came: u64,
    /// Time spent waiting for bytes, which is not that of a caller who does not ask for them.
    waited: Duration,
}

impl Pace {
    /// Begins with the first look at a body.
    pub fn new(throughput: &Arc<Throughput>) -> Self {
        throughput.bodies.fetch_add(1, Ordering::Relaxed);
        Self {
            throughput: throughput.clone(),
            begun: Instant::now(),
            before: throughput.bytes.load(Ordering::Relaxed),
            came: 0,
            waited: Duration::ZERO,
        }
    }

    /// Notes bytes and how long they were waited for. `Some` if too few have come since the last judgement, which is made
    /// when `window` has been waited: how many.
    pub fn note(&mut self, bytes: usize, waited: Duration, window: Duration) -> Option<u64> {
        self.throughput.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.came += bytes as u64;
        self.waited += waited;
        if self.waited < window {
            return None;
        }
        let came = self.came;
        let is_enough = self.is_enough(came, self.waited);
        (self.begun, self.before) = (Instant::now(), self.throughput.bytes.load(Ordering::Relaxed));
        (self.came, self.waited) = (0, Duration::ZERO);
        (!is_enough).then_some(came)
    }

    fn is_enough(&self, came: u64, waited: Duration) -> bool {
        let whole = self.throughput.bytes.load(Ordering::Relaxed).saturating_sub(self.before);
        is_enough(&self.throughput, came, waited, whole, self.begun.elapsed())
    }
}

impl Drop for Pace {
    fn drop(&mut self) {
        self.throughput.bodies.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The clock of one try, whose bytes are counted by its body.
#[derive(Debug)]
pub struct TryClock {
    throughput: Arc<Throughput>,
    begun: Instant,
    before: u64,
}

impl TryClock {
    /// Begins a try.
    pub fn new(throughput: &Arc<Throughput>) -> Self {
        Self { throughput: throughput.clone(), begun: Instant::now(), before: throughput.bytes.load(Ordering::Relaxed) }
    }

    /// Whether so many new bytes are worth the time that the try took: a byte and a reset, again and again, are not.
    pub fn is_made_by(&self, bytes: u64) -> bool {
        let took = self.begun.elapsed().max(SHORTEST);
        let whole = self.throughput.bytes.load(Ordering::Relaxed).saturating_sub(self.before);
        is_enough(&self.throughput, bytes, took, whole, took)
    }
}

/// Whether `came` bytes are enough for the time they were waited for, while all bodies brought `whole` in `wall`.
fn is_enough(throughput: &Throughput, came: u64, waited: Duration, whole: u64, wall: Duration) -> bool {
    let rate = |bytes: u64, time: Duration| bytes as f64 / time.max(Duration::from_millis(1)).as_secs_f64();
    let (its, all) = (rate(came, waited), rate(whole, wall));
    let bodies = throughput.bodies.load(Ordering::Relaxed).max(1) as f64;
    its >= throughput.floor || (all >= throughput.floor && its * bodies * PART >= all)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(20);

    fn throughput(limit: Option<u64>, bodies: u64) -> Throughput {
        Throughput { bodies: AtomicU64::new(bodies), ..Throughput::new(limit) }
    }

    #[test]
    fn a_byte_a_second_is_too_slow_and_a_slow_line_is_not() {
        let alone = throughput(None, 1);
        assert!(!is_enough(&alone, 20, WINDOW, 20, WINDOW));
        assert!(is_enough(&alone, 20 * SLOWEST, WINDOW, 20 * SLOWEST, WINDOW));
        assert!(is_enough(&alone, 40 * 1024, WINDOW, 40 * 1024, WINDOW), "2 KiB/s");
    }

    #[test]
    fn connections_that_share_a_slow_line_are_judged_together() {
        let shared = throughput(None, 16);
        let line = 20 * 3 * 1024;
        assert!(is_enough(&shared, line / 16, WINDOW, line, WINDOW), "an equal share of 3 KiB/s");
        assert!(is_enough(&shared, line / 64, WINDOW, line, WINDOW), "a quarter of that");
        assert!(!is_enough(&shared, 20, WINDOW, 20 * 16, WINDOW), "a byte a second on each");
        assert!(!is_enough(&shared, 20, WINDOW, 20 << 20, WINDOW), "a byte a second beside others that are fast");
    }

    #[test]
    fn a_limit_of_the_user_is_not_taken_for_a_slow_server() {
        let limited = throughput(Some(200), 8);
        assert!(is_enough(&limited, 20 * 25, WINDOW, 20 * 200, WINDOW));
        assert!(!is_enough(&limited, 20, WINDOW, 20 * 8, WINDOW));
    }

    #[test]
    fn a_window_is_judged_by_what_was_waited_and_begins_anew() {
        let throughput = Arc::new(Throughput::new(None));
        let mut pace = Pace::new(&throughput);
        let second = Duration::from_secs(1);
        for _ in 0..19 {
            assert_eq!(pace.note(1, second, WINDOW), None);
        }
        assert_eq!(pace.note(1, second, WINDOW), Some(20));
        assert_eq!(pace.note(1 << 20, WINDOW, WINDOW), None);
        drop(pace);
        assert_eq!(throughput.bodies.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_byte_before_each_reset_is_no_progress() {
        let throughput = Arc::new(Throughput::new(None));
        let progress = TryClock::new(&throughput);
        assert!(!progress.is_made_by(1));
        throughput.bytes.fetch_add(1 << 20, Ordering::Relaxed);
        assert!(progress.is_made_by(1 << 20));
        assert!(!progress.is_made_by(1000));
    }
}
