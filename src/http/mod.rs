//! Talking to servers: one client, redirects by hand, the token's one rule, shared pauses, and what errors mean.
//!
//! Nothing here touches a disk. The client is made at the first request, so that a run which needs no network pays nothing
//! for it; with `offline` set no socket is ever opened.

mod asked;
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
mod proxy;
mod range;
mod redirect;
mod resolve;
mod stream;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod words;

pub use backoff::Backoff;
pub use body::Body;
pub use client::check_certificates;
pub use deadline::Deadline;
pub use error::{AuthCause, DenyCause, HttpError, Missing, Refusal, Retry};
pub use location::Location;
pub use origin::{Origin, bare};
pub use pace::{Progress, SLOWEST};
pub use pause::LONGEST_PAUSE;
pub use range::ContentRange;
pub use resolve::Resolved;

#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;

use crate::{
    event::{Event, Reporter},
    settings::{Network, Token},
    text,
};
use redirect::{MOST_HOPS, drain, next_hop};
use reqwest::{Method, Response, StatusCode, header};
use std::{
    collections::HashSet,
    fmt,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use stream::{Stream, beginning};
use url::Url;

/// The longest answer of the API that is kept in memory, and that is read piece by piece. A page of a thousand files has some
/// 400 KB; the facts of a repository with a hundred thousand files, which name each, some 10 MB.
const LONGEST_ANSWER: u64 = 32 << 20;
const LONGEST_STREAM: u64 = 64 << 20;
/// How many stall timeouts one answer may take from its first byte to its last, and one question with all that it needs: tries,
/// redirects, pages.
const LONGEST_IN_STALLS: u32 = 30;
const QUESTION_IN_STALLS: u32 = 90;
/// The longest text of a refusal that is read, and how long it is waited for.
const LONGEST_REFUSAL: usize = 64 << 10;
const REFUSAL_PATIENCE: Duration = Duration::from_secs(5);
/// Origins that are the Hub itself, whatever endpoint is in use.
const HUB_HOSTS: [&str; 3] = ["https://huggingface.co", "https://hf.co", "https://hub-ci.huggingface.co"];

/// The network, for one listener; clones share everything, and [`Http::for_listener`] all but who is told.
#[derive(Clone)]
pub struct Http(Arc<Shared>, Arc<Listener>);

/// Who is told what happens, and which warnings were told already.
struct Listener {
    reporter: Arc<dyn Reporter>,
    warned: Mutex<HashSet<String>>,
}

struct Shared {
    clients: client::Clients,
    endpoints: Vec<Url>,
    hubs: Vec<Origin>,
    token: Option<Token>,
    token_scope: TokenScope,
    offline: bool,
    stall: Duration,
    patience: Duration,
    tries: u32,
    pauses: pause::Pauses,
    limiter: Option<limit::Limiter>,
    throughput: Arc<pace::Throughput>,
}

/// Which origins get the token.
struct TokenScope {
    /// The Hub's own origins.
    own: Vec<Origin>,
    /// Those that the user named.
    named: Vec<Origin>,
    /// Those of them that may see it without encryption.
    clear_text: Vec<Origin>,
}

/// Why an origin does not see the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Withheld {
    /// Its user did not name it.
    Unnamed,
    /// It would travel in clear text.
    ClearText,
}

impl TokenScope {
    /// The rule: the Hub and origins that the user named. Without encryption only on this machine, or to an origin that
    /// the user trusts explicitly. A request through a proxy counts as leaving the machine.
    fn admits(&self, origin: &Origin, is_proxied: bool) -> Result<(), Withheld> {
        if self.own.contains(origin) {
            return Ok(());
        }
        if !self.named.contains(origin) {
            return Err(Withheld::Unnamed);
        }
        let is_safe = origin.is_secure() || (origin.is_loopback() && !is_proxied) || self.clear_text.contains(origin);
        if is_safe { Ok(()) } else { Err(Withheld::ClearText) }
    }
}

/// The chain of requests of one query, where each answer names the next URL: redirects, pages, the URL of a file's
/// bytes. After a server outside of the token's scope, host and URL were chosen by that server, so no request gets the
/// token.
#[derive(Debug, Clone, Default)]
pub struct Trail {
    /// The first such server.
    stranger: Option<Origin>,
}

/// What a request said of the token.
#[derive(Debug, Clone)]
struct Spoken {
    /// Whether it was sent.
    with_token: bool,
    /// The server for whose sake it was not.
    withheld_from: Option<Origin>,
}

/// An answer of the API whose body has been read to its end.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The address that answered in the end.
    pub url: Url,
    /// The `Link` header.
    pub link: Option<String>,
    /// The way to it, for an address that it names.
    pub trail: Trail,
}

