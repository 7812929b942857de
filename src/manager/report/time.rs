//! Points in time of reports.

use serde::{Serialize, Serializer};
use std::{fmt, time::SystemTime};

/// A point in time, to the second. In JSON it is RFC 3339 in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// So many nanoseconds after the beginning of 1970; `None` for 0, as which an unknown time is reported.
    pub(in crate::manager) fn from_nanoseconds(since_1970: i64) -> Option<Self> {
        (since_1970 > 0).then(|| Self(since_1970.div_euclid(1_000_000_000)))
    }

    /// The present.
    pub fn now() -> Self {
        Self::from(SystemTime::now())
    }

    /// Seconds since the beginning of 1970.
    pub fn seconds(self) -> i64 {
        self.0
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        Self(time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        jiff::Timestamp::from_second(self.0).unwrap_or_default().fmt(f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
