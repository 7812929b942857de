//! One request and its answer: what the routes say, bent by the faults that strike, put on the wire.

use std::io::{self, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::content::Content;
use super::faults::{Fault, Hold, nap};
use super::http::{Body, Framing, Origin, Request, Response, gzip, reason};
use super::log::{Part, Recorded};
use super::{Shared, lock, routes};

/// What becomes of the connection.
pub(super) enum End {
    Keep,
    Close,
    Reset,
}

/// What a fault asks of the routes.
#[derive(Default)]
pub(super) struct Orders {
    pub serve: Option<Content>,
    pub expired: bool,
}

/// What happens to a body on its way out. Offsets are in the body.
#[derive(Default)]
struct Wire {
    cut: Option<u64>,
    reset: Option<u64>,
    pauses: Vec<(u64, Pause)>,
    flips: Vec<u64>,
    rate: Option<u64>,
    close: bool,
}

enum Pause {
    For(Duration),
    Until(Hold),
}

pub(super) fn answer(shared: &Shared, stream: &TcpStream, connection: u64, mut request: Request) -> End {
    // Under one lock: the first request that a fault strikes is the first in the records too.
    let (faults, index) = {
        let mut rules = lock(&shared.faults);
        (rules.strike(&request), record(shared, connection, &request))
    };
    let mut guard = InFlight::enter(shared, request.origin);
    let config = shared.config();
    nap(config.latency, &shared.stop);

    let mut orders = Orders::default();
    let mut wire = Wire { rate: config.rate, ..Wire::default() };
    let mut instead = None;
    for fault in &faults {
        match fault {
            Fault::EmptyReply => return End::Close,
            Fault::ResetBeforeReply => return End::Reset,
            Fault::Garbage => {
                let _gone_already = { stream }.write_all(b"\x16\x03\x01 this is not HTTP\r\n\r\n");
                return End::Close;
            }
            Fault::Delay(time) => nap(*time, &shared.stop),
            Fault::IgnoreRange | Fault::IgnoreRangeButSay206 => {
                request.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("range"));
            }
            Fault::Serve(content) => orders.serve = Some(content.clone()),
            Fault::ExpireNow => orders.expired = true,
            other => instead = replacement(other, &request).or(instead),
        }
    }
    let crowded = request.origin == Origin::Cdn && config.max_cdn_in_flight.is_some_and(|most| guard.now > most);
    let mut response = match instead {
        Some(response) => response,
        None if crowded => Response::new(429, "slow down"),
        None => routes::answer(shared, &config, &request, &orders),
    };
    for fault in &faults {
        bend(fault, &mut response, &mut wire);
    }
    if request.header("connection").is_some_and(|v| v.eq_ignore_ascii_case("close")) {
        response.set("Connection", "close");
        wire.close = true;
    }
    send(shared, stream, index, &request, &response, &wire, &mut guard).unwrap_or(End::Close)
}

fn record(shared: &Shared, connection: u64, request: &Request) -> usize {
    let part = match request.origin {
        Origin::Cdn => Part::Cdn,
        Origin::Hub if request.path.starts_with("/api/resolve-cache/") => Part::ResolveCache,
        Origin::Hub if request.path.starts_with("/api/") => Part::Api,
        Origin::Hub if request.path.contains("/resolve/") => Part::Resolve,
        Origin::Hub => Part::Other,
    };
    let everything = format!("{} {} {:?}", request.method, request.path_and_query(), request.headers);
    let mut log = lock(&shared.log);
    if part == Part::Cdn {
        let known = lock(&shared.tokens).keys().any(|token| everything.contains(token.as_str()));
        if known || request.header("authorization").is_some() {
            log.leaks.push(everything);
        }
    }
    log.add(Recorded {
        origin: request.origin,
        part,
        method: request.method.clone(),
        path_and_query: request.path_and_query(),
        headers: request.headers.clone(),
        range: request.range().map(str::to_owned),
        status: 0,
        bytes_sent: 0,
        complete: false,
        at: shared.started.elapsed(),
        last: shared.started.elapsed(),
        connection,
    })
}

