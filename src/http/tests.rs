//! The rules of the network, against scripted servers.

use super::{
    testing::{Reply, Server},
    *,
};
use crate::{event::Silent, settings::Token};

const SIZE: u64 = 10;
const FILE: &[u8] = b"0123456789";

fn network(endpoint: &str) -> Network {
    Network {
        endpoints: vec![endpoint.to_owned()],
        token: Token::new("hf_secret"),
        token_endpoints: vec![endpoint.to_owned()],
        stall_timeout: Duration::from_millis(300),
        tries: 3,
        ..Network::default()
    }
}

/// A service that explains its refusals in JSON and has a warning for people.
#[derive(Debug)]
struct Talkative;

impl Dialect for Talkative {
    fn explains_in_json(&self) -> bool {
        true
    }
    fn read(&self, refused: Refused<'_>) -> Reading {
        let is_bad = refused.message.is_some_and(|message| message.contains("Invalid credentials"));
        Reading { meaning: is_bad.then_some(Meaning::Unauthorized(AuthCause::BadToken)), ..Reading::default() }
    }
    fn notice(&self, headers: &header::HeaderMap) -> Option<String> {
        Some(headers.get("x-warning")?.to_str().ok()?.to_owned())
    }
}

const OWN: [&str; 2] = ["https://hub.example", "https://short.example"];

/// The client of a service at the endpoints of these settings, which is also at home at [`OWN`].
fn serving(network: &Network, reporter: Arc<dyn Reporter>) -> Result<Http, HttpError> {
    let own = OWN.iter().filter_map(|text| Origin::of(&Url::parse(text).unwrap())).collect();
    Ok(Http::new(network, None, reporter)?.of_service(Service::new(Talkative, own, network)?))
}

fn http(endpoint: &str) -> Http {
    serving(&network(endpoint), Arc::new(Silent)).unwrap()
}

/// The body of an answer, with all tries.
async fn get(http: &Http, url: &Url) -> Result<Vec<u8>, HttpError> {
    let mut body = Vec::new();
    http.get(url, u32::MAX, http.question_deadline(), &Trail::default(), &mut body).await.map(|_| body)
}

async fn read(mut body: Body) -> Result<Vec<u8>, HttpError> {
    let mut all = Vec::new();
    while let Some(chunk) = body.chunk().await? {
        all.extend_from_slice(&chunk);
    }
    Ok(all)
}

/// A Hub that redirects every file to `cdn`.
async fn hub_before(cdn: &Server) -> Server {
    let to = cdn.base();
    Server::start(move |number, _| {
        let location = format!("Location: {to}/x?X-Amz-Signature=s{number}&X-Amz-Expires=3600");
        Reply::new("302 Found", &[&location], "redirect text")
    })
    .await
}

#[tokio::test]
async fn the_token_goes_to_the_endpoint_and_to_no_other_port() {
    let cdn = Server::start(|_, request| Reply::range(request, FILE)).await;
    let hub = hub_before(&cdn).await;
    let http = http(&hub.base());
    let location = Location::new(hub.url("/o/r/resolve/main/x.gguf"));
    let body = http.open(&location, 2..5, SIZE).await.unwrap();
    assert_eq!((body.start(), body.whole()), (2, false));
    assert_eq!(read(body).await.unwrap(), b"234");
    read(http.open(&location, 0..10, SIZE).await.unwrap()).await.unwrap();
    assert_eq!(hub.requests().len(), 1, "one signed address serves all ranges");
    assert!(hub.requests().iter().all(|r| r.contains("authorization: Bearer hf_secret")));
    assert!(cdn.requests().iter().all(|r| !r.to_lowercase().contains("authorization") && !r.contains("hf_secret")));
    for request in hub.requests().iter().chain(&cdn.requests()) {
        assert!(request.contains("accept-encoding: identity"), "{request}");
        assert!(request.contains("user-agent: model-manager/"), "{request}");
    }
}

#[tokio::test]
async fn concurrent_ranges_share_one_resolve() {
    let cdn = Server::start(|_, request| Reply::range(request, FILE)).await;
    let hub = hub_before(&cdn).await;
    let http = http(&hub.base());
    let location = Location::new(hub.url("/o/r/resolve/main/x"));
    let clone = location.clone();
    let (a, b, c) =
        tokio::join!(http.open(&location, 0..3, SIZE), http.open(&location, 3..6, SIZE), http.open(&clone, 6..10, SIZE));
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    assert_eq!(hub.requests().len(), 1);
}

