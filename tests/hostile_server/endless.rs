//! Everything else that a server can do without end: redirects, heads, refusals, pauses, handshakes.

use std::{net::TcpListener, time::Duration};

use crate::kit::{Call, IN_TIME, Server, sandbox, watch};

#[track_caller]
fn ends(what: &str, code: i32, says: &str, handler: impl Fn(&mut Call) + Send + Sync + 'static) {
    let server = Server::start(handler);
    let sandbox = sandbox(&[&server.url()]);
    let ended = watch(what, &sandbox, "download o/r:q4_k_m").fails(code, says);
    assert!(ended.took < IN_TIME, "{what}: {:?}", ended.took);
}

#[test]
fn redirects_end() {
    ends("a redirect to itself", 6, "redirects in a circle", |call| {
        let path = call.head.split(' ').nth(1).unwrap_or_default().to_owned();
        call.answer("307 Temporary Redirect", &[&format!("Location: {path}")], "");
    });
    let number = std::sync::atomic::AtomicUsize::new(0);
    ends("redirects without end", 6, "redirects in a circle", move |call| {
        let next = number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        call.answer("302 Found", &[&format!("Location: /api/{next}")], "");
    });
    ends("redirects with endless texts", 6, "redirects in a circle", move |call| {
        let _ = call.send("HTTP/1.1 302 Found\r\nLocation: /api/x\r\n\r\n");
        call.for_ever(&[b'x'; 1 << 16], Duration::ZERO);
    });
}

#[test]
fn heads_end() {
    ends("a header without end", 6, "127.0.0.1", |call| {
        let _ = call.send("HTTP/1.1 200 OK\r\nX-Long: ");
        call.for_ever(&[b'x'; 1 << 16], Duration::ZERO);
    });
    ends("headers without end", 6, "127.0.0.1", |call| {
        let _ = call.send("HTTP/1.1 200 OK\r\n");
        call.for_ever("X-One: two\r\n".repeat(1000).as_bytes(), Duration::ZERO);
    });
    ends("100 Continue without end", 6, "127.0.0.1", |call| {
        call.for_ever(b"HTTP/1.1 100 Continue\r\n\r\n", Duration::from_millis(1));
    });
    ends("early hints now and then", 6, "127.0.0.1", |call| {
        call.for_ever(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", Duration::from_millis(200));
    });
    ends("no answer", 6, "did not answer", |call| call.silence());
    ends("a length beyond all numbers", 6, "127.0.0.1", |call| {
        let _ = call.send("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n[]");
    });
    ends("a negative length", 6, "127.0.0.1", |call| {
        let _ = call.send("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n[]");
    });
    ends("trailers without end", 6, "127.0.0.1", |call| {
        let _ = call.open(&["Transfer-Encoding: chunked"]) && call.send("2\r\n[]\r\n0\r\n");
        call.for_ever("X-One: two\r\n".repeat(1000).as_bytes(), Duration::ZERO);
    });
}

#[test]
fn refusals_are_read_no_further_than_they_help() {
    ends("an error page without end", 6, "HTTP 500", |call| {
        let _ = call.send("HTTP/1.1 500 Internal Server Error\r\n\r\n{\"error\":\"");
        call.for_ever(&[b'x'; 1 << 16], Duration::ZERO);
    });
    ends("an error message of many megabytes", 3, "HTTP 404", |call| {
        let header = format!("X-Error-Message: {}", "x".repeat(60_000));
        call.answer("404 Not Found", &[&header], "<html>".repeat(1 << 20));
    });
}

#[test]
fn what_is_said_in_headers_stays_short() {
    ends("a redirect to 300 kB", 6, "to an address that is too long", |call| {
        let location = format!("Location: /api/{}", "x".repeat(300_000));
        call.answer("302 Found", &[&location], "");
    });
    ends("every header of 60 kB", 3, "HTTP 404", |call| {
        let long = "x".repeat(60_000);
        let headers =
            ["X-Error-Code", "X-Error-Message", "X-Request-Id", "X-HF-Warning", "ETag"].map(|name| format!("{name}: {long}"));
        call.answer("404 Not Found", &headers.each_ref().map(String::as_str), "");
    });
}

#[test]
fn pauses_end() {
    ends("Retry-After of a year", 6, "the server asks to wait", |call| {
        call.answer("429 Too Many Requests", &["Retry-After: 31536000"], "");
    });
    ends("429 for ever", 6, "429", |call| call.answer("429 Too Many Requests", &["Retry-After: 0"], ""));
    ends("Retry-After beyond all numbers", 6, "429", |call| {
        call.answer("429 Too Many Requests", &["Retry-After: 99999999999999999999999"], "");
    });
    ends("503 for ever", 6, "503", |call| call.answer("503 Service Unavailable", &[], ""));
}

#[test]
fn a_handshake_that_never_ends_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let sandbox = sandbox(&[&format!("https://127.0.0.1:{port}")]);
    let ended = watch("a TLS handshake that never ends", &sandbox, "download o/r:q4_k_m").fails(6, "127.0.0.1");
    assert!(ended.took < IN_TIME, "{:?}", ended.took);
}
