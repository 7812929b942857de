//! Redirects of a file's address, followed by hand to the first foreign host, and what their headers say about the file.

use super::{
    Http, HttpError, Location, Origin, Trail,
    backoff::Backoff,
    header_text, is_html, lacks_head,
    location::Target,
    origin::bare,
    range::number,
    redirect::{MOST_HOPS, drain, next_hop},
};
use crate::digest::{GitSha1, Sha256Digest};
use reqwest::{Method, Response};
use std::ops::Range;
use tokio::time::Instant;
use url::Url;

/// What the Hub says about one file without sending it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The last address at the Hub itself: canonical, unsigned.
    pub url: Url,
    /// The size; `None` if no header may be trusted for it.
    pub size: Option<u64>,
    /// The content's SHA-256, of LFS files.
    pub sha256: Option<Sha256Digest>,
    /// Git's blob id, of plain files.
    pub git_sha1: Option<GitSha1>,
    /// The commit that the revision stands for.
    pub commit: Option<String>,
}

/// Where following ended.
pub(super) struct Walk {
    /// The last address at the Hub.
    hub: Url,
    pub(super) end: End,
    trail: Trail,
    size: Option<u64>,
    etag: Option<String>,
    commit: Option<String>,
}

pub(super) enum End {
    /// A redirect to a host that is not the Hub.
    Foreign(Url),
    /// An answer that is not a redirect.
    Answer(Box<Response>),
}

impl Http {
    /// Asks for a file's size, hash and commit, without its content.
    pub async fn resolve(&self, location: &Location) -> Result<Resolved, HttpError> {
        let mut backoff = Backoff::new(self.0.tries);
        let mut method = Method::HEAD;
        loop {
            let error = match self.resolve_once(location, method.clone()).await {
                Ok(resolved) => return Ok(resolved),
                Err(HttpError::Status(refusal)) if method == Method::HEAD && matches!(refusal.status, 405 | 501) => {
                    method = Method::GET;
                    continue;
                }
                Err(error) => error,
            };
            self.rest(&mut backoff, error, &location.0.resolve).await?;
        }
    }

    async fn resolve_once(&self, location: &Location, method: Method) -> Result<Resolved, HttpError> {
        let walk = self.walk(method, &location.0.resolve, None).await?;
        let mut size = walk.size;
        match walk.end {
            End::Foreign(url) => {
                location.0.slot.lock().await.put(url, walk.trail);
            }
            End::Answer(response) if !response.status().is_success() => {
                return Err(self.refused(*response, &walk.hub, false).await);
            }
            End::Answer(response) => {
                if is_html(&response) && !is_page(&location.0.resolve) {
                    return Err(HttpError::Html { url: bare(&walk.hub) });
                }
                // hyper's own idea of a HEAD answer's length is 0, so the header is read.
                size = size.or_else(|| header_text(&response, "content-length").as_deref().and_then(number));
            }
        }
        let etag = walk.etag.as_deref().map(identity);
        Ok(Resolved {
            url: walk.hub,
            size,
            sha256: etag.and_then(|etag| etag.parse().ok()),
            git_sha1: etag.and_then(|etag| etag.parse().ok()),
            commit: walk.commit,
        })
    }

    /// Follows redirects inside the Hub, collecting what the headers say.
    pub(super) async fn walk(&self, method: Method, url: &Url, range: Option<&Range<u64>>) -> Result<Walk, HttpError> {
        let mut url = url.clone();
        let (mut size, mut linked, mut commit) = (None, None, None);
        let mut trail = Trail::default();
        for _ in 0..=MOST_HOPS {
            let response = self.send(method.clone(), &url, range, &mut trail).await?;
            size = size.or_else(|| header_text(&response, "x-linked-size").as_deref().and_then(number));
            linked = linked.or_else(|| header_text(&response, "x-linked-etag"));
            commit = commit.or_else(|| header_text(&response, "x-repo-commit"));
            match next_hop(&url, &response)? {
                Some(target) => {
                    drain(response).await;
                    if !self.is_hub(&target) && Origin::of(&target) != Origin::of(&url) {
                        return Ok(Walk { hub: url, end: End::Foreign(target), trail, size, etag: linked, commit });
                    }
                    url = target;
                }
                None => {
                    if lacks_head(response.status()) && method == Method::HEAD {
                        return Err(self.refused(response, &url, false).await);
                    }
                    // The length and the tag of a redirect are those of the redirect; only here they are the file's.
                    let etag = linked.or_else(|| header_text(&response, "etag"));
                    return Ok(Walk { hub: url, end: End::Answer(Box::new(response)), trail, size, etag, commit });
                }
            }
        }
        Err(HttpError::TooManyRedirects { url: bare(&url) })
    }

    /// Where the bytes of a file are: remembered, or asked for by one caller while the others wait. When the Hub itself
    /// sends the range, its answer comes along.
    pub(super) async fn locate(
        &self,
        location: &Location,
        stale: Option<u64>,
        range: Option<&Range<u64>>,
    ) -> Result<(Target, Option<Response>), HttpError> {
        let asked = Instant::now();
        let mut slot = location.0.slot.lock().await;
        if let Some(target) = slot.fresh(stale) {
            return Ok((target, None));
        }
        if let Some((at, error)) = &slot.failed
            && *at > asked
        {
            return Err(error.clone());
        }
        let walked = match self.walk(Method::GET, &location.0.resolve, range).await {
            Ok(walk) => match walk.end {
                End::Foreign(url) => Ok((url, walk.trail, None)),
                End::Answer(response) if response.status().is_success() || response.status() == 416 => {
                    Ok((walk.hub, walk.trail, Some(*response)))
                }
                End::Answer(response) => Err(self.refused(*response, &walk.hub, false).await),
            },
            Err(error) => Err(error),
        };
        match walked {
            Ok((url, trail, response)) => Ok((slot.put(url, trail), response)),
            Err(error) => {
                slot.target = None;
                slot.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }
}

/// An entity tag without the mark of weakness and the quotes.
pub(super) fn identity(etag: &str) -> &str {
    let etag = etag.trim();
    let etag = etag.strip_prefix("W/").unwrap_or(etag);
    etag.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(etag)
}

/// Whether a file is itself a web page, so that `text/html` is no sign of a captive portal.
pub(super) fn is_page(url: &Url) -> bool {
    let path = url.path().to_ascii_lowercase();
    [".html", ".htm", ".xhtml"].iter().any(|end| path.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_mark_and_the_quotes_are_taken_off_a_tag() {
        assert_eq!(identity("W/\"Wabc\""), "Wabc");
        assert_eq!(identity("\"abc\""), "abc");
        assert_eq!(identity("abc"), "abc");
        assert_eq!(identity("\""), "\"");
    }
}
