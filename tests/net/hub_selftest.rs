//! The test Hub, asked over raw sockets: whatever it is believed to say, it says.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::raw::{Answer, ask, connect, get, hear, send};
use crate::support::gguf::Spec;
use crate::support::hub::{Content, Fault, Gating, Gzip, Match, Origin, Part, Signing, TestHub, decode};
use crate::support::run::Sandbox;

const REPO: &str = "TheBloke/Tiny-GGUF";
const FILE: &str = "tiny.Q4_K_M.gguf";
const IDENTITY: &str = "Accept-Encoding: identity";

/// The signed target on the CDN for a file.
fn signed(hub: &TestHub, file: &str) -> String {
    let answer = get(hub, &format!("/{REPO}/resolve/main/{file}"), &[IDENTITY]);
    assert_eq!(answer.status, 302, "{}", answer.head);
    let location = answer.header("location").expect("a Location").to_owned();
    location.strip_prefix(&hub.cdn_url()).expect("an absolute address on the CDN").to_owned()
}

fn fetch(hub: &TestHub, target: &str, headers: &[&str]) -> Answer {
    send(hub.addr(Origin::Cdn), "GET", target, headers)
}

fn tiny() -> (TestHub, Content) {
    let hub = TestHub::start();
    let content = Content::from(Spec::tiny().bytes());
    hub.repo(REPO).lfs(FILE, &content).plain("config.json", "{\"a\": 1}").plain("sub/deep/note.md", "hi").plain("empty", "");
    (hub, content)
}

#[test]
fn info_names_the_commit_and_blobs_have_sha256() {
    let (hub, content) = tiny();
    let plain = get(&hub, &format!("/api/models/{REPO}"), &[]).json();
    assert_eq!(plain["sha"], hub.commit(REPO));
    assert_eq!(plain["siblings"][0], json!({"rfilename": "config.json"}));
    assert_eq!(plain["gated"], json!(false));
    let blobs = get(&hub, &format!("/api/models/{REPO}/revision/main?blobs=true"), &[]).json();
    let file = blobs["siblings"].as_array().expect("siblings").iter().find(|s| s["rfilename"] == FILE).expect("the file");
    assert_eq!(file["lfs"]["sha256"], content.sha256());
    assert_eq!(file["size"], content.len());
    let small = &blobs["siblings"][0];
    assert_eq!(small["blobId"], Content::from("{\"a\": 1}").git_sha1());
    assert!(small.get("lfs").is_none());
}

