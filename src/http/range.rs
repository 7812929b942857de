//! `Content-Range`, read strictly: an answer that is not exactly what was asked is not used.

/// A `Content-Range` header: `bytes 0-4/10`, `bytes */10`, `bytes 0-4/*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentRange {
    /// First byte and the byte behind the last; `None` in `*/total`.
    pub range: Option<(u64, u64)>,
    /// The size of the whole file; `None` where the server says `*`.
    pub total: Option<u64>,
}

impl ContentRange {
    /// Reads the header's value.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let unit = text.get(..5)?;
        let rest = text.get(5..)?;
        if !unit.eq_ignore_ascii_case("bytes") || !rest.starts_with([' ', '=', '\t']) {
            return None;
        }
        let (range, total) = rest.get(1..)?.trim().split_once('/')?;
        let range = match range.trim() {
            "*" => None,
            range => {
                let (first, last) = range.split_once('-')?;
                let (first, last) = (number(first)?, number(last)?);
                if last < first {
                    return None;
                }
                Some((first, last.checked_add(1)?))
            }
        };
        let total = match total.trim() {
            "*" => None,
            total => Some(number(total)?),
        };
        if let (Some((_, end)), Some(total)) = (range, total)
            && end > total
        {
            return None;
        }
        (range.is_some() || total.is_some()).then_some(Self { range, total })
    }
}

/// Digits only: `u64::from_str` would take a sign.
pub fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_well_formed_ranges_are_read() {
        assert_eq!(ContentRange::parse("bytes 2-4/10"), Some(ContentRange { range: Some((2, 5)), total: Some(10) }));
        assert_eq!(ContentRange::parse("bytes */10"), Some(ContentRange { range: None, total: Some(10) }));
        assert_eq!(ContentRange::parse("bytes 0-0/*"), Some(ContentRange { range: Some((0, 1)), total: None }));
        for bad in [
            "",
            "bytes",
            "bytes 4-2/10",
            "bytes 0-10/10",
            "items 0-1/2",
            "bytes +0-1/2",
            "bytes */*",
            "bytes 0-18446744073709551615/*",
        ] {
            assert_eq!(ContentRange::parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,40}") {
            let _ = ContentRange::parse(&text);
            let _ = ContentRange::parse(&format!("bytes {text}"));
        }

        #[test]
        fn every_true_range_is_read_back(first in 0u64..1 << 50, len in 1u64..1 << 50, more in 0u64..1 << 50) {
            let (end, total) = (first + len, first + len + more);
            let read = ContentRange::parse(&format!("bytes {first}-{}/{total}", end - 1));
            prop_assert_eq!(read, Some(ContentRange { range: Some((first, end)), total: Some(total) }));
        }
    }
}
