//! Rates, times and addresses as people write them. Units are decimal, as the Hub's are.

use std::time::Duration;

const KB: f64 = 1e3;
const MB: f64 = 1e6;
const GB: f64 = 1e9;

/// Splits `1.5MB` into its number and its unit in lower case.
fn number_and_unit(text: &str) -> Option<(f64, String)> {
    let text = text.trim();
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let number = text[..end].parse().ok()?;
    Some((number, text[end..].trim().to_ascii_lowercase()))
}

/// Most bytes per second: `5M`, `800K`, `1.5MB`, a plain number of bytes, or `none` for no limit.
pub fn parse_rate(text: &str) -> Result<Option<u64>, String> {
    const EXPECTED: &str = "expected bytes per second such as `800K`, `5M` or `1.5MB`, or `none`";
    if text.trim().eq_ignore_ascii_case("none") {
        return Ok(None);
    }
    let (number, unit) = number_and_unit(text).ok_or(EXPECTED)?;
    let unit = unit.strip_suffix("/s").unwrap_or(&unit);
    let factor = match unit {
        "" | "b" => 1.0,
        "k" | "kb" => KB,
        "m" | "mb" => MB,
        "g" | "gb" => GB,
        "kib" | "mib" | "gib" => return Err(format!("units are decimal here; {EXPECTED}")),
        _ => return Err(EXPECTED.into()),
    };
    let bytes = number * factor;
    if !(1.0..=1e15).contains(&bytes) {
        return Err(format!("a limit is at least one byte and at most a petabyte per second; {EXPECTED}"));
    }
    Ok(Some(bytes as u64))
}

/// An amount of bytes: `200GB`, `1.5TB`, `500M`, also in powers of two (`GiB`); a plain number is bytes.
pub fn parse_size(text: &str) -> Result<u64, String> {
    const EXPECTED: &str = "expected an amount such as `200GB`, `1.5TB` or `500M`";
    let (number, unit) = number_and_unit(text).ok_or(EXPECTED)?;
    let factor = match unit.as_str() {
        "" | "b" => 1.0,
        "k" | "kb" => KB,
        "m" | "mb" => MB,
        "g" | "gb" => GB,
        "t" | "tb" => GB * 1e3,
        "kib" => 1024.0,
        "mib" => 1_048_576.0,
        "gib" => 1_073_741_824.0,
        "tib" => 1_099_511_627_776.0,
        _ => return Err(EXPECTED.into()),
    };
    let bytes = number * factor;
    if (0.0..=1e18).contains(&bytes) { Ok(bytes as u64) } else { Err(EXPECTED.into()) }
}

/// A time: `500ms`, `30s`, `5m`, `1h`, `2d`; a plain number is seconds.
pub fn parse_time(text: &str) -> Result<Duration, String> {
    const EXPECTED: &str = "expected a time such as `30s`, `5m` or `1h`";
    let (number, unit) = number_and_unit(text).ok_or(EXPECTED)?;
    let factor = match unit.as_str() {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86400.0,
        _ => return Err(EXPECTED.into()),
    };
    let seconds = number * factor;
    if seconds > 1e10 {
        return Err(format!("that is more than three hundred years; {EXPECTED}"));
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| EXPECTED.into())
}

/// A time that something must take: as [`parse_time`], and not zero.
pub fn parse_timeout(text: &str) -> Result<Duration, String> {
    let time = parse_time(text)?;
    if time.is_zero() { Err("expected more than no time at all, such as `20s`".into()) } else { Ok(time) }
}

/// How long to wait: a time, or `never` to give up never.
pub fn parse_patience(text: &str) -> Result<Option<Duration>, String> {
    if text.trim().eq_ignore_ascii_case("never") {
        return Ok(None);
    }
    parse_time(text).map(Some).map_err(|error| format!("{error}, or `never` to wait for ever"))
}

/// A rate that [`parse_rate`] reads as this one.
pub fn rate(limit: &Option<u64>) -> String {
    match limit {
        None => "none".to_owned(),
        Some(bytes) if bytes.is_multiple_of(1_000_000) => format!("{}M", bytes / 1_000_000),
        Some(bytes) if bytes.is_multiple_of(1_000) => format!("{}K", bytes / 1_000),
        Some(bytes) => bytes.to_string(),
    }
}

/// A time that [`parse_time`] reads as this one.
pub fn time(time: &Duration) -> String {
    let seconds = time.as_secs();
    match () {
        () if time.subsec_nanos() != 0 => format!("{}s", time.as_secs_f64()),
        () if seconds != 0 && seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
        () if seconds != 0 && seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        () => format!("{seconds}s"),
    }
}

/// How long to wait, as [`parse_patience`] reads it.
pub fn patience(longest: &Option<Duration>) -> String {
    longest.as_ref().map_or_else(|| "never".to_owned(), time)
}