/// Takes the body of an answer as it comes.
pub trait Sink: Send {
    /// Most bytes that are taken.
    fn limit(&self) -> u64;
    /// Starts again: the bytes so far were an incomplete answer.
    fn begin(&mut self);
    /// Takes some bytes; an error is what is wrong with them.
    fn take(&mut self, bytes: &[u8]) -> Result<(), String>;
    /// The body has ended.
    fn end(&mut self) -> Result<(), String>;
}

/// Keeps a body as it is.
impl Sink for Vec<u8> {
    fn limit(&self) -> u64 {
        LONGEST_ANSWER
    }
    fn begin(&mut self) {
        self.clear();
    }
    fn take(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.extend_from_slice(bytes);
        Ok(())
    }
    fn end(&mut self) -> Result<(), String> {
        Ok(())
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("offline", &self.0.offline).finish_non_exhaustive()
    }
}

impl Http {
    /// Checks the settings; opens nothing. `ca_pem` is the content of the file of additional certificates.
    pub fn new(network: &Network, ca_pem: Option<&[u8]>, reporter: Arc<dyn Reporter>) -> Result<Self, HttpError> {
        let endpoints = network.endpoints.iter().map(|text| endpoint(text)).collect::<Result<Vec<_>, _>>()?;
        if endpoints.is_empty() {
            return Err(HttpError::BadEndpoint { text: String::new(), why: "at least one endpoint is needed".into() });
        }
        let origins = |addresses: &[String]| -> Result<Vec<Origin>, HttpError> {
            let addresses = addresses.iter().map(|text| endpoint(text)).collect::<Result<Vec<_>, _>>()?;
            Ok(addresses.iter().filter_map(Origin::of).collect())
        };
        let own: Vec<Origin> =
            HUB_HOSTS.iter().filter_map(|text| Url::parse(text).ok()).filter_map(|url| Origin::of(&url)).collect();
        let hubs = endpoints.iter().filter_map(Origin::of).chain(own.iter().cloned()).collect();
        let shared = Shared {
            clients: client::Clients::new(network, ca_pem)?,
            endpoints,
            hubs,
            token: network.token.clone(),
            token_scope: TokenScope {
                own,
                named: origins(&network.token_endpoints)?,
                clear_text: origins(&network.clear_text_endpoints)?,
            },
            offline: network.offline,
            stall: network.stall_timeout,
            patience: network.connect_timeout.saturating_add(network.stall_timeout),
            tries: network.tries.max(1),
            pauses: pause::Pauses::default(),
            limiter: network.limit_rate.map(limit::Limiter::new),
            throughput: Arc::new(pace::Throughput::new(network.limit_rate)),
        };
        Ok(Self(Arc::new(shared), Arc::new(Listener { reporter, warned: Mutex::default() })))
    }

    /// The same connections, pauses and limits with another listener.
    pub fn for_listener(&self, reporter: Arc<dyn Reporter>) -> Self {
        Self(self.0.clone(), Arc::new(Listener { reporter, warned: Mutex::default() }))
    }

    /// The base addresses, in the order in which they are tried.
    pub fn endpoints(&self) -> &[Url] {
        &self.0.endpoints
    }

    /// Whether no request may be made.
    pub fn is_offline(&self) -> bool {
        self.0.offline
    }

    /// Whether the bandwidth is limited by the user.
    pub fn is_limited(&self) -> bool {
        self.0.limiter.is_some()
    }

    /// Tells the listener something.
    pub(crate) fn report(&self, event: &Event) {
        self.1.reporter.event(event);
    }

    /// Most bytes of an answer that is read piece by piece.
    pub fn longest_stream(&self) -> u64 {
        LONGEST_STREAM
    }

    /// When a question that is asked now has to have its answer, however many requests that takes.
    pub fn question_deadline(&self) -> Deadline {
        Deadline::after(self.0.stall.saturating_mul(QUESTION_IN_STALLS))
    }

    /// The clock of one try to get bytes of a file.
    pub fn progress(&self) -> Progress {
        Progress::new(&self.0.throughput)
    }

    /// Asks an API address, with redirects inside the Hub followed and passing failures retried, until the deadline.
    /// `trail` is the way to an address that an answer named; one of our own has none.
    pub async fn get(
        &self,
        url: &Url,
        tries: u32,
        deadline: Deadline,
        trail: &Trail,
        sink: &mut dyn Sink,
    ) -> Result<Answer, HttpError> {
        let mut backoff = Backoff::new(tries.min(self.0.tries));
        loop {
            let error = match self.get_once(url, deadline, trail.clone(), sink).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if deadline.has_passed() {
                return Err(error);
            }
            self.rest(&mut backoff, error, url).await?;
        }
    }