/// The answer that a fault puts in place of the real one.
fn replacement(fault: &Fault, request: &Request) -> Option<Response> {
    const PROXY_PAGE: &str = "<!DOCTYPE html><html><head><title>Error</title></head><body><h1>nginx</h1></body></html>";
    Some(match fault {
        Fault::Status { code, headers, body } => {
            let mut response = Response::new(*code, body.clone());
            response.headers = headers.clone();
            response
        }
        Fault::RateLimited { retry_after, reset } => {
            let mut response = Response::new(429, r#"{"error":"We had to rate limit your IP"}"#);
            if let Some(seconds) = retry_after {
                response.set("Retry-After", seconds.to_string());
            }
            if let Some(t) = reset {
                response.set("RateLimit", format!("\"resolvers\";r=0;t={t}"));
                response.set("RateLimit-Policy", "\"fixed window\";\"resolvers\";q=3000;w=300");
            }
            response
        }
        Fault::ServerError(code) => Response::new(*code, PROXY_PAGE).with("Content-Type", "text/html"),
        Fault::Html => {
            let page = "<!DOCTYPE html><html><body>Welcome to Hotel Wi-Fi. Please accept the terms.</body></html>";
            Response::new(200, page).with("Content-Type", "text/html; charset=utf-8")
        }
        Fault::InvalidRange403 => {
            Response::new(403, "<Error><Code>InvalidRange</Code></Error>").with("Content-Type", "application/xml")
        }
        Fault::HugeHeaders(bytes) => Response::new(200, "").with("X-Huge", "h".repeat(*bytes)),
        Fault::RedirectLoop => Response::new(302, "Found").with("Location", request.path_and_query()),
        Fault::RedirectTo(url) => Response::new(302, "Found").with("Location", url.clone()),
        _ => return None,
    })
}

/// What a fault does to an answer that is otherwise right.
fn bend(fault: &Fault, response: &mut Response, wire: &mut Wire) {
    let shift = |value: u64, by: i64| value.saturating_add_signed(by);
    match fault {
        Fault::IgnoreRangeButSay206 if response.status == 200 => {
            let len = response.body.len();
            response.status = 206;
            response.set("Content-Range", format!("bytes 0-{}/{len}", len.saturating_sub(1)));
        }
        Fault::RangeStatus200 if response.status == 206 => response.status = 200,
        Fault::RangeStartOff(by) | Fault::RangeTotalOff(by) if response.status == 206 => {
            if let Some((first, last, total)) = response.header("content-range").and_then(content_range) {
                let start_off = matches!(fault, Fault::RangeStartOff(_));
                let (first, last, total) = match start_off {
                    true => (shift(first, *by), shift(last, *by), total),
                    false => (first, last, shift(total, *by)),
                };
                response.set("Content-Range", format!("bytes {first}-{last}/{total}"));
            }
        }
        Fault::NoContentRange => response.drop_header("Content-Range"),
        Fault::LengthOff(by) => {
            let announced = shift(response.body.len(), *by);
            response.set("Content-Length", announced.to_string());
            wire.cut = Some(announced.min(response.body.len()));
        }
        Fault::NoLength => response.framing = Framing::Chunked,
        Fault::UntilClose => response.framing = Framing::UntilClose,
        Fault::Gzip => {
            response.body = Body::Bytes(gzip(&response.body.to_vec()));
            response.framing = Framing::Chunked;
            response.set("Content-Encoding", "gzip");
        }
        Fault::WeakETag => {
            if let Some(etag) = response.header("etag").map(str::to_owned) {
                response.set("ETag", format!("W/{etag}"));
            }
        }
        Fault::UnquotedETag => {
            if let Some(etag) = response.header("etag").map(str::to_owned) {
                response.set("ETag", etag.replace('"', ""));
            }
        }
        Fault::NoETag => response.drop_header("ETag"),
        Fault::SetHeader(name, value) => response.set(name, value.clone()),
        Fault::DropHeader(name) => response.drop_header(name),
        Fault::CutAfter(n) => wire.cut = Some(*n),
        Fault::ResetAfter(n) => wire.reset = Some(*n),
        Fault::StallAfter(n, time) => wire.pauses.push((*n, Pause::For(*time))),
        Fault::Hold { after, hold } => wire.pauses.push((*after, Pause::Until(hold.clone()))),
        Fault::WrongBytes { offset } => wire.flips.extend(offset.checked_sub(response.body.file_offset())),
        Fault::SlowRate(rate) => wire.rate = Some(*rate),
        Fault::CloseQuietly => wire.close = true,
        _ => {}
    }
}

fn content_range(value: &str) -> Option<(u64, u64, u64)> {
    let (range, total) = value.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()?, total.parse().ok()?))
}

fn send(
    shared: &Shared,
    stream: &TcpStream,
    log: usize,
    request: &Request,
    answer: &Response,
    wire: &Wire,
    guard: &mut InFlight<'_>,
) -> io::Result<End> {
    let bodiless = request.is_head() || matches!(answer.status, 204 | 304);
    let mut head = format!("HTTP/1.1 {} {}\r\n", answer.status, reason(answer.status));
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    match answer.framing {
        Framing::Length if answer.header("content-length").is_none() && answer.status != 304 => {
            head.push_str(&format!("Content-Length: {}\r\n", answer.body.len()));
        }
        Framing::Chunked => head.push_str("Transfer-Encoding: chunked\r\n"),
        Framing::UntilClose => head.push_str("Connection: close\r\n"),
        Framing::Length => {}
    }
    head.push_str("\r\n");
    let len = if bodiless { 0 } else { answer.body.len() };
    update(shared, log, |r| {
        r.status = answer.status;
        r.complete = len == 0;
    });
    { stream }.write_all(head.as_bytes())?;
    if !bodiless {
        let end = send_body(shared, stream, log, answer, wire, guard)?;
        if !matches!(end, End::Keep) {
            return Ok(end);
        }
    }
    Ok(if wire.close || answer.framing == Framing::UntilClose { End::Close } else { End::Keep })
}

