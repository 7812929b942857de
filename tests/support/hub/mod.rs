//! A Hugging Face Hub of our own on loopback, which can tell every lie a real one was seen to tell.
//!
//! Two origins on two ports: the *hub* (API, `resolve`) and the *cdn* (signed addresses of LFS content).
//! Every fact is from `hub-protocol.md` sections 1 and 6. Threads and sockets are plain std, because the
//! faults are on the wire: resets, cut bodies, lengths that lie.
//!
//! ```ignore
//! let hub = TestHub::start();
//! hub.repo("TheBloke/Tiny-GGUF").lfs("tiny.Q4_K_M.gguf", bytes).plain("config.json", "{}");
//! hub.fault(Match::cdn().and_contains("tiny").nth(2), Fault::CutAfter(1000));
//! // ... point HF_ENDPOINT at hub.url() ...
//! assert_eq!(hub.count().cdn_bytes, len + 1000);
//! ```
//! When the hub goes out of scope its threads end, and a token seen on the CDN fails the test.

mod content;
mod exchange;
mod faults;
mod http;
mod log;
mod repo;
mod resolve;
mod routes;
mod server;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub use content::{Content, hex};
pub use faults::{Fault, FaultHandle, Hold, Match};
pub use http::{Origin, decode, encode};
pub use log::{Counters, Part, Recorded};
pub use repo::{Gating, RepoHandle};

/// How the hub behaves when no fault strikes. Change it with [`TestHub::configure`].
#[derive(Clone, Debug)]
pub struct Config {
    /// Entries on one page of `tree`.
    pub page_size: usize,
    /// Origin in `Link: …; rel="next"` in place of our own: mirrors leave `https://huggingface.co` there.
    pub link_origin: Option<String>,
    /// How many `siblings` the model info lists; very large repositories list too few.
    pub siblings_limit: usize,
    /// How long a signed address lives.
    pub signature_life: Duration,
    /// How far ahead the clock of the CDN is: signed addresses that are good expire without waiting.
    pub cdn_ahead: Duration,
    pub signing: Signing,
    /// Whether CDN answers have an `ETag` (the Xet hash).
    pub cdn_etag: bool,
    /// Plain files: 307 to the resolve cache (now) or 200 at once (older hubs, mirrors).
    pub plain_redirect: bool,
    /// `xetHash` in listings, `X-Xet-Hash` and `Link: rel="xet-auth"` on resolve.
    pub xet: bool,
    /// On gated repositories without access `xetHash` is 64 asterisks.
    pub mask_xet: bool,
    pub gzip: Gzip,
    /// Before every answer.
    pub latency: Duration,
    /// Bytes of body per second on one connection.
    pub rate: Option<u64>,
    /// Bytes of body per second over all connections of both origins.
    pub total_rate: Option<u64>,
    /// More CDN requests than this at one moment are answered with 429.
    pub max_cdn_in_flight: Option<u64>,
    /// Requests per window before 429, by bucket.
    pub api_quota: u64,
    pub resolvers_quota: u64,
    pub quota_window: Duration,
}

/// How signed addresses say when they end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signing {
    /// `X-Amz-Date` and `X-Amz-Expires`.
    Amz,
    /// `Expires` as Unix time, `Policy`, `Key-Pair-Id`.
    CloudFront,
}

/// When plain files come compressed: chunked, with a weak ETag, without length, and ranges ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gzip {
    /// To everyone who does not say `Accept-Encoding: identity`. A trap for clients that say nothing.
    UnlessIdentity,
    /// To those who accept gzip.
    WhenAccepted,
    Never,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            page_size: 1000,
            link_origin: None,
            siblings_limit: usize::MAX,
            signature_life: Duration::from_secs(3600),
            cdn_ahead: Duration::ZERO,
            signing: Signing::Amz,
            cdn_etag: true,
            plain_redirect: true,
            xet: true,
            mask_xet: true,
            gzip: Gzip::UnlessIdentity,
            latency: Duration::ZERO,
            rate: None,
            total_rate: None,
            max_cdn_in_flight: None,
            api_quota: 1_000_000,
            resolvers_quota: 1_000_000,
            quota_window: Duration::from_secs(300),
        }
    }
}

struct Shared {
    hub: SocketAddr,
    cdn: SocketAddr,
    started: Instant,
    config: Mutex<Config>,
    repos: Mutex<BTreeMap<String, Arc<repo::Repo>>>,
    /// Token to the repositories it opens.
    tokens: Mutex<BTreeMap<String, BTreeSet<String>>>,
    /// What the CDN holds, by sha256: everything that was ever resolved.
    blobs: Mutex<HashMap<String, Content>>,
    faults: Mutex<faults::Faults>,
    log: Mutex<log::Log>,
    quotas: Mutex<HashMap<&'static str, (u64, u64)>>,
    /// When the wire shared by all connections is free again.
    wire_free: Mutex<Instant>,
    live: Mutex<HashMap<u64, Arc<TcpStream>>>,
    serial: AtomicU64,
    stop: AtomicBool,
    leaks_allowed: AtomicBool,
}

impl Shared {
    fn config(&self) -> Config {
        lock(&self.config).clone()
    }

    fn next_serial(&self) -> u64 {
        self.serial.fetch_add(1, Ordering::SeqCst) + 1
    }
}