#[test]
fn git_sha1_is_what_git_says() {
    assert_eq!(Content::from("").git_sha1(), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
    assert_eq!(Content::from("hello\n").git_sha1(), "ce013625030ba8dba906f756967f9e9ca394464a");
}

#[test]
fn commits_depend_on_content_only_and_old_ones_stay() {
    let (one, _) = tiny();
    let (two, _) = tiny();
    let first = one.commit(REPO);
    assert_eq!(first, two.commit(REPO));
    assert_eq!(first.len(), 40);
    one.repo(REPO).tag("v1").plain("config.json", "{}").branch("refs/pr/1").plain("new.txt", "pr");
    assert_ne!(one.commit(REPO), first);
    assert_eq!(one.commit_of(REPO, "v1"), first);
    assert_eq!(one.commit_of(REPO, &first[..7]), first);
    let refs = get(&one, &format!("/api/models/{REPO}/refs?include_prs=1"), &[]).json();
    assert_eq!(refs["tags"][0], json!({"name": "v1", "ref": "refs/tags/v1", "targetCommit": first}));
    assert_eq!(refs["pullRequests"][0]["ref"], "refs/pr/1");
    for pr in ["refs%2Fpr%2F1", "refs/pr/1"] {
        let info = get(&one, &format!("/api/models/{REPO}/revision/{pr}"), &[]).json();
        assert_eq!(info["sha"], one.commit_of(REPO, "refs/pr/1"));
    }
    let log = get(&one, &format!("/api/models/{REPO}/commits/main"), &[]);
    assert_eq!(log.header("x-total-count"), Some("2"));
}

#[test]
fn tree_lists_pages_folders_and_lies_on_request() {
    let (hub, content) = tiny();
    hub.repo(REPO)
        .raw_entry(json!({"type": "file", "path": "../../etc/passwd\u{0}", "size": 1}))
        .patch_entry(FILE, json!({"xetHash": "*", "size": 7, "oid": null}));
    hub.configure(|c| c.page_size = 2);
    let mut target = format!("/api/models/{REPO}/tree/main?recursive=true&expand=false");
    let mut entries = Vec::new();
    let mut pages = 0;
    loop {
        let page = get(&hub, &target, &[]);
        assert_eq!(page.status, 200, "{}", page.head);
        entries.extend(page.json().as_array().expect("an array").clone());
        pages += 1;
        let Some(link) = page.header("link") else { break };
        let url = link.strip_prefix('<').and_then(|l| l.strip_suffix(">; rel=\"next\"")).expect("a next link");
        target = url.strip_prefix(&hub.url()).expect("an absolute link to the hub").to_owned();
    }
    let paths: Vec<_> = entries.iter().map(|e| e["path"].as_str().expect("a path")).collect();
    assert_eq!(paths, ["config.json", "empty", "sub", "sub/deep", "sub/deep/note.md", FILE, "../../etc/passwd\0"]);
    assert_eq!(pages, 4);
    let file = &entries[5];
    assert_eq!((&file["lfs"]["oid"], &file["size"], &file["xetHash"]), (&json!(content.sha256()), &json!(7), &json!("*")));
    assert!(file.get("oid").is_none());
    let folder = get(&hub, &format!("/api/models/{REPO}/tree/main/sub%2Fdeep"), &[]).json();
    assert_eq!(folder[0]["path"], "sub/deep/note.md");
    let not_a_folder = get(&hub, &format!("/api/models/{REPO}/tree/main/config.json"), &[]);
    assert_eq!((not_a_folder.status, not_a_folder.header("x-error-code")), (404, Some("EntryNotFound")));
    hub.configure(|c| c.link_origin = Some("https://huggingface.co".to_owned()));
    let mirrored = get(&hub, &format!("/api/models/{REPO}/tree/main"), &[]);
    assert!(mirrored.header("link").expect("a link").starts_with("<https://huggingface.co/api/models/"));
}

#[test]
fn paths_info_takes_forms_and_json_and_leaves_out_the_unknown() {
    let (hub, _) = tiny();
    let target = format!("/api/models/{REPO}/paths-info/main");
    let form = ("Content-Type: application/x-www-form-urlencoded", "paths=config.json&paths=sub%2Fdeep%2Fnote.md&paths=no");
    let body = ("Content-Type: application/json", r#"{"paths": ["config.json", "sub/deep/note.md", "no"]}"#);
    for (kind, text) in [form, body] {
        let mut stream = connect(hub.addr(Origin::Hub));
        ask(&mut stream, "POST", &target, &[kind], text);
        let list = hear(&mut stream, "POST").json();
        assert_eq!(list.as_array().map(Vec::len), Some(2), "{list}");
    }
}

#[test]
fn plain_files_take_a_second_hop_whose_query_counts() {
    let (hub, _) = tiny();
    let first = get(&hub, &format!("/{REPO}/resolve/main/config.json?download=true"), &[IDENTITY]);
    assert_eq!(first.status, 307);
    assert_eq!(first.header("x-repo-commit"), Some(hub.commit(REPO).as_str()));
    assert_ne!(first.header("content-length"), Some("8"), "the redirect has a length of its own");
    let target = first.header("location").expect("a Location");
    assert!(target.starts_with("/api/resolve-cache/models/TheBloke/Tiny-GGUF/") && target.contains("download=true"));
    let second = get(&hub, target, &[IDENTITY]);
    assert_eq!((second.status, second.body.as_slice()), (200, b"{\"a\": 1}".as_slice()));
    let etag = format!("\"{}\"", Content::from("{\"a\": 1}").git_sha1());
    assert_eq!(second.header("etag"), Some(etag.as_str()));
    assert_eq!(get(&hub, target, &[IDENTITY, &format!("If-None-Match: {etag}")]).status, 304);
    let bare = target.split('?').next().expect("a path");
    assert_eq!(get(&hub, bare, &[IDENTITY]).status, 400);

    let squeezed = get(&hub, target, &["Range: bytes=0-1"]);
    assert_eq!((squeezed.status, squeezed.header("content-encoding")), (200, Some("gzip")));
    assert!(squeezed.header("content-length").is_none());
    assert_eq!(squeezed.header("etag"), Some(format!("W/{etag}").as_str()));
    assert!(squeezed.body.starts_with(&[0x1f, 0x8b]));
    hub.configure(|c| (c.gzip, c.plain_redirect) = (Gzip::WhenAccepted, false));
    let at_once = get(&hub, &format!("/{REPO}/resolve/main/config.json"), &[]);
    assert_eq!((at_once.status, at_once.header("content-length")), (200, Some("8")));
}

#[test]
fn lfs_files_lead_to_a_signed_address_that_knows_ranges() {
    let (hub, content) = tiny();
    let first = get(&hub, &format!("/{REPO}/resolve/main/{FILE}"), &[IDENTITY]);
    assert_eq!(first.status, 302);
    assert_eq!(first.header("x-linked-size"), Some(content.len().to_string().as_str()));
    assert_eq!(first.header("x-linked-etag"), Some(format!("\"{}\"", content.sha256()).as_str()));
    assert_eq!(first.header("cache-control"), Some("no-store"));
    assert!(first.header("link").expect("a link").contains("rel=\"xet-auth\""));
    assert!((232..=1100).contains(&first.body.len()), "a redirect text of {}", first.body.len());
    let head = send(hub.addr(Origin::Hub), "HEAD", &format!("/{REPO}/resolve/main/{FILE}"), &[]);
    assert_eq!((head.status, head.header("x-linked-size")), (302, first.header("x-linked-size")));

    let target = signed(&hub, FILE);
    let whole = fetch(&hub, &target, &[]);
    assert_eq!((whole.status, whole.body == content.bytes()), (200, true));
    let part = fetch(&hub, &target, &["Range: bytes=10-19"]);
    assert_eq!((part.status, part.body.as_slice()), (206, &content.bytes()[10..20]));
    assert_eq!(part.header("content-range"), Some(format!("bytes 10-19/{}", content.len()).as_str()));
    let tail = fetch(&hub, &target, &["Range: bytes=-3"]);
    assert_eq!(tail.body, content.bytes()[content.len() as usize - 3..]);
    let over = fetch(&hub, &target, &[&format!("Range: bytes={}-", content.len())]);
    assert_eq!((over.status, over.header("content-range")), (416, Some(format!("bytes */{}", content.len()).as_str())));
    assert_ne!(whole.header("etag"), first.header("x-linked-etag"), "the CDN's ETag is another hash");
    assert_eq!(fetch(&hub, &target.replace("Signature=", "Signature=0"), &[]).status, 403);
}

#[test]
fn signatures_end() {
    let (hub, _) = tiny();
    hub.configure(|c| (c.signature_life, c.signing) = (Duration::from_secs(60), Signing::CloudFront));
    let target = signed(&hub, FILE);
    assert!(target.contains("Expires="));
    assert_eq!(fetch(&hub, &target, &[]).status, 200);
    hub.configure(|c| c.cdn_ahead = Duration::from_secs(61));
    assert_eq!(fetch(&hub, &target, &[]).status, 403, "the address that was good has expired");
    hub.configure(|c| c.cdn_ahead = Duration::ZERO);
    assert_eq!(fetch(&hub, &target, &[]).status, 200);
    hub.fault(Match::resolve(), Fault::ExpireNow);
    assert_eq!(fetch(&hub, &signed(&hub, FILE), &[]).status, 403);
    let good = signed(&hub, FILE);
    hub.fault(Match::cdn(), Fault::ExpireNow);
    assert_eq!([fetch(&hub, &good, &[]).status, fetch(&hub, &good, &[]).status], [403, 200]);
}

#[test]
fn errors_are_told_in_headers() {
    let (hub, _) = tiny();
    hub.repo("meta/gated").lfs("m.gguf", b"weights").gated(Gating::Manual);
    hub.repo("me/private").plain("a", "a").private();
    hub.repo("bad/disabled").plain("a", "a").disabled();
    hub.token("hf_good", &["meta/gated", "me/private"]);
    hub.token("hf_other", &[]);
    let ask = |target: &str, token: &str| {
        let auth = format!("Authorization: Bearer {token}");
        let headers = if token.is_empty() { vec![] } else { vec![auth.as_str()] };
        let answer = get(&hub, target, &headers);
        assert!(answer.header("ratelimit").is_some_and(|v| v.contains(";r=")), "{}", answer.head);
        assert!(answer.header("ratelimit-policy").is_some_and(|v| v.contains("\"fixed window\"")));
        (answer.status, answer.header("x-error-code").unwrap_or_default().to_owned(), answer)
    };
    let file = format!("/{REPO}/resolve/main/{FILE}");
    for (target, token, status, code) in [
        ("/api/models/no/such", "", 401, ""),
        ("/api/models/no/such", "hf_good", 404, "RepoNotFound"),
        ("/no/such/resolve/main/a", "", 401, ""),
        ("/me/private/resolve/main/a", "hf_other", 404, "RepoNotFound"),
        ("/me/private/resolve/main/a", "hf_good", 307, ""),
        ("/api/models/TheBloke/Tiny-GGUF/revision/nope", "", 404, "RevisionNotFound"),
        ("/TheBloke/Tiny-GGUF/resolve/nope/a", "", 404, "RevisionNotFound"),
        ("/TheBloke/Tiny-GGUF/resolve/main/nope", "", 404, "EntryNotFound"),
        ("/meta/gated/resolve/main/m.gguf", "", 401, "GatedRepo"),
        ("/meta/gated/resolve/main/m.gguf", "hf_stale", 401, "GatedRepo"),
        ("/meta/gated/resolve/main/m.gguf", "hf_other", 403, "GatedRepo"),
        ("/meta/gated/resolve/main/m.gguf", "hf_good", 302, ""),
        ("/api/models/meta/gated", "", 200, ""),
        ("/bad/disabled/resolve/main/a", "", 403, ""),
        (file.as_str(), "hf_stale", 401, ""),
        ("/api/whoami-v2", "", 401, ""),
        ("/api/whoami-v2", "hf_other", 200, ""),
        ("/no-such-page", "", 404, ""),
    ] {
        let (got, got_code, answer) = ask(target, token);
        assert_eq!((got, got_code.as_str()), (status, code), "{target} with {token:?}\n{}", answer.head);
    }
    let missing = ask("/api/models/no/such", "").2;
    assert_eq!(missing.header("x-error-message"), Some("Invalid username or password."));
    assert!(missing.header("www-authenticate").is_some());
    let entry = ask("/TheBloke/Tiny-GGUF/resolve/main/nope", "").2;
    assert_eq!(entry.header("x-repo-commit"), Some(hub.commit(REPO).as_str()));
    assert_eq!(ask(&file, "hf_stale").2.header("x-error-message"), Some("Invalid credentials in Authorization header"));
    let hidden = get(&hub, "/api/models/meta/gated/tree/main", &[]).json();
    assert_eq!(hidden[0]["xetHash"], "*".repeat(64));
    assert_eq!(hidden[0]["lfs"]["oid"], Content::from(b"weights").sha256());
}

#[test]
fn other_names_lead_to_the_right_one() {
    let (hub, _) = tiny();
    hub.repo("gpt2").renamed_to(REPO);
    let (commit, rest) = (hub.commit(REPO), "tree/main?recursive=true");
    let short = &commit[..8];
    for (target, location) in [
        (format!("/api/models/gpt2/{rest}"), format!("/api/models/{REPO}/{rest}")),
        (format!("/gpt2/resolve/main/{FILE}"), format!("/{REPO}/resolve/main/{FILE}")),
        (format!("/api/models/thebloke/tiny-gguf/{rest}"), format!("/api/models/{REPO}/{rest}")),
        (format!("/api/models/{REPO}/revision/{short}"), format!("/api/models/{REPO}/revision/{commit}")),
        (format!("/{REPO}/resolve/{short}/sub/a%5Bb?x=1"), format!("/{REPO}/resolve/{commit}/sub/a%5Bb?x=1")),
    ] {
        let answer = get(&hub, &target, &[]);
        assert_eq!((answer.status, answer.header("location")), (307, Some(location.as_str())), "{target}");
    }
}

#[test]
fn wire_faults_do_what_they_are_called() {
    let (hub, content) = tiny();
    let bytes = content.bytes();
    let target = signed(&hub, FILE);
    let with = |fault: Fault, headers: &[&str]| {
        let handle = hub.fault(Match::cdn().and_contains("tiny"), fault);
        let answer = fetch(&hub, &target, headers);
        assert_eq!(handle.hits(), 1);
        answer
    };
    let range = "Range: bytes=100-199";

    let cut = with(Fault::CutAfter(1000), &[]);
    assert_eq!((cut.body.as_slice(), cut.broken), (&bytes[..1000], None));
    let reset = with(Fault::ResetAfter(1000), &[]);
    assert_eq!((reset.body.len(), reset.broken), (1000, Some(std::io::ErrorKind::ConnectionReset)));
    let empty = with(Fault::EmptyReply, &[]);
    assert_eq!((empty.status, empty.broken), (0, None));
    assert_eq!(with(Fault::ResetBeforeReply, &[]).broken, Some(std::io::ErrorKind::ConnectionReset));
    let flipped = with(Fault::WrongBytes { offset: 150 }, &[range]);
    assert_eq!((flipped.body.len(), flipped.body[50]), (100, bytes[150] ^ 0xff));
    assert_eq!(flipped.body[51..], bytes[151..200]);

    let ignored = with(Fault::IgnoreRange, &[range]);
    assert_eq!((ignored.status, ignored.body.len()), (200, bytes.len()));
    let lied = with(Fault::IgnoreRangeButSay206, &[range]);
    assert_eq!((lied.status, lied.body.len()), (206, bytes.len()));
    let modelscope = with(Fault::RangeStatus200, &[range]);
    assert_eq!((modelscope.status, modelscope.body.len()), (200, 100));
    assert!(modelscope.header("content-range").is_some());
    let off = with(Fault::RangeStartOff(1), &[range]);
    assert_eq!(off.header("content-range"), Some(format!("bytes 101-200/{}", bytes.len()).as_str()));
    let total = with(Fault::RangeTotalOff(-1), &[range]);
    assert_eq!(total.header("content-range"), Some(format!("bytes 100-199/{}", bytes.len() - 1).as_str()));
    assert!(with(Fault::NoContentRange, &[range]).header("content-range").is_none());

    let short = with(Fault::LengthOff(-10), &[range]);
    assert_eq!((short.header("content-length"), short.body.len()), (Some("90"), 90));
    let long = with(Fault::LengthOff(10), &[range]);
    assert_eq!((long.header("content-length"), long.body.len()), (Some("110"), 100));
    let chunked = with(Fault::NoLength, &[]);
    assert_eq!((chunked.header("content-length"), chunked.body == bytes), (None, true));
    let until_close = with(Fault::UntilClose, &[]);
    assert_eq!((until_close.header("content-length"), until_close.body == bytes), (None, true));
    assert_eq!(with(Fault::Gzip, &[IDENTITY]).header("content-encoding"), Some("gzip"));

    assert!(with(Fault::WeakETag, &[]).header("etag").is_some_and(|e| e.starts_with("W/\"")));
    assert!(with(Fault::UnquotedETag, &[]).header("etag").is_some_and(|e| !e.contains('"')));
    assert!(with(Fault::NoETag, &[]).header("etag").is_none());
    assert_eq!(with(Fault::Html, &[]).header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(with(Fault::ServerError(503), &[]).status, 503);
    assert_eq!(with(Fault::InvalidRange403, &[range]).status, 403);
    let limited = with(Fault::RateLimited { retry_after: Some(7), reset: Some(9) }, &[]);
    assert_eq!((limited.status, limited.header("retry-after")), (429, Some("7")));
    assert!(limited.header("ratelimit").is_some_and(|v| v.ends_with("t=9")));
    assert_eq!(with(Fault::RedirectLoop, &[]).header("location"), Some(target.as_str()));
    assert_eq!(with(Fault::RedirectTo("http://example.com/x".into()), &[]).header("location"), Some("http://example.com/x"));
    assert!(with(Fault::HugeHeaders(300_000), &[]).head.len() > 300_000);
    assert!(with(Fault::Garbage, &[]).status == 0);
    let other = with(Fault::Serve("other".into()), &[]);
    assert_eq!(other.body, b"other");
}

#[test]
fn time_faults_take_their_time() {
    let (hub, content) = tiny();
    let target = signed(&hub, FILE);
    let took = |fault: Fault| {
        hub.fault(Match::cdn(), fault);
        let began = Instant::now();
        assert_eq!(fetch(&hub, &target, &[]).body.len() as u64, content.len());
        began.elapsed()
    };
    assert!(took(Fault::Delay(Duration::from_millis(80))) >= Duration::from_millis(80));
    assert!(took(Fault::StallAfter(500, Duration::from_millis(80))) >= Duration::from_millis(80));
    assert!(took(Fault::SlowRate(content.len() * 10)) >= Duration::from_millis(80));
    hub.configure(|c| c.total_rate = Some(content.len() * 10));
    let began = Instant::now();
    assert_eq!(fetch(&hub, &target, &[]).status, 200);
    assert!(began.elapsed() >= Duration::from_millis(80));
}

#[test]
fn a_held_body_freezes_until_released() {
    let (hub, content) = tiny();
    let target = signed(&hub, FILE);
    let hold = hub.hold(Match::cdn(), 5000);
    let mut stream = connect(hub.addr(Origin::Cdn));
    ask(&mut stream, "GET", &target, &[], "");
    assert!(hold.wait_frozen(1, Duration::from_secs(10)));
    assert_eq!(hub.count().cdn_bytes, 5000);
    hold.release();
    assert_eq!(hear(&mut stream, "GET").body.len() as u64, content.len());
    assert_eq!(hub.count().cdn_bytes, content.len());
    // A second one is let through by the end of the hub.
    let never = hub.hold(Match::cdn(), 1);
    ask(&mut stream, "GET", &target, &[], "");
    assert!(never.wait_frozen(1, Duration::from_secs(10)));
}

#[test]
fn rules_choose_by_number_and_place() {
    let (hub, _) = tiny();
    let target = signed(&hub, FILE);
    let status = |headers: &[&str]| fetch(&hub, &target, headers).status;
    hub.fault(Match::cdn().nth(2), Fault::status(500));
    assert_eq!([status(&[]), status(&[]), status(&[])], [200, 500, 200]);
    let every = hub.fault(Match::cdn().every(2), Fault::status(502));
    assert_eq!([status(&[]), status(&[]), status(&[]), status(&[])], [200, 502, 200, 502]);
    hub.remove_fault(&every);
    hub.fault_queue(Match::cdn(), [Fault::status(500), Fault::status(503)]);
    assert_eq!([status(&[]), status(&[]), status(&[])], [500, 503, 200]);
    hub.fault(Match::cdn().with_range().covers(1000).always(), Fault::status(500));
    assert_eq!([status(&["Range: bytes=0-999"]), status(&["Range: bytes=500-"]), status(&[])], [206, 500, 200]);
    hub.clear_faults();
    assert_eq!(status(&["Range: bytes=500-"]), 206);
    hub.fault(Match::path_contains("/resolve/").method("HEAD"), Fault::status(500));
    assert_eq!(signed(&hub, FILE).split('?').next(), target.split('?').next());
}

#[test]
fn connections_are_kept_and_everything_is_counted() {
    let (hub, content) = tiny();
    let mut stream = connect(hub.addr(Origin::Hub));
    for _ in 0..3 {
        ask(&mut stream, "GET", &format!("/{REPO}/resolve/main/{FILE}"), &["X-Mark: 1"], "");
        assert_eq!(hear(&mut stream, "GET").status, 302);
    }
    let target = signed(&hub, FILE);
    fetch(&hub, &target, &["Range: bytes=0-9"]);
    let count = hub.count();
    assert_eq!((count.resolve, count.cdn, count.cdn_bytes, count.api), (4, 1, 10, 0));
    assert_eq!(count.connections, 3);
    let first = count.of(Part::Resolve).next().expect("the first request");
    assert_eq!((first.header("x-mark"), first.status, first.complete), (Some("1"), 302, true));
    let last = count.requests.last().expect("the last request");
    assert_eq!((last.range.as_deref(), last.status, last.bytes_sent), (Some("bytes=0-9"), 206, 10));
    assert!(decode(&last.path_and_query).contains(FILE));
    hub.reset_counters();
    assert_eq!(hub.count().total_requests(), 0);
    hub.configure(|c| (c.resolvers_quota, c.max_cdn_in_flight) = (5, Some(0)));
    assert_eq!(fetch(&hub, &target, &[]).status, 429);
    let answers: Vec<u16> = (0..2).map(|_| get(&hub, &format!("/{REPO}/resolve/main/{FILE}"), &[]).status).collect();
    assert_eq!(answers, [302, 429]);
    assert!(content.len() > 200_000);
}

#[test]
fn a_token_on_the_cdn_is_a_violation() {
    let (hub, _) = tiny();
    hub.token("hf_secret", &[]);
    hub.allow_token_leaks();
    let target = signed(&hub, FILE);
    hub.assert_no_token_on_cdn();
    fetch(&hub, &format!("{target}&token=hf_secret"), &[]);
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| hub.assert_no_token_on_cdn()));
    assert!(caught.is_err());
}

#[test]
fn synthetic_content_is_the_same_from_every_side() {
    let content = Content::synthetic(5_000_001, 7);
    let all = content.bytes();
    let mut part = vec![0; 70_000];
    for offset in [0, 1, 4093, 1_048_570, 4_930_001] {
        content.read_at(offset, &mut part);
        assert!(part == all[offset as usize..][..part.len()], "at {offset}");
    }
    assert_eq!(content.sha256(), Content::from(all.clone()).sha256());
    assert_ne!(all[..4096], all[1 << 20..(1 << 20) + 4096], "blocks carry their number");
    assert_ne!(content.sha256(), Content::synthetic(5_000_001, 8).sha256());

    let hub = TestHub::start();
    hub.repo(REPO).lfs("big.gguf", Content::synthetic(3 << 20, 1)).lfs("zero.gguf", "");
    let body = fetch(&hub, &signed(&hub, "big.gguf"), &["Range: bytes=2097151-2097160"]).body;
    assert_eq!(body, hub.content(REPO, "big.gguf").bytes()[2_097_151..2_097_161]);
    let zero = signed(&hub, "zero.gguf");
    assert_eq!(fetch(&hub, &zero, &[]).status, 200);
    assert_eq!(fetch(&hub, &zero, &["Range: bytes=0-"]).header("content-range"), Some("bytes */0"));
    hub.repo(REPO).swap("big.gguf", "changed under the same commit");
    assert_eq!(fetch(&hub, &signed(&hub, "big.gguf"), &[]).body, b"changed under the same commit");
}

#[test]
fn gguf_files_are_deterministic_and_split_into_named_parts() {
    let one = Spec::tiny().bytes();
    assert!(one == Spec::tiny().bytes() && one != Spec::tiny().seed(2).bytes());
    assert!(one.starts_with(b"GGUF\x03\0\0\0"));
    let big = Spec::mib(3).bytes().len();
    assert!((3 << 20..4 << 20).contains(&big), "{big} bytes");
    let parts = Spec::tiny().split("tiny", 3);
    assert_eq!(parts[2].0, "tiny-00003-of-00003.gguf");
}

#[test]
fn the_sandbox_is_sealed_and_sees_every_change() {
    let hub = TestHub::start();
    let sandbox = Sandbox::new(&hub);
    sandbox.write("configs/models.yaml", "models: {}");
    let before = sandbox.tree();
    assert_eq!(before.paths(), ["configs", "configs/models.yaml"]);
    let mut command = std::process::Command::new("/bin/sh");
    let pass = sandbox.command([""; 0]);
    command.args(["-c", "env; echo to-stderr >&2; exit 4"]).env_clear().current_dir(sandbox.project());
    command.envs(pass.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = sandbox.finish(command).code(4).says("to-stderr").prints(&format!("HF_ENDPOINT={}", hub.url()));
    assert!(!output.stdout.contains("CARGO"), "{output}");
    before.assert_same(&sandbox.tree());
    sandbox.write("configs/models.yaml", "models: {x}");
    sandbox.write("new", "");
    let changes = before.changes_to(&sandbox.tree());
    assert_eq!(changes.len(), 2, "{changes:?}");
    let mut sleeper = std::process::Command::new("/bin/sleep");
    sleeper.arg("60");
    assert_eq!(sandbox.start(sleeper).kill9().status.code(), None);
}
