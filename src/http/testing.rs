//! A tiny server on loopback: one scripted answer per request, every request kept.

use super::{Dialect, HttpError, Refusal};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use std::sync::{Arc, Mutex};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use url::Url;

/// What a refusal with these headers means to a source; an empty value is none.
pub fn refusal(dialect: &dyn Dialect, url: &str, status: u16, headers: &[(&'static str, &str)]) -> HttpError {
    let headers: HeaderMap = headers
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
        .collect();
    let message = dialect.message(&headers);
    HttpError::from_refusal(Refusal { url: url.to_owned(), status, message, ..Refusal::default() }, &headers, dialect)
}

/// What to send, and how to end.
pub struct Reply {
    bytes: Vec<u8>,
    stall: bool,
}

impl Reply {
    /// An answer with headers (`Name: value` lines) and body; `Content-Length` is added unless given.
    pub fn new(status: &str, headers: &[&str], body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let mut head = format!("HTTP/1.1 {status}\r\nConnection: close\r\n");
        for line in headers {
            head.push_str(line);
            head.push_str("\r\n");
        }
        if !headers.iter().any(|line| line.starts_with("Content-Length") || line.starts_with("Transfer-Encoding")) {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(body);
        Self { bytes, stall: false }
    }

    /// The answer that ranges ask for, from `file`.
    pub fn range(request: &str, file: &[u8]) -> Self {
        let (start, end) = asked(request).expect("a range was asked");
        Self::new(
            "206 Partial Content",
            &[&format!("Content-Range: bytes {start}-{}/{}", end - 1, file.len())],
            &file[start as usize..end as usize],
        )
    }

    /// Keeps the connection open after the bytes.
    pub fn then_stall(mut self) -> Self {
        self.stall = true;
        self
    }
}

/// The range header of a request, the end exclusive.
pub fn asked(request: &str) -> Option<(u64, u64)> {
    let line = request.lines().find_map(|line| line.strip_prefix("range: bytes="))?;
    let (a, b) = line.split_once('-')?;
    Some((a.parse().ok()?, b.parse::<u64>().ok()? + 1))
}

/// A running server.
pub struct Server {
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Answers with `handler(number of the request, its head)`.
    pub async fn start(handler: impl Fn(usize, &str) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let (kept, handler) = (requests.clone(), Arc::new(handler));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (kept, handler) = (kept.clone(), handler.clone());
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        match stream.read_u8().await {
                            Ok(byte) => head.push(byte),
                            Err(_) => return,
                        }
                    }
                    let head = String::from_utf8(head).unwrap();
                    let number = {
                        let mut kept = kept.lock().unwrap();
                        kept.push(head.clone());
                        kept.len()
                    };
                    let reply = handler(number, &head);
                    let _ = stream.write_all(&reply.bytes).await;
                    if reply.stall {
                        tokio::time::sleep(std::time::Duration::from_secs(60)).await;
                    }
                    let _ = stream.shutdown().await;
                });
            }
        });
        Self { port, requests }
    }

    pub fn base(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn url(&self, path: &str) -> Url {
        Url::parse(&format!("{}{path}", self.base())).unwrap()
    }

    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}
