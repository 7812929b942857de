//! What comes so slowly that it would never be all, and what is only slow.

use std::time::Duration;

use crate::kit::{Call, IN_TIME, Server, sandbox, watch};
use crate::support::hub::{Content, TestHub};
use crate::support::run::Sandbox;

const SECOND: Duration = Duration::from_millis(300);
const FILE: &str = "tiny.Q4_K_M.gguf";

/// The parts of an answer that a server can drip.
const PARTS: [&str; 5] = ["headers", "answer", "listing", "body", "byte and reset"];

fn weights() -> Vec<u8> {
    (0..300_000_u32).flat_map(u32::to_le_bytes).collect()
}

/// A Hub with one part of its answers dripped, some bytes a second.
fn dripping(part: &'static str) -> Server {
    let file = weights();
    Server::start(move |call: &mut Call| {
        let files = [(FILE, file.as_slice())];
        match part {
            "headers" if call.send("HTTP/1.1 200 OK\r\nX-Slow: ") => call.for_ever(b"x", SECOND),
            "answer" if call.asks("/revision/") && call.open(&["Content-Length: 100000"]) => call.for_ever(b" ", SECOND),
            "listing" if call.asks("/tree/") && call.open(&["Transfer-Encoding: chunked"]) => call.for_ever(b"1\r\n \r\n", SECOND),
            "body" if call.asks("/resolve/") => {
                let (start, end) = call.range().unwrap_or((0, file.len()));
                let range = format!("Content-Range: bytes {start}-{}/{}", end - 1, file.len());
                let length = format!("Content-Length: {}", end - start);
                if call.send(format!("HTTP/1.1 206 Partial Content\r\n{range}\r\n{length}\r\n\r\n")) {
                    for byte in &file[start..end] {
                        if !call.send([*byte]) {
                            return;
                        }
                        std::thread::sleep(SECOND);
                    }
                }
            }
            "byte and reset" if call.asks("/resolve/") => {
                let (start, end) = call.range().unwrap_or((0, file.len()));
                let range = format!("Content-Range: bytes {start}-{}/{}", end - 1, file.len());
                let length = format!("Content-Length: {}", end - start);
                if call.send(format!("HTTP/1.1 206 Partial Content\r\n{range}\r\n{length}\r\n\r\n")) && call.send([file[start]]) {
                    std::thread::sleep(Duration::from_millis(20));
                    call.reset();
                }
            }
            _ => {
                let _ = call.play_hub(&files);
            }
        }
    })
}

#[test]
fn a_byte_now_and_then_is_given_up_in_bounded_time() {
    for part in PARTS {
        let server = dripping(part);
        let sandbox = sandbox(&[&server.url()]);
        let ended = watch(&format!("drip: {part}"), &sandbox, "download o/r:q4_k_m");
        let ended = ended.fails(6, "127.0.0.1");
        assert!(ended.took < IN_TIME, "{part}: {:?}", ended.took);
    }
}

#[test]
fn a_good_second_endpoint_is_asked_in_bounded_time() {
    for part in PARTS {
        let server = dripping(part);
        let file = weights();
        let good = Server::start(move |call| {
            let _ = call.play_hub(&[(FILE, &file)]);
        });
        let sandbox = sandbox(&[&server.url(), &good.url()]);
        let ended = watch(&format!("drip, then a good mirror: {part}"), &sandbox, "download o/r:q4_k_m").ok();
        assert!(ended.took < IN_TIME, "{part}: {:?}", ended.took);
        let shown = sandbox.models().join("o--r/gguf/q4_k_m").join(FILE);
        assert_eq!(std::fs::read(shown).unwrap(), weights(), "{part}");
    }
}

/// A Hub with a file of so many bytes.
fn honest(len: u64) -> (TestHub, Sandbox) {
    let hub = TestHub::start();
    hub.repo("o/r").lfs(FILE, Content::synthetic(len, 1)).commit();
    let sandbox = Sandbox::new(&hub).env("HF_HUB_DOWNLOAD_TIMEOUT", "2");
    (hub, sandbox)
}

#[test]
fn an_honest_slow_line_brings_the_file() {
    let (hub, sandbox) = honest(40_000);
    hub.configure(|config| config.total_rate = Some(6000));
    watch("honest line of 6 kB/s", &sandbox, "download o/r:q4_k_m --connections 4").ok();
}

#[test]
fn a_limit_of_the_user_below_the_slowest_rate_is_no_stall() {
    let (hub, sandbox) = honest(5000);
    hub.configure(|config| config.total_rate = Some(900));
    watch("--limit-rate 700, over a line of 900 bytes a second", &sandbox, "download o/r:q4_k_m --limit-rate 700").ok();
}
