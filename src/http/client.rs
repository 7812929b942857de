//! The one place where HTTP clients are made.

use super::{error::HttpError, origin::Origin};
use crate::settings::Network;
use reqwest::{Certificate, Client, ClientBuilder, redirect::Policy};
use std::{
    sync::{Once, OnceLock},
    time::Duration,
};

/// Made at their first use: reading the system's certificates costs milliseconds.
pub struct Clients {
    connect_timeout: Duration,
    connections: usize,
    certificates: Vec<Certificate>,
    secure: OnceLock<Result<Client, HttpError>>,
    /// For unencrypted servers on this machine: needs no certificates, so tests and mirrors run where none are installed.
    local: OnceLock<Result<Client, HttpError>>,
}

impl Clients {
    pub fn new(network: &Network, ca_pem: Option<&[u8]>) -> Result<Self, HttpError> {
        let refuse = |why: String| HttpError::Client { why };
        let certificates = match ca_pem {
            None => Vec::new(),
            Some(pem) => Certificate::from_pem_bundle(pem)
                .map_err(|error| refuse(format!("the CA file cannot be read: {}", error.without_url())))?,
        };
        if ca_pem.is_some() && certificates.is_empty() {
            return Err(refuse("the CA file holds no certificate in PEM form".into()));
        }
        Ok(Self {
            connect_timeout: network.connect_timeout,
            connections: network.connections.max(1),
            certificates,
            secure: OnceLock::new(),
            local: OnceLock::new(),
        })
    }

    /// The client for requests to `origin`.
    pub fn of(&self, origin: &Origin) -> Result<&Client, HttpError> {
        let client = if !origin.is_secure() && origin.is_loopback() {
            self.local.get_or_init(|| finish(self.base().tls_certs_only([])))
        } else {
            self.secure.get_or_init(|| self.secure())
        };
        client.as_ref().map_err(Clone::clone)
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
        Client::builder()
            .user_agent(concat!("model-manager/", env!("CARGO_PKG_VERSION")))
            .http1_only()
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .tcp_nodelay(true)
            .tcp_keepalive(Duration::from_secs(30))
            .connect_timeout(self.connect_timeout)
            .pool_max_idle_per_host(self.connections)
    }
}

fn finish(builder: ClientBuilder) -> Result<Client, HttpError> {
    builder.build().map_err(|error| HttpError::Client { why: super::error::chain_text(&error.without_url()) })
}