#[tokio::test]
async fn a_probe_follows_redirects_and_says_what_the_storage_says() {
    let cdn = Server::start(|_, request| {
        let tag = if request.contains("weak") { "ETag: W/\"v1\"" } else { "ETag: \"v1\"" };
        match testing::asked(request) {
            Some((0, 1)) => {
                Reply::new("206 Partial Content", &["Content-Range: bytes 0-0/10", tag, "Last-Modified: then"], &FILE[..1])
            }
            other => panic!("{other:?}"),
        }
    })
    .await;
    let hub = hub_before(&cdn).await;
    let location = Location::new(hub.url("/o/r/resolve/main/x"));
    let probe = http(&hub.base()).probe(&location).await.unwrap();
    assert_eq!(probe, Probe { size: Some(10), version: Some("\"v1\"".into()) });
    let weak = http("http://127.0.0.1:1").probe(&Location::new(cdn.url("/weak"))).await.unwrap();
    assert_eq!(weak.version.as_deref(), Some("then"), "a weak tag does not tell versions apart byte by byte");
}

#[tokio::test]
async fn a_probe_of_a_server_without_ranges_or_of_an_empty_file_says_so() {
    let plain = Server::start(|_, request| match request {
        request if request.starts_with("GET /empty") => Reply::new("416 Range Not Satisfiable", &["Content-Range: bytes */0"], ""),
        request if request.starts_with("GET /page") => Reply::new("200 OK", &["Content-Type: text/html"], "<html>"),
        request if request.starts_with("GET /gone") => Reply::new("404 Not Found", &[], "?signature=secret"),
        _ => Reply::new("200 OK", &[], FILE),
    })
    .await;
    let http = Http::new(&network("unused"), None, Arc::new(Silent)).unwrap();
    let probe = async |path: &str| http.probe(&Location::new(plain.url(path))).await;
    assert_eq!(probe("/x").await.unwrap(), Probe { size: Some(10), version: None });
    assert_eq!(probe("/empty").await.unwrap().size, Some(0));
    assert!(matches!(probe("/page").await, Err(HttpError::Html { .. })));
    match probe("/gone").await {
        Err(HttpError::NotFound { kind: NotFoundKind::Unknown, refusal }) => assert_eq!(refusal.message, None),
        other => panic!("{other:?}"),
    }
    assert!(!plain.requests().iter().any(|request| has_token(request)), "a plain server sees no token");
}

#[tokio::test]
async fn bytes_of_another_version_than_the_probed_one_are_refused() {
    let server = Server::start(|number, request| {
        let (start, end) = testing::asked(request).unwrap();
        let range = format!("Content-Range: bytes {start}-{}/10", end - 1);
        let tag = match number {
            ..3 => "ETag: \"v1\"",
            3 => "ETag: \"v2\"",
            _ => "Server: says no version",
        };
        Reply::new("206 Partial Content", &[&range, tag], &FILE[start as usize..end as usize])
    })
    .await;
    let http = Http::new(&network("unused"), None, Arc::new(Silent)).unwrap();
    let version = http.probe(&Location::new(server.url("/x"))).await.unwrap().version;
    let location = Location::of(&http, server.url("/x"), true, version);
    assert_eq!(read(http.open(&location, 0..4, SIZE).await.unwrap()).await.unwrap(), b"0123");
    for _ in 0..2 {
        let error = http.open(&location, 4..10, SIZE).await.unwrap_err();
        assert!(matches!(error, HttpError::Replaced { .. }), "{error:?}");
        assert_eq!(error.retry(), Retry::Elsewhere);
    }
}

#[tokio::test]
async fn an_expired_signature_is_renewed_once_without_an_error() {
    let cdn = Server::start(|_, request| match request.contains("Signature=s1&") {
        true => Reply::new("403 Forbidden", &[], "<Error>expired</Error>"),
        false => Reply::range(request, FILE),
    })
    .await;
    let hub = hub_before(&cdn).await;
    let location = Location::new(hub.url("/o/r/resolve/main/x"));
    let http = http(&hub.base());
    assert_eq!(read(http.open(&location, 4..6, SIZE).await.unwrap()).await.unwrap(), b"45");
    assert_eq!(hub.requests().len(), 2);
}