/// A number of connections or tries.
pub fn parse_count(text: &str) -> Result<u32, String> {
    match text.trim().parse() {
        Ok(number @ 1..=64) => Ok(number),
        _ => Err("expected a number from 1 to 64".into()),
    }
}

/// A base address of the Hub or a mirror; its trailing slashes are dropped.
pub fn parse_endpoint(text: &str) -> Result<String, String> {
    const EXPECTED: &str = "expected an address such as `https://huggingface.co`";
    let url = url::Url::parse(text.trim()).map_err(|error| format!("{error}; {EXPECTED}"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(EXPECTED.into());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a user or password in the address would end up in logs; use HF_TOKEN".into());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!("a base address has no `?` and no `#`; {EXPECTED}"));
    }
    // What else the reader takes for a name is none, and a shell would read it as something else.
    let is_name = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    if matches!(url.host(), Some(url::Host::Domain(name)) if !is_name(name)) {
        return Err(format!("its host is no name; {EXPECTED}"));
    }
    let text = text.trim().trim_end_matches('/');
    // The reader of addresses drops line breaks and tabs from within, and here they would stay.
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(format!("it contains a space or a control character; {EXPECTED}"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rate_limits_are_read_with_decimal_units() {
        for (text, bytes) in
            [("5M", 5_000_000), ("800k", 800_000), ("1.5MB", 1_500_000), (" 2 GB/s ", 2_000_000_000), ("70000", 70_000)]
        {
            assert_eq!(parse_rate(text), Ok(Some(bytes)), "{text}");
        }
        assert_eq!(parse_rate("none"), Ok(None));
        for bad in ["", "M", "5X", "0", "-5M", "5MiB", "1.2.3M", "1e9", "inf", "9999999999999999G"] {
            assert!(parse_rate(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn amounts_are_read_in_decimal_units_and_in_powers_of_two() {
        for (text, bytes) in [("200GB", 200_000_000_000), ("1.5tb", 1_500_000_000_000), ("0", 0), ("2 GiB", 2_147_483_648)] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for bad in ["", "GB", "-1", "5X", "1e9", "99999999999TB"] {
            assert!(parse_size(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn times_are_read_with_their_unit_and_never_means_for_ever() {
        for (text, seconds) in [("30s", 30), ("5m", 300), ("1h", 3600), ("0", 0), ("45", 45), ("1d", 86400), ("0.5h", 1800)] {
            assert_eq!(parse_patience(text), Ok(Some(Duration::from_secs(seconds))), "{text}");
        }
        assert_eq!(parse_patience("Never"), Ok(None));
        for bad in ["", "s", "5 parsecs", "-1s", "1:30", "99999999999h"] {
            assert!(parse_patience(bad).is_err(), "{bad:?} was taken");
        }
        assert!(parse_timeout("0s").is_err());
    }

    #[test]
    fn an_endpoint_is_a_bare_web_address() {
        assert_eq!(parse_endpoint("https://hf-mirror.com/"), Ok("https://hf-mirror.com".into()));
        assert_eq!(parse_endpoint("http://127.0.0.1:8080/hub"), Ok("http://127.0.0.1:8080/hub".into()));
        for bad in [
            "",
            "huggingface.co",
            "ftp://x.org",
            "https://",
            "https://me:secret@x.org",
            "https://x.org/?a=b",
            "https://x.org\n/",
            "https://x.o\trg",
            "https://x.org/a b",
        ] {
            let error = parse_endpoint(bad).expect_err(bad);
            assert!(!error.contains("secret"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_a_parser_panic(text in "\\PC{0,24}") {
            let _ = (parse_rate(&text), parse_patience(&text), parse_timeout(&text), parse_count(&text), parse_endpoint(&text));
        }

        #[test]
        fn no_number_with_a_unit_makes_a_parser_panic(text in "[0-9.]{0,30} ?[kKmMgGsShHdD]{0,2}[bB]?(/s)?") {
            let _ = (parse_rate(&text), parse_patience(&text), parse_timeout(&text));
        }
    }

    #[test]
    fn what_is_shown_of_a_value_is_read_as_that_value() {
        for limit in [None, Some(5_000_000), Some(800_000), Some(1_500_000), Some(1), Some(1_234_567)] {
            assert_eq!(parse_rate(&rate(&limit)), Ok(limit));
        }
        for shown in [Duration::ZERO, Duration::from_millis(1500), Duration::from_secs(90), Duration::from_secs(7200)] {
            assert_eq!(parse_patience(&patience(&Some(shown))), Ok(Some(shown)));
        }
        assert_eq!(parse_patience(&patience(&None)), Ok(None));
        assert_eq!((rate(&Some(1_500_000)), time(&Duration::from_secs(300))), ("1500K".into(), "5m".into()));
    }
}