    async fn get_once(&self, url: &Url, deadline: Deadline, mut trail: Trail, sink: &mut dyn Sink) -> Result<Answer, HttpError> {
        let deadline = deadline.within(self.0.stall.saturating_mul(LONGEST_IN_STALLS));
        let mut url = url.clone();
        for _ in 0..=MOST_HOPS {
            if deadline.has_passed() {
                return Err(HttpError::Endless { url: bare(&url), after: deadline.allowed() });
            }
            let response = self.send(Method::GET, &url, None, &mut trail).await?;
            if let Some(target) = next_hop(&url, &response)? {
                if !self.is_hub(&target) && Origin::of(&target) != Origin::of(&url) {
                    return Err(HttpError::BadRedirect { url: bare(&url), why: format!("to another host, {}", bare(&target)) });
                }
                drain(response).await;
                url = target;
                continue;
            }
            if !response.status().is_success() {
                return Err(self.refused(response, &url, false).await);
            }
            if is_html(&response) {
                return Err(HttpError::Html { url: bare(&url) });
            }
            let link = header_text(&response, header::LINK.as_str());
            let nonsense = |why| HttpError::Nonsense { url: bare(&url), why };
            sink.begin();
            let mut came = 0;
            let mut body = Stream::new(self, response, &url, deadline);
            while let Some(bytes) = body.chunk().await? {
                came += bytes.len() as u64;
                if came > sink.limit() {
                    return Err(HttpError::BodyTooLarge { url: bare(&url), limit: sink.limit() });
                }
                sink.take(&bytes).map_err(nonsense)?;
            }
            sink.end().map_err(nonsense)?;
            return Ok(Answer { url, link, trail });
        }
        Err(HttpError::TooManyRedirects { url: bare(&url) })
    }

    /// Sleeps before the next try, or gives `error` back.
    async fn rest(&self, backoff: &mut Backoff, error: HttpError, url: &Url) -> Result<(), HttpError> {
        let Some(after) = backoff.next(&error) else { return Err(error) };
        // A pause was reported when it began.
        if !matches!(error, HttpError::RateLimited { wait: Some(_), .. }) {
            self.report(&Event::Retry { what: bare(url), why: error.to_string(), after });
        }
        tokio::time::sleep(after).await;
        Ok(())
    }

