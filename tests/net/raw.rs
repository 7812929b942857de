//! A client without manners or mercy: sends what it is told and reads what comes, over a bare socket.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::support::hub::{Origin, TestHub};

/// One answer, taken apart by hand.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
    /// How reading ended early, if it did.
    pub broken: Option<std::io::ErrorKind>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v)
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }
}

pub fn ask(stream: &mut TcpStream, method: &str, target: &str, headers: &[&str], body: &str) {
    let mut text = format!("{method} {target} HTTP/1.1\r\nHost: test\r\n");
    headers.iter().for_each(|h| text.push_str(&format!("{h}\r\n")));
    if !body.is_empty() {
        text.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    stream.write_all(format!("{text}\r\n{body}").as_bytes()).expect("a request can be sent");
}

pub fn hear(stream: &mut TcpStream, method: &str) -> Answer {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            end => return Answer { status: 0, head: String::new(), body: head, broken: end.err().map(|e| e.kind()) },
        }
    }
    let head = String::from_utf8(head).expect("an ASCII head");
    let status = head.get(9..12).and_then(|code| code.parse().ok()).unwrap_or(0);
    let mut answer = Answer { status, head, body: Vec::new(), broken: None };
    if method == "HEAD" || status == 304 {
        return answer;
    }
    if answer.header("transfer-encoding").is_some() {
        loop {
            let mut line = String::new();
            while !line.ends_with("\r\n") {
                stream.read_exact(&mut byte).expect("a chunk head");
                line.push(byte[0] as char);
            }
            let mut chunk = vec![0; usize::from_str_radix(line.trim(), 16).expect("a chunk length") + 2];
            stream.read_exact(&mut chunk).expect("a chunk");
            if chunk.len() == 2 {
                return answer;
            }
            answer.body.extend_from_slice(&chunk[..chunk.len() - 2]);
        }
    }
    let len = answer.header("content-length").map_or(u64::MAX, |n| n.parse().expect("a length"));
    let mut buf = vec![0; 64 * 1024];
    while (answer.body.len() as u64) < len {
        let want = (len - answer.body.len() as u64).min(buf.len() as u64) as usize;
        match stream.read(&mut buf[..want]) {
            Ok(0) => break,
            Ok(n) => answer.body.extend_from_slice(&buf[..n]),
            Err(e) => {
                answer.broken = Some(e.kind());
                break;
            }
        }
    }
    answer
}

pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the hub listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout can be set");
    stream
}

pub fn send(address: SocketAddr, method: &str, target: &str, headers: &[&str]) -> Answer {
    let mut stream = connect(address);
    ask(&mut stream, method, target, headers, "");
    hear(&mut stream, method)
}

pub fn get(hub: &TestHub, target: &str, headers: &[&str]) -> Answer {
    send(hub.addr(Origin::Hub), "GET", target, headers)
}
