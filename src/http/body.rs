//! Opening a range of a file and reading it: one attempt, nothing believed that was not asked for.

use super::{
    Http, HttpError, Location, header_text, is_html,
    location::Target,
    origin::bare,
    pace::Pace,
    probe::version,
    range::{ContentRange, number},
    redirect::{MOST_HOPS, drain, next_hop},
    resolve::is_page,
};
use bytes::Bytes;
use reqwest::{Method, Response};
use std::{fmt, ops::Range};
use tokio::time::Instant;
use url::Url;

/// The bytes of a range, or of the whole file where the server knows no ranges.
pub struct Body {
    http: Http,
    response: Response,
    shown: String,
    range: Range<u64>,
    got: u64,
    whole: bool,
    /// Whether the server said how long the body is; else one byte too many must be looked for.
    counted: bool,
    ended: bool,
    /// When the bandwidth limit allows the next read.
    not_before: Option<Instant>,
    pace: Pace,
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({}, {:?}, {} read)", self.shown, self.range, self.got)
    }
}

impl Http {
    /// Asks for the bytes `range` of a file of `size` bytes. One attempt; only an address that has expired is renewed, once.
    ///
    /// The body begins at `range.start` and is as long as the range, or, where the server ignored the range, is the
    /// [whole](Body::whole) file from 0.
    pub async fn open(&self, location: &Location, range: Range<u64>, size: u64) -> Result<Body, HttpError> {
        if range.end > size || (range.is_empty() && size > 0) {
            let got = format!("nothing, because the file has {size} bytes");
            return Err(HttpError::BadRange { url: location.shown(), asked: shown(&range), got });
        }
        // An empty file has no range that could be asked for.
        self.asking_for(location).open_as(location, &range, size, (size > 0).then_some(&range)).await
    }

    /// Asks for a whole file of `size` bytes, without naming a range.
    pub async fn open_whole(&self, location: &Location, size: u64) -> Result<Body, HttpError> {
        self.asking_for(location).open_as(location, &(0..size), size, None).await
    }

    async fn open_as(
        &self,
        location: &Location,
        range: &Range<u64>,
        size: u64,
        asked: Option<&Range<u64>>,
    ) -> Result<Body, HttpError> {
        let mut stale = None;
        loop {
            let (target, answered) = self.locate(location, stale, asked).await?;
            if let Some(response) = answered {
                return self.accept(response, &target.url, location, range, size).await;
            }
            let result = match self.follow(&target, asked).await {
                Ok((response, url)) => self.accept(response, &url, location, range, size).await,
                Err(error) => Err(error),
            };
            match result {
                Err(error) if stale.is_none() && error.is_expired() => stale = Some(target.serial),
                result => return result,
            }
        }
    }

    /// Asks a storage server, which may redirect further.
    pub(super) async fn follow(&self, target: &Target, range: Option<&Range<u64>>) -> Result<(Response, Url), HttpError> {
        let Target { mut url, mut trail, .. } = target.clone();
        for _ in 0..=MOST_HOPS {
            let response = self.send(Method::GET, &url, range, &mut trail).await?;
            match next_hop(&url, &response)? {
                Some(target) => {
                    drain(response).await;
                    url = target;
                }
                None => return Ok((response, url)),
            }
        }
        Err(HttpError::TooManyRedirects { url: bare(&url) })
    }

    /// Holds an answer against what was asked.
    async fn accept(
        &self,
        response: Response,
        url: &Url,
        location: &Location,
        range: &Range<u64>,
        size: u64,
    ) -> Result<Body, HttpError> {
        let status = response.status().as_u16();
        let content_range = header_text(&response, "content-range");
        let parsed = content_range.as_deref().and_then(ContentRange::parse);
        let refuse = |got: String| HttpError::BadRange { url: bare(url), asked: shown(range), got };
        let changed = |got| HttpError::Changed { url: bare(url), expected: size, got };
        if status == 416 {
            return Err(match parsed.and_then(|range| range.total) {
                Some(total) if total != size => changed(total),
                _ => refuse("HTTP 416 Range Not Satisfiable".into()),
            });
        }
        if !matches!(status, 200 | 206) {
            if response.status().is_success() {
                return Err(refuse(format!("HTTP {status}")));
            }
            return Err(self.refused(response, url, self.is_foreign(url, location)).await);
        }
        if is_html(&response) && !is_page(&location.0.resolve) {
            return Err(HttpError::Html { url: bare(url) });
        }
        if let Some(encoding) = header_text(&response, "content-encoding").filter(|text| !text.eq_ignore_ascii_case("identity")) {
            return Err(HttpError::Encoded { url: bare(url), encoding });
        }
        // An answer that names no version may be of any.
        if location.0.version.is_some() && location.0.version != version(&response) {
            return Err(HttpError::Replaced { url: bare(url) });
        }
        let length = header_text(&response, "content-length").as_deref().and_then(number);
        let exact = parsed.is_some_and(|p| p.range == Some((range.start, range.end)) && p.total == Some(size));
        let len = range.end - range.start;
        if status == 206 || (exact && length == Some(len)) {
            if let Some(total) = parsed.and_then(|p| p.total).filter(|total| *total != size) {
                return Err(changed(total));
            }
            if !exact {
                return Err(refuse(content_range.map_or_else(|| "no range".to_owned(), |text| format!("`{text}`"))));
            }
            if length.is_some_and(|length| length != len) {
                return Err(refuse(format!("{} bytes", length.unwrap_or_default())));
            }
            return Ok(self.body(response, url, range.clone(), range.start == 0 && range.end == size, length.is_some()));
        }
        match length {
            Some(length) if length != size => Err(changed(length)),
            _ => Ok(self.body(response, url, 0..size, true, length.is_some())),
        }
    }

