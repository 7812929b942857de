//! Where a request goes: the unit that tokens, redirects and pauses are decided by.

pub use crate::text::bare;
use std::fmt;
use url::Url;

/// Scheme, host and port of an address.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

impl Origin {
    /// The origin of an `http` or `https` address; `None` for any other.
    pub fn of(url: &Url) -> Option<Self> {
        let scheme = url.scheme();
        if !matches!(scheme, "http" | "https") {
            return None;
        }
        Some(Self { scheme: scheme.to_owned(), host: url.host_str()?.to_owned(), port: url.port_or_known_default()? })
    }

    /// The host's name.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether the transport is encrypted.
    pub fn is_secure(&self) -> bool {
        self.scheme == "https"
    }

    /// Whether the host is this machine.
    pub fn is_loopback(&self) -> bool {
        let address = self.host.trim_start_matches('[').trim_end_matches(']');
        self.host == "localhost" || address.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)?;
        match (self.scheme.as_str(), self.port) {
            ("https", 443) | ("http", 80) => Ok(()),
            (_, port) => write!(f, ":{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str) -> Option<Origin> {
        Origin::of(&Url::parse(text).unwrap())
    }

    #[test]
    fn the_port_belongs_to_the_origin_and_the_default_port_is_the_same_as_none() {
        assert_eq!(origin("https://h.example/a"), origin("https://H.example:443/b?c"));
        assert_ne!(origin("https://h.example"), origin("http://h.example"));
        assert_ne!(origin("http://127.0.0.1:1"), origin("http://127.0.0.1:2"));
        assert_eq!(origin("file:///etc/passwd"), None);
        assert_eq!(origin("https://h.example:8443/x").unwrap().to_string(), "https://h.example:8443");
    }

    #[test]
    fn loopback_is_told_from_the_rest() {
        for (url, loopback) in
            [("http://127.0.0.1:9", true), ("http://[::1]:9", true), ("http://localhost", true), ("http://10.0.0.1", false)]
        {
            assert_eq!(origin(url).unwrap().is_loopback(), loopback, "{url}");
        }
    }
}
