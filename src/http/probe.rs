//! What a server says of a file of which nothing is known: its size and its version.

use super::{Backoff, Http, HttpError, Location, bare, header_text, is_html, range::ContentRange, range::number, resolve::is_page};
use reqwest::Response;
use url::Url;

/// What one answer says of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The size in bytes; `None` where the server does not say.
    pub size: Option<u64>,
    /// What tells this content from an earlier one under the same address: the strong entity tag, or else when it was
    /// changed last. `None` where the server gives neither.
    pub version: Option<String>,
}

impl Http {
    /// Asks for the first byte of a file, with all redirects followed. HEAD would be shorter, but addresses that are signed
    /// for GET refuse it.
    pub async fn probe(&self, location: &Location) -> Result<Probe, HttpError> {
        let mut backoff = Backoff::new(self.shared.tries);
        loop {
            match self.asking_for(location).probe_once(location).await {
                Ok(probe) => return Ok(probe),
                Err(error) => self.rest(&mut backoff, error, &location.0.resolve).await?,
            }
        }
    }

    async fn probe_once(&self, location: &Location) -> Result<Probe, HttpError> {
        let first = Some(&(0..1));
        let (response, url) = match self.locate(location, None, first).await? {
            (target, Some(response)) => (response, target.url),
            (target, None) => self.follow(&target, first).await?,
        };
        self.read_probe(response, &url, location).await
    }

    async fn read_probe(&self, response: Response, url: &Url, location: &Location) -> Result<Probe, HttpError> {
        let header = |name| header_text(&response, name);
        let range = header("content-range").as_deref().and_then(ContentRange::parse);
        let version = version(&response);
        match response.status().as_u16() {
            206 | 200 if is_html(&response) && !is_page(&location.0.resolve) => Err(HttpError::Html { url: bare(url) }),
            206 => Ok(Probe { size: range.and_then(|range| range.total), version }),
            // Of an empty file there is no first byte.
            416 if range.is_some_and(|range| range.total == Some(0)) => Ok(Probe { size: Some(0), version }),
            200 if header("content-encoding").is_some_and(|text| !text.eq_ignore_ascii_case("identity")) => {
                Err(HttpError::Encoded { url: bare(url), encoding: header("content-encoding").unwrap_or_default() })
            }
            200 => {
                let size = header("content-length").as_deref().and_then(number);
                Ok(Probe { size, version })
            }
            status if response.status().is_success() => {
                Err(HttpError::BadRange { url: bare(url), asked: "bytes 0-0".into(), got: format!("HTTP {status}") })
            }
            _ => Err(self.refused(response, url, self.is_foreign(url, location)).await),
        }
    }
}

/// The strong entity tag of an answer, or else the time of the last change.
pub(super) fn version(response: &Response) -> Option<String> {
    let tag = header_text(response, "etag").filter(|tag| !tag.trim_start().starts_with("W/"));
    tag.or_else(|| header_text(response, "last-modified"))
}
