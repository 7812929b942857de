//! The least HTTP/1.1 that a client needs: requests in, answers out, connections kept alive.

use std::io::{self, Read};
use std::net::TcpStream;

use super::content::Content;

/// The two sides of the Hub, on different ports: tokens belong to the first only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    Hub,
    Cdn,
}

#[derive(Clone, Debug)]
pub struct Request {
    pub origin: Origin,
    pub method: String,
    /// Still percent-encoded, without the query.
    pub path: String,
    /// Still percent-encoded, without the question mark.
    pub query: Option<String>,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    pub fn path_and_query(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }

    pub fn decoded(&self) -> String {
        decode(&self.path_and_query())
    }

    /// The decoded value of a query key.
    pub fn query_value(&self, key: &str) -> Option<String> {
        let pairs = self.query.as_deref()?.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.into_iter().find(|(k, _)| decode(k) == key).map(|(_, v)| decode(v))
    }

    pub fn query_flag(&self, key: &str) -> bool {
        self.query_value(key).is_some_and(|v| matches!(v.to_ascii_lowercase().as_str(), "true" | "1" | ""))
    }

    pub fn bearer(&self) -> Option<&str> {
        self.header("authorization")?.strip_prefix("Bearer ").map(str::trim)
    }

    pub fn range(&self) -> Option<&str> {
        self.header("range")
    }

    pub fn asks_for(&self, offset: u64) -> bool {
        match self.range().map(|r| parse_range(r, u64::MAX)) {
            Some(Asked::Part(first, last)) => (first..=last).contains(&offset),
            _ => true,
        }
    }

    pub fn is_head(&self) -> bool {
        self.method == "HEAD"
    }
}

/// What a `Range` header means for a file of some length.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// First and last byte, both included.
    Part(u64, u64),
    Unsatisfiable,
    /// Not a single byte range: a server ignores it.
    Ignored,
}

pub(super) fn parse_range(header: &str, len: u64) -> Asked {
    let Some((first, last)) = header.strip_prefix("bytes=").and_then(|spec| spec.split_once('-')) else {
        return Asked::Ignored;
    };
    match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), _) if first >= len && (last.is_empty() || last.parse::<u64>().is_ok()) => Asked::Unsatisfiable,
        (Ok(first), Ok(last)) if first <= last => Asked::Part(first, last.min(len - 1)),
        (Ok(first), Err(_)) if last.is_empty() => Asked::Part(first, len - 1),
        (Err(_), Ok(n)) if first.is_empty() && n > 0 && len > 0 => Asked::Part(len.saturating_sub(n), len - 1),
        (Err(_), Ok(_)) if first.is_empty() => Asked::Unsatisfiable,
        _ => Asked::Ignored,
    }
}

#[derive(Clone, Debug)]
pub(super) enum Body {
    Bytes(Vec<u8>),
    Part { content: Content, start: u64, len: u64 },
}

impl Body {
    pub fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Part { len, .. } => *len,
        }
    }

    /// Where in its file the body begins.
    pub fn file_offset(&self) -> u64 {
        match self {
            Self::Bytes(_) => 0,
            Self::Part { start, .. } => *start,
        }
    }

    pub fn read_at(&self, offset: u64, buf: &mut [u8]) {
        match self {
            Self::Bytes(bytes) => buf.copy_from_slice(&bytes[offset as usize..][..buf.len()]),
            Self::Part { content, start, .. } => content.read_at(start + offset, buf),
        }
    }

    pub fn to_vec(&self) -> Vec<u8> {
        let mut all = vec![0; self.len() as usize];
        self.read_at(0, &mut all);
        all
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Length,
    Chunked,
    UntilClose,
}

#[derive(Clone, Debug)]
pub(super) struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Body,
    pub framing: Framing,
}

impl Response {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: Body::Bytes(body.into()), framing: Framing::Length }
    }

    pub fn json(value: &serde_json::Value) -> Self {
        Self::new(200, value.to_string()).with("Content-Type", "application/json; charset=utf-8")
    }

    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.drop_header(name);
        self.headers.push((name.to_owned(), value.into()));
    }

    pub fn drop_header(&mut self, name: &str) {
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }
}

pub(super) fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        206 => "Partial Content",
        302 => "Found",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        416 => "Range Not Satisfiable",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Status",
    }
}

/// Reads one request; `None` when the client is done. `spare` keeps what came after it.
pub(super) fn read_request(origin: Origin, mut stream: &TcpStream, spare: &mut Vec<u8>) -> io::Result<Option<Request>> {
    let mut buf = [0_u8; 8192];
    let head_len = loop {
        if let Some(end) = spare.windows(4).position(|w| w == b"\r\n\r\n") {
            break end + 4;
        }
        if spare.len() > 256 * 1024 {
            return Err(io::Error::other("request head too large"));
        }
        match stream.read(&mut buf)? {
            0 => return Ok(None),
            n => spare.extend_from_slice(&buf[..n]),
        }
    };
    let head = String::from_utf8_lossy(&spare[..head_len]).into_owned();
    spare.drain(..head_len);
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let headers: Vec<(String, String)> =
        lines.filter_map(|l| l.split_once(':')).map(|(n, v)| (n.trim().to_owned(), v.trim().to_owned())).collect();
    let target = without_authority(target);
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path.to_owned(), Some(query.to_owned())),
        None => (target.to_owned(), None),
    };
    let mut request = Request { origin, method: method.to_owned(), path, query, headers, body: Vec::new() };
    let length = request.header("content-length").and_then(|v| v.parse().ok()).unwrap_or(0_usize);
    while spare.len() < length {
        match stream.read(&mut buf)? {
            0 => return Ok(None),
            n => spare.extend_from_slice(&buf[..n]),
        }
    }
    request.body = spare.drain(..length).collect();
    Ok(Some(request))
}

/// A client that takes this server for a proxy sends the whole address.
fn without_authority(target: &str) -> &str {
    match target.strip_prefix("http://") {
        Some(rest) => rest.find('/').map_or("/", |i| &rest[i..]),
        None => target,
    }
}

pub fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let escaped = (bytes[i] == b'%').then(|| text.get(i + 1..i + 3)).flatten();
        match escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                i += 3;
            }
            None => {
                out.push(bytes[i]);
                i += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Percent-encodes all but unreserved characters and those in `keep`.
pub fn encode(text: &str, keep: &str) -> String {
    use std::fmt::Write;
    text.bytes().fold(String::new(), |mut out, b| {
        if b.is_ascii_alphanumeric() || b"-_.~".contains(&b) || keep.as_bytes().contains(&b) {
            out.push(b as char);
        } else {
            write!(out, "%{b:02X}").expect("writing to a String");
        }
        out
    })
}

/// gzip without compression: stored blocks only, enough to be wrong for a client that did not ask.
pub(super) fn gzip(data: &[u8]) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let mut blocks = data.chunks(65_535).peekable();
    if data.is_empty() {
        out.extend_from_slice(&[1, 0, 0, 255, 255]);
    }
    while let Some(block) = blocks.next() {
        let len = block.len() as u16;
        out.push(u8::from(blocks.peek().is_none()));
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(&(!len).to_le_bytes());
        out.extend_from_slice(block);
    }
    out.extend_from_slice(&crc32(data).to_le_bytes());
    out.extend_from_slice(&(data.len() as u32).to_le_bytes());
    out
}

fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |c, _| if c & 1 == 1 { c >> 1 ^ 0xEDB8_8320 } else { c >> 1 })
    })
}
