//! Whether a model fits the memory of this machine.
//!
//! The rule, of which each number is reported:
//!
//! - `required_bytes` is what running it takes at least: its weights, and room for context and buffers (a tenth of the
//!   weights and 0.5 GB). It holds for a context of a few thousand tokens; a longer one takes more.
//! - `recommended_bytes` is the memory of a machine that does that with ease: `required_bytes` and 2 GB for everything
//!   else, or the least that the registry's `ram` names, if that is more.
//! - At least `recommended_bytes` fits, at least `required_bytes` is tight, and less does not fit.
//!
//! Where no size is known, the weights are estimated: the number of parameters that the registry names, times the bits that a
//! weight has in this quantization, which is said.
//!
//! A graphics card's own memory is not looked at: layers that are kept there need no room here.

use crate::names::Quant;
use serde::Serialize;

/// A tenth of the weights, and this many bytes, for context and buffers.
const ROOM: u64 = 500_000_000;
/// What the system and other programs take.
const OTHERS: u64 = 2_000_000_000;

/// Whether a model fits the memory of this machine, and the numbers behind the answer. Sizes are bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MemoryReport {
    /// The answer.
    pub verdict: MemoryVerdict,
    /// All weights together; `null` where a size is not known.
    pub weights_bytes: Option<u64>,
    /// What running it takes at least.
    pub required_bytes: Option<u64>,
    /// The memory of a machine that runs it with ease.
    pub recommended_bytes: Option<u64>,
    /// What the registry says, for people.
    pub ram: Option<String>,
    /// The memory of this machine, where that can be told.
    pub memory_bytes: Option<u64>,
    /// Whether `weights_bytes` is estimated from the number of parameters, because no size is known.
    pub is_estimate: bool,
}

/// Whether a model fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MemoryVerdict {
    /// With ease.
    Fits,
    /// If little else runs.
    Tight,
    /// Not without reading weights from the disk again and again.
    DoesNotFit,
    /// A number is missing.
    Unknown,
}

impl MemoryReport {
    /// Applies the rule.
    pub(in crate::manager) fn of(weights: Option<u64>, ram: Option<String>, total: Option<u64>) -> Self {
        let required = weights.map(|weights| weights.saturating_add(weights / 10).saturating_add(ROOM));
        let least = ram.as_deref().and_then(least_of).unwrap_or(0);
        let recommended = required.map(|required| required.saturating_add(OTHERS).max(least));
        let verdict = match (required, recommended, total) {
            (Some(required), Some(recommended), Some(total)) => match total {
                _ if total >= recommended => MemoryVerdict::Fits,
                _ if total >= required => MemoryVerdict::Tight,
                _ => MemoryVerdict::DoesNotFit,
            },
            _ => MemoryVerdict::Unknown,
        };
        Self {
            verdict,
            weights_bytes: weights,
            required_bytes: required,
            recommended_bytes: recommended,
            ram,
            memory_bytes: total,
            is_estimate: false,
        }
    }

    /// The same for weights whose size may have to be estimated.
    pub(in crate::manager) fn of_form(
        weights: Option<u64>,
        params: Option<&str>,
        quant: Option<&Quant>,
        ram: Option<String>,
        total: Option<u64>,
    ) -> Self {
        match weights.or_else(|| estimate(params?, quant)) {
            estimated if weights.is_none() => Self { is_estimate: estimated.is_some(), ..Self::of(estimated, ram, total) },
            weights => Self::of(weights, ram, total),
        }
    }
}

/// Bytes of the weights of a model with `30B` or `270M` parameters.
fn estimate(params: &str, quant: Option<&Quant>) -> Option<u64> {
    let text = params.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..end].parse().ok()?;
    let unit = match text[end..].trim_start().chars().next()?.to_ascii_uppercase() {
        'T' => 1e12,
        'B' => 1e9,
        'M' => 1e6,
        _ => return None,
    };
    // A float that is out of range becomes the nearest integer.
    Some((number * unit * bits(quant.map_or("", Quant::as_str))? / 8.0) as u64)
}

/// Bits that a weight takes, on the average of a model. Without a quantization they are 16.
fn bits(quant: &str) -> Option<f64> {
    const BITS: [(&str, f64); 12] = [
        ("iq2", 2.7),
        ("iq3", 3.6),
        ("iq4", 4.5),
        ("q2", 3.2),
        ("q3", 4.0),
        ("mxfp4", 4.5),
        ("q4", 4.85),
        ("q5", 5.7),
        ("q6", 6.6),
        ("q8", 8.5),
        ("f32", 32.0),
        ("", 16.0),
    ];
    let is_sixteen = ["f16", "bf16", ""].contains(&quant);
    let known = BITS.iter().find(|(name, _)| if name.is_empty() { is_sixteen } else { quant.contains(name) });
    known.map(|(_, bits)| *bits)
}

