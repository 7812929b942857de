//! A plain web server with files: no Hub, no API, and what such servers do.

use crate::support::hub::Content;
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

/// A file and how it is served.
#[derive(Clone)]
pub struct File {
    pub content: Content,
    /// The entity tag, with its quotes.
    pub tag: Option<String>,
    pub ranges: bool,
}

impl File {
    pub fn new(content: Content) -> Self {
        Self { content, tag: Some("\"v1\"".into()), ranges: true }
    }
}

/// What is at a path.
#[derive(Clone)]
enum Place {
    File(File),
    /// A status, more header lines, and a body.
    Answer(u16, String, String),
}

#[derive(Default)]
struct Shared {
    places: Mutex<BTreeMap<String, Place>>,
    requests: Mutex<Vec<String>>,
    /// Bytes of content that may still be sent; connections break behind them.
    left: AtomicU64,
    sent: AtomicU64,
    ended: AtomicBool,
}

pub struct WebServer {
    port: u16,
    shared: Arc<Shared>,
}

impl WebServer {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared { left: AtomicU64::new(u64::MAX), ..Shared::default() });
        let server = shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if server.ended.load(Ordering::SeqCst) {
                    return;
                }
                let server = server.clone();
                thread::spawn(move || serve(&server, stream));
            }
        });
        Self { port, shared }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub fn put(&self, path: &str, file: File) {
        self.shared.places.lock().unwrap().insert(path.into(), Place::File(file));
    }

    pub fn answer(&self, path: &str, status: u16, headers: &str, body: &str) {
        self.shared.places.lock().unwrap().insert(path.into(), Place::Answer(status, headers.into(), body.into()));
    }

    /// Breaks every connection once so many more bytes of content were sent.
    pub fn break_after(&self, bytes: u64) {
        self.shared.left.store(bytes, Ordering::SeqCst);
    }

    /// Bytes of content that were sent since this was asked last.
    pub fn sent(&self) -> u64 {
        self.shared.sent.swap(0, Ordering::SeqCst)
    }

    /// The heads of the requests since this was asked last.
    pub fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.requests.lock().unwrap())
    }
}

impl Drop for WebServer {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn serve(shared: &Shared, stream: TcpStream) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            match reader.read_line(&mut head) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
        shared.requests.lock().unwrap().push(head.clone());
        let target = head.split(' ').nth(1).unwrap_or_default();
        let path = target.split('?').next().unwrap_or_default();
        let place = shared.places.lock().unwrap().get(path).cloned();
        let done = match place {
            None => write!(stream, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").is_ok(),
            Some(Place::Answer(status, headers, body)) => {
                let len = body.len();
                write!(stream, "HTTP/1.1 {status} X\r\n{headers}Content-Length: {len}\r\n\r\n{body}").is_ok()
            }
            Some(Place::File(file)) => send(shared, &mut stream, &head, &file),
        };
        if !done {
            return;
        }
    }
}

/// False where the connection was broken.
fn send(shared: &Shared, stream: &mut TcpStream, head: &str, file: &File) -> bool {
    let len = file.content.len();
    let tag = file.tag.as_ref().map_or_else(String::new, |tag| format!("ETag: {tag}\r\n"));
    let range = head.lines().find_map(|line| line.strip_prefix("range: bytes=")).filter(|_| file.ranges);
    let (start, end) = match range.and_then(|range| range.split_once('-')) {
        Some((first, last)) => (first.parse().unwrap(), last.parse::<u64>().unwrap().min(len - 1) + 1),
        None => (0, len),
    };
    let status = match range {
        Some(_) => format!("206 Partial Content\r\nContent-Range: bytes {start}-{}/{len}", end - 1),
        None => "200 OK".into(),
    };
    if write!(stream, "HTTP/1.1 {status}\r\n{tag}Content-Length: {}\r\n\r\n", end - start).is_err() {
        return false;
    }
    let mut at = start;
    while at < end {
        let wanted = (end - at).min(64 << 10);
        // Many connections share what is left.
        let take = |left: u64| Some(if left == u64::MAX { left } else { left.saturating_sub(wanted) });
        let before = shared.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).unwrap_or_default();
        let left = before.min(wanted);
        let mut buffer = vec![0; left as usize];
        file.content.read_at(at, &mut buffer);
        if stream.write_all(&buffer).is_err() {
            return false;
        }
        shared.sent.fetch_add(left, Ordering::SeqCst);
        if left < wanted {
            return false;
        }
        at += left;
    }
    true
}