#[tokio::test]
async fn a_refusal_that_stays_is_told_without_the_signature() {
    let cdn = Server::start(|_, _| Reply::new("403 Forbidden", &[], "<StringToSign>s2</StringToSign>")).await;
    let hub = hub_before(&cdn).await;
    let error = http(&hub.base()).open(&Location::new(hub.url("/o/r/resolve/main/x")), 0..1, SIZE).await.unwrap_err();
    assert!(matches!(&error, HttpError::Status(refusal) if refusal.cross_origin && refusal.status == 403), "{error:?}");
    assert_eq!(error.retry(), Retry::Elsewhere);
    assert!(!format!("{error} {error:?}").contains("Signature"));
    assert_eq!(hub.requests().len(), 2, "renewed once, not for ever");
}

async fn open_against(
    reply: impl Fn(usize, &str) -> Reply + Send + Sync + 'static,
    range: Range<u64>,
) -> Result<Vec<u8>, HttpError> {
    let hub = Server::start(reply).await;
    read(http(&hub.base()).open(&Location::new(hub.url("/o/r/resolve/main/x.gguf")), range, SIZE).await?).await
}

#[tokio::test]
async fn a_206_that_is_not_exactly_what_was_asked_is_refused() {
    for wrong in ["Content-Range: bytes 0-2/10", "Content-Range: bytes 2-3/10", "Content-Range: bytes 2-4/*", "X-None: 1"] {
        let error = open_against(move |_, _| Reply::new("206 Partial Content", &[wrong], "abc"), 2..5).await.unwrap_err();
        assert!(matches!(error, HttpError::BadRange { .. }), "{wrong}: {error}");
        assert_eq!(error.retry(), Retry::Elsewhere);
    }
    let grown = |_: usize, _: &str| Reply::new("206 Partial Content", &["Content-Range: bytes 2-4/11"], "abc");
    assert!(matches!(open_against(grown, 2..5).await, Err(HttpError::Changed { expected: 10, got: 11, .. })));
    let beyond = |_: usize, _: &str| Reply::new("416 Range Not Satisfiable", &["Content-Range: bytes */4"], "");
    assert!(matches!(open_against(beyond, 5..7).await, Err(HttpError::Changed { got: 4, .. })));
}

#[tokio::test]
async fn a_200_for_a_range_is_the_whole_file_from_its_start() {
    let hub = Server::start(|_, _| Reply::new("200 OK", &[], FILE)).await;
    let body = http(&hub.base()).open(&Location::new(hub.url("/o/r/resolve/main/x")), 4..6, SIZE).await.unwrap();
    assert_eq!((body.start(), body.end(), body.whole()), (0, 10, true));
    assert_eq!(read(body).await.unwrap(), FILE);
    let short = |_: usize, _: &str| Reply::new("200 OK", &[], "0123");
    assert!(matches!(open_against(short, 0..10).await, Err(HttpError::Changed { got: 4, .. })));
    let chunked =
        |_: usize, _: &str| Reply::new("200 OK", &["Transfer-Encoding: chunked"], "5\r\n01234\r\n7\r\n5678901\r\n0\r\n\r\n");
    assert!(matches!(open_against(chunked, 0..10).await, Err(HttpError::Changed { .. })));
    let modelscope = |_: usize, _: &str| Reply::new("200 OK", &["Content-Range: bytes 4-5/10"], "45");
    assert_eq!(open_against(modelscope, 4..6).await.unwrap(), b"45");
}

#[tokio::test]
async fn web_pages_and_compressed_bodies_are_not_taken_for_files() {
    let portal = |_: usize, _: &str| Reply::new("200 OK", &["Content-Type: text/html; charset=utf-8"], "<html>login");
    assert!(matches!(open_against(portal, 0..10).await, Err(HttpError::Html { .. })));
    let gzip = |_: usize, _: &str| Reply::new("200 OK", &["Content-Encoding: gzip"], FILE);
    assert!(matches!(open_against(gzip, 0..10).await, Err(HttpError::Encoded { .. })));
}

