//! Pauses that a server asks for, obeyed by all workers together.
//!
//! A server may count requests in several buckets; a pause that names its bucket holds back only the requests that count
//! there, any other holds back everything that goes to its origin. A request of which the bucket is not known is held back
//! by each pause of its origin.

use super::{
    error::HttpError,
    origin::{Origin, bare},
    range::number,
    service::Dialect,
};
use reqwest::{StatusCode, header::HeaderMap};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;
use url::Url;

/// A pause longer than this is an error that names the wait, so that nobody sits in front of a silent program.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(15 * 60);

/// What an answer asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryAfter {
    bucket: Option<String>,
    /// How long.
    pub wait: Duration,
}

/// Running pauses by origin and bucket.
#[derive(Debug, Default)]
pub struct Pauses(Mutex<HashMap<(Origin, Option<String>), Instant>>);

impl Pauses {
    /// Waits for the pauses that hold back a request to `url`, or errs at once when they are too long.
    pub async fn wait(&self, origin: &Origin, url: &Url, with_token: bool, dialect: &dyn Dialect) -> Result<(), HttpError> {
        while let Some(until) = self.until(origin, dialect.bucket(url)) {
            let left = until.saturating_duration_since(Instant::now());
            if left > LONGEST_PAUSE {
                let url = bare(url);
                let hint = dialect.rate_limit_hint(&url, with_token);
                return Err(HttpError::RateLimited { url, wait: Some(left), hint: hint.map(Box::new) });
            }
            // A little jitter, so that the workers do not come back in one instant.
            tokio::time::sleep(left + Duration::from_millis(fastrand::u64(1..150))).await;
        }
        Ok(())
    }

    fn until(&self, origin: &Origin, bucket: Option<&str>) -> Option<Instant> {
        let mut pauses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if pauses.is_empty() {
            return None;
        }
        let now = Instant::now();
        pauses.retain(|_, until| *until > now);
        pauses
            .iter()
            .filter(|((o, b), _)| o == origin && b.as_deref().zip(bucket).is_none_or(|(named, bucket)| named == bucket))
            .map(|(_, until)| *until)
            .max()
    }

    /// Starts or lengthens a pause; true if none of its kind was running, so that it is reported once.
    pub fn start(&self, origin: &Origin, pause: &RetryAfter) -> bool {
        let mut pauses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let until = now + pause.wait.min(Duration::from_secs(7 * 86_400));
        let slot = pauses.entry((origin.clone(), pause.bucket.clone())).or_insert(now);
        let new = *slot <= now;
        *slot = until.max(*slot);
        new
    }
}

/// Reads the pause an answer asks for: `Retry-After` on 429 and 503, else `RateLimit` with nothing remaining.
pub fn retry_after(status: StatusCode, headers: &HeaderMap) -> Option<RetryAfter> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let limit = text("ratelimit").and_then(exhausted);
    if matches!(status.as_u16(), 429 | 503) {
        let after = text("retry-after").and_then(delay_of);
        // On a 429 the window's end is worth waiting for even when the header does not say r=0.
        let window = || (status == 429).then(|| text("ratelimit").and_then(|t| items(t).next()))?;
        let named = limit.or_else(window);
        return match (after, named) {
            (Some(wait), Some((bucket, _))) => Some(RetryAfter { bucket: Some(bucket), wait }),
            (Some(wait), None) => Some(RetryAfter { bucket: None, wait }),
            (None, Some((bucket, t))) => Some(RetryAfter { bucket: Some(bucket), wait: Duration::from_secs(t.saturating_add(1)) }),
            (None, None) => None,
        };
    }
    limit.map(|(bucket, t)| RetryAfter { bucket: Some(bucket), wait: Duration::from_secs(t.saturating_add(1)) })
}

/// The first bucket of a `RateLimit` header with nothing remaining, and the seconds until it fills again.
fn exhausted(text: &str) -> Option<(String, u64)> {
    text.split(',').filter_map(item).find(|(_, r, _)| *r == Some(0)).map(|(bucket, _, t)| (bucket, t))
}

