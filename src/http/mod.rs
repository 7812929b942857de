//! Talking to servers: one client, redirects by hand, the token's one rule, shared pauses, and what errors mean.
//!
//! Nothing here touches a disk. The client is made at the first request, so that a run which needs no network pays nothing
//! for it; with `offline` set no socket is ever opened.

mod backoff;
mod body;
mod client;
mod deadline;
mod error;
mod limit;
mod location;
mod origin;
mod pace;
mod pause;
mod probe;
mod proxy;
mod question;
mod range;
mod redirect;
mod refusal;
mod resolve;
mod service;
mod stream;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod token;
mod words;

pub use backoff::Backoff;
pub use body::Body;
pub use client::check_certificates;
pub use deadline::Deadline;
pub use error::{AuthCause, DenyCause, HttpError, NotFoundKind, Retry};
pub use location::Location;
pub use origin::{Origin, bare};
pub use pace::{SLOWEST, TryClock};
pub use pause::LONGEST_PAUSE;
pub use probe::Probe;
pub use question::{Answer, Sink};
pub use range::ContentRange;
pub use refusal::Refusal;
pub use service::{Dialect, Meaning, Reading, Refused, Service};
pub use token::Trail;

#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;

use crate::{
    event::{Event, Reporter, Warning},
    settings::Network,
};
use error::printable;
use reqwest::{Method, Response, header};
use std::{
    collections::HashSet,
    fmt,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use token::Spoken;
use url::Url;

/// The network, for the servers of one [`Service`] and one listener; clones share everything, [`Http::of_service`] and
/// [`Http::for_listener`] all but these.
#[derive(Clone)]
pub struct Http {
    shared: Arc<Shared>,
    service: Service,
    listener: Arc<Listener>,
}

/// The reporter of events, and the warnings that it has had already.
struct Listener {
    reporter: Arc<dyn Reporter>,
    warned: Mutex<HashSet<String>>,
}

/// What the clients of all services share.
struct Shared {
    clients: client::Clients,
    offline: bool,
    stall: Duration,
    response_timeout: Duration,
    tries: u32,
    pauses: pause::Pauses,
    limiter: Option<limit::Limiter>,
    throughput: Arc<pace::Throughput>,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("service", &self.service).field("offline", &self.shared.offline).finish_non_exhaustive()
    }
}

impl Http {
    /// A client for servers of which nothing is known, and which see no token. Opens nothing. `ca_pem` is the content of the
    /// file of additional certificates. Of the settings it looks at those that hold for every service.
    pub fn new(network: &Network, ca_pem: Option<&[u8]>, reporter: Arc<dyn Reporter>) -> Result<Self, HttpError> {
        let shared = Shared {
            clients: client::Clients::new(network, ca_pem)?,
            offline: network.offline,
            stall: network.stall_timeout,
            response_timeout: network.connect_timeout.saturating_add(network.stall_timeout),
            tries: network.tries.max(1),
            pauses: pause::Pauses::default(),
            limiter: network.limit_rate.map(limit::Limiter::new),
            throughput: Arc::new(pace::Throughput::new(network.limit_rate)),
        };
        let listener = Arc::new(Listener { reporter, warned: Mutex::default() });
        Ok(Self { shared: Arc::new(shared), service: Service::plain(), listener })
    }

    /// The same connections, pauses and limits with another listener.
    pub fn for_listener(&self, reporter: Arc<dyn Reporter>) -> Self {
        let listener = Arc::new(Listener { reporter, warned: Mutex::default() });
        Self { shared: self.shared.clone(), service: self.service.clone(), listener }
    }

    /// The same client for the servers of a service: connections, pauses and limits are shared.
    pub fn of_service(&self, service: Service) -> Self {
        Self { shared: self.shared.clone(), service, listener: self.listener.clone() }
    }

    /// The client with the rules that hold for a location.
    fn asking_for(&self, location: &Location) -> Self {
        location.0.service.as_ref().map_or_else(|| self.clone(), |service| self.of_service(service.clone()))
    }

    /// The base addresses of the service, in the order in which they are tried.
    pub fn endpoints(&self) -> &[Url] {
        &self.service.0.endpoints
    }

