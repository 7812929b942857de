//! When to try again: full jitter, so that workers that failed together do not come back together.

use super::error::{HttpError, Retry};
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(300);
const CEILING: Duration = Duration::from_secs(10);

/// Counts the tries of one piece of work.
#[derive(Debug, Clone)]
pub struct Backoff {
    tries: u32,
    failed: u32,
}

impl Backoff {
    /// Gives up at the `tries`-th failure without progress; at least one try is made.
    pub fn new(tries: u32) -> Self {
        Self { tries, failed: 0 }
    }

    /// How long to wait after `error` before the next try; `None` is the end: report `error`.
    pub fn next(&mut self, error: &HttpError) -> Option<Duration> {
        let retry = error.retry();
        if retry == Retry::Never {
            return None;
        }
        self.failed = self.failed.saturating_add(1);
        if self.failed >= self.tries {
            return None;
        }
        Some(match retry {
            Retry::After(wait) => wait,
            _ => {
                let most = FIRST.saturating_mul(1 << (self.failed - 1).min(10)).min(CEILING);
                most.mul_f64(fastrand::f64())
            }
        })
    }

    /// Forgets the failures so far, because bytes arrived.
    pub fn progressed(&mut self) {
        self.failed = 0;
    }

    /// Failures since the last progress.
    pub fn failures(&self) -> u32 {
        self.failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut() -> HttpError {
        HttpError::Cut { url: "u".into(), got: 1, expected: 2 }
    }

    #[test]
    fn tries_end_and_progress_gives_them_back() {
        let mut backoff = Backoff::new(3);
        assert!(backoff.next(&cut()).is_some());
        assert!(backoff.next(&cut()).is_some());
        assert!(backoff.next(&cut()).is_none());
        backoff.progressed();
        assert!(backoff.next(&cut()).is_some());
    }

    #[test]
    fn waits_stay_below_the_ceiling_however_often_it_fails() {
        let mut backoff = Backoff::new(u32::MAX);
        for round in 0..200 {
            let wait = backoff.next(&cut()).unwrap();
            assert!(wait <= CEILING, "{wait:?}");
            assert!(round > 0 || wait <= FIRST, "{wait:?}");
        }
    }

    #[test]
    fn what_cannot_get_better_is_not_tried_again_and_a_named_wait_is_obeyed() {
        assert_eq!(Backoff::new(9).next(&HttpError::Offline { url: "u".into() }), None);
        let limited = HttpError::RateLimited { url: "u".into(), wait: Some(Duration::from_secs(55)), hint: None };
        assert_eq!(Backoff::new(9).next(&limited), Some(Duration::from_secs(55)));
    }
}