#[tokio::test]
async fn a_cut_and_a_stalled_body_are_told_and_tried_again() {
    let part =
        |_: usize, _: &str| Reply::new("206 Partial Content", &["Content-Range: bytes 0-9/10", "Content-Length: 10"], "0123");
    let error = open_against(part, 0..10).await.unwrap_err();
    assert!(matches!(error, HttpError::Cut { got: 4, expected: 10, .. }), "{error:?}");
    assert_eq!(error.retry(), Retry::Backoff);
    let error = open_against(move |a, b| part(a, b).then_stall(), 0..10).await.unwrap_err();
    assert!(matches!(error, HttpError::Stalled { .. }), "{error:?}");
}

#[tokio::test]
async fn an_empty_file_is_asked_for_without_a_range() {
    let hub = Server::start(|_, request| {
        assert!(testing::asked(request).is_none());
        Reply::new("200 OK", &[], "")
    })
    .await;
    let body = http(&hub.base()).open(&Location::new(hub.url("/o/r/resolve/main/x")), 0..0, 0).await.unwrap();
    assert!(body.whole());
    assert!(read(body).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_429_pauses_and_the_request_then_succeeds() {
    let hub = Server::start(|number, _| match number {
        1 => Reply::new("429 Too Many Requests", &["Retry-After: 1"], ""),
        _ => Reply::new("200 OK", &["X-Warning: hello"], "{}"),
    })
    .await;
    let events: Arc<Mutex<Vec<Event>>> = Arc::default();
    let sink = events.clone();
    let reporter = move |event: &Event| sink.lock().unwrap().push(event.clone());
    let http = serving(&network(&hub.base()), Arc::new(reporter)).unwrap();
    let start = std::time::Instant::now();
    get(&http, &hub.url("/api/models/a")).await.unwrap();
    get(&http, &hub.url("/api/models/a")).await.unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1));
    let events = events.lock().unwrap();
    assert_eq!(events.iter().filter(|e| matches!(e, Event::Retry { .. })).count(), 1, "{events:?}");
    assert_eq!(events.iter().filter(|e| matches!(e, Event::Warning(_))).count(), 1, "{events:?}");
}

#[tokio::test]
async fn passing_failures_of_the_api_are_retried_and_final_ones_are_not() {
    let hub = Server::start(|number, _| match number {
        1 | 2 => Reply::new("503 Service Unavailable", &[], ""),
        _ => Reply::new("200 OK", &[], "[]"),
    })
    .await;
    assert_eq!(get(&http(&hub.base()), &hub.url("/api/x")).await.unwrap(), b"[]");
    let hub =
        Server::start(|_, _| Reply::new("401 Unauthorized", &[], "{\"error\":\"Invalid credentials in Authorization header\"}"))
            .await;
    let error = get(&http(&hub.base()), &hub.url("/api/models/a/b")).await.unwrap_err();
    assert!(matches!(error, HttpError::Unauthorized { cause: AuthCause::BadToken, .. }), "{error:?}");
    assert_eq!(hub.requests().len(), 1);
}

#[tokio::test]
async fn redirects_of_the_api_stay_at_the_hub_and_end() {
    let other = Server::start(|_, _| Reply::new("200 OK", &[], "{}")).await;
    let to = format!("Location: {}/api/x", other.base());
    let hub = Server::start(move |_, request| match request.contains("/loop") {
        true => Reply::new("307 Temporary Redirect", &["Location: /loop"], ""),
        false => Reply::new("302 Found", &[&to], ""),
    })
    .await;
    let http = http(&hub.base());
    assert!(matches!(get(&http, &hub.url("/api/x")).await, Err(HttpError::BadRedirect { .. })));
    assert!(matches!(get(&http, &hub.url("/loop")).await, Err(HttpError::TooManyRedirects { .. })));
    assert!(other.requests().is_empty());
}

