//! How the test Hub lies: which request ([`Match`]) meets which misfortune ([`Fault`]).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use super::content::Content;
use super::http::{Origin, Request};
use super::lock;

/// Which requests a fault is for. All conditions must hold; by default the first such request only.
#[derive(Clone, Debug, Default)]
pub struct Match {
    origin: Option<Origin>,
    method: Option<String>,
    contains: Vec<String>,
    excludes: Vec<String>,
    range: Option<bool>,
    covers: Option<u64>,
    content: bool,
    times: Times,
}

#[derive(Clone, Copy, Debug)]
enum Times {
    First(u64),
    Nth(u64),
    Every(u64),
}

impl Default for Times {
    fn default() -> Self {
        Self::First(1)
    }
}

impl Match {
    pub fn any() -> Self {
        Self::default()
    }

    /// Looks in the percent-decoded path and query. A signed CDN address carries the file's name in its query.
    pub fn path_contains(text: &str) -> Self {
        Self::any().and_contains(text)
    }

    pub fn cdn() -> Self {
        Self::any().origin(Origin::Cdn)
    }

    pub fn resolve() -> Self {
        Self::path_contains("/resolve/").origin(Origin::Hub)
    }

    /// Narrows to requests that are answered with content: the CDN and the resolve cache, not the redirect before
    /// them, which has the same name in its path and would use up the fault.
    pub fn content(mut self) -> Self {
        self.content = true;
        self
    }

    pub fn api() -> Self {
        Self::path_contains("/api/").origin(Origin::Hub).and_not("/api/resolve-cache/")
    }

    pub fn origin(mut self, origin: Origin) -> Self {
        self.origin = Some(origin);
        self
    }

    pub fn method(mut self, method: &str) -> Self {
        self.method = Some(method.to_owned());
        self
    }

    pub fn and_contains(mut self, text: &str) -> Self {
        self.contains.push(text.to_owned());
        self
    }

    pub fn and_not(mut self, text: &str) -> Self {
        self.excludes.push(text.to_owned());
        self
    }

    pub fn with_range(mut self) -> Self {
        self.range = Some(true);
        self
    }

    pub fn without_range(mut self) -> Self {
        self.range = Some(false);
        self
    }

    /// Requests whose range (or whole body) includes the byte at `offset`.
    pub fn covers(mut self, offset: u64) -> Self {
        self.covers = Some(offset);
        self
    }

    /// The k-th matching request only, counted from 1.
    pub fn nth(mut self, k: u64) -> Self {
        self.times = Times::Nth(k);
        self
    }

    /// The first n matching requests.
    pub fn times(mut self, n: u64) -> Self {
        self.times = Times::First(n);
        self
    }

    pub fn always(self) -> Self {
        self.every(1)
    }

    /// Every k-th matching request.
    pub fn every(mut self, k: u64) -> Self {
        self.times = Times::Every(k);
        self
    }

    fn describes(&self, request: &Request) -> bool {
        let text = request.decoded();
        self.origin.is_none_or(|o| o == request.origin)
            && (!self.content || request.origin == Origin::Cdn || request.path.starts_with("/api/resolve-cache/"))
            && self.method.as_deref().is_none_or(|m| m == request.method)
            && self.contains.iter().all(|part| text.contains(part))
            && !self.excludes.iter().any(|part| text.contains(part))
            && self.range.is_none_or(|wanted| wanted == request.range().is_some())
            && self.covers.is_none_or(|offset| request.asks_for(offset))
    }

    fn fires(&self, seen: u64) -> bool {
        match self.times {
            Times::First(n) => seen <= n,
            Times::Nth(k) => seen == k,
            Times::Every(k) => seen.is_multiple_of(k),
        }
    }
}

/// What goes wrong. Byte counts are of this answer's body; `WrongBytes` counts from the start of the file.
#[derive(Clone, Debug)]
pub enum Fault {
    /// This answer in place of the real one.
    Status {
        code: u16,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    },
    /// 429 with `Retry-After`, with `t=` in `RateLimit`, with both or with neither.
    RateLimited {
        retry_after: Option<u64>,
        reset: Option<u64>,
    },
    /// 5xx with a proxy's HTML page.
    ServerError(u16),
    /// 200 with an HTML page: a captive portal.
    Html,
    /// On the CDN: 403 as after expiry. On resolve: a signed address that has expired already.
    ExpireNow,
    /// The CDN's 403 for a range that is valid.
    InvalidRange403,
    /// The connection closes before a single byte of the answer.
    EmptyReply,
    /// The same with a reset.
    ResetBeforeReply,
    /// Something that is not HTTP.
    Garbage,
    /// A header of this many bytes.
    HugeHeaders(usize),
    /// 302 to the same address.
    RedirectLoop,
    /// 302 to this address, as it stands.
    RedirectTo(String),
    /// Waits before answering.
    Delay(Duration),

