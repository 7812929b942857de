//! Listings and facts of repositories that are too much.

use std::time::Duration;

use crate::kit::{COMMIT, Call, IN_TIME, Server, entry, sandbox, watch};

/// A body that is written in pieces, so that this process does not hold it either.
fn pour(call: &mut Call, start: &str, piece: &str, bytes: usize, end: &str) {
    let block = piece.repeat((1 << 16) / piece.len() + 1);
    let times = bytes / block.len() + 1;
    let _ = call.open(&[]) && call.send(start) && (0..times).all(|_| call.send(&block)) && call.send(end);
}

/// Runs `download` against a Hub whose listing is written by `tree`.
#[track_caller]
fn listing(what: &str, says: &str, tree: impl Fn(&mut Call) + Send + Sync + 'static) {
    let server = Server::start(move |call| match call.asks("/tree/") {
        true => tree(call),
        false => {
            let _ = call.play_hub(&[]);
        }
    });
    let sandbox = sandbox(&[&server.url()]);
    let ended = watch(what, &sandbox, "download o/r:q4_k_m").fails(6, says);
    assert!(ended.took < IN_TIME, "{what}: {:?}", ended.took);
}

#[test]
fn a_listing_ends_at_its_limits_and_is_never_in_memory() {
    let odd = "makes no sense";
    listing("60 MB of {\"\":0},", odd, |call| pour(call, "[", "{\"\":0},", 60 << 20, "{}]"));
    listing("a page without end", odd, |call| {
        let _ = call.open(&[]) && call.send("[");
        call.for_ever("{\"\":0},".repeat(1000).as_bytes(), Duration::ZERO);
    });
    listing("spaces without end", "sent more than", |call| {
        let _ = call.open(&[]);
        call.for_ever(&[b' '; 1 << 16], Duration::ZERO);
    });
    listing("60 MB of one string", odd, |call| pour(call, "[{\"type\":\"file\",\"path\":\"", "x", 60 << 20, "\"}]"));
    listing("60 MB of [", odd, |call| pour(call, "", "[", 60 << 20, ""));
    listing("60 MB of {\"a\":", odd, |call| pour(call, "[", "{\"a\":", 60 << 20, ""));
    listing("60 MB of one number", odd, |call| pour(call, "[", "1", 60 << 20, "]"));
    listing("a chunked body without end", "127.0.0.1", |call| {
        let _ = call.open(&["Transfer-Encoding: chunked"]) && call.send("1\r\n[\r\n");
        call.for_ever(b"7\r\n{\"\":0},\r\n", Duration::ZERO);
    });
    listing("gzip where none was asked for", odd, |call| {
        call.answer("200 OK", &["Content-Encoding: gzip"], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2, 3]);
    });
}

#[test]
fn pages_without_end_are_refused() {
    let link = |next: &str| format!("Link: <{next}>; rel=\"next\"");
    let number = std::sync::atomic::AtomicUsize::new(0);
    listing("pages without end", "its pages have no end", move |call| {
        let next = number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        call.answer("200 OK", &[&link(&format!("/api/models/o/r/tree/{COMMIT}?cursor={next}"))], "[]");
    });
    listing("a page that is its own next", "its pages have no end", move |call| {
        let path = call.head.split(' ').nth(1).unwrap_or_default().to_owned();
        call.answer("200 OK", &[&link(&path)], "[]");
    });
    listing("the next page at another host", "another host", move |call| {
        call.answer("200 OK", &[&link("http://127.0.0.2:1/x")], "[]");
    });
    listing("a file that the next page lists otherwise", "listed twice", move |call| {
        let (size, next) = if call.asks("cursor") { (2, String::new()) } else { (1, link("?cursor=1")) };
        let headers = if next.is_empty() { vec![] } else { vec![next.as_str()] };
        call.answer("200 OK", &headers, format!("[{}]", entry("a.gguf", size)));
    });
    let number = std::sync::atomic::AtomicUsize::new(0);
    listing("many large pages", "makes no sense", move |call| {
        let next = link(&format!("?cursor={}", number.fetch_add(1, std::sync::atomic::Ordering::Relaxed)));
        let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\n{next}\r\n\r\n[");
        let block = "{\"type\":\"directory\"},".repeat(3000);
        let _ = call.send(head) && (0..20).all(|_| call.send(&block)) && call.send("{}]");
    });
}

#[test]
fn the_largest_listing_that_is_taken_stays_small() {
    let server = Server::start(|call| {
        if !call.asks("/tree/") {
            call.play_hub(&[("tiny.Q4_K_M.gguf", &[7; 5000])]);
            return;
        }
        let _ = call.open(&[]) && call.send("[");
        let sha = "ab".repeat(32);
        for block in 0..240 {
            let entries = (0..1000).map(|n| {
                let path = format!("folder/of/some/length/in/a/large/repository/{block:06}/{n:06}.bin");
                format!(r#"{{"type":"file","path":"{path}","size":5,"oid":"{sha}","lfs":{{"oid":"{sha}","size":5,"pointerSize":130}}}},"#)
            });
            if !call.send(entries.collect::<String>()) {
                return;
            }
        }
        let _ = call.send(entry("tiny.Q4_K_M.gguf", 5000)) && call.send("]");
    });
    let sandbox = sandbox(&[&server.url()]);
    watch("a listing of 240,001 files", &sandbox, "download o/r:q4_k_m").ok();
}

#[test]
fn the_facts_of_a_repository_stay_small_whatever_they_hold() {
    for (what, start, piece, end) in [
        ("info: cardData of 16 MB of {\"\":0}", "{\"cardData\":[", "{\"\":0},", "0]}"),
        ("info: tags of 16 MB", "{\"tags\":[", "\"a\",", "0]}"),
        ("info: siblings of 16 MB", "{\"siblings\":[", "{\"rfilename\":\"x\"},", "0]}"),
        ("info: nested lists", "{\"x\":", "[", ""),
        ("info: a sha of 16 MB", "{\"sha\":\"", "a", "\"}"),
        ("info: keys of 16 MB", "{", "\"a\":0,", "\"b\":0}"),
        ("info: 60 MB", "{\"x\":\"", "aaaaaaa", "\"}"),
    ] {
        let bytes = if what.ends_with("60 MB") { 60 << 20 } else { 16 << 20 };
        let server = Server::start(move |call| match call.asks("/revision/") {
            true => pour(call, start, piece, bytes, end),
            false => {
                let _ = call.play_hub(&[]);
            }
        });
        let sandbox = sandbox(&[&server.url()]);
        let ended = watch(what, &sandbox, "download o/r:q4_k_m").fails(6, "sent");
        assert!(ended.took < IN_TIME, "{what}: {:?}", ended.took);
    }
}