#[tokio::test]
async fn offline_means_no_request_at_all() {
    let hub = Server::start(|_, _| Reply::new("200 OK", &[], "{}")).await;
    let http = serving(&Network { offline: true, ..network(&hub.base()) }, Arc::new(Silent)).unwrap();
    let location = Location::new(hub.url("/o/r/resolve/main/x"));
    assert!(matches!(get(&http, &hub.url("/api/x")).await, Err(HttpError::Offline { .. })));
    assert!(matches!(http.open(&location, 0..1, 10).await, Err(HttpError::Offline { .. })));
    assert!(matches!(http.probe(&location).await, Err(HttpError::Offline { .. })));
    assert!(hub.requests().is_empty());
}

#[test]
fn secrets_do_not_reach_debug_output_and_bad_endpoints_are_refused() {
    assert!(!format!("{:?}", http("http://127.0.0.1:1")).contains("hf_secret"));
    for bad in ["", "hub.example", "ftp://h", "https://me:pw@h", "https://h?x=1"] {
        let error = serving(&Network { endpoints: vec![bad.into()], ..Network::default() }, Arc::new(Silent)).unwrap_err();
        assert!(matches!(error, HttpError::BadEndpoint { .. }), "{bad}");
        assert!(!error.to_string().contains("pw"));
    }
    assert!(matches!(Http::new(&Network::default(), Some(b"junk"), Arc::new(Silent)), Err(HttpError::Client { .. })));
}

#[tokio::test]
async fn nobody_listening_is_a_connection_error_with_the_servers_name() {
    let error = get(&http("http://127.0.0.1:1"), &Url::parse("http://127.0.0.1:1/api/x").unwrap()).await.unwrap_err();
    assert!(matches!(&error, HttpError::Connect { origin, .. } if origin == "http://127.0.0.1:1"), "{error:?}");
}

#[tokio::test]
async fn a_server_without_tls_is_no_safe_connection() {
    let plain = Server::start(|_, _| Reply::new("200 OK", &[], "")).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let error = get(&http(&plain.base()), &Url::parse(&format!("https://127.0.0.1:{port}/api/x")).unwrap()).await.unwrap_err();
    // Where no certificates are installed, the client itself says so first.
    assert!(matches!(error, HttpError::Tls { .. } | HttpError::Client { .. }), "{error:?}");
}

#[tokio::test]
async fn a_limit_holds_bodies_back_without_calling_them_stalled() {
    let file: Arc<Vec<u8>> = Arc::new(vec![7; 100_000]);
    let sent = file.clone();
    let hub = Server::start(move |_, request| Reply::range(request, &sent)).await;
    let limited = Network { limit_rate: Some(100_000), ..network(&hub.base()) };
    let http = serving(&limited, Arc::new(Silent)).unwrap();
    let start = std::time::Instant::now();
    let body = http.open(&Location::new(hub.url("/o/r/resolve/main/x")), 0..100_000, 100_000).await.unwrap();
    assert_eq!(read(body).await.unwrap(), *file);
    assert!(start.elapsed() < Duration::from_secs(3));
}

/// A server that keeps its connections and counts them. Each answer comes in two parts, with a pause between them.
async fn counted(answer: impl Fn(&str) -> [Vec<u8>; 2] + Send + Sync + 'static) -> (String, Arc<Mutex<usize>>) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let (connections, answer) = (Arc::new(Mutex::new(0)), Arc::new(answer));
    let count = connections.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            *count.lock().unwrap() += 1;
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while let Ok(byte) = stream.read_u8().await {
                    head.push(byte);
                    if head.ends_with(b"\r\n\r\n") {
                        let [first, second] = answer(std::str::from_utf8(&head).unwrap());
                        stream.write_all(&first).await.unwrap();
                        if !second.is_empty() {
                            tokio::time::sleep(Duration::from_millis(5)).await;
                            stream.write_all(&second).await.unwrap();
                        }
                        head.clear();
                    }
                }
            });
        }
    });
    (base, connections)
}

/// Waits until every open connection is idle and in the client's pool: until then, a request opens one more.
///
/// The tasks that are left are one for each end of a connection, the server's listener, and the pool's timer.
async fn until_idle(connections: &Mutex<usize>) {
    let tasks = tokio::runtime::Handle::current().metrics();
    let all_idle = async {
        while tasks.num_alive_tasks() > 2 * *connections.lock().unwrap() + 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), all_idle).await.expect("a connection never came back to the pool");
}