    fn body(&self, response: Response, url: &Url, range: Range<u64>, whole: bool, counted: bool) -> Body {
        let pace = Pace::new(&self.shared.throughput);
        Body { http: self.clone(), response, shown: bare(url), range, got: 0, whole, counted, ended: false, not_before: None, pace }
    }
}

impl Body {
    /// Where in the file the first byte belongs.
    pub fn start(&self) -> u64 {
        self.range.start
    }

    /// Where in the file the body ends.
    pub fn end(&self) -> u64 {
        self.range.end
    }

    /// Whether the body is the whole file.
    pub fn whole(&self) -> bool {
        self.whole
    }

    /// The next bytes; `None` once all that was promised has come. Errs when nothing comes for the stall timeout, or so little
    /// that it is [too slow](super::SLOWEST), and when the body ends early; never gives more than the range. Cancel-safe: nothing is lost when the future is dropped.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, HttpError> {
        let len = self.range.end - self.range.start;
        if self.ended || (self.got >= len && self.counted) {
            return Ok(None);
        }
        // The bandwidth limit is paid before the next read and not after this one, so that no chunk is lost when the caller
        // stops waiting.
        if let Some(at) = self.not_before {
            tokio::time::sleep_until(at).await;
            self.not_before = None;
        }
        let stall = self.http.shared.stall;
        let asked = Instant::now();
        let next = tokio::time::timeout(stall, self.response.chunk()).await;
        if self.got >= len {
            // Everything is here; what is left to learn is whether the file is longer than it should be.
            self.ended = true;
            return match next {
                Ok(Ok(Some(more))) if self.whole && !more.is_empty() => {
                    let got = self.got.saturating_add(more.len() as u64);
                    Err(HttpError::Changed { url: self.shown.clone(), expected: len, got })
                }
                _ => Ok(None),
            };
        }
        let chunk = next
            .map_err(|_| HttpError::Stalled { url: self.shown.clone(), after: stall })?
            .map_err(|error| self.broken(error))?
            .ok_or_else(|| HttpError::Cut { url: self.shown.clone(), got: self.got, expected: len })?;
        let fits = usize::try_from(len - self.got).unwrap_or(usize::MAX);
        if chunk.len() > fits && self.whole {
            let got = self.got.saturating_add(chunk.len() as u64);
            return Err(HttpError::Changed { url: self.shown.clone(), expected: len, got });
        }
        let chunk = if chunk.len() > fits { chunk.slice(..fits) } else { chunk };
        self.got += chunk.len() as u64;
        let slow = self.pace.note(chunk.len(), asked.elapsed(), stall);
        if let Some(got) = slow.filter(|_| self.got < len) {
            return Err(HttpError::Slow { url: self.shown.clone(), after: stall, got });
        }
        self.not_before = self.http.shared.limiter.as_ref().map(|limiter| limiter.book(chunk.len()));
        Ok(Some(chunk))
    }

    /// An early end and a reset are told apart for people only; both are tried again.
    fn broken(&self, error: reqwest::Error) -> HttpError {
        let why = super::client::chain_text(&error.without_url());
        if why.contains("reset") || why.contains("broken pipe") {
            HttpError::Reset { url: self.shown.clone(), why }
        } else {
            HttpError::Cut { url: self.shown.clone(), got: self.got, expected: self.range.end - self.range.start }
        }
    }
}

fn shown(range: &Range<u64>) -> String {
    // As the header has it: the last byte, not the one after it.
    format!("bytes {}-{}", range.start, range.end.saturating_sub(1))
}
