//! One file's address at one endpoint, and the signed address that it led to: in memory only, shared by all ranges of the file.

use super::{Http, Service, Trail, error::HttpError, origin::bare, range::number};
use crate::hint::Hint;
use std::{fmt, sync::Arc, time::Duration};
use tokio::time::Instant;
use url::Url;

/// How long a signed address is taken to live when it does not say.
const USUAL_LIFE: Duration = Duration::from_secs(3600);

/// Where a file is; clones share what is known about it.
#[derive(Clone)]
pub struct Location(pub(super) Arc<LocationState>);

pub(super) struct LocationState {
    pub(super) resolve: Url,
    /// The service whose rules hold for it, whichever client opens it; `None` is the client's own.
    pub(super) service: Option<Service>,
    pub(super) is_authority: bool,
    pub(super) version: Option<String>,
    pub(super) slot: tokio::sync::Mutex<Slot>,
}

#[derive(Default)]
pub(super) struct Slot {
    pub(super) target: Option<Target>,
    pub(super) serial: u64,
    /// The last failure, for those that waited while it happened.
    pub(super) failed: Option<(Instant, HttpError)>,
}

/// Where the bytes are: behind a redirect to another host, or at the service itself.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) url: Url,
    pub(super) serial: u64,
    /// The way to it.
    pub(super) trail: Trail,
    renew: Option<Instant>,
}

impl Location {
    /// A file by its resolve address.
    #[cfg(feature = "unstable")]
    pub fn new(resolve: Url) -> Self {
        Self(Arc::new(LocationState {
            resolve,
            service: None,
            is_authority: false,
            version: None,
            slot: tokio::sync::Mutex::default(),
        }))
    }

    /// A file by its address on a server of which nothing is known: it sees no token, and what it says of the file is final.
    pub fn plain(address: Url) -> Self {
        let service = Some(Service::plain());
        Self(Arc::new(LocationState {
            resolve: address,
            service,
            is_authority: true,
            version: None,
            slot: tokio::sync::Mutex::default(),
        }))
    }

    /// A file of the service that `http` asks: its rules hold whichever client opens it. `is_authority` says that this is
    /// no mirror, so that what it says of the file is final. Bytes of another `version`, as a [`Probe`](super::Probe) has
    /// it, are refused.
    pub(crate) fn of(http: &Http, resolve: Url, is_authority: bool, version: Option<String>) -> Self {
        let service = Some(http.service.clone());
        Self(Arc::new(LocationState { resolve, service, is_authority, version, slot: tokio::sync::Mutex::default() }))
    }

    /// The resolve address as it may be shown.
    pub fn shown(&self) -> String {
        bare(&self.0.resolve)
    }

    /// Whether what it says of the file is final, because it is no mirror.
    pub fn is_authority(&self) -> bool {
        self.0.is_authority
    }

    /// What to do next after a failure, as those who know its kind of server say it.
    pub fn hint(&self, error: &HttpError) -> Option<Hint> {
        self.0.service.as_ref().map_or_else(|| error.hint(), |service| service.0.dialect.hint(error))
    }

    /// The endpoint's origin, for counting failures per mirror; `None` if the address is not one of HTTP.
    pub(crate) fn origin(&self) -> Option<super::Origin> {
        super::Origin::of(&self.0.resolve)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Location({})", self.shown())
    }
}

impl Slot {
    /// Remembers a target.
    pub(super) fn put(&mut self, url: Url, trail: Trail) -> Target {
        self.serial += 1;
        let life = life(&url, jiff::Timestamp::now().as_second());
        let target = Target { url, serial: self.serial, trail, renew: life.map(|life| Instant::now() + life.mul_f64(0.8)) };
        self.target = Some(target.clone());
        self.failed = None;
        target
    }

    /// The target, unless it is `stale` or near its end.
    pub(super) fn fresh(&self, stale: Option<u64>) -> Option<Target> {
        let target = self.target.as_ref()?;
        let young = target.renew.is_none_or(|renew| Instant::now() < renew);
        (young && Some(target.serial) != stale).then(|| target.clone())
    }
}

/// How long an address will still be good; `None` is no known end.
pub(super) fn life(url: &Url, now: i64) -> Option<Duration> {
    let find = |names: &[&str]| {
        url.query_pairs().find(|(name, _)| names.iter().any(|n| name.eq_ignore_ascii_case(n))).map(|(_, value)| value.into_owned())
    };
    let left = |end: i64| u64::try_from(end.saturating_sub(now)).ok().filter(|left| *left > 0).map(Duration::from_secs);
    if let Some(seconds) = find(&["X-Amz-Expires", "X-Goog-Expires"]).as_deref().and_then(number) {
        let whole = Duration::from_secs(seconds);
        let end = find(&["X-Amz-Date", "X-Goog-Date"])
            .and_then(|date| jiff::fmt::strtime::parse("%Y%m%dT%H%M%SZ", date).ok()?.to_datetime().ok())
            .and_then(|date| date.to_zoned(jiff::tz::TimeZone::UTC).ok())
            .map(|date| date.timestamp().as_second().saturating_add(i64::try_from(seconds).unwrap_or(i64::MAX)));
        // An end that has passed at birth, or lies beyond its own life, shows that this machine's clock is wrong.
        return Some(end.and_then(left).filter(|left| *left <= whole).unwrap_or(whole));
    }
    if let Some(end) = find(&["Expires"]).as_deref().and_then(number) {
        return Some(i64::try_from(end).ok().and_then(left).unwrap_or(USUAL_LIFE));
    }
    url.query().map(|_| USUAL_LIFE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_signed_address_is_read_from_it() {
        let life = |query: &str, now| super::life(&Url::parse(&format!("https://cdn/x{query}")).unwrap(), now).map(|l| l.as_secs());
        let born = 1_767_225_600; // 2026-01-01T00:00:00Z
        assert_eq!(life("?X-Amz-Date=20260101T000000Z&X-Amz-Expires=3600&X-Amz-Signature=s", born + 600), Some(3000));
        assert_eq!(life("?X-Amz-Date=20260101T000000Z&X-Amz-Expires=900", born + 90_000), Some(900), "a wrong clock");
        assert_eq!(life("?X-Goog-Expires=60&X-Goog-Date=garbage", born), Some(60));
        assert_eq!(life(&format!("?Expires={}&Signature=s&Key-Pair-Id=K", born + 1800), born), Some(1800));
        assert_eq!(life("?Policy=abc&Signature=s", born), Some(3600));
        assert_eq!(life("", born), None);
    }

    #[test]
    fn a_location_never_shows_a_query() {
        let location = Location::new(Url::parse("https://h/a/resolve/main/b?token=secret").unwrap());
        assert!(!format!("{location} {location:?}").contains("secret"));
    }

    #[tokio::test]
    async fn a_target_is_renewed_when_it_is_stale_and_clones_share_it() {
        let location = Location::new(Url::parse("https://h/a").unwrap());
        let target = location.clone().0.slot.lock().await.put(Url::parse("https://cdn/a?Signature=1").unwrap(), Trail::default());
        let slot = location.0.slot.lock().await;
        assert!(slot.fresh(None).is_some());
        assert!(slot.fresh(Some(target.serial)).is_none());
    }
}