fn send_body(
    shared: &Shared,
    mut stream: &TcpStream,
    log: usize,
    answer: &Response,
    wire: &Wire,
    guard: &mut InFlight<'_>,
) -> io::Result<End> {
    let len = answer.body.len();
    let shared_rate = lock(&shared.config).total_rate;
    let piece = wire.rate.into_iter().chain(shared_rate).min().map_or(256 * 1024, |rate| (rate / 20).clamp(256, 64 * 1024));
    let mut pauses: Vec<_> = wire.pauses.iter().collect();
    let mut buf = vec![0; piece.min(len) as usize];
    let (mut sent, mut began) = (0, Instant::now());
    loop {
        while let Some(i) = pauses.iter().position(|(at, _)| *at <= sent) {
            let paused = Instant::now();
            match &pauses.remove(i).1 {
                Pause::For(time) => nap(*time, &shared.stop),
                Pause::Until(hold) => hold.pass(&shared.stop),
            }
            // A slow answer does not make up for a pause.
            began += paused.elapsed();
        }
        if wire.reset.is_some_and(|at| at <= sent) {
            return Ok(End::Reset);
        }
        if wire.cut.is_some_and(|at| at <= sent) {
            return Ok(End::Close);
        }
        if sent == len {
            break;
        }
        let stops = pauses.iter().map(|(at, _)| *at).chain(wire.reset).chain(wire.cut);
        let until = stops.filter(|at| *at > sent).min().unwrap_or(len).min(sent + piece).min(len);
        let chunk = &mut buf[..(until - sent) as usize];
        answer.body.read_at(sent, chunk);
        for flip in wire.flips.iter().filter(|at| (sent..until).contains(*at)) {
            chunk[(flip - sent) as usize] ^= 0xff;
        }
        pace(shared, until - sent);
        // Counted first: a client that has read the last byte may look at the counters at once.
        update(shared, log, |r| {
            r.bytes_sent += chunk.len() as u64;
            r.last = shared.started.elapsed();
            r.complete = until == len;
        });
        if until == len {
            // Before the client can know the end and ask for more, or it would seem to have one request too many.
            guard.leave();
        }
        let written = if answer.framing == Framing::Chunked {
            stream.write_all(format!("{:x}\r\n", chunk.len()).as_bytes()).and_then(|()| stream.write_all(chunk))
        } else {
            stream.write_all(chunk)
        };
        let written = written.and_then(|()| if answer.framing == Framing::Chunked { stream.write_all(b"\r\n") } else { Ok(()) });
        if let Err(gone) = written {
            update(shared, log, |r| {
                r.bytes_sent -= chunk.len() as u64;
                r.complete = false;
            });
            return Err(gone);
        }
        sent = until;
        if let Some(rate) = wire.rate {
            let due = Duration::from_secs_f64(sent as f64 / rate as f64);
            nap(due.saturating_sub(began.elapsed()), &shared.stop);
        }
    }
    if answer.framing == Framing::Chunked {
        stream.write_all(b"0\r\n\r\n")?;
    }
    Ok(End::Keep)
}

/// Waits for the turn of `bytes` on the wire that all connections share.
fn pace(shared: &Shared, bytes: u64) {
    let Some(rate) = lock(&shared.config).total_rate else { return };
    let mine = {
        let mut free = lock(&shared.wire_free);
        *free = (*free).max(Instant::now()) + Duration::from_secs_f64(bytes as f64 / rate as f64);
        *free
    };
    nap(mine.saturating_duration_since(Instant::now()), &shared.stop);
}

fn update(shared: &Shared, index: usize, change: impl FnOnce(&mut Recorded)) {
    if let Some(recorded) = lock(&shared.log).at(index) {
        change(recorded);
    }
}

/// Counts the CDN requests that are being answered.
struct InFlight<'s> {
    shared: &'s Shared,
    cdn: bool,
    now: u64,
}

impl<'s> InFlight<'s> {
    fn enter(shared: &'s Shared, origin: Origin) -> Self {
        let cdn = origin == Origin::Cdn;
        let mut log = lock(&shared.log);
        log.cdn_in_flight += u64::from(cdn);
        log.max_cdn_in_flight = log.max_cdn_in_flight.max(log.cdn_in_flight);
        Self { shared, cdn, now: log.cdn_in_flight }
    }

    fn leave(&mut self) {
        lock(&self.shared.log).cdn_in_flight -= u64::from(std::mem::take(&mut self.cdn));
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}
