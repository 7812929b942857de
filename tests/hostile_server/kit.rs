//! A server of raw bytes, and a run whose memory and time are watched.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crate::support::run::{Output, Sandbox};

pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
/// What no input may make the program take.
const MOST_MEMORY_KB: u64 = 256 << 10;
/// When a run against a server that never ends has ended. Generous for a busy machine: the timeouts of [`sandbox`] add up
/// to seconds, and without them the run would last for ever.
pub const IN_TIME: Duration = Duration::from_secs(90);

/// A server on loopback that answers each connection with whatever its handler writes. It is gone with the value.
pub struct Server {
    pub port: u16,
    stop: Arc<AtomicBool>,
    asked: Arc<Mutex<Vec<String>>>,
}

/// One request, and where to write to.
pub struct Call {
    pub head: String,
    pub stream: TcpStream,
    stop: Arc<AtomicBool>,
}

impl Server {
    pub fn start(handler: impl Fn(&mut Call) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (stop, handler) = (Arc::new(AtomicBool::new(false)), Arc::new(handler));
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let (stopped, kept) = (stop.clone(), asked.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let (handler, stop, kept) = (handler.clone(), stopped.clone(), kept.clone());
                std::thread::spawn(move || {
                    let mut call = Call { head: String::new(), stream, stop };
                    let mut head = Vec::new();
                    let mut byte = [0];
                    while !head.ends_with(b"\r\n\r\n") && call.stream.read(&mut byte).is_ok_and(|got| got == 1) {
                        head.push(byte[0]);
                    }
                    call.head = String::from_utf8_lossy(&head).into_owned();
                    kept.lock().unwrap().push(call.head.lines().next().unwrap_or_default().to_owned());
                    handler(&mut call);
                });
            }
        });
        Self { port, stop, asked }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn requests(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

impl Call {
    /// Writes; false once nobody reads any more.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        !self.stop.load(Ordering::Relaxed) && self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// A whole answer.
    pub fn answer(&mut self, status: &str, headers: &[&str], body: impl AsRef<[u8]>) {
        let body = body.as_ref();
        let mut head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
        headers.iter().for_each(|line| head.extend([line, "\r\n"]));
        let _ = self.send(head + "\r\n") && self.send(body);
    }

    /// The head of an answer whose body goes on until the connection ends.
    pub fn open(&mut self, headers: &[&str]) -> bool {
        let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
        self.send(format!("HTTP/1.1 200 OK\r\nConnection: close\r\n{lines}\r\n"))
    }

    /// The same bytes over and over, this long apart.
    pub fn for_ever(&mut self, bytes: &[u8], pause: Duration) {
        while self.send(bytes) {
            if !pause.is_zero() {
                std::thread::sleep(pause);
            }
        }
    }

    /// Keeps the connection open and silent.
    pub fn silence(&mut self) {
        while !self.stop.load(Ordering::Relaxed) && self.stream.set_read_timeout(Some(Duration::from_millis(200))).is_ok() {
            match self.stream.read(&mut [0; 64]) {
                Ok(0) => return,
                Err(error) if !matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => return,
                _ => {}
            }
        }
    }

    /// Ends with a reset in place of an end.
    pub fn reset(&mut self) {
        let _ = socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }

    pub fn asks(&self, what: &str) -> bool {
        self.head.lines().next().is_some_and(|line| line.contains(what))
    }

    /// The range that is asked for: first byte, and the one behind the last.
    pub fn range(&self) -> Option<(usize, usize)> {
        let line = self.head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("range: bytes=").map(str::to_owned))?;
        let (first, last) = line.split_once('-')?;
        Some((first.parse().ok()?, last.parse::<usize>().ok()? + 1))
    }

    /// Answers what a good Hub answers for the repository `o/r` with these files; false for anything else.
    pub fn play_hub(&mut self, files: &[(&str, &[u8])]) -> bool {
        if self.asks("/revision/") {
            self.answer("200 OK", &[], format!(r#"{{"id":"o/r","sha":"{COMMIT}"}}"#));
            return true;
        }
        if self.asks("/tree/") {
            let entries = files.iter().map(|(path, bytes)| entry(path, bytes.len()));
            self.answer("200 OK", &[], format!("[{}]", entries.collect::<Vec<_>>().join(",")));
            return true;
        }
        let file = files.iter().find(|(path, _)| self.asks(&format!("/resolve/{COMMIT}/{path} ")));
        let Some((_, bytes)) = file else { return false };
        match self.range() {
            Some((start, end)) => {
                let range = format!("Content-Range: bytes {start}-{}/{}", end - 1, bytes.len());
                self.answer("206 Partial Content", &[&range], &bytes[start..end]);
            }
            None => self.answer("200 OK", &[], bytes),
        }
        true
    }
}

/// An entry of a listing, without a published hash.
pub fn entry(path: &str, size: usize) -> String {
    format!(r#"{{"type":"file","path":{},"size":{size},"oid":"none"}}"#, serde_json::json!(path))
}

/// A run and what it took.
pub struct Ended {
    pub output: Output,
    pub took: Duration,
}

/// A machine whose program gives up soon, at these endpoints.
pub fn sandbox(endpoints: &[&str]) -> Sandbox {
    let sandbox = Sandbox::offline().env("HF_HUB_DOWNLOAD_TIMEOUT", "1").env("HF_TOKEN", "");
    let list: Vec<String> = endpoints.iter().map(|url| format!("\"{url}\"")).collect();
    let mut sandbox = sandbox;
    sandbox.remove_env("HF_ENDPOINT");
    sandbox.write("configs/manager.yaml", format!("endpoints: [{}]\ntries: 2\nconnect_timeout: 1s\n", list.join(", ")));
    sandbox
}

/// Runs a command line to its end. `what` names the input in the table.
#[track_caller]
pub fn watch(what: &str, sandbox: &Sandbox, line: &str) -> Ended {
    watch_command(what, sandbox, sandbox.command(line.split_whitespace()))
}

#[track_caller]
pub fn watch_command(what: &str, sandbox: &Sandbox, command: Command) -> Ended {
    let begun = Instant::now();
    let running = sandbox.start(command);
    let status = format!("/proc/{}/status", running.id());
    let done = Arc::new(AtomicBool::new(false));
    let until = done.clone();
    let peak = std::thread::spawn(move || {
        let mut peak = 0;
        while !until.load(Ordering::Relaxed) {
            let text = std::fs::read_to_string(&status).unwrap_or_default();
            let kb = text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.trim().parse().ok());
            peak = peak.max(kb.unwrap_or(0_u64));
            std::thread::sleep(Duration::from_millis(2));
        }
        peak
    });
    let output = running.wait();
    let took = begun.elapsed();
    done.store(true, Ordering::Relaxed);
    let peak = peak.join().unwrap();
    let code = output.status.code();
    println!("| {what} | {} | {:.1} | {code:?} |", peak >> 10, took.as_secs_f64());
    assert!(peak < MOST_MEMORY_KB, "{what}: {peak} kB; {output}");
    // Who is done at once may not have been seen at all.
    assert!(!cfg!(target_os = "linux") || peak > 0 || took < Duration::from_millis(100), "{what}: its memory was not seen");
    Ended { output, took }
}

impl Ended {
    /// It ended with this code, one error and the next step.
    #[track_caller]
    pub fn fails(self, code: i32, says: &str) -> Self {
        let output = self.output.clone().code(code).says(says).says("hint: ");
        assert_eq!(output.stderr.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{output}");
        assert!(output.stderr.len() < 20_000, "{} bytes on the terminal", output.stderr.len());
        self
    }

    #[track_caller]
    pub fn ok(self) -> Self {
        self.output.clone().ok();
        assert!(self.output.stderr.len() < 20_000, "{} bytes on the terminal", self.output.stderr.len());
        self
    }
}
