//! What the test Hub saw: every request, and the bytes that went over the wire.

use std::time::Duration;

use super::http::Origin;

/// Which part of the Hub a request was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    Api,
    Resolve,
    /// The second hop of plain files.
    ResolveCache,
    Cdn,
    Other,
}

/// One request and what became of it.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub origin: Origin,
    pub part: Part,
    pub method: String,
    /// As it came, still percent-encoded.
    pub path_and_query: String,
    pub headers: Vec<(String, String)>,
    pub range: Option<String>,
    /// 0 if there was no answer.
    pub status: u16,
    /// Body bytes handed to the kernel (for chunked answers without the chunk heads).
    pub bytes_sent: u64,
    /// The body went out to its end as it was meant to.
    pub complete: bool,
    /// Since the hub started.
    pub at: Duration,
    /// When its last byte so far was sent.
    pub last: Duration,
    /// Which connection, counted from 1.
    pub connection: u64,
}

impl Recorded {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }
}

/// The sums. `requests` holds them one by one.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    pub api: u64,
    pub resolve: u64,
    pub resolve_cache: u64,
    pub cdn: u64,
    pub other: u64,
    pub api_bytes: u64,
    /// Redirect texts of resolve.
    pub resolve_bytes: u64,
    pub resolve_cache_bytes: u64,
    pub cdn_bytes: u64,
    pub connections: u64,
    pub max_connections: u64,
    /// Most requests that were being answered at one moment, on the CDN.
    pub max_cdn_in_flight: u64,
    pub requests: Vec<Recorded>,
}

impl Counters {
    /// File content sent by either origin.
    pub fn content_bytes(&self) -> u64 {
        self.cdn_bytes + self.resolve_cache_bytes
    }

    pub fn total_requests(&self) -> u64 {
        self.requests.len() as u64
    }

    pub fn of(&self, part: Part) -> impl Iterator<Item = &Recorded> {
        self.requests.iter().filter(move |r| r.part == part)
    }
}

#[derive(Debug, Default)]
pub(super) struct Log {
    pub requests: Vec<Recorded>,
    pub connections: u64,
    pub live: u64,
    pub max_live: u64,
    pub cdn_in_flight: u64,
    pub max_cdn_in_flight: u64,
    /// Tokens seen where no token may go.
    pub leaks: Vec<String>,
    /// Requests that `reset_counters` has taken out.
    pub forgotten: usize,
}

impl Log {
    pub fn add(&mut self, recorded: Recorded) -> usize {
        self.requests.push(recorded);
        self.forgotten + self.requests.len() - 1
    }

    pub fn at(&mut self, index: usize) -> Option<&mut Recorded> {
        index.checked_sub(self.forgotten).and_then(|i| self.requests.get_mut(i))
    }

    pub fn forget(&mut self) {
        self.forgotten += self.requests.len();
        self.requests.clear();
        self.connections = self.live;
        self.max_live = self.live;
        self.max_cdn_in_flight = self.cdn_in_flight;
    }

    pub fn counters(&self) -> Counters {
        let mut sums = Counters {
            connections: self.connections,
            max_connections: self.max_live,
            max_cdn_in_flight: self.max_cdn_in_flight,
            requests: self.requests.clone(),
            ..Counters::default()
        };
        for request in &self.requests {
            let mut unsorted = 0;
            let (count, bytes) = match request.part {
                Part::Api => (&mut sums.api, &mut sums.api_bytes),
                Part::Resolve => (&mut sums.resolve, &mut sums.resolve_bytes),
                Part::ResolveCache => (&mut sums.resolve_cache, &mut sums.resolve_cache_bytes),
                Part::Cdn => (&mut sums.cdn, &mut sums.cdn_bytes),
                Part::Other => (&mut sums.other, &mut unsorted),
            };
            *count += 1;
            *bytes += request.bytes_sent;
        }
        sums
    }
}
