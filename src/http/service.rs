//! The servers that one client asks: their addresses, who of them sees the token, and what they mean by their answers where
//! HTTP leaves it open. A source gives it to the client, which knows no server by name.

use super::{
    HttpError, Origin,
    error::{AuthCause, DenyCause, NotFoundKind, printable},
    token::TokenScope,
};
use crate::{
    hint::Hint,
    settings::{Network, Token},
};
use reqwest::header::HeaderMap;
use std::{fmt, sync::Arc};
use url::Url;

/// A refused answer, as a [`Dialect`] gets to read it.
#[derive(Debug, Clone, Copy)]
pub struct Refused<'a> {
    /// The address, without its query.
    pub url: &'a str,
    /// The HTTP status: neither 429 nor one of 500 and above.
    pub status: u16,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// What the server says in words.
    pub message: Option<&'a str>,
    /// Whether a token was sent.
    pub with_token: bool,
}

/// What a refusal means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// Something is not there.
    Missing(NotFoundKind),
    /// The server does not know who asks.
    Unauthorized(AuthCause),
    /// The server knows who asks, and refuses.
    Forbidden(DenyCause),
}

impl Meaning {
    /// What the status alone says.
    pub(super) fn of_status(status: u16) -> Option<Self> {
        Some(match status {
            401 => Self::Unauthorized(AuthCause::Unknown),
            403 => Self::Forbidden(DenyCause::Unknown),
            404 | 410 => Self::Missing(NotFoundKind::Unknown),
            _ => return None,
        })
    }
}

/// What a source reads in a refusal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// What it means; `None` leaves that to the status.
    pub meaning: Option<Meaning>,
    /// What is missing, in the words of the source; it stands before what the server said.
    pub summary: Option<String>,
    /// What to do next, as the source knows it.
    pub hint: Option<Hint>,
}

/// What the servers of one kind mean by their answers.
pub trait Dialect: fmt::Debug + Send + Sync {
    /// Whether a refusal may explain itself in the member `error` of a JSON body. Other bodies are not read.
    fn explains_in_json(&self) -> bool {
        false
    }

    /// What a server says of a refusal in a header, in words.
    fn message(&self, _headers: &HeaderMap) -> Option<String> {
        None
    }

    /// What a refusal means.
    fn read(&self, _refused: Refused<'_>) -> Reading {
        Reading::default()
    }

    /// What to do after a rate limit, where it is more than to wait.
    fn rate_limit_hint(&self, _url: &str, _with_token: bool) -> Option<Hint> {
        None
    }

    /// What to do after a failure.
    fn hint(&self, error: &HttpError) -> Option<Hint> {
        error.hint()
    }

    /// In which of several rate limits of the server a request counts; `None` where that is not known, so that each may hold.
    fn bucket(&self, _url: &Url) -> Option<&'static str> {
        None
    }

    /// What an answer says to people beside its content.
    fn notice(&self, _headers: &HeaderMap) -> Option<String> {
        None
    }
}

/// Servers of which nothing is known but that they speak HTTP.
#[derive(Debug, Clone, Copy, Default)]
pub struct Plain;

impl Dialect for Plain {}

/// The servers of one source; clones share it.
#[derive(Debug, Clone)]
pub struct Service(pub(super) Arc<ServiceRules>);

pub(super) struct ServiceRules {
    pub(super) dialect: Box<dyn Dialect>,
    /// In the order in which they are tried.
    pub(super) endpoints: Vec<Url>,
    /// The endpoints' origins and the service's own: redirects among them stay inside.
    pub(super) members: Vec<Origin>,
    pub(super) token: Option<Token>,
    pub(super) token_scope: TokenScope,
}

impl fmt::Debug for ServiceRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("dialect", &self.dialect).field("endpoints", &self.endpoints).finish_non_exhaustive()
    }
}

impl Service {
    /// The endpoints and the token of the settings. `own` are origins that are the service itself, whatever endpoint is in
    /// use: they see the token.
    pub fn new(dialect: impl Dialect + 'static, own: Vec<Origin>, network: &Network) -> Result<Self, HttpError> {
        let endpoints = network.endpoints.iter().map(|text| base_address(text)).collect::<Result<Vec<_>, _>>()?;
        if endpoints.is_empty() {
            return Err(HttpError::BadEndpoint { text: String::new(), why: "at least one endpoint is needed".into() });
        }
        let origins = |addresses: &[String]| -> Result<Vec<Origin>, HttpError> {
            let addresses = addresses.iter().map(|text| base_address(text)).collect::<Result<Vec<_>, _>>()?;
            Ok(addresses.iter().filter_map(Origin::of).collect())
        };
        let members = endpoints.iter().filter_map(Origin::of).chain(own.iter().cloned()).collect();
        let token_scope =
            TokenScope { own, named: origins(&network.token_endpoints)?, clear_text: origins(&network.clear_text_endpoints)? };
        Ok(Self(Arc::new(ServiceRules {
            dialect: Box::new(dialect),
            endpoints,
            members,
            token: network.token.clone(),
            token_scope,
        })))
    }

    /// Servers of which nothing is known: they see no token.
    pub fn plain() -> Self {
        Self(Arc::new(ServiceRules {
            dialect: Box::new(Plain),
            endpoints: Vec::new(),
            members: Vec::new(),
            token: None,
            token_scope: TokenScope::default(),
        }))
    }
}

/// Reads the base address of an endpoint from the settings.
fn base_address(text: &str) -> Result<Url, HttpError> {
    let refuse = |why: &str| HttpError::BadEndpoint { text: printable(text.rsplit('@').next().unwrap_or(text)), why: why.into() };
    let mut url = Url::parse(text.trim()).map_err(|error| refuse(&error.to_string()))?;
    if Origin::of(&url).is_none() {
        return Err(refuse("expected `https://host` or `http://host`"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("a user or password may not stand in it"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refuse("a query may not stand in it"));
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}
