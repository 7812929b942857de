//! The test Hub as a program, for benches, Python tests and people.
//!
//! ```text
//! cargo run --example test_hub -- --port 0 --dir DIR      # DIR/<owner>/<name>/<files...>
//! {"hub":"http://127.0.0.1:40001","cdn":"http://127.0.0.1:40002"}
//! ```
//! Serves until stdin closes (or for ever with `--forever`). Lines on stdin are commands: `stats` prints the counters as
//! one line of JSON, `reset` starts them anew, `fault KIND [ARG] [TEXT]` lets a fault strike the next request for content
//! (CDN or resolve cache) whose path or query contains TEXT: `cut N`, `reset N`, `status N`, `flip N`, `expire 0`, `html 0`, `rate N`, `stall-ms N`, `ignore-range 0`.
//! `--keep-faults` makes those permanent.
#![allow(clippy::disallowed_methods, clippy::disallowed_macros)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::io::BufRead;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use support::hub::{Content, Fault, Gzip, Match, TestHub};

const USAGE: &str =
    "test_hub [--port N] [--cdn-port N] [--dir DIR] [--synthetic OWNER/NAME:FILE:BYTES[:SEED]]... [--token TOKEN[=REPO,REPO]]...
         [--gated REPO]... [--no-hash REPO:FILE]... [--latency-ms N] [--rate BYTES/S] [--total-rate BYTES/S] [--expiry-ms N] [--page-size N]
         [--no-xet] [--gzip-unless-identity] [--keep-faults] [--forever]";

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| args.iter().position(|a| a == name).and_then(|i| args.get(i + 1));
    let number = |name: &str| value(name).map(|v| v.parse::<u64>().unwrap_or_else(|_| fail(&format!("{name} {v}: not a number"))));
    let flag = |name: &str| args.iter().any(|a| a == name);
    let all = |name: &'static str| args.windows(2).filter(move |pair| pair[0] == name).map(|pair| pair[1].as_str());
    if flag("--help") {
        println!("{USAGE}");
        return;
    }

    let port =
        |name: &str| number(name).map_or(0, |n| u16::try_from(n).unwrap_or_else(|_| fail(&format!("{name} {n}: not a port"))));
    let hub = TestHub::start_on(port("--port"), port("--cdn-port"));
    hub.configure(|config| {
        config.gzip = if flag("--gzip-unless-identity") { Gzip::UnlessIdentity } else { Gzip::WhenAccepted };
        config.xet = !flag("--no-xet");
        config.latency = Duration::from_millis(number("--latency-ms").unwrap_or(0));
        config.rate = number("--rate");
        config.total_rate = number("--total-rate");
        config.signature_life = number("--expiry-ms").map_or(config.signature_life, Duration::from_millis);
        config.page_size = number("--page-size").map_or(config.page_size, |n| n as usize);
    });
    if let Some(dir) = value("--dir") {
        load(&hub, Path::new(dir));
    }
    for spec in all("--synthetic") {
        let parts: Vec<&str> = spec.split(':').collect();
        let [repo, file, bytes, ref seed @ ..] = parts[..] else { fail(&format!("--synthetic {spec}")) };
        let count = |text: &str| text.parse::<u64>().unwrap_or_else(|_| fail(&format!("--synthetic {spec}: {text}")));
        hub.repo(repo).lfs(file, Content::synthetic(count(bytes), seed.first().map_or(1, |s| count(s)))).commit();
    }
    for spec in all("--token") {
        let (token, grants) = spec.split_once('=').unwrap_or((spec, ""));
        hub.token(token, &grants.split(',').collect::<Vec<_>>());
    }
    for repo in all("--gated") {
        hub.repo(repo).gated(support::hub::Gating::Manual).commit();
    }

    for spec in all("--no-hash") {
        let Some((repo, file)) = spec.split_once(':') else { fail(&format!("--no-hash {spec}")) };
        hub.repo(repo).patch_entry(file, json!({"oid": null, "lfs": {"oid": null}})).commit();
    }

    println!("{}", json!({"hub": hub.url(), "cdn": hub.cdn_url()}));
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        obey(&hub, &line, flag("--keep-faults"));
    }
    while flag("--forever") {
        std::thread::park();
    }
    hub.allow_token_leaks();
}

/// Each `DIR/<owner>/<name>` is a repository, everything below it a file of it.
fn load(hub: &TestHub, dir: &Path) {
    for owner in folders(dir) {
        for name in folders(&dir.join(&owner)) {
            let root = dir.join(&owner).join(&name);
            let mut repo = hub.repo(&format!("{owner}/{name}"));
            let found = support::snapshot::tree(&root);
            for (path, ..) in found.files() {
                repo = repo.file(path, Content::file(root.join(path)));
            }
            repo.commit();
        }
    }
}

fn folders(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap_or_else(|e| fail(&format!("{}: {e}", dir.display())));
    let folders = entries.filter_map(Result::ok).filter(|entry| entry.path().is_dir());
    folders.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn obey(hub: &TestHub, line: &str, keep: bool) {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        ["stats"] => {
            let c = hub.count();
            println!(
                "{}",
                json!({"api": c.api, "resolve": c.resolve, "resolve_cache": c.resolve_cache, "cdn": c.cdn,
                "api_bytes": c.api_bytes, "resolve_bytes": c.resolve_bytes, "resolve_cache_bytes": c.resolve_cache_bytes,
                "cdn_bytes": c.cdn_bytes, "content_bytes": c.content_bytes(), "connections": c.connections,
                "max_connections": c.max_connections, "max_cdn_in_flight": c.max_cdn_in_flight,
                "requests": c.requests.iter().map(|r| json!({"origin": format!("{:?}", r.origin), "method": r.method,
                    "path": r.path_and_query, "range": r.range, "status": r.status, "bytes": r.bytes_sent,
                    "complete": r.complete, "ms": r.at.as_millis() as u64, "connection": r.connection,
                    "headers": r.headers})).collect::<Vec<_>>()})
            );
        }
        ["reset"] => hub.reset_counters(),
        ["clear"] => hub.clear_faults(),
        ["fault", kind, arg, ref text @ ..] => {
            let n: u64 = arg.parse().unwrap_or(0);
            let fault = match kind {
                "cut" => Fault::CutAfter(n),
                "reset" => Fault::ResetAfter(n),
                "status" => Fault::status(u16::try_from(n).unwrap_or(500)),
                "flip" => Fault::WrongBytes { offset: n },
                "expire" => Fault::ExpireNow,
                "html" => Fault::Html,
                "rate" => Fault::SlowRate(n),
                "stall-ms" => Fault::StallAfter(1, Duration::from_millis(n)),
                "ignore-range" => Fault::IgnoreRange,
                _ => return eprintln!("unknown fault {kind}"),
            };
            // A redirect would use up a fault that is meant for the content behind it.
            let matcher = Match::path_contains(text.first().unwrap_or(&"")).content();
            hub.fault(if keep { matcher.always() } else { matcher }, fault);
        }
        [] => {}
        _ => eprintln!("unknown command: {line}"),
    }
}

fn fail(why: &str) -> ! {
    eprintln!("test_hub: {why}\n{USAGE}");
    std::process::exit(2)
}
