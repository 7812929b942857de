//! Redirects: where they lead, and how their answers are put away.

use super::{HttpError, Origin, bare};
use reqwest::{Response, header};
use std::time::Duration;
use url::Url;

/// The longest address that a redirect may lead to, in bytes; signed ones have some two thousand.
const LONGEST_ADDRESS: usize = 16 << 10;
/// Redirects followed for one request.
pub(super) const MOST_HOPS: usize = 20;
/// The longest text of a redirect that is worth reading, and how long it is waited for.
const LONGEST_REDIRECT: usize = 16 << 10;
const REDIRECT_PATIENCE: Duration = Duration::from_secs(1);

/// Reads and drops the text of a redirect: a connection whose answer is left unread is closed, and opening another takes
/// round trips. Gives up where the text is long or does not come.
pub(super) async fn drain(mut response: Response) {
    let read = async {
        let mut got = 0;
        while let Ok(Some(part)) = response.chunk().await {
            got += part.len();
            if got > LONGEST_REDIRECT {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(REDIRECT_PATIENCE, read).await;
}

/// Where a redirect leads; `None` if the answer is not one.
pub(super) fn next_hop(from: &Url, response: &Response) -> Result<Option<Url>, HttpError> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let refuse = |why: &str| HttpError::BadRedirect { url: bare(from), why: why.to_owned() };
    let location = response.headers().get(header::LOCATION).ok_or_else(|| refuse("without saying where"))?;
    redirect_target(from, location.as_bytes()).map(Some)
}

/// The address that a redirect names.
pub(super) fn redirect_target(from: &Url, location: &[u8]) -> Result<Url, HttpError> {
    let refuse = |why: &str| HttpError::BadRedirect { url: bare(from), why: why.to_owned() };
    if location.len() > LONGEST_ADDRESS {
        return Err(refuse("to an address that is too long"));
    }
    let location = std::str::from_utf8(location).map_err(|_| refuse("to an address that is not text"))?;
    let mut target = from.join(location.trim()).map_err(|_| refuse("to an address that cannot be read"))?;
    let origin = Origin::of(&target).ok_or_else(|| refuse("to an address that is not one of HTTP"))?;
    if from.scheme() == "https" && !origin.is_secure() {
        return Err(refuse("from HTTPS to HTTP"));
    }
    target.set_fragment(None);
    let _ = target.set_username("");
    let _ = target.set_password(None);
    Ok(target)
}
