//! Which proxy a request goes through: what curl does with the same variables.
//!
//! One difference is meant: `socks://` is SOCKS 4 for curl and SOCKS 5 for those who write it, so it is refused with both names.

use super::HttpError;
use crate::{
    settings::{Proxies, ProxyVariable},
    text,
};
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};
use url::Url;

const SCHEMES: [&str; 6] = ["http", "https", "socks4", "socks4a", "socks5", "socks5h"];
/// curl's port for a proxy that names none.
const USUAL_PORT: u16 = 1080;

/// The proxies of a run. What a variable says is judged when a request would follow it, and not before.
#[derive(Debug)]
pub struct Rules {
    http: Option<Result<Proxy, HttpError>>,
    https: Option<Result<Proxy, HttpError>>,
    exceptions: String,
}

/// A proxy, and the variable that names it.
pub struct Proxy {
    /// Its address, which may hold a password.
    pub url: Url,
    /// The variable.
    pub variable: String,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({})", self.variable)
    }
}

impl Rules {
    pub fn new(proxies: &Proxies) -> Self {
        let read = |variable: &Option<ProxyVariable>| variable.as_ref().map(address);
        Self { http: read(&proxies.http), https: read(&proxies.https), exceptions: proxies.exceptions.clone() }
    }

    /// The proxy for an address, or that there is none.
    pub fn of(&self, url: &Url) -> Result<Option<&Proxy>, HttpError> {
        let proxy = if url.scheme() == "https" { &self.https } else { &self.http };
        match proxy {
            Some(proxy) if !is_exempt(&self.exceptions, url.host_str().unwrap_or_default()) => {
                proxy.as_ref().map(Some).map_err(Clone::clone)
            }
            _ => Ok(None),
        }
    }
}

/// Reads the address of a proxy.
fn address(variable: &ProxyVariable) -> Result<Proxy, HttpError> {
    let name = variable.name.clone();
    match read(variable.value()) {
        Ok(url) => Ok(Proxy { url, variable: name }),
        Err(why) => Err(HttpError::BadProxy { variable: name, why }),
    }
}

/// Reads `[scheme://][user:password@]host[:port]`. Errors do not repeat the text, which may hold a password.
fn read(text: &str) -> Result<Url, String> {
    let text = text.trim();
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
        None => ("http".to_owned(), text),
    };
    if scheme == "socks" {
        return Err("`socks://` may mean two things: write `socks5h://` or `socks4a://`".into());
    }
    if !SCHEMES.contains(&scheme.as_str()) {
        let is_word = scheme.len() <= 20 && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let named = if is_word { format!("`{}://` is", text::printable(&scheme)) } else { "what stands before `://` is".into() };
        return Err(format!("{named} not one of {}", SCHEMES.map(|scheme| format!("`{scheme}://`")).join(", ")));
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    if host.is_empty() || host.starts_with(':') {
        return Err("it has no host".into());
    }
    if authority.chars().any(|c| c.is_whitespace() || text::is_hidden(c)) {
        return Err("there is a space or a control character in it".into());
    }
    let names_port = host.rsplit(']').next().is_some_and(|behind| behind.contains(':'));
    let mut url = Url::parse(&format!("{scheme}://{authority}")).map_err(|error| error.to_string())?;
    if url.host_str().is_none_or(str::is_empty) {
        return Err("it has no host".into());
    }
    if !names_port && scheme != "https" {
        url.set_port(Some(USUAL_PORT)).map_err(|()| "its port cannot be used".to_owned())?;
    }
    Ok(url)
}

/// Whether a host needs no proxy: `NO_PROXY` is `*`, or a list of names, addresses and networks between commas or spaces.
fn is_exempt(list: &str, host: &str) -> bool {
    if list == "*" {
        return true;
    }
    let host = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
    let mut entries = list.split([',', ' ', '\t']).filter(|entry| !entry.is_empty());
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => entries.any(|entry| is_in_v4(entry, address)),
        Ok(IpAddr::V6(address)) => entries.any(|entry| is_in_v6(entry, address)),
        Err(_) => entries.any(|entry| is_below(entry, host)),
    }
}

/// A name exempts itself and everything below it; a dot before it changes nothing.
fn is_below(entry: &str, host: &str) -> bool {
    let entry = entry.strip_prefix('.').unwrap_or(entry);
    let entry = entry.strip_suffix('.').unwrap_or(entry);
    if entry.is_empty() || entry.len() > host.len() || !host.is_char_boundary(host.len() - entry.len()) {
        return false;
    }
    let (above, end) = host.split_at(host.len() - entry.len());
    end.eq_ignore_ascii_case(entry) && (above.is_empty() || above.ends_with('.'))
}

/// The bits behind the `/` of a network; without them, or where they are none, the whole address counts.
fn network(entry: &str) -> (&str, u32) {
    let (address, bits) = entry.split_once('/').unwrap_or((entry, ""));
    let digits = bits.bytes().take_while(u8::is_ascii_digit).count();
    (address, bits.get(..digits).and_then(|bits| bits.parse().ok()).unwrap_or(0))
}

fn is_in_v4(entry: &str, host: Ipv4Addr) -> bool {
    let (address, bits) = network(entry);
    let Ok(address) = address.parse::<Ipv4Addr>() else { return false };
    match bits {
        0 | 32 => address == host,
        33.. => false,
        bits => (address.to_bits() ^ host.to_bits()) >> (32 - bits) == 0,
    }
}

