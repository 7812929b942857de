//! A proxy that makes loopback behave like a far server.
//!
//! ```text
//! shape --to 127.0.0.1:8080 [--listen PORT] [--rtt-ms 50] [--mbit 100] [--each-mbit 160] [--loss 0.01] [--seed 1]
//! ```
//! Prints the address it listens on and serves until stdin closes. The model, each way: one line of `--mbit` that all
//! connections share, one of `--each-mbit` for each of them, half of `--rtt-ms` on the way, and a congestion window for each connection: 10 packets at first,
//! doubled each round trip until the first loss, then halved at each loss and grown by one packet each round trip (Reno).
//! A lost packet holds up what is behind it for one round trip. Opening a connection costs one more.
#![allow(clippy::disallowed_macros, reason = "a program of its own, which speaks to its caller")]

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

const PACKET: f64 = 1448.0;
const FIRST_WINDOW: f64 = 10.0 * PACKET;
/// What a receiver offers at most: the default of Linux.
const LARGEST_WINDOW: f64 = 6.0 * 1024.0 * 1024.0;
/// How late a sleeper may wake without the line having stood still meanwhile: the queue of a real one hides that.
const LATE: Duration = Duration::from_millis(10);
/// Chunks on the way, of one connection in one direction.
const IN_FLIGHT: usize = 1024;

#[derive(Clone, Copy)]
struct Shape {
    rtt: Duration,
    bytes_per_second: Option<f64>,
    each_bytes_per_second: Option<f64>,
    loss: f64,
}

/// A line that connections share, or that is one's own: when it is free again.
type Line = Arc<Mutex<Instant>>;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| args.iter().position(|arg| arg == name).and_then(|at| args.get(at + 1)).cloned();
    let number =
        |name: &str| value(name).map(|text| text.parse::<f64>().unwrap_or_else(|_| fail(&format!("{name} {text}: not a number"))));
    let Some(to) = value("--to") else { fail("--to HOST:PORT is missing") };
    let rate = |name: &str| number(name).map(|mbit| mbit * 1e6 / 8.0);
    let shape = Shape {
        rtt: Duration::from_secs_f64(number("--rtt-ms").unwrap_or(0.0) / 1e3),
        bytes_per_second: rate("--mbit"),
        each_bytes_per_second: rate("--each-mbit"),
        loss: number("--loss").unwrap_or(0.0),
    };
    fastrand::seed(number("--seed").unwrap_or(1.0) as u64);
    let listener = TcpListener::bind(("127.0.0.1", number("--listen").unwrap_or(0.0) as u16))
        .unwrap_or_else(|error| fail(&format!("cannot listen: {error}")));
    match listener.local_addr() {
        Ok(address) => println!("{address}"),
        Err(error) => fail(&error.to_string()),
    }
    thread::spawn(move || serve(&listener, &to, shape));
    // The parent process ends it by closing its stdin.
    let _ = io::stdin().read_to_end(&mut Vec::new());
}

fn fail(why: &str) -> ! {
    eprintln!("shape: {why}");
    std::process::exit(2)
}

fn serve(listener: &TcpListener, to: &str, shape: Shape) {
    let lines: [Line; 2] = std::array::from_fn(|_| Arc::new(Mutex::new(Instant::now())));
    for client in listener.incoming().flatten() {
        let (to, lines, seed) = (to.to_owned(), lines.clone(), fastrand::u64(..));
        thread::spawn(move || {
            fastrand::seed(seed);
            // A connection that cannot be made is closed, as a server does that refuses it.
            let _ = connect(client, &to, &lines, shape);
        });
    }
}

fn connect(client: TcpStream, to: &str, [up, down]: &[Line; 2], shape: Shape) -> io::Result<()> {
    let server = TcpStream::connect(to)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (requests, answers) = ((client.try_clone()?, server.try_clone()?), (server, client));
    let (up, seed) = (up.clone(), fastrand::u64(..));
    // The handshake went by without delay; the first request waits for it.
    let open_at = Instant::now() + shape.rtt;
    thread::spawn(move || {
        fastrand::seed(seed);
        carry(requests.0, requests.1, &up, shape, open_at);
    });
    carry(answers.0, answers.1, down, shape, open_at);
    Ok(())
}

/// Carries bytes one way until one side ends.
fn carry(mut from: TcpStream, to: TcpStream, line: &Line, shape: Shape, open_at: Instant) {
    let (send, receive) = mpsc::sync_channel::<(Instant, Vec<u8>)>(IN_FLIGHT);
    let ender = to.try_clone();
    let writer = thread::spawn(move || {
        let mut to = to;
        for (at, bytes) in receive {
            sleep_until(at);
            if to.write_all(&bytes).is_err() {
                return;
            }
        }
    });
    let own: Line = Arc::new(Mutex::new(Instant::now()));
    let mut window = Window { bytes: FIRST_WINDOW, lossless: true };
    let mut free_at = open_at;
    // Few packets in a chunk where any may be lost, many where only the clock counts.
    let mut buffer = vec![0; if shape.loss > 0.0 { 16 << 10 } else { 64 << 10 }];
    while let Ok(count) = from.read(&mut buffer) {
        if count == 0 {
            break;
        }
        let on_line =
            reserve(line, count, shape.bytes_per_second).max(reserve(&own, count, shape.each_bytes_per_second)).max(free_at);
        sleep_until(on_line);
        let stall = window.pass(count as f64, shape.loss, shape.rtt);
        free_at = on_line.max(Instant::now()) + stall + shape.rtt.mul_f64(count as f64 / window.bytes);
        if send.send((on_line + stall + shape.rtt / 2, buffer[..count].to_vec())).is_err() {
            break;
        }
    }
    drop(send);
    let _ = writer.join();
    let _ = from.shutdown(Shutdown::Read);
    let _ = ender.map(|to| to.shutdown(Shutdown::Write));
}

struct Window {
    bytes: f64,
    lossless: bool,
}

impl Window {
    /// Takes so many bytes; how long the loss of one of their packets holds them up.
    fn pass(&mut self, bytes: f64, loss: f64, rtt: Duration) -> Duration {
        if fastrand::f64() < 1.0 - (1.0 - loss).powf((bytes / PACKET).ceil()) {
            self.lossless = false;
            self.bytes = (self.bytes / 2.0).max(2.0 * PACKET);
            return rtt;
        }
        self.bytes += if self.lossless { bytes } else { bytes * PACKET / self.bytes };
        self.bytes = self.bytes.min(LARGEST_WINDOW);
        Duration::ZERO
    }
}

/// When these bytes have passed the shared line.
fn reserve(line: &Line, count: usize, rate: Option<f64>) -> Instant {
    let now = Instant::now();
    let Some(rate) = rate else { return now };
    let mut free_at = line.lock().unwrap_or_else(PoisonError::into_inner);
    *free_at = (*free_at).max(now.checked_sub(LATE).unwrap_or(now)) + Duration::from_secs_f64(count as f64 / rate);
    *free_at
}

fn sleep_until(at: Instant) {
    let left = at.saturating_duration_since(Instant::now());
    if !left.is_zero() {
        thread::sleep(left);
    }
}
