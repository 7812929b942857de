//! What an earlier run left turns out to be damaged while the rest is fetched, at every moment at which it can.

use crate::support::hub::{Content, Fault, Hold, Match, TestHub};
use model_manager::{
    disk::RealDisk,
    event::{Event, Reporter},
    http::{Http, Location},
    settings::{Connections, Network},
    store::{Acquired, BlobRequest, BlobWriter, IngestKey, Store, Trust, UpstreamFile, Wait},
    transfer::{self, HeadCheck, Job, TransferError, TransferOptions, Transferred},
};
use std::{
    fs,
    os::unix::fs::FileExt,
    path::PathBuf,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{runtime::Runtime, task::JoinHandle};
use tokio_util::sync::CancellationToken;

const REPO: &str = "TheBloke/Tiny-GGUF";
const FILE: &str = "tiny.Q4_K_M.gguf";
const MIB: u64 = 1 << 20;
const LEN: u64 = 40 * MIB + 5;
/// The length of a file of two segments.
const SHORT: u64 = MIB + 5;
/// What the earlier run left: more than 16 segments, so that the hash goes on behind the 16th and those before it are
/// looked at beside the rest.
const LEFT: u64 = 20;
/// The tasks of a connection that end when it finds nothing more to fetch: one takes pieces and reads them, and one of the
/// HTTP client waits for the end of a body that has begun, and keeps the connection for the next request.
const TASKS: u64 = 2;
const LONG: Duration = Duration::from_secs(20);

/// A Hub with one file, and a store that an earlier run left a part of it in.
struct HubAndStore {
    hub: TestHub,
    dir: tempfile::TempDir,
    store: Store,
    content: Content,
    size: u64,
    runtime: Runtime,
}

/// A run under way.
struct RunningTransfer {
    task: JoinHandle<Result<Vec<Transferred>, TransferError>>,
    held: Arc<Held>,
}

/// What was told last of how many bytes are held.
#[derive(Debug, Default)]
struct Held(AtomicU64);

impl Reporter for Held {
    fn event(&self, event: &Event) {
        if let Event::Progress { done, .. } = event {
            self.0.store(*done, Ordering::SeqCst);
        }
    }
}

impl HubAndStore {
    fn new(left: u64) -> Self {
        Self::with(LEN, left)
    }

    /// A file of `size` bytes, of which an earlier run left so many segments.
    fn with(size: u64, left: u64) -> Self {
        let hub = TestHub::start();
        let content = Content::synthetic(size, 1);
        hub.repo(REPO).lfs(FILE, &content).commit();
        let dir = scratch();
        let store = Store::open_or_init(Arc::new(RealDisk), &dir.path().join("models/.blobs"), false).unwrap();
        let setup = Self { hub, dir, store, content, size, runtime: Runtime::new().unwrap() };
        let writer = setup.writer();
        for index in 0..left {
            let segment = setup.segment(index);
            assert!(writer.write_and_hash(index, &segment).unwrap().is_some());
        }
        // What no checkpoint covers is read again at once when the next run begins, and damage in it is found then.
        writer.checkpoint().unwrap();
        setup
    }

    fn writer(&self) -> Box<BlobWriter> {
        let key = IngestKey::Sha256(self.content.sha256().parse().unwrap());
        let lease = Arc::new(self.store.lease().unwrap());
        match self
            .store
            .begin_ingest(
                BlobRequest { key, size: self.size, what: FILE.into(), trust: Trust::Sha256Upstream },
                &lease,
                &Wait::silent(Some(LONG)),
            )
            .unwrap()
        {
            Acquired::Writer(writer) => writer,
            Acquired::Present(blob) => panic!("{} is present already", blob.digest),
        }
    }

    fn segment(&self, index: u64) -> Vec<u8> {
        let mut segment = vec![0; MIB.min(self.size - index * MIB) as usize];
        self.content.read_at(index * MIB, &mut segment);
        segment
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("models/.blobs/ingest").join(self.content.sha256()).join("data")
    }

    fn damage(&self, segment: u64) {
        fs::File::options().write(true).open(self.data()).unwrap().write_all_at(b"damage", segment * MIB + 4711).unwrap();
    }

    fn is_right(&self, segment: u64) -> bool {
        let right = self.segment(segment);
        let mut there = vec![0; right.len()];
        fs::File::open(self.data()).unwrap().read_exact_at(&mut there, segment * MIB).unwrap();
        there == right
    }

    fn start(&self, connections: usize, check_head: Option<HeadCheck>) -> RunningTransfer {
        let mut network = Network::default();
        network.endpoints = vec![self.hub.url()];
        let held = Arc::new(Held::default());
        let http = Http::new(&network, None, held.clone()).unwrap();
        let resolve = format!("{}/{REPO}/resolve/main/{FILE}", self.hub.url());
        let job = Job {
            file: FILE.into(),
            writer: self.writer(),
            locations: vec![Location::new(resolve.parse().unwrap())],
            expected: None,
            source: Some(
                UpstreamFile { endpoint: self.hub.url(), repo: None, commit: None, path: None, git_sha1: None, xet_hash: None }
                    .into(),
            ),
            check_head,
            as_whole: false,
            borrow: None,
        };
        let effort = TransferOptions { connections: Connections::exactly(connections), tries: 3 };
        let reporter = held.clone();
        let task =
            self.runtime.spawn(async move { transfer::run(&http, vec![job], effort, reporter, &CancellationToken::new()).await });
        RunningTransfer { task, held }
    }

    /// The asynchronous tasks that have not ended, without one for each open connection: [`TASKS`] for each connection that
    /// fetches something, and those of the run and the HTTP client, which stay as long as the run does.
    fn tasks(&self) -> u64 {
        let all = self.runtime.metrics().num_alive_tasks() as u64;
        all.saturating_sub(self.hub.count().connections)
    }

    /// Waits for the end, and looks at what was published. The bytes that came.
    fn finish(&self, running: RunningTransfer) -> u64 {
        let ended = self.runtime.block_on(async { tokio::time::timeout(LONG, running.task).await });
        let arrived = ended.expect("the run never ends").unwrap().unwrap()[0];
        assert_eq!(Content::file(self.store.layout().blob(&arrived.blob.digest)).sha256(), self.content.sha256());
        arrived.fetched
    }
}

impl RunningTransfer {
    fn until_held(&self, bytes: u64) {
        until(&format!("{bytes} bytes are held"), || self.held.0.load(Ordering::SeqCst) == bytes);
    }
}

/// Holds back who looks at the beginning of the file first: that is the one who looks at all that an earlier run had hashed.
struct Gate {
    state: Mutex<(bool, bool)>,
    bell: Condvar,
}

impl Gate {
    const fn new() -> Self {
        Self { state: Mutex::new((false, false)), bell: Condvar::new() }
    }

    fn pass(&self) -> Result<(), String> {
        let mut state = self.state.lock().unwrap();
        if !std::mem::replace(&mut state.0, true) {
            drop(self.bell.wait_timeout_while(state, 3 * LONG, |(_, is_open)| !*is_open).unwrap());
        }
        Ok(())
    }

    fn until_reached(&self) {
        until("what was left is about to be looked at", || self.state.lock().unwrap().0);
    }

    fn open(&self) {
        self.state.lock().unwrap().1 = true;
        self.bell.notify_all();
    }
}

/// A folder in memory where the system has that, for stores sync a lot.
fn scratch() -> tempfile::TempDir {
    let memory = std::path::Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

#[track_caller]
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + LONG;
    while !done() {
        assert!(Instant::now() < end, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[track_caller]
fn until_frozen(hold: &Hold, answers: u64) {
    assert!(hold.wait_frozen(answers, LONG), "nobody came to the gate");
}

#[test]
fn damage_behind_the_one_connection_to_a_server_without_ranges_is_fetched_again() {
    static GATE: Gate = Gate::new();
    let setup = HubAndStore::new(LEFT);
    setup.damage(3);
    let begin = setup.hub.hold(Match::cdn().times(2), 0);
    // The first is sent the whole file, up to the tenth segment; the second its range, and nothing of that yet.
    setup.hub.fault(Match::cdn().nth(1), Fault::IgnoreRange);
    let whole = setup.hub.hold(Match::cdn().nth(1), 10 * MIB);
    let range = setup.hub.hold(Match::cdn().nth(2), 0);
    let rest = setup.hub.hold(Match::cdn().nth(2), 1);
    let running = setup.start(2, Some(|_, _| GATE.pass()));
    GATE.until_reached();
    until_frozen(&begin, 2);
    begin.release();
    until_frozen(&whole, 1);
    until_frozen(&range, 1);
    setup.hub.fault(Match::cdn().always(), Fault::IgnoreRange);

    // What comes with the whole file mends the damage before anybody has seen it. What is damaged after that is found.
    until("the segment is written again", || setup.is_right(3));
    running.until_held(10 * MIB);
    setup.damage(3);
    GATE.open();
    running.until_held(9 * MIB);

    // The second connection is free for it soon. It asks for the damaged segment, if anybody gives it that, and would be
    // sent the whole file as well; otherwise its task ends.
    range.release();
    running.until_held(9 * MIB + 1);
    let (tasks, requests) = (setup.tasks(), setup.hub.count().cdn);
    rest.release();
    until("the second connection has its range, and asks for more or ends", || {
        setup.hub.count().cdn > requests || setup.tasks() + TASKS <= tasks
    });
    whole.release();
    setup.finish(running);
}

#[test]
fn damage_before_the_one_connection_to_a_server_without_ranges_comes_with_the_file() {
    static GATES: [Gate; 2] = [Gate::new(), Gate::new()];
    let runs: [(usize, &Gate, HeadCheck); 2] = [(1, &GATES[0], |_, _| GATES[0].pass()), (4, &GATES[1], |_, _| GATES[1].pass())];
    for (connections, gate, check) in runs {
        let setup = HubAndStore::new(LEFT);
        setup.damage(3);
        setup.hub.fault(Match::cdn().always(), Fault::IgnoreRange);
        let begin = setup.hub.hold(Match::cdn().always(), 0);
        let whole = setup.hub.hold(Match::cdn().always(), 2 * MIB);
        let running = setup.start(connections, Some(check));
        gate.until_reached();
        begin.release();
        // What is held is told as it comes again.
        running.until_held(2 * MIB);
        gate.open();
        running.until_held(MIB);
        whole.release();
        assert_eq!(setup.finish(running), LEN, "over {connections} connections");
    }
}

#[test]
fn damage_that_is_found_when_nobody_fetches_any_more_is_fetched_again() {
    static GATE: Gate = Gate::new();
    let setup = HubAndStore::new(LEFT);
    setup.damage(3);
    let rest = setup.hub.hold(Match::cdn().always(), 1);
    let running = setup.start(4, Some(|_, _| GATE.pass()));
    GATE.until_reached();
    running.until_held(LEFT * MIB + 4);
    let tasks = setup.tasks();
    rest.release();
    until("the rest is here", || setup.hub.count().content_bytes() == LEN - LEFT * MIB);
    running.until_held(LEN);
    until("all four connections found nothing to do", || setup.tasks() + 4 * TASKS <= tasks);
    GATE.open();
    assert_eq!(setup.finish(running), LEN - LEFT * MIB + MIB);
}

#[test]
fn damage_where_nothing_else_is_missing_is_fetched_again() {
    let setup = HubAndStore::new(41);
    setup.damage(3);
    let running = setup.start(4, None);
    assert_eq!(setup.finish(running), MIB);
}

#[test]
fn a_resumed_file_whose_beginning_is_refused_is_not_published_however_late_its_first_look_ends() {
    static LOOKS: (Mutex<u32>, Condvar) = (Mutex::new(0), Condvar::new());
    let setup = HubAndStore::with(SHORT, 1);
    // The first look ends only when there is a second one, or long after the rest is here.
    let refuse: HeadCheck = |_, _| {
        let mut looks = LOOKS.0.lock().unwrap();
        *looks += 1;
        LOOKS.1.notify_all();
        drop(LOOKS.1.wait_timeout_while(looks, LONG / 4, |looks| *looks < 2).unwrap());
        Err("is refused".to_owned())
    };
    let hold = setup.hub.hold(Match::cdn().always(), 0);
    let running = setup.start(1, Some(refuse));
    until("the first segment is looked at", || *LOOKS.0.lock().unwrap() == 1);
    hold.release();
    let ended = setup.runtime.block_on(async { tokio::time::timeout(LONG, running.task).await });
    let error = ended.expect("the run never ends").unwrap().unwrap_err();
    assert!(matches!(error, TransferError::Refused { .. }), "{error}");
    let digest = setup.content.sha256().parse().unwrap();
    assert!(setup.store.find(&digest).unwrap().is_none(), "it was published");
}
