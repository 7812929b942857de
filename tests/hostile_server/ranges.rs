//! Servers whose ranges are wrong and whose whole file is right.

use crate::kit::{Call, Server, sandbox, watch};

const FILE: &str = "tiny.Q4_K_M.gguf";
const LEN: usize = 5 << 20;

fn weights() -> Vec<u8> {
    (0..(LEN / 4) as u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
}

fn sha256(bytes: &[u8]) -> String {
    crate::support::hub::Content::from(bytes.to_vec()).sha256().to_owned()
}

/// A Hub that publishes the file's hash and answers ranges of it with `wrong`.
fn hub(wrong: impl Fn(&mut Call, &[u8], usize, usize) + Send + Sync + 'static) -> Server {
    let file = weights();
    let sha = sha256(&file);
    Server::start(move |call| {
        if call.asks("/tree/") {
            let lfs = format!(r#"{{"oid":"{sha}","size":{LEN},"pointerSize":130}}"#);
            call.answer("200 OK", &[], format!(r#"[{{"type":"file","path":"{FILE}","size":{LEN},"oid":"x","lfs":{lfs}}}]"#));
            return;
        }
        match call.range().filter(|_| call.asks("/resolve/")) {
            Some((start, end)) => wrong(call, &file, start, end),
            None => {
                let _ = call.play_hub(&[(FILE, &file)]);
            }
        }
    })
}

#[test]
fn the_whole_file_is_asked_for_once_before_it_is_given_up() {
    type Wrong = fn(&mut Call, &[u8], usize, usize);
    let kinds: [(&str, Wrong); 11] = [
        ("wrong start", |call, file, start, end| {
            let range = format!("Content-Range: bytes {}-{end}/{LEN}", start + 1);
            call.answer("206 Partial Content", &[&range], &file[start..end]);
        }),
        ("wrong total", |call, file, start, end| {
            let range = format!("Content-Range: bytes {start}-{}/{}", end - 1, LEN + 9);
            call.answer("206 Partial Content", &[&range], &file[start..end]);
        }),
        ("total smaller than the start", |call, file, start, end| {
            call.answer("206 Partial Content", &[&format!("Content-Range: bytes {start}-{}/0", end - 1)], &file[start..end]);
        }),
        ("numbers beyond all", |call, file, start, end| {
            let range = "Content-Range: bytes 99999999999999999999-99999999999999999999/99999999999999999999";
            call.answer("206 Partial Content", &[range], &file[start..end]);
        }),
        ("206 with the whole file", |call, file, _, _| {
            call.answer("206 Partial Content", &[&format!("Content-Range: bytes 0-{}/{LEN}", LEN - 1)], file);
        }),
        ("416 for all", |call, _, _, _| call.answer("416 Range Not Satisfiable", &[], "")),
        ("304 for all", |call, _, _, _| call.answer("304 Not Modified", &["Content-Length: 0"], "")),
        ("412 for all", |call, _, _, _| call.answer("412 Precondition Failed", &[], "")),
        ("204 for all", |call, _, _, _| call.answer("204 No Content", &[], "")),
        ("short ranges", |call, file, start, end| {
            let end = end.min(start + 1000);
            let range = format!("Content-Range: bytes {start}-{}/{LEN}", end - 1);
            call.answer("206 Partial Content", &[&range], &file[start..end]);
        }),
        ("wrong bytes", |call, file, start, end| {
            let mut bytes = file[start..end].to_vec();
            bytes[0] ^= 1;
            let range = format!("Content-Range: bytes {start}-{}/{LEN}", end - 1);
            call.answer("206 Partial Content", &[&range], bytes);
        }),
    ];
    for (what, wrong) in kinds {
        let server = hub(wrong);
        let sandbox = sandbox(&[&server.url()]);
        watch(&format!("ranges: {what}"), &sandbox, "download o/r:q4_k_m").ok();
        let shown = sandbox.models().join("o--r/gguf/q4_k_m").join(FILE);
        assert_eq!(sha256(&std::fs::read(shown).unwrap()), sha256(&weights()), "{what}");
    }
}

#[test]
fn a_whole_file_that_is_wrong_too_is_refused_by_its_hash() {
    let file = weights();
    let sha = sha256(&file);
    let server = Server::start(move |call| {
        if call.asks("/tree/") {
            let lfs = format!(r#"{{"oid":"{sha}","size":{LEN},"pointerSize":130}}"#);
            call.answer("200 OK", &[], format!(r#"[{{"type":"file","path":"{FILE}","size":{LEN},"oid":"x","lfs":{lfs}}}]"#));
        } else if call.asks("/resolve/") && call.range().is_some() {
            call.answer("416 Range Not Satisfiable", &[], "");
        } else {
            let mut wrong = file.clone();
            wrong[LEN / 2] ^= 1;
            call.play_hub(&[(FILE, &wrong)]);
        }
    });
    let sandbox = sandbox(&[&server.url()]);
    watch("416, then a whole file that is wrong", &sandbox, "download o/r:q4_k_m").fails(4, "is wrong: expected");
    assert!(!sandbox.models().join("o--r").exists());
}
