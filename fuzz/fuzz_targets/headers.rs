//! Headers of answers, and what a server says when it refuses.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model_manager::{
    error::Error,
    fuzzing::{life_of_signed, next_page, page_address, pause_asked_for, printable, redirect_target, refusal},
    http::{ContentRange, Origin, bare},
};
use model_manager_fuzz::{assert_one_line, choice, first_line};
use std::time::{Duration, Instant};
use url::Url;

fn url(text: &str) -> Url {
    Url::parse(text).expect("an address")
}

/// An address without what may be a secret.
fn assert_bare(url: &Url) {
    let shown = bare(url);
    assert!(!shown.contains(['?', '#']), "{shown}");
    let shown = Url::parse(&shown).expect("it stays an address");
    assert!(shown.username().is_empty() && shown.password().is_none(), "{shown}");
}

fuzz_target!(|data: &[u8]| {
    let Some((which, data)) = choice(data, 8) else { return };
    let text = String::from_utf8_lossy(data);
    match which {
        0 => {
            let Some(range) = ContentRange::parse(&text) else { return };
            let bytes = range.range.map(|(start, end)| {
                assert!(start < end && range.total.is_none_or(|total| end <= total));
                format!("{start}-{}", end - 1)
            });
            let total = range.total.map(|total| total.to_string());
            assert!(bytes.is_some() || total.is_some());
            let star = || "*".to_owned();
            let again = format!("bytes {}/{}", bytes.unwrap_or_else(star), total.unwrap_or_else(star));
            assert_eq!(ContentRange::parse(&again), Some(range));
        }
        1 => {
            let (after, limit) = first_line(&text);
            for status in [200, 404, 429, 503] {
                let wait = pause_asked_for(status, &[("retry-after", after.as_bytes()), ("ratelimit", limit.as_bytes())]);
                let only_after = pause_asked_for(status, &[("retry-after", after.as_bytes())]);
                assert!(only_after.is_none() || matches!(status, 429 | 503), "`Retry-After` holds for refusals only");
                let number = after.trim_matches([' ', '\t']).parse::<u32>().ok().filter(|_| !after.contains('+'));
                if let (Some(seconds), 429 | 503) = (number, status) {
                    assert_eq!(only_after, Some(Duration::from_secs(seconds.into())));
                    assert_eq!(wait, only_after, "`Retry-After` comes before `RateLimit`");
                }
            }
        }
        2 => {
            let Some(next) = next_page(&text) else { return };
            assert!(text.contains(&format!("<{next}>")));
            let endpoints = [url("https://huggingface.co"), url("http://mirror.example:8090/hf"), url("http://[::1]:1")];
            for endpoint in endpoints {
                let from = url(&format!("{endpoint}/api/models/o/r/tree/main"));
                match page_address(&endpoint, &from, next) {
                    Ok(page) => assert_eq!(Origin::of(&page), Origin::of(&endpoint), "a page of another host"),
                    Err(error) => assert_one_line(&error.to_string(), 300),
                }
            }
        }
        3 => {
            for from in [url("https://huggingface.co/o/r/resolve/main/x"), url("http://mirror.example:8090/hf/x")] {
                match redirect_target(&from, data) {
                    Ok(target) => {
                        let origin = Origin::of(&target).expect("an address of HTTP");
                        assert!(from.scheme() == "http" || origin.is_secure(), "from HTTPS to HTTP");
                        assert!(target.username().is_empty() && target.password().is_none() && target.fragment().is_none());
                        assert!(!origin.host().is_empty());
                        assert_bare(&target);
                    }
                    Err(error) => assert_one_line(&error.to_string(), 300),
                }
            }
        }
        5 => {
            let Ok(signed) = Url::parse(&format!("https://cdn.example/x?{text}")) else { return };
            assert_bare(&signed);
            for now in [0, 1_800_000_000, i64::MAX] {
                // It is added to a clock.
                let life = life_of_signed(&signed, now);
                assert!(life.is_none_or(|life| Instant::now().checked_add(life.mul_f64(0.8)).is_some()), "{life:?}");
            }
        }
        6 => {
            let (code, message) = first_line(&text);
            let (address, code) = code.split_once(' ').unwrap_or(("https://hub.example/api/models/o/r/tree/main", code));
            let address = Url::parse(address).unwrap_or_else(|_| url("https://huggingface.co/o/r/resolve/main/x"));
            for status in [400, 401, 403, 404, 407, 410, 416, 429, 500, 503] {
                let headers = [("x-error-code", code.as_bytes()), ("x-error-message", message.as_bytes())];
                let refused = refusal(&bare(&address), status, &headers);
                let (_, _) = (refused.retry(), refused.should_try_next_mirror());
                let error = Error::from(refused);
                assert_one_line(error.message(), 1000 + 3 * address.as_str().len());
                assert!(error.hints().len() <= 1);
            }
        }
        // And the mark of a text that was longer.
        _ => assert_one_line(&printable(&text), 301),
    }
});