/// The first number of `8-16 GB`, `32+ GB` or `512 MB`, in bytes.
fn least_of(ram: &str) -> Option<u64> {
    let text = ram.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..end].parse().ok()?;
    let lower = text.to_ascii_lowercase();
    let unit = match () {
        () if lower.contains("tb") => 1e12,
        () if lower.contains("gb") => 1e9,
        () if lower.contains("mb") => 1e6,
        () => return None,
    };
    // A float that is out of range becomes the nearest integer.
    Some((number * unit) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GB: u64 = 1_000_000_000;

    fn verdict(weights: u64, ram: Option<&str>, total: u64) -> MemoryVerdict {
        MemoryReport::of(Some(weights), ram.map(str::to_owned), Some(total)).verdict
    }

    #[test]
    fn the_weights_and_the_registry_decide_and_every_number_is_told() {
        let report = MemoryReport::of(Some(4 * GB), Some("8-16 GB".into()), Some(16 * GB));
        assert_eq!(
            (report.required_bytes, report.recommended_bytes, report.verdict),
            (Some(4_900_000_000), Some(8 * GB), MemoryVerdict::Fits)
        );
        for (total, expected) in [
            (8 * GB, MemoryVerdict::Fits),
            (8 * GB - 1, MemoryVerdict::Tight),
            (4_900_000_000, MemoryVerdict::Tight),
            (4_899_999_999, MemoryVerdict::DoesNotFit),
        ] {
            assert_eq!(verdict(4 * GB, Some("8-16 GB"), total), expected, "{total}");
        }
        // Without a word of the registry, or with one that asks for less than the weights do.
        for ram in [None, Some("2 GB"), Some("much")] {
            assert_eq!(verdict(4 * GB, ram, 6_900_000_000), MemoryVerdict::Fits, "{ram:?}");
            assert_eq!(verdict(4 * GB, ram, 6_899_999_999), MemoryVerdict::Tight, "{ram:?}");
        }
    }

    #[test]
    fn a_missing_number_gives_no_answer() {
        assert_eq!(MemoryReport::of(None, Some("8 GB".into()), Some(GB)).verdict, MemoryVerdict::Unknown);
        assert_eq!(MemoryReport::of(Some(GB), None, None).verdict, MemoryVerdict::Unknown);
        assert_eq!(verdict(u64::MAX, None, u64::MAX), MemoryVerdict::Fits, "no overflow");
    }

    #[test]
    fn where_no_size_is_known_the_parameters_tell_about_how_much_it_is() {
        for (params, quant, about) in [
            ("8B", Some("q4_k_m"), Some(4_850_000_000)),
            ("30B-A3B", Some("ud-q4_k_m"), Some(18_187_500_000)),
            ("270M", Some("q8_0"), Some(286_875_000)),
            ("1.7 B", None, Some(3_400_000_000)),
            ("20B", Some("mxfp4"), Some(11_250_000_000)),
            ("7B", Some("iq2_xs"), Some(2_362_500_000)),
            ("7B", Some("tq1_0"), None),
            ("many", None, None),
            ("7", None, None),
        ] {
            let quant = quant.map(|quant| quant.parse::<Quant>().unwrap());
            assert_eq!(estimate(params, quant.as_ref()), about, "{params} {quant:?}");
        }
        let known = MemoryReport::of_form(Some(GB), Some("8B"), None, None, Some(8 * GB));
        assert_eq!((known.weights_bytes, known.is_estimate), (Some(GB), false));
        let estimated = MemoryReport::of_form(None, Some("1B"), None, None, Some(8 * GB));
        assert_eq!((estimated.weights_bytes, estimated.is_estimate), (Some(2 * GB), true));
        assert_eq!(MemoryReport::of_form(None, None, None, None, Some(GB)).verdict, MemoryVerdict::Unknown);
    }

    #[test]
    fn what_the_registry_says_for_people_is_read_as_its_least() {
        for (text, least) in [
            ("2-4 GB", Some(2 * GB)),
            ("32+ GB", Some(32 * GB)),
            (" 1.5 GB", Some(1_500_000_000)),
            ("512 MB", Some(512_000_000)),
            ("8 to 16 GiB", None),
            ("8", None),
            ("plenty", None),
            ("", None),
        ] {
            assert_eq!(least_of(text), least, "{text}");
        }
    }
}
