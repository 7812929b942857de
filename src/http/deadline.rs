//! Until when an answer is waited for.

use std::time::Duration;
use tokio::time::Instant;

/// The end of the time that a question has, and how long that was in all.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    ends: Instant,
    allowed: Duration,
}

impl Deadline {
    /// So long from now.
    pub(super) fn after(allowed: Duration) -> Self {
        Self { ends: Instant::now() + allowed, allowed }
    }

    /// The same, or so long from now if that is sooner.
    pub(super) fn within(self, allowed: Duration) -> Self {
        let other = Self::after(allowed);
        if other.ends < self.ends { other } else { self }
    }

    /// How long is left.
    pub(super) fn left(self) -> Duration {
        self.ends.saturating_duration_since(Instant::now())
    }

    /// Whether it has passed.
    pub(super) fn has_passed(self) -> bool {
        self.left().is_zero()
    }

    /// How long it was in all.
    pub(super) fn allowed(self) -> Duration {
        self.allowed
    }
}