/// The running hub.
pub struct TestHub {
    shared: Arc<Shared>,
    acceptors: Vec<std::thread::JoinHandle<()>>,
}

impl TestHub {
    /// On two free ports of 127.0.0.1.
    pub fn start() -> Self {
        Self::start_on(0, 0)
    }

    /// On these ports; 0 is any.
    pub fn start_on(hub_port: u16, cdn_port: u16) -> Self {
        server::start(hub_port, cdn_port)
    }

    /// What to put into `HF_ENDPOINT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.shared.hub)
    }

    pub fn cdn_url(&self) -> String {
        format!("http://{}", self.shared.cdn)
    }

    pub fn addr(&self, origin: Origin) -> SocketAddr {
        match origin {
            Origin::Hub => self.shared.hub,
            Origin::Cdn => self.shared.cdn,
        }
    }

    /// Changes the behaviour from the next request on.
    pub fn configure(&self, change: impl FnOnce(&mut Config)) {
        change(&mut lock(&self.shared.config));
    }

    /// Opens a repository on branch `main`, making it if it is new.
    pub fn repo(&self, id: &str) -> RepoHandle<'_> {
        RepoHandle::open(self, id)
    }

    /// A valid token that opens the gated and private repositories in `grants`.
    pub fn token(&self, token: &str, grants: &[&str]) {
        lock(&self.shared.tokens).insert(token.to_owned(), grants.iter().map(|&id| id.to_owned()).collect());
    }

    /// How this token is called in the query (`x-user`) of what it was given signed addresses of.
    pub fn user_tag(token: &str) -> String {
        resolve::user_tag(token)
    }

    /// Since it started: the clock of [`Recorded::at`].
    pub fn elapsed(&self) -> Duration {
        self.shared.started.elapsed()
    }

    /// Makes a token invalid.
    pub fn revoke(&self, token: &str) {
        lock(&self.shared.tokens).remove(token);
    }

    /// The commit of `main`.
    pub fn commit(&self, repo: &str) -> String {
        self.commit_of(repo, "main")
    }

    /// The commit a branch, tag or short id stands for.
    pub fn commit_of(&self, repo: &str, rev: &str) -> String {
        match self.find(repo).find_revision(rev) {
            repo::Revision::Known(id) | repo::Revision::Short(id) => id,
            repo::Revision::Unknown => panic!("{repo} has no {rev}"),
        }
    }

    /// The content of a file on `main`.
    pub fn content(&self, repo: &str, path: &str) -> Content {
        let found = self.find(repo);
        let commit = found.branches.get("main").and_then(|id| found.commits.get(id));
        let file = commit.and_then(|c| c.files.get(path)).unwrap_or_else(|| panic!("{repo} has no {path}"));
        file.content.clone()
    }

    pub fn sha256(&self, repo: &str, path: &str) -> String {
        self.content(repo, path).sha256().to_owned()
    }

    fn find(&self, repo: &str) -> Arc<repo::Repo> {
        lock(&self.shared.repos).get(repo).cloned().unwrap_or_else(|| panic!("no repository {repo}"))
    }

    /// Lets `fault` strike the requests that `matcher` describes. Faults of several rules add up on one request.
    pub fn fault(&self, matcher: Match, fault: Fault) -> FaultHandle {
        lock(&self.shared.faults).add(matcher, fault)
    }

    /// The first matching request meets the first fault, the second the second, and so on.
    pub fn fault_queue(&self, matcher: Match, faults: impl IntoIterator<Item = Fault>) {
        for (k, fault) in (1..).zip(faults) {
            self.fault(matcher.clone().nth(k), fault);
        }
    }

    /// Freezes matching bodies after so many bytes, until released.
    pub fn hold(&self, matcher: Match, after: u64) -> Hold {
        let hold = Hold::default();
        self.fault(matcher, Fault::Hold { after, hold: hold.clone() });
        hold
    }

    pub fn remove_fault(&self, handle: &FaultHandle) {
        lock(&self.shared.faults).remove(handle.id);
    }

    pub fn clear_faults(&self) {
        lock(&self.shared.faults).clear();
    }

    /// What was seen so far.
    pub fn count(&self) -> Counters {
        lock(&self.shared.log).counters()
    }

    /// Starts counting anew, for the second act of a test.
    pub fn reset_counters(&self) {
        lock(&self.shared.log).forget();
    }

    /// Closes every open connection: a network that went away for a moment.
    pub fn drop_connections(&self) {
        for stream in lock(&self.shared.live).values() {
            let _gone_already = stream.shutdown(std::net::Shutdown::Both);
        }
    }

    /// Fails if a token was seen on the CDN, in whatever header or query.
    pub fn assert_no_token_on_cdn(&self) {
        let leaks = lock(&self.shared.log).leaks.clone();
        assert!(leaks.is_empty(), "tokens leaked to the CDN: {leaks:#?}");
    }

    /// Drop no longer checks for leaked tokens.
    pub fn allow_token_leaks(&self) {
        self.shared.leaks_allowed.store(true, Ordering::SeqCst);
    }
}

impl Drop for TestHub {
    fn drop(&mut self) {
        server::stop(&self.shared, &mut self.acceptors);
        if !std::thread::panicking() && !self.shared.leaks_allowed.load(Ordering::SeqCst) {
            self.assert_no_token_on_cdn();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