    /// One request and the head of its answer. Waits for pauses before, notes new ones after.
    async fn send(&self, method: Method, url: &Url, range: Option<&Range<u64>>, trail: &mut Trail) -> Result<Response, HttpError> {
        let shared = &*self.0;
        if shared.offline {
            return Err(HttpError::Offline { url: bare(url) });
        }
        let origin =
            Origin::of(url).ok_or_else(|| HttpError::BadRedirect { url: bare(url), why: "to no address of HTTP".into() })?;
        let proxy = shared.clients.proxy_of(url)?;
        let token = self.token_for(&origin, proxy.is_some(), trail);
        shared.pauses.wait(&origin, url, token.is_ok_and(|token| token.is_some())).await?;
        let mut request =
            shared.clients.of(&origin, proxy)?.request(method, url.clone()).header(header::ACCEPT_ENCODING, "identity");
        if let Some(range) = range {
            request = request.header(header::RANGE, format!("bytes={}-{}", range.start, range.end.saturating_sub(1)));
        }
        // The one place where the token is attached.
        if let Ok(Some(token)) = token {
            request = request.bearer_auth(token.reveal());
        }
        let spoken = Spoken {
            with_token: token.is_ok_and(|token| token.is_some()),
            withheld_from: self.withheld_from(&origin, token, trail),
        };
        if token.is_err() {
            trail.stranger.get_or_insert_with(|| origin.clone());
        }
        let mut response = tokio::time::timeout(shared.patience, request.send())
            .await
            .map_err(|_| HttpError::Timeout { url: bare(url), after: shared.patience })?
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

    /// The token for a request to an origin: for scheme, host and port of what [`TokenScope`] admits, and for an address that
    /// no server chose which it is not for. `None` where there is none to send.
    fn token_for(&self, origin: &Origin, is_proxied: bool, trail: &Trail) -> Result<Option<&Token>, Withheld> {
        self.0.token_scope.admits(origin, is_proxied)?;
        Ok(self.0.token.as_ref().filter(|_| trail.stranger.is_none()))
    }

    /// The server for whose sake a request does not carry the token that there is. Says once of an endpoint that it gets none.
    fn withheld_from(&self, origin: &Origin, token: Result<Option<&Token>, Withheld>, trail: &Trail) -> Option<Origin> {
        self.0.token.as_ref()?;
        let why = match token {
            Ok(Some(_)) => return None,
            Ok(None) => return trail.stranger.clone().filter(|stranger| self.0.hubs.contains(stranger)),
            Err(why) => why,
        };
        if !self.0.hubs.contains(origin) {
            return None;
        }
        let (what, to) = match why {
            Withheld::Unnamed => (format!("{origin}, which only this project's settings name"), "trust it"),
            Withheld::ClearText => (format!("{origin} in clear text"), "send it all the same"),
        };
        self.warn_once(format!(
            "the token is not sent to {what}; to {to}: `model-manager config set --user trusted_endpoints {}`",
            text::shell_word(&origin.to_string())
        ));
        Some(origin.clone())
    }

    fn warn_once(&self, text: String) {
        if self.1.warned.lock().unwrap_or_else(PoisonError::into_inner).insert(text.clone()) {
            self.report(&Event::Warning(text));
        }
    }

    /// Whether an origin is the Hub or one of the endpoints.
    fn is_hub(&self, url: &Url) -> bool {
        Origin::of(url).is_some_and(|origin| self.0.hubs.contains(&origin))
    }

    /// Takes notice of what an answer says beside its content.
    fn note(&self, origin: &Origin, response: &Response) {
        if let Some(wanted) = pause::wanted(response.status(), response.headers())
            && self.0.pauses.start(origin, &wanted)
            && !wanted.wait.is_zero()
        {
            let why = "the server limits the rate of requests".into();
            self.report(&Event::Retry { what: origin.to_string(), why, after: wanted.wait });
        }
        if self.0.hubs.contains(origin)
            && let Some(text) = header_text(response, "x-hf-warning")
        {
            let text = text.split_once(';').map_or(text.as_str(), |(_, message)| message.trim()).to_owned();
            self.warn_once(format!("{} says: {text}", origin.host()));
        }
    }

    /// Reads a refusal, its body only as far as it helps.
    async fn refused(&self, response: Response, url: &Url, foreign: bool) -> HttpError {
        let status = response.status();
        let header = |name| header_text(&response, name);
        let spoken = response.extensions().get::<Spoken>();
        let mut refusal = Refusal {
            url: bare(url),
            status: status.as_u16(),
            code: header("x-error-code"),
            message: header("x-error-message"),
            request_id: header("x-request-id").or_else(|| header("x-amzn-trace-id")).or_else(|| header("x-amz-cf-id")),
            commit: header("x-repo-commit"),
            retry_after: pause::wanted(status, response.headers()).map(|wanted| wanted.wait),
            foreign,
            with_token: spoken.is_some_and(|spoken| spoken.with_token),
            withheld_from: spoken.and_then(|spoken| spoken.withheld_from.as_ref()).map(Origin::to_string),
        };
        // The texts of storage servers repeat the signature; the Hub's are for people.
        if !foreign
            && refusal.message.is_none()
            && !is_html(&response)
            && let Ok(body) = tokio::time::timeout(REFUSAL_PATIENCE, beginning(response, LONGEST_REFUSAL)).await
        {
            let json = serde_json::from_slice::<serde_json::Value>(&body).ok();
            refusal.message =
                json.and_then(|json| Some(error::printable(json.get("error")?.as_str()?))).filter(|text| !text.is_empty());
        }
        if let Some(token) = &self.0.token
            && refusal.message.as_ref().is_some_and(|message| message.contains(token.reveal()))
        {
            refusal.message = None;
        }
        HttpError::of_refusal(refusal)
    }
}

/// Whether an endpoint is the Hub, and no mirror of it.
pub fn is_hub_itself(endpoint: &Url) -> bool {
    let origin = Origin::of(endpoint);
    origin.is_some() && HUB_HOSTS.iter().any(|hub| Url::parse(hub).ok().and_then(|hub| Origin::of(&hub)) == origin)
}

/// Reads an endpoint from the settings.
fn endpoint(text: &str) -> Result<Url, HttpError> {
    let refuse =
        |why: &str| HttpError::BadEndpoint { text: error::printable(text.rsplit('@').next().unwrap_or(text)), why: why.into() };
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

fn header_text(response: &Response, name: &str) -> Option<String> {
    let text = String::from_utf8_lossy(response.headers().get(name)?.as_bytes()).into_owned();
    let text = if name == header::LINK.as_str() { text } else { error::printable(&text) };
    (!text.is_empty()).then_some(text)
}

fn is_html(response: &Response) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.get(..9).is_some_and(|kind| kind.eq_ignore_ascii_case("text/html"))
}

/// Whether an answer to HEAD means that the server does not know HEAD.
fn lacks_head(status: StatusCode) -> bool {
    matches!(status.as_u16(), 405 | 501)
}
