//! `manager.yaml`, and the sizes, rates, times and addresses that people write.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model_manager::fuzzing::{parse_count, parse_endpoint, parse_patience, parse_rate, parse_settings, parse_time, parse_timeout};
use model_manager_fuzz::{assert_one_line, choice};
use std::time::{Duration, Instant};
use url::Url;

const LONGEST: Duration = Duration::from_secs(10_000_000_001);

fn check_endpoint(text: &str) {
    let url = Url::parse(text).expect("an address");
    assert!(matches!(url.scheme(), "http" | "https") && url.host_str().is_some_and(|host| !host.is_empty()));
    assert!(url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none());
    assert_eq!(parse_endpoint(text).as_deref(), Ok(text), "read back");
}

/// It can be added to a clock.
fn check_time(time: Duration) {
    assert!(time <= LONGEST && Instant::now().checked_add(time).is_some());
}

fuzz_target!(|data: &[u8]| {
    let Some((which, data)) = choice(data, 4) else { return };
    let text = String::from_utf8_lossy(data);
    match which {
        0 => match parse_settings(&text, "manager.yaml") {
            Ok(layer) => {
                layer.endpoints.iter().flatten().for_each(|endpoint| check_endpoint(endpoint.as_str()));
                assert!(layer.endpoints.as_ref().is_none_or(|endpoints| !endpoints.is_empty()));
                let numbers = [layer.connections, layer.tries];
                assert!(numbers.into_iter().flatten().all(|number| (1..=64).contains(&number.get())));
                assert!(
                    layer.limit_rate.and_then(|limit| limit.get()).is_none_or(|rate| (1..=1_000_000_000_000_000).contains(&rate))
                );
                let times = [layer.stall_timeout, layer.connect_timeout].map(|time| time.map(|time| time.get()));
                times.into_iter().flatten().for_each(|time| assert!(!time.is_zero()));
                times.into_iter().chain([layer.lock_timeout.and_then(|timeout| timeout.0)]).flatten().for_each(check_time);
                let paths = [layer.models_dir, layer.store, layer.ca_file];
                assert!(paths.iter().flatten().all(|path| !path.to_string_lossy().trim().is_empty()));
            }
            Err(error) => {
                assert!(error.message().starts_with("manager.yaml:"), "{error}");
                assert_one_line(error.message(), 1500);
            }
        },
        1 => {
            for read in [parse_time(&text), parse_timeout(&text), parse_patience(&text).map(Option::unwrap_or_default)] {
                match read {
                    Ok(time) => check_time(time),
                    Err(why) => assert_one_line(&why, 300),
                }
            }
            assert!(parse_timeout(&text).is_err() || parse_time(&text).is_ok_and(|time| !time.is_zero()));
        }
        2 => {
            match parse_rate(&text) {
                Ok(rate) => assert!(rate.is_none_or(|rate| (1..=1_000_000_000_000_000).contains(&rate))),
                Err(why) => assert_one_line(&why, 300),
            }
            assert!(parse_count(&text).is_ok_and(|count| (1..=64).contains(&count)) || parse_count(&text).is_err());
        }
        _ => match parse_endpoint(&text) {
            Ok(endpoint) => check_endpoint(&endpoint),
            Err(why) => assert_one_line(&why, 400),
        },
    }
});