fn is_in_v6(entry: &str, host: Ipv6Addr) -> bool {
    let (address, bits) = network(entry);
    let Ok(address) = address.trim_start_matches('[').trim_end_matches(']').parse::<Ipv6Addr>() else { return false };
    match bits {
        0 | 128 => address == host,
        129.. => false,
        bits => (address.to_bits() ^ host.to_bits()) >> (128 - bits) == 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_are_those_of_curl() {
        // Each line was tried with curl 7.88.1.
        for (list, host, direct) in [
            ("*", "127.0.0.1", true),
            ("*", "a.example", true),
            ("*", "[::1]", true),
            (" *", "127.0.0.1", false),
            ("*,x", "127.0.0.1", false),
            ("x,*", "127.0.0.1", false),
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1:8080", "127.0.0.1", false),
            ("127.0.0.0/8", "127.0.0.1", true),
            ("127.0.0.1/32", "127.0.0.1", true),
            ("127.0.0.1/0", "127.0.0.1", true),
            ("127.0.0.1/33", "127.0.0.1", false),
            ("127.0.0.1/x", "127.0.0.1", true),
            (".0.0.1", "127.0.0.1", false),
            ("0.0.1", "127.0.0.1", false),
            ("10.0.0.0/8", "127.0.0.1", false),
            ("127.0.0.1.", "127.0.0.1", false),
            ("a 127.0.0.1", "127.0.0.1", true),
            ("localhost", "127.0.0.1", false),
            ("127.0.0.1", "localhost", false),
            ("localhost", "localhost", true),
            ("LOCALHOST", "localhost", true),
            (".localhost", "localhost", true),
            ("localhost.", "localhost", true),
            ("host", "localhost", false),
            ("localhost:80", "localhost", false),
            ("*host", "localhost", false),
            (".", "localhost", false),
            ("b.example", "a.b.example", true),
            (".example", "a.b.example", true),
            ("EXAMPLE", "a.b.example", true),
            (".b.example.", "a.b.example", true),
            ("b.example", "a.b.example.", true),
            ("..example", "a.b.example", false),
            ("xample", "a.b.example", false),
            ("*.example", "a.b.example", false),
            ("::1", "[::1]", true),
            ("::2", "[::1]", false),
            ("", "a.example", false),
        ] {
            assert_eq!(is_exempt(list, host), direct, "NO_PROXY={list:?} {host}");
        }
        // Later versions of curl understand this IPv6 address.
        for list in ["[::1]", "::1/128", "[::1]/128", "0:0:0:0:0:0:0:1", "::/8"] {
            assert!(is_exempt(list, "[::1]"), "{list}");
        }
        assert!(!is_exempt("fe80::/10", "[::1]") && !is_exempt("::1/129", "[::1]"));
    }

    #[test]
    fn an_address_is_read_as_curl_reads_it() {
        for (text, read_as) in [
            ("127.0.0.1:8080", "http://127.0.0.1:8080/"),
            ("proxy", "http://proxy:1080/"),
            ("http://proxy:80", "http://proxy/"),
            ("HTTP://proxy:3128/path?q", "http://proxy:3128/"),
            ("https://proxy", "https://proxy/"),
            ("http://[::1]", "http://[::1]:1080/"),
            ("u:p%40x@proxy:1", "http://u:p%40x@proxy:1/"),
            ("socks5h://proxy", "socks5h://proxy:1080"),
            ("socks4a://proxy:9", "socks4a://proxy:9"),
        ] {
            assert_eq!(read(text).as_ref().map(Url::as_str), Ok(read_as), "{text}");
        }
        for bad in [
            "socks://127.0.0.1:1080",
            "garbage://x",
            "ftp://x:1",
            "http://",
            " ",
            "http://:8080",
            "http://host:99999",
            "http:host:1",
            "//host:1",
            "http://[::1",
            "http://a b:1",
            "se cret://x",
            "me:secret@ho st",
            "http://me:secret@host:port",
            "secret:secret://me:secret@host",
        ] {
            let why = read(bad).unwrap_err();
            assert!(!why.contains("secret") && !why.is_empty(), "{bad}: {why}");
        }
    }

    #[test]
    fn what_a_variable_says_is_judged_where_it_would_be_used() {
        let variable = |name: &str, value: &str| Some(ProxyVariable::new(name, value));
        let rules = Rules::new(&Proxies {
            http: variable("http_proxy", "garbage://me:secret@x"),
            https: variable("ALL_PROXY", "proxy:1"),
            exceptions: "mirror.lan".into(),
        });
        let of = |url: &str| rules.of(&Url::parse(url).unwrap()).map(|proxy| proxy.map(|proxy| proxy.url.as_str()));
        assert_eq!(of("https://hub.example/x").unwrap(), Some("http://proxy:1/"));
        assert_eq!(of("http://mirror.lan:8090/x").unwrap(), None);
        let error = of("http://other/x").unwrap_err();
        assert!(error.to_string().contains("http_proxy") && !format!("{error} {error:?}").contains("secret"), "{error}");
        assert_eq!(crate::error::Error::from(error).kind(), crate::error::ErrorKind::Usage);
    }
}