/// The range that a request asks for of a file of 1,000,000 zeros.
fn zeros(request: &str) -> Vec<u8> {
    let (start, end) = testing::asked(request).unwrap();
    let lines = format!("Content-Range: bytes {start}-{}/1000000\r\nContent-Length: {}", end - 1, end - start);
    let mut bytes = format!("HTTP/1.1 206 Partial Content\r\n{lines}\r\n\r\n").into_bytes();
    bytes.resize(bytes.len() + (end - start) as usize, 0);
    bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ranges_of_one_file_reuse_their_connections() {
    let (base, connections) = counted(|request| [zeros(request), Vec::new()]).await;
    let http = http(&base);
    let location = Location::new(Url::parse(&format!("{base}/o/r/resolve/main/x")).unwrap());
    for start in (0..100).map(|i| i * 10_000) {
        let body = http.open(&location, start..start + 10_000, 1_000_000).await.unwrap();
        assert_eq!(read(body).await.unwrap().len(), 10_000);
        // A connection comes back to the pool a moment after its last byte, and on a busy machine later than the next
        // request begins.
        until_idle(&connections).await;
    }
    // The pool has no timer until its first connection comes back, so the first wait may end too soon.
    let opened = *connections.lock().unwrap();
    assert!(opened <= 2, "{opened} connections for 100 ranges");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_redirect_whose_text_comes_late_does_not_cost_its_connection() {
    let (base, connections) = counted(|request| {
        if !request.starts_with("GET /o/r/resolve/main/") {
            return [zeros(request), Vec::new()];
        }
        let text = "Found. Redirecting to /there";
        let head = format!("HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: {}\r\n\r\n", text.len());
        [head.into(), text.into()]
    })
    .await;
    let http = http(&base);
    for file in 0..30 {
        let location = Location::new(Url::parse(&format!("{base}/o/r/resolve/main/{file}")).unwrap());
        let body = http.open(&location, 0..1000, 1_000_000).await.unwrap();
        assert_eq!(read(body).await.unwrap().len(), 1000);
        until_idle(&connections).await;
    }
    // The connection of a redirect may come back to the pool a moment after the next request begins.
    let opened = *connections.lock().unwrap();
    assert!(opened <= 2, "{opened} connections for 30 redirects");
}

#[tokio::test]
async fn callers_that_waited_for_a_failed_resolve_share_its_error() {
    let hub = Server::start(|_, _| Reply::new("404 Not Found", &[], "")).await;
    let http = http(&hub.base());
    let location = Location::new(hub.url("/o/r/resolve/main/x"));
    let (a, b, c) =
        tokio::join!(http.open(&location, 0..1, SIZE), http.open(&location, 1..2, SIZE), http.open(&location, 2..3, SIZE));
    for result in [a, b, c] {
        assert!(matches!(result, Err(HttpError::NotFound { kind: NotFoundKind::Unknown, .. })));
    }
    assert_eq!(hub.requests().len(), 1);
}

#[test]
fn the_futures_may_move_between_threads() {
    fn send<T: Send>(_: T) {}
    let http = http("http://127.0.0.1:1");
    let location = Location::new(Url::parse("http://127.0.0.1:1/o/r/resolve/main/x").unwrap());
    send(http.open(&location, 0..1, 1));
    send(http.probe(&location));
    send(async { http.open(&location, 0..1, 1).await?.chunk().await });
}

#[test]
fn the_token_is_for_the_hub_and_for_whom_the_user_named_and_not_in_clear_text() {
    let named = ["https://hub.lan", "http://hub.lan", "http://10.0.0.1:8080", "http://127.0.0.1:9", "http://[::1]:9"];
    let network = Network {
        endpoints: vec!["https://project.example".into()],
        token_endpoints: named.map(str::to_owned).to_vec(),
        clear_text_endpoints: vec!["http://10.0.0.1:8080/hf".into()],
        ..network("http://localhost:9")
    };
    let http = serving(&network, Arc::new(Silent)).unwrap();
    for (address, sees) in [
        ("https://hub.example/a", true),
        ("https://short.example", true),
        ("http://hub.example", false),
        ("https://hub.example:8443", false),
        ("https://hub.example.other", false),
        ("https://hub.lan/x", true),
        ("https://hub.lan:8443", false),
        ("http://hub.lan", false),
        ("http://10.0.0.1:8080/other", true),
        ("http://10.0.0.1", false),
        ("http://127.0.0.1:9", true),
        ("http://[::1]:9", true),
        ("http://127.0.0.1:10", false),
        ("https://project.example", false),
    ] {
        let origin = Origin::of(&Url::parse(address).unwrap()).unwrap();
        let token = |is_proxied| http.token_for(&origin, is_proxied, &Trail::default()).is_ok_and(|token| token.is_some());
        assert_eq!(token(false), sees, "{address}");
        // What a proxy is asked for is not on this machine any more.
        let is_loopback = matches!(origin.host(), "127.0.0.1" | "[::1]");
        assert_eq!(token(true), sees && !is_loopback, "{address}");
        let trail = Trail { stranger: Origin::of(&Url::parse("https://project.example").unwrap()) };
        assert!(!http.token_for(&origin, false, &trail).is_ok_and(|token| token.is_some()), "{address}");
    }
}

/// A server that the project names, and one that the user trusts; both are endpoints.
fn http_of(stranger: &Server, friend: &Server) -> Http {
    let network =
        Network { endpoints: vec![stranger.base(), friend.base()], token_endpoints: vec![friend.base()], ..network("unused") };
    serving(&network, Arc::new(Silent)).unwrap()
}

fn has_token(request: &str) -> bool {
    request.to_lowercase().contains("authorization")
}

#[tokio::test]
async fn an_address_that_a_stranger_chose_is_asked_without_the_token() {
    let friend = Server::start(|_, request| match request.contains("/file") {
        true => Reply::range(request, FILE),
        false if request.contains("/refused") => Reply::new("401 Unauthorized", &[], ""),
        false => Reply::new("200 OK", &["Link: </api/next>; rel=\"next\""], "{}"),
    })
    .await;
    let to = friend.base();
    let stranger = Server::start(move |_, request| {
        let path = request.split(' ').nth(1).unwrap_or_default();
        Reply::new("307 Temporary Redirect", &[&format!("Location: {to}{path}")], "")
    })
    .await;
    let http = http_of(&stranger, &friend);
    let mut body = Vec::new();
    let answer = http.get(&stranger.url("/api/x"), 1, http.question_deadline(), &Trail::default(), &mut body).await.unwrap();
    // What that answer names was chosen by the stranger too.
    http.get(&friend.url("/api/next"), 1, http.question_deadline(), &answer.trail, &mut body).await.unwrap();
    let file = Location::new(stranger.url("/file"));
    http.probe(&file).await.unwrap();
    for range in [0..4, 4..10] {
        read(http.open(&file, range, SIZE).await.unwrap()).await.unwrap();
    }
    let refused = get(&http, &stranger.url("/refused")).await.unwrap_err();
    let refusal = match refused {
        HttpError::Unauthorized { refusal, .. } => refusal,
        other => panic!("{other:?}"),
    };
    assert_eq!((refusal.with_token, refusal.withheld_from), (false, Some(stranger.base())));
    assert!(friend.requests().len() >= 6);
    assert!(!stranger.requests().iter().chain(&friend.requests()).any(|request| has_token(request)));
    // Asked by its own name it sees the token.
    get(&http, &friend.url("/api/x")).await.unwrap();
    assert!(friend.requests().last().is_some_and(|request| has_token(request)));
}

#[tokio::test]
async fn the_place_of_a_files_bytes_that_a_stranger_chose_is_asked_without_the_token() {
    let friend = Server::start(|_, request| Reply::range(request, FILE)).await;
    let stranger = hub_before(&friend).await;
    let network = Network { token_endpoints: vec![friend.base()], ..network(&stranger.base()) };
    let http = serving(&network, Arc::new(Silent)).unwrap();
    let file = Location::new(stranger.url("/o/r/resolve/main/x"));
    http.probe(&file).await.unwrap();
    for range in [0..4, 4..10] {
        read(http.open(&file, range, SIZE).await.unwrap()).await.unwrap();
    }
    assert_eq!(friend.requests().len(), 3, "a probe and two ranges");
    assert!(!stranger.requests().iter().chain(&friend.requests()).any(|request| has_token(request)));
}
