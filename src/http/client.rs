//! The one place where HTTP clients are made, and where the library's errors are read.

use super::{
    error::{HttpError, printable},
    origin::{Origin, bare},
    proxy::{Proxy, Rules},
};
use crate::{error::is_too_many_files, settings::Network};
use reqwest::{Certificate, Client, ClientBuilder, redirect::Policy};
use std::{
    io,
    sync::{Arc, Once, OnceLock},
    time::Duration,
};
use url::Url;

/// Made at their first use: reading the system's certificates costs milliseconds.
pub struct Clients {
    connect_timeout: Duration,
    connections: usize,
    /// `None` leaves proxies to what the system has set.
    proxies: Option<Arc<Rules>>,
    certificates: Vec<Certificate>,
    secure: OnceLock<Result<Client, HttpError>>,
    /// For unencrypted servers on this machine: needs no certificates, so tests and mirrors run where none are installed.
    local: OnceLock<Result<Client, HttpError>>,
}

/// Refuses what is no PEM file with certificates.
pub fn check_certificates(pem: &[u8]) -> Result<(), String> {
    certificates(pem).map(drop)
}

/// The certificates of a PEM file; there must be one at least.
fn certificates(pem: &[u8]) -> Result<Vec<Certificate>, String> {
    let found = Certificate::from_pem_bundle(pem).map_err(|error| format!("it cannot be read: {}", error.without_url()))?;
    if found.is_empty() { Err("it holds no certificate in PEM form".to_owned()) } else { Ok(found) }
}

impl Clients {
    pub fn new(network: &Network, ca_pem: Option<&[u8]>) -> Result<Self, HttpError> {
        let refuse = |why: String| HttpError::Client { why };
        let certificates = match ca_pem {
            None => Vec::new(),
            Some(pem) => certificates(pem).map_err(refuse)?,
        };
        Ok(Self {
            connect_timeout: network.connect_timeout,
            connections: network.connections.most.max(1),
            proxies: network.proxies.as_ref().map(|proxies| Arc::new(Rules::new(proxies))),
            certificates,
            secure: OnceLock::new(),
            local: OnceLock::new(),
        })
    }

    /// The proxy for a request, where variables name one.
    pub fn proxy_of(&self, url: &Url) -> Result<Option<&Proxy>, HttpError> {
        self.proxies.as_ref().map_or(Ok(None), |proxies| proxies.of(url))
    }

    /// The client for requests to `origin`, through such a proxy.
    pub fn of(&self, origin: &Origin, proxy: Option<&Proxy>) -> Result<&Client, HttpError> {
        let is_secure = origin.is_secure() || proxy.is_some_and(|proxy| proxy.url.scheme() == "https");
        let client = if !is_secure && origin.is_loopback() {
            self.local.get_or_init(|| finish(self.local()))
        } else {
            self.secure.get_or_init(|| self.secure())
        };
        client.as_ref().map_err(Clone::clone)
    }

    /// No proxy that only the system knows is asked for this machine: it would see a token in clear text.
    fn local(&self) -> ClientBuilder {
        let base = self.base().tls_certs_only([]);
        if self.proxies.is_none() { base.no_proxy() } else { base }
    }

    fn secure(&self) -> Result<Client, HttpError> {
        let made = finish(self.base().tls_certs_merge(self.certificates.clone()));
        // Without certificates of the system, those that were named are enough.
        if made.is_err() && !self.certificates.is_empty() {
            return finish(self.base().tls_certs_only(self.certificates.clone()));
        }
        made
    }

    /// HTTP/1.1 alone is the fastest for large bodies. Time limits are kept by the callers, per read, never in total.
    fn base(&self) -> ClientBuilder {
        static PROVIDER: Once = Once::new();
        // "Already set" is as good: a program that embeds this crate may have chosen its own.
        PROVIDER.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
        let builder = match self.proxies.clone() {
            None => Client::builder(),
            Some(proxies) => {
                // An invalid variable was reported before the request.
                let of = move |url: &Url| proxies.of(url).ok().flatten().map(|proxy| proxy.url.clone());
                Client::builder().proxy(reqwest::Proxy::custom(of))
            }
        };
        builder
            .user_agent(concat!("model-manager/", env!("CARGO_PKG_VERSION")))
            .http1_only()
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .tcp_nodelay(true)
            .tcp_keepalive(Duration::from_secs(30))
            .connect_timeout(self.connect_timeout)
            // A request that finds none idle in the same moment opens one more, which is kept for later ones.
            .pool_max_idle_per_host(2 * self.connections)
    }
}

fn finish(builder: ClientBuilder) -> Result<Client, HttpError> {
    builder.build().map_err(|error| HttpError::Client { why: chain_text(&error.without_url()) })
}

impl HttpError {
    /// Reads what the HTTP library reports; its texts name no address.
    pub(super) fn of_transport(error: reqwest::Error, url: &Url) -> Self {
        let shown = bare(url);
        let origin = Origin::of(url).map_or_else(|| shown.clone(), |origin| origin.to_string());
        let error = error.without_url();
        let why = chain_text(&error);
        if error.is_connect() && lacks_descriptors(&error) {
            Self::TooManyFiles { origin }
        } else if is_tls(&error) {
            Self::Tls { origin, why }
        } else if error.is_connect() {
            Self::Connect { origin, why }
        } else if error.is_builder() {
            // Our own URLs are encoded; only a redirect can lead to one that is invalid in a request.
            Self::BadRedirect { url: shown, why: "to an address that no request can be made of".into() }
        } else {
            Self::Reset { url: shown, why }
        }
    }
}

fn causes<'a>(error: &'a (dyn std::error::Error + 'static)) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| {
        // An io::Error shows its content only here: its `source` is the content's source.
        match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(inner) => Some(inner as &(dyn std::error::Error + 'static)),
            None => error.source(),
        }
    })
    .take(12)
}

/// Whether a connection failed because no more files can be open. The look-up of a name fails then too, and says that the
/// network is to blame; so it is tried what a connection needs.
fn lacks_descriptors(error: &reqwest::Error) -> bool {
    let is_named = causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>()).any(is_too_many_files);
    is_named || std::net::UdpSocket::bind((std::net::Ipv4Addr::LOCALHOST, 0)).is_err_and(|error| is_too_many_files(&error))
}

fn is_tls(error: &reqwest::Error) -> bool {
    causes(error).any(|cause| cause.is::<rustls::Error>())
}

/// The innermost causes say most; a text that only repeats what stands before is left out.
pub(super) fn chain_text(error: &(dyn std::error::Error + 'static)) -> String {
    let mut texts: Vec<String> = Vec::new();
    for cause in causes(error).skip(1) {
        let text = printable(&cause.to_string());
        // "client error (Connect)" only repeats the variant that the text ends up in.
        if !text.is_empty() && !text.starts_with("client error (") && !texts.iter().any(|before| before.contains(&text)) {
            texts.push(text);
        }
    }
    if texts.is_empty() { printable(&error.to_string()) } else { texts.join(": ") }
}
