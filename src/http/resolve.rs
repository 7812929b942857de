//! From a file's address to that of its bytes: redirects followed by hand, inside the service and to the first host
//! outside of it.

use super::{
    Http, HttpError, Location, Origin, Trail,
    location::Target,
    origin::bare,
    redirect::{MOST_HOPS, drain, next_hop},
};
use reqwest::{Method, Response};
use std::ops::Range;
use tokio::time::Instant;
use url::Url;

/// Where following ended.
struct Walk {
    /// The last address inside.
    last: Url,
    end: End,
    trail: Trail,
}

enum End {
    /// A redirect to a host that is not of the service.
    Foreign(Url),
    /// An answer that is not a redirect.
    Answer(Box<Response>),
}

impl Http {
    /// Follows redirects inside the service, and inside one origin.
    async fn walk(&self, url: &Url, range: Option<&Range<u64>>) -> Result<Walk, HttpError> {
        let mut url = url.clone();
        let mut trail = Trail::default();
        for _ in 0..=MOST_HOPS {
            let response = self.send(Method::GET, &url, range, &mut trail).await?;
            let Some(target) = next_hop(&url, &response)? else {
                return Ok(Walk { last: url, end: End::Answer(Box::new(response)), trail });
            };
            drain(response).await;
            if !self.is_inside(&target) && Origin::of(&target) != Origin::of(&url) {
                return Ok(Walk { last: url, end: End::Foreign(target), trail });
            }
            url = target;
        }
        Err(HttpError::TooManyRedirects { url: bare(&url) })
    }

    /// Where the bytes of a file are: remembered, or asked for by one caller while the others wait. When the service itself
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
        // What a range was refused for says nothing of the whole file.
        if let Some((at, error)) = &slot.failed
            && *at > asked
            && (range.is_some() || !error.is_about_ranges())
        {
            return Err(error.clone());
        }
        let walked = match self.walk(&location.0.resolve, range).await {
            Ok(walk) => match walk.end {
                End::Foreign(url) => Ok((url, walk.trail, None)),
                End::Answer(response) if response.status().is_success() || response.status() == 416 => {
                    Ok((walk.last, walk.trail, Some(*response)))
                }
                End::Answer(response) => Err(self.refused(*response, &walk.last, false).await),
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

    /// Whether an answer from `url` is that of a host outside of the service and of the file's own address.
    pub(super) fn is_foreign(&self, url: &Url, location: &Location) -> bool {
        !self.is_inside(url) && Origin::of(url) != location.origin()
    }
}

/// Whether a file is itself a web page, so that `text/html` is no sign of a captive portal.
pub(super) fn is_page(url: &Url) -> bool {
    let path = url.path().to_ascii_lowercase();
    [".html", ".htm", ".xhtml"].iter().any(|end| path.ends_with(end))
}
