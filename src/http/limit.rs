//! The bandwidth limit: one bucket for all bodies.

use std::{sync::Mutex, time::Duration};
use tokio::time::Instant;

/// Bytes that may pass at once after a rest.
const BURST: Duration = Duration::from_millis(250);

/// Lets `rate` bytes a second pass, over all callers together.
#[derive(Debug)]
pub struct Limiter {
    rate: u64,
    /// When everything let through so far would have passed at exactly `rate`.
    paid: Mutex<Option<Instant>>,
}

impl Limiter {
    /// A limit in bytes a second; zero counts as one.
    pub fn new(rate: u64) -> Self {
        Self { rate: rate.max(1), paid: Mutex::new(None) }
    }

    /// Books `bytes` that have passed; the caller may take more at the returned time.
    pub fn book(&self, bytes: usize) -> Instant {
        let mut paid = self.paid.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let now = Instant::now();
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        let from = paid.map_or(earliest, |at| at.max(earliest));
        let until = from + Duration::from_secs_f64((bytes as f64 / self.rate as f64).min(86_400.0));
        *paid = Some(until);
        until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn two_callers_share_one_rate() {
        let limiter = Limiter::new(1_000_000);
        let start = std::time::Instant::now();
        let work = || async {
            for _ in 0..5 {
                tokio::time::sleep_until(limiter.book(50_000)).await;
            }
        };
        tokio::join!(work(), work());
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(220) && took < Duration::from_millis(900), "{took:?}");
    }
}