    /// Whether the bandwidth is limited by the user.
    pub fn is_limited(&self) -> bool {
        self.shared.limiter.is_some()
    }

    /// Tells the listener something.
    pub(crate) fn report(&self, event: &Event) {
        self.listener.reporter.event(event);
    }

    /// The clock of one try to get bytes of a file.
    pub fn progress(&self) -> TryClock {
        TryClock::new(&self.shared.throughput)
    }

    /// One request and the head of its answer. Waits for pauses before, notes new ones after.
    async fn send(&self, method: Method, url: &Url, range: Option<&Range<u64>>, trail: &mut Trail) -> Result<Response, HttpError> {
        let shared = &*self.shared;
        if shared.offline {
            return Err(HttpError::Offline { url: bare(url) });
        }
        let origin =
            Origin::of(url).ok_or_else(|| HttpError::BadRedirect { url: bare(url), why: "to no address of HTTP".into() })?;
        let proxy = shared.clients.proxy_of(url)?;
        let token = self.token_for(&origin, proxy.is_some(), trail);
        let has_token = token.is_ok_and(|token| token.is_some());
        shared.pauses.wait(&origin, url, has_token, self.dialect()).await?;
        let mut request =
            shared.clients.of(&origin, proxy)?.request(method, url.clone()).header(header::ACCEPT_ENCODING, "identity");
        if let Some(range) = range {
            request = request.header(header::RANGE, format!("bytes={}-{}", range.start, range.end.saturating_sub(1)));
        }
        // The one place where the token is attached.
        if let Ok(Some(token)) = token {
            request = request.bearer_auth(token.reveal());
        }
        let spoken = Spoken { with_token: has_token, withheld_from: self.withheld_from(&origin, token, trail) };
        if token.is_err() {
            trail.stranger.get_or_insert_with(|| origin.clone());
        }
        let mut response = tokio::time::timeout(shared.response_timeout, request.send())
            .await
            .map_err(|_| HttpError::Timeout { url: bare(url), after: shared.response_timeout })?
            .map_err(|error| match (HttpError::of_transport(error, url), proxy) {
                (HttpError::Connect { origin, why }, Some(proxy)) => {
                    HttpError::Connect { origin, why: format!("through the proxy that {} names: {why}", proxy.variable) }
                }
                (error, _) => error,
            })?;
        self.note(&origin, &response);
        response.extensions_mut().insert(spoken);
        Ok(response)
    }

    fn warn_once(&self, warning: Warning) {
        if self.listener.warned.lock().unwrap_or_else(PoisonError::into_inner).insert(warning.message.clone()) {
            self.report(&Event::Warning(warning));
        }
    }

    /// What the servers of the service mean.
    fn dialect(&self) -> &dyn Dialect {
        &*self.service.0.dialect
    }

    /// Whether an address is at the service itself, or at one of its endpoints.
    fn is_inside(&self, url: &Url) -> bool {
        Origin::of(url).is_some_and(|origin| self.service.0.members.contains(&origin))
    }

    /// Takes notice of what an answer says beside its content.
    fn note(&self, origin: &Origin, response: &Response) {
        if let Some(pause) = pause::retry_after(response.status(), response.headers())
            && self.shared.pauses.start(origin, &pause)
            && !pause.wait.is_zero()
        {
            let why = "the server limits the rate of requests".into();
            self.report(&Event::Retry { what: origin.to_string(), why, after: pause.wait });
        }
        if self.service.0.members.contains(origin)
            && let Some(text) = self.dialect().notice(response.headers())
        {
            self.warn_once(format!("{} says: {}", origin.host(), printable(&text)).into());
        }
    }
}

fn header_text(response: &Response, name: &str) -> Option<String> {
    let text = String::from_utf8_lossy(response.headers().get(name)?.as_bytes()).into_owned();
    let text = if name == header::LINK.as_str() { text } else { printable(&text) };
    (!text.is_empty()).then_some(text)
}

fn is_html(response: &Response) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.get(..9).is_some_and(|kind| kind.eq_ignore_ascii_case("text/html"))
}
