//! Refused answers: what the server says, and what the source reads in it.

use super::{
    Http, HttpError, Origin, bare,
    error::printable,
    header_text, is_html, pause,
    service::{Dialect, Meaning, Reading, Refused},
    stream::beginning,
    token::Spoken,
};
use crate::hint::Hint;
use reqwest::{Response, StatusCode, header::HeaderMap};
use std::time::Duration;
use url::Url;

/// The longest text of a refusal that is read, and how long it is waited for.
const LONGEST_REFUSAL: usize = 64 << 10;
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(5);

/// What a server said when it refused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// The address, without its query.
    pub url: String,
    /// The HTTP status.
    pub status: u16,
    /// What the server says in words.
    pub message: Option<String>,
    /// The id to quote to the operator of the server.
    pub request_id: Option<String>,
    /// The wait that the server named.
    pub retry_after: Option<Duration>,
    /// Whether a host outside of the service answered: a CDN that a signed address leads to.
    pub cross_origin: bool,
    /// Whether a token was sent.
    pub with_token: bool,
    /// The origin, where there is a token that is not for it.
    pub withheld_from: Option<String>,
    /// What is missing, in the words of the source.
    pub summary: Option<String>,
    /// What to do next, as the source knows it.
    pub hint: Option<Hint>,
}

impl Refusal {
    /// `HTTP 401 Unauthorized for <url>: message (request id)`, behind the summary of the source.
    pub(super) fn describe(&self) -> String {
        let reason = StatusCode::from_u16(self.status).ok().and_then(|status| status.canonical_reason()).unwrap_or("");
        let mut text = format!("HTTP {} {reason}", self.status).trim_end().to_owned();
        text.push_str(&format!(" for {}", self.url));
        if let Some(message) = &self.message {
            text.push_str(&format!(": {}", message.trim_end_matches('.')));
        }
        if let Some(id) = &self.request_id {
            text.push_str(&format!(" (request {id})"));
        }
        match &self.summary {
            Some(summary) => format!("{summary} ({text})"),
            None => text,
        }
    }
}

impl HttpError {
    /// Reads a refusal: the source first, the status last.
    pub(super) fn from_refusal(refusal: Refusal, headers: &HeaderMap, dialect: &dyn Dialect) -> Self {
        let mut refusal = Box::new(refusal);
        let status = refusal.status;
        if status == 429 {
            let hint = dialect.rate_limit_hint(&refusal.url, refusal.with_token);
            return Self::RateLimited { url: refusal.url, wait: refusal.retry_after, hint: hint.map(Box::new) };
        }
        // A server's or proxy's fault, or a CDN's answer, says nothing about what the service has.
        if status >= 500 || refusal.cross_origin {
            return Self::Status(refusal);
        }
        let Reading { meaning, summary, hint } = dialect.read(Refused {
            url: &refusal.url,
            status,
            headers,
            message: refusal.message.as_deref(),
            with_token: refusal.with_token,
        });
        (refusal.summary, refusal.hint) = (summary, hint);
        match meaning.or_else(|| Meaning::of_status(status)) {
            Some(Meaning::Missing(kind)) => Self::NotFound { kind, refusal },
            Some(Meaning::Unauthorized(cause)) => Self::Unauthorized { cause, refusal },
            Some(Meaning::Forbidden(cause)) => Self::Forbidden { cause, refusal },
            None => Self::Status(refusal),
        }
    }

    /// A refusal of which nothing but its status is known.
    #[cfg(test)]
    pub(crate) fn refused_with(status: u16, url: &str) -> Self {
        let refusal = Refusal { url: url.to_owned(), status, ..Refusal::default() };
        Self::from_refusal(refusal, &HeaderMap::new(), &super::service::Plain)
    }
}

impl Http {
    /// Reads a refusal, its body only as far as it helps.
    pub(super) async fn refused(&self, response: Response, url: &Url, cross_origin: bool) -> HttpError {
        let (status, headers) = (response.status(), response.headers().clone());
        let header = |name| header_text(&response, name);
        let spoken = response.extensions().get::<Spoken>();
        let dialect = self.dialect();
        let mut refusal = Refusal {
            url: bare(url),
            status: status.as_u16(),
            message: dialect.message(&headers).map(|text| printable(&text)).filter(|text| !text.is_empty()),
            request_id: header("x-request-id").or_else(|| header("x-amzn-trace-id")).or_else(|| header("x-amz-cf-id")),
            retry_after: pause::retry_after(status, &headers).map(|pause| pause.wait),
            cross_origin,
            with_token: spoken.is_some_and(|spoken| spoken.with_token),
            withheld_from: spoken.and_then(|spoken| spoken.withheld_from.as_ref()).map(Origin::to_string),
            ..Refusal::default()
        };
        // The texts of storage servers repeat the signature; those of an API are for people.
        if !cross_origin
            && dialect.explains_in_json()
            && refusal.message.is_none()
            && !is_html(&response)
            && let Ok(body) = tokio::time::timeout(REFUSAL_TIMEOUT, beginning(response, LONGEST_REFUSAL)).await
        {
            let json = serde_json::from_slice::<serde_json::Value>(&body).ok();
            refusal.message = json.and_then(|json| Some(printable(json.get("error")?.as_str()?))).filter(|text| !text.is_empty());
        }
        if let Some(token) = &self.service.0.token
            && refusal.message.as_ref().is_some_and(|message| message.contains(token.reveal()))
        {
            refusal.message = None;
        }
        HttpError::from_refusal(refusal, &headers, dialect)
    }
}
