//! Proxies that the environment names, as curl takes them.

use crate::kit::{IN_TIME, Server, sandbox, watch};
use crate::support::run::Sandbox;

const FILE: &str = "tiny.Q4_K_M.gguf";

fn good() -> Server {
    Server::start(|call| {
        let _ = call.play_hub(&[(FILE, &[7; 5000])]);
    })
}

/// A machine without the test's own exception.
fn behind(endpoint: &str, variables: &[(&str, &str)]) -> Sandbox {
    let mut sandbox = sandbox(&[endpoint]);
    sandbox.remove_env("NO_PROXY");
    variables.iter().fold(sandbox, |sandbox, (name, value)| sandbox.env(name, *value))
}

#[test]
fn an_address_that_is_none_is_an_error_that_names_its_variable_and_no_password() {
    let hub = good();
    for (name, value) in [
        ("ALL_PROXY", "socks://127.0.0.1:1080"),
        ("all_proxy", "socks://127.0.0.1:1080"),
        ("http_proxy", "garbage://x"),
        ("http_proxy", "http://me:hunter2@"),
        ("http_proxy", "http://me:hunter2@host:99999"),
        ("http_proxy", "hunter2 hunter2"),
        ("ALL_PROXY", "http://"),
    ] {
        let sandbox = behind(&hub.url(), &[(name, value)]);
        let ended = watch(&format!("{name}={value}"), &sandbox, "download o/r:q4_k_m").fails(2, name);
        assert!(!ended.output.stderr.contains("hunter2"), "{}", ended.output);
        // What needs no network needs no proxy.
        sandbox.run(["list"]).ok();
    }
}

#[test]
fn exceptions_hold_for_addresses_and_in_every_spelling() {
    let hub = good();
    for (name, value) in [
        ("NO_PROXY", "*"),
        ("no_proxy", "127.0.0.1"),
        ("NO_PROXY", "127.0.0.0/8"),
        ("no_proxy", "x, 127.0.0.1"),
        ("NO_PROXY", "x 127.0.0.1"),
    ] {
        let sandbox = behind(&hub.url(), &[("http_proxy", "http://127.0.0.1:9"), (name, value)]);
        watch(&format!("{name}={value}"), &sandbox, "download o/r:q4_k_m").ok();
    }
    for (name, value) in [("NO_PROXY", "localhost"), ("no_proxy", "127.0.0.1:80"), ("NO_PROXY", "0.0.1")] {
        let sandbox = behind(&hub.url(), &[("http_proxy", "http://127.0.0.1:9"), (name, value)]);
        watch(&format!("{name}={value}"), &sandbox, "download o/r:q4_k_m").fails(6, "through the proxy that http_proxy names");
    }
    // As for curl, the name in capitals counts for every scheme but this one.
    let sandbox = behind(&hub.url(), &[("HTTP_PROXY", "http://127.0.0.1:9")]);
    watch("HTTP_PROXY for http://", &sandbox, "download o/r:q4_k_m").ok();
}

#[test]
fn a_proxy_carries_requests_with_its_user_and_password() {
    let proxy = Server::start(|call| {
        let file = [7; 5000];
        // A proxy is asked with the whole address.
        assert!(call.head.contains(" http://hub.invalid/"), "{}", call.head);
        assert!(call.head.to_ascii_lowercase().contains("proxy-authorization: basic"), "{}", call.head);
        call.play_hub(&[(FILE, &file)]);
    });
    let address = format!("me:pw@127.0.0.1:{}", proxy.port);
    let sandbox = behind("http://hub.invalid", &[("http_proxy", &address)]);
    watch("http_proxy with a password", &sandbox, "download o/r:q4_k_m").ok();
    for scheme in ["socks4a", "socks5h", "socks5", "socks4"] {
        let closed = format!("{scheme}://127.0.0.1:9");
        let sandbox = behind("http://127.0.0.1:8", &[("ALL_PROXY", &closed)]);
        watch(&format!("{scheme} that nobody serves"), &sandbox, "download o/r:q4_k_m")
            .fails(6, "through the proxy that ALL_PROXY names");
    }
}

#[test]
fn a_proxy_that_stays_silent_is_given_up() {
    let proxy = Server::start(|call| call.silence());
    for (endpoint, scheme) in [("http://hub.invalid", "http"), ("https://hub.invalid", "http"), ("http://127.0.0.1:9", "socks5h")] {
        let address = format!("{scheme}://127.0.0.1:{}", proxy.port);
        let sandbox = behind(endpoint, &[("ALL_PROXY", &address)]);
        let ended = watch(&format!("a silent {scheme} proxy to {endpoint}"), &sandbox, "download o/r:q4_k_m").fails(6, "hint: ");
        assert!(ended.took < IN_TIME, "{:?}", ended.took);
    }
}
