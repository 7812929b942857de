//! Sizes, rates and times as people read them. Units are decimal, as the Hub's are.

use std::time::Duration;

const KB: f64 = 1e3;
const MB: f64 = 1e6;
const GB: f64 = 1e9;

pub use crate::text::size;

/// A rate for people; networks are compared in megabytes, so up to a gigabyte it stays in these.
pub fn rate(bytes_per_second: u64) -> String {
    let exact = bytes_per_second as f64;
    match bytes_per_second {
        0..1_000_000 => format!("{:.0} KB/s", exact / KB),
        1_000_000..1_000_000_000 => format!("{:.1} MB/s", exact / MB),
        _ => format!("{:.2} GB/s", exact / GB),
    }
}

/// The rate of so many bytes in so much time; `None` where the time is too short to tell.
pub fn rate_of(bytes: u64, took: Duration) -> Option<String> {
    let seconds = took.as_secs_f64();
    (seconds > 0.001).then(|| rate((bytes as f64 / seconds) as u64))
}

/// A time for people: `0.4 s`, `42 s`, `3m 05s`, `1h 02m`.
pub fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", time.as_secs_f64()),
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// A time for programs: seconds, to the thousandth.
pub fn thousandths(time: Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}

/// How long ago something was, in so many seconds: `now`, `5 min`, `3 h`, `12 d`; after three months the number of months, after
/// two years that of years.
pub fn ago(seconds: i64) -> String {
    const DAY: i64 = 86_400;
    match seconds.max(0) {
        0..60 => "now".to_owned(),
        seconds @ 60..3600 => format!("{} min", seconds / 60),
        seconds @ 3600..86_400 => format!("{} h", seconds / 3600),
        seconds if seconds < 90 * DAY => format!("{} d", seconds / DAY),
        seconds if seconds < 730 * DAY => format!("{} months", seconds / (30 * DAY)),
        seconds => format!("{} years", seconds / (365 * DAY)),
    }
}

/// A large count as models are called by: `7.24B`, `494M`.
pub fn short_count(count: u64) -> String {
    let exact = count as f64;
    match count {
        0..1_000_000 => count.to_string(),
        1_000_000..1_000_000_000 => format!("{:.0}M", exact / MB),
        1_000_000_000..100_000_000_000 => format!("{:.2}B", exact / GB),
        _ => format!("{:.0}B", exact / GB),
    }
}

/// A count and its noun, in the plural where it must be.
pub fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_are_decimal_with_two_places_and_megabytes_below_a_hundred() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.00 KB"),
            (12_345, "12.35 KB"),
            (100_000, "0.10 MB"),
            (42_420_000, "42.42 MB"),
            (100_000_000, "0.10 GB"),
            (668_788_096, "0.67 GB"),
            (4_081_004_224, "4.08 GB"),
            (26_441_533_376, "26.44 GB"),
            (1_500_000_000_000, "1.50 TB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn rates_stay_in_megabytes_up_to_a_gigabyte() {
        for (bytes, text) in [
            (0, "0 KB/s"),
            (800_000, "800 KB/s"),
            (5_500_000, "5.5 MB/s"),
            (222_400_000, "222.4 MB/s"),
            (1_700_000_000, "1.70 GB/s"),
        ] {
            assert_eq!(rate(bytes), text);
        }
    }

    #[test]
    fn times_are_short() {
        for (millis, text) in [(400, "0.4 s"), (42_000, "42 s"), (185_000, "3m 05s"), (3_720_000, "1h 02m")] {
            assert_eq!(time(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn what_was_long_ago_is_told_roughly() {
        let times = [0, 59, 300, 7300, 90_000, 86_400 * 89, 86_400 * 100, 86_400 * 800];
        assert_eq!(times.map(ago), ["now", "now", "5 min", "2 h", "1 d", "89 d", "3 months", "2 years"]);
    }

    proptest! {
        #[test]
        fn every_size_is_short(bytes: u64) {
            prop_assert!(size(bytes).len() <= 14);
        }
    }
}