    /// Answers 200 with everything.
    IgnoreRange,
    /// Answers everything under 206 and an honest `Content-Range: bytes 0-…`.
    IgnoreRangeButSay206,
    /// The asked part and its `Content-Range`, but status 200 (ModelScope).
    RangeStatus200,
    /// `Content-Range` starts this many bytes off what was asked and what is sent.
    RangeStartOff(i64),
    /// `Content-Range` names a total that is this much off.
    RangeTotalOff(i64),
    /// 206 without `Content-Range`.
    NoContentRange,
    /// Serves this content with its own length, hashes and ETag: the file changed.
    Serve(Content),

    /// `Content-Length` off by this much; the connection closes after what was announced or what there is.
    LengthOff(i64),
    /// Chunked, without `Content-Length`.
    NoLength,
    /// Neither length nor chunks: the end of the connection ends the body.
    UntilClose,
    /// gzip and chunked even to clients that asked for identity.
    Gzip,
    WeakETag,
    UnquotedETag,
    NoETag,
    SetHeader(String, String),
    DropHeader(String),

    /// Clean close after this many bytes.
    CutAfter(u64),
    /// Reset after this many bytes.
    ResetAfter(u64),
    /// Silence after this many bytes, then on with the rest.
    StallAfter(u64, Duration),
    /// Flips the bits of the byte at this offset of the file; the size stays right.
    WrongBytes {
        offset: u64,
    },
    /// Bytes per second.
    SlowRate(u64),
    /// Closes after the answer without having said so.
    CloseQuietly,
    /// Freezes after some bytes until released; made by [`super::TestHub::hold`].
    Hold {
        after: u64,
        hold: Hold,
    },
}

impl Fault {
    pub fn status(code: u16) -> Self {
        Self::Status { code, headers: Vec::new(), body: Vec::new() }
    }
}

#[derive(Debug)]
pub(super) struct Rule {
    id: u64,
    matcher: Match,
    fault: Fault,
    seen: u64,
    hits: Arc<AtomicU64>,
}

#[derive(Debug, Default)]
pub(super) struct Faults {
    rules: Vec<Rule>,
    next_id: u64,
}

/// Says how often a fault struck, and takes it away again.
#[derive(Clone, Debug)]
pub struct FaultHandle {
    pub(super) id: u64,
    hits: Arc<AtomicU64>,
}

impl FaultHandle {
    pub fn hits(&self) -> u64 {
        self.hits.load(Ordering::SeqCst)
    }
}

impl Faults {
    pub fn add(&mut self, matcher: Match, fault: Fault) -> FaultHandle {
        let hits = Arc::new(AtomicU64::new(0));
        self.next_id += 1;
        self.rules.push(Rule { id: self.next_id, matcher, fault, seen: 0, hits: Arc::clone(&hits) });
        FaultHandle { id: self.next_id, hits }
    }

    pub fn remove(&mut self, id: u64) {
        self.rules.retain(|rule| rule.id != id);
    }

    pub fn clear(&mut self) {
        self.rules.clear();
    }

    /// The faults that strike this request, in the order in which they were added.
    pub fn strike(&mut self, request: &Request) -> Vec<Fault> {
        let mut struck = Vec::new();
        for rule in &mut self.rules {
            if rule.matcher.describes(request) {
                rule.seen += 1;
                if rule.matcher.fires(rule.seen) {
                    rule.hits.fetch_add(1, Ordering::SeqCst);
                    struck.push(rule.fault.clone());
                }
            }
        }
        struck
    }
}

/// A gate in a body: the test waits until the answer is frozen, does its deed, and lets go.
#[derive(Clone, Debug, Default)]
pub struct Hold(Arc<(Mutex<HoldState>, Condvar)>);

#[derive(Debug, Default)]
struct HoldState {
    frozen: u64,
    open: bool,
}

impl Hold {
    /// Waits until `n` answers have frozen at the gate (over time); false if that took longer than `limit`.
    pub fn wait_frozen(&self, n: u64, limit: Duration) -> bool {
        let (state, bell) = &*self.0;
        let held = bell.wait_timeout_while(lock(state), limit, |s| s.frozen < n).expect("no panic holds the gate");
        !held.1.timed_out()
    }

    /// Lets everything through, now and later.
    pub fn release(&self) {
        lock(&self.0.0).open = true;
        self.0.1.notify_all();
    }

    pub(super) fn pass(&self, stop: &AtomicBool) {
        let (state, bell) = &*self.0;
        let mut held = lock(state);
        held.frozen += 1;
        bell.notify_all();
        while !held.open && !stop.load(Ordering::SeqCst) {
            held = bell.wait_timeout(held, Duration::from_millis(20)).expect("no panic holds the gate").0;
        }
    }
}

/// Sleeps, but wakes when the hub stops.
pub(super) fn nap(length: Duration, stop: &AtomicBool) {
    let end = Instant::now() + length;
    while !stop.load(Ordering::SeqCst) {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        std::thread::sleep(left.min(Duration::from_millis(20)));
    }
}
