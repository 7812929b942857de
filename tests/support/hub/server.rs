//! Sockets and threads: one thread accepts per origin, one serves per connection.

use std::collections::{BTreeMap, HashMap};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::exchange::{self, End};
use super::http::{self, Origin};
use super::{Config, Shared, TestHub, lock};

/// Small, so that what was handed to the kernel is about what the client has got.
const SEND_BUFFER: usize = 128 * 1024;

pub(super) fn start(hub_port: u16, cdn_port: u16) -> TestHub {
    let listen = |port| TcpListener::bind(("127.0.0.1", port)).unwrap_or_else(|e| panic!("port {port}: {e}"));
    let (hub, cdn) = (listen(hub_port), listen(cdn_port));
    let shared = Arc::new(Shared {
        hub: hub.local_addr().expect("a bound socket has an address"),
        cdn: cdn.local_addr().expect("a bound socket has an address"),
        started: Instant::now(),
        config: Mutex::new(Config::default()),
        repos: Mutex::default(),
        tokens: Mutex::new(BTreeMap::new()),
        blobs: Mutex::new(HashMap::new()),
        faults: Mutex::default(),
        log: Mutex::default(),
        quotas: Mutex::default(),
        wire_free: Mutex::new(Instant::now()),
        live: Mutex::default(),
        serial: AtomicU64::new(0),
        stop: AtomicBool::new(false),
        leaks_allowed: AtomicBool::new(false),
    });
    let acceptors = [(Origin::Hub, hub), (Origin::Cdn, cdn)].map(|(origin, listener)| {
        let shared = Arc::clone(&shared);
        std::thread::spawn(move || accept(&shared, origin, &listener))
    });
    TestHub { shared, acceptors: acceptors.into() }
}

pub(super) fn stop(shared: &Shared, acceptors: &mut Vec<JoinHandle<()>>) {
    shared.stop.store(true, Ordering::SeqCst);
    for address in [shared.hub, shared.cdn] {
        let _wakes_the_acceptor = TcpStream::connect_timeout(&address, Duration::from_secs(1));
    }
    for acceptor in acceptors.drain(..) {
        let _panicked_already = acceptor.join();
    }
    for stream in lock(&shared.live).values() {
        let _gone_already = stream.shutdown(Shutdown::Both);
    }
    let limit = Instant::now() + Duration::from_secs(2);
    while !lock(&shared.live).is_empty() && Instant::now() < limit {
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn accept(shared: &Arc<Shared>, origin: Origin, listener: &TcpListener) {
    while let Ok((stream, _)) = listener.accept() {
        if shared.stop.load(Ordering::SeqCst) {
            break;
        }
        let stream = Arc::new(stream);
        let connection = {
            let mut log = lock(&shared.log);
            log.connections += 1;
            log.live += 1;
            log.max_live = log.max_live.max(log.live);
            shared.next_serial()
        };
        lock(&shared.live).insert(connection, Arc::clone(&stream));
        let shared = Arc::clone(shared);
        std::thread::spawn(move || serve(&shared, origin, connection, stream));
    }
}

fn serve(shared: &Shared, origin: Origin, connection: u64, stream: Arc<TcpStream>) {
    let _only_slower = stream.set_nodelay(true);
    let _only_less_exact = SockRef::from(&*stream).set_send_buffer_size(SEND_BUFFER);
    let mut spare = Vec::new();
    let mut end = End::Keep;
    while matches!(end, End::Keep) {
        end = match http::read_request(origin, &stream, &mut spare) {
            Ok(Some(request)) => exchange::answer(shared, &stream, connection, request),
            Ok(None) | Err(_) => End::Close,
        };
    }
    if matches!(end, End::Reset) {
        // What was sent before shall arrive: a reset throws away what is still in the buffer.
        std::thread::sleep(Duration::from_millis(20));
        let _only_a_clean_close = SockRef::from(&*stream).set_linger(Some(Duration::ZERO));
    } else {
        let _gone_already = stream.shutdown(Shutdown::Write);
    }
    // The last handle closes the socket, and only a close sends the reset.
    lock(&shared.live).remove(&connection);
    drop(stream);
    lock(&shared.log).live -= 1;
}