fn items(text: &str) -> impl Iterator<Item = (String, u64)> {
    text.split(',').filter_map(item).map(|(bucket, _, t)| (bucket, t))
}

/// `"resolvers";r=0;t=55`.
fn item(text: &str) -> Option<(String, Option<u64>, u64)> {
    let mut parts = text.split(';').map(str::trim);
    let bucket = parts.next()?.trim_matches('"').to_owned();
    let (mut remaining, mut reset) = (None, None);
    for part in parts {
        match part.split_once('=') {
            Some(("r", value)) => remaining = number(value),
            Some(("t", value)) => reset = number(value),
            _ => {}
        }
    }
    Some((bucket, remaining, reset?))
}

/// Seconds, or a date in the form of RFC 9110.
fn delay_of(text: &str) -> Option<Duration> {
    if let Some(seconds) = number(text) {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text.trim()).ok()?;
    let left = date.as_second().saturating_sub(jiff::Timestamp::now().as_second());
    Some(Duration::from_secs(u64::try_from(left).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use reqwest::header::{HeaderName, HeaderValue};

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        list.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn the_wait_is_read_from_either_header() {
        let limited = StatusCode::TOO_MANY_REQUESTS;
        let wait = |status, list: &[_]| retry_after(status, &headers(list)).map(|w| w.wait.as_secs());
        assert_eq!(wait(limited, &[("retry-after", "7"), ("ratelimit", "\"api\";r=0;t=55")]), Some(7));
        assert_eq!(wait(limited, &[("ratelimit", "\"api\";r=0;t=55")]), Some(56));
        assert_eq!(wait(limited, &[("ratelimit-policy", "\"fixed window\";\"api\";q=3000;w=300")]), None);
        assert_eq!(wait(StatusCode::OK, &[("ratelimit", "\"api\";r=12;t=55")]), None);
        assert_eq!(wait(StatusCode::OK, &[("ratelimit", "\"api\";r=12;t=5, \"resolvers\";r=0;t=9")]), Some(10));
        assert_eq!(wait(StatusCode::OK, &[("retry-after", "9")]), None);
        assert_eq!(wait(StatusCode::SERVICE_UNAVAILABLE, &[("retry-after", "9")]), Some(9));
        assert_eq!(wait(limited, &[("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT")]), Some(0));
        assert!(wait(limited, &[("retry-after", "Fri, 21 Oct 2095 07:28:00 GMT")]).unwrap() > 3600);
        assert_eq!(wait(limited, &[("retry-after", "soon")]), None);
    }

    #[derive(Debug)]
    struct ByFirstPart;

    impl Dialect for ByFirstPart {
        fn bucket(&self, url: &Url) -> Option<&'static str> {
            Some(if url.path().starts_with("/api/") { "api" } else { "files" })
        }
    }

    #[tokio::test]
    async fn a_pause_holds_back_its_bucket_only_and_is_reported_once() {
        let pauses = Pauses::default();
        let api = Url::parse("http://h/api/models/a").unwrap();
        let file = Url::parse("http://h/files/c").unwrap();
        let origin = Origin::of(&api).unwrap();
        let pause = RetryAfter { bucket: Some("files".into()), wait: Duration::from_secs(3600) };
        assert!(pauses.start(&origin, &pause));
        assert!(!pauses.start(&origin, &pause));
        pauses.wait(&origin, &api, false, &ByFirstPart).await.unwrap();
        let plain = pauses.wait(&origin, &api, false, &super::super::service::Plain).await;
        assert!(matches!(plain, Err(HttpError::RateLimited { wait: Some(_), .. })), "an unknown bucket may be the paused one");
        let error = pauses.wait(&origin, &file, false, &ByFirstPart).await.unwrap_err();
        assert!(matches!(error, HttpError::RateLimited { wait: Some(wait), .. } if wait > Duration::from_secs(3000)));
        assert_eq!(error.retry(), super::super::Retry::Never);
    }

    proptest! {
        #[test]
        fn no_header_makes_the_readers_panic(text in "\\PC{0,60}") {
            let _ = exhausted(&text);
            let _ = delay_of(&text);
        }
    }
}
