//! What the names of GGUF files say: quantization, part of a split file, projector.

use super::Quant;

/// Quantization names that llama.cpp's files carry, in upper case.
const QUANTS: &[&str] = &[
    "Q1_0",
    "Q2_K",
    "Q2_K_S",
    "Q2_K_L",
    "Q2_K_XL",
    "Q3_K",
    "Q3_K_S",
    "Q3_K_M",
    "Q3_K_L",
    "Q3_K_XL",
    "Q4_0",
    "Q4_1",
    "Q4_K",
    "Q4_K_S",
    "Q4_K_M",
    "Q4_K_L",
    "Q4_K_XL",
    "Q4_0_4_4",
    "Q4_0_4_8",
    "Q4_0_8_8",
    "Q5_0",
    "Q5_1",
    "Q5_K",
    "Q5_K_S",
    "Q5_K_M",
    "Q5_K_L",
    "Q5_K_XL",
    "Q6_K",
    "Q6_K_L",
    "Q6_K_XL",
    "Q8_0",
    "Q8_0_L",
    "Q8_1",
    "Q8_K",
    "Q8_K_XL",
    "IQ1_S",
    "IQ1_M",
    "IQ2_XXS",
    "IQ2_XS",
    "IQ2_S",
    "IQ2_M",
    "IQ3_XXS",
    "IQ3_XS",
    "IQ3_S",
    "IQ3_M",
    "IQ4_XS",
    "IQ4_NL",
    "IQ1_KT",
    "IQ2_K",
    "IQ2_KS",
    "IQ2_KL",
    "IQ2_KT",
    "IQ3_K",
    "IQ3_KS",
    "IQ3_KL",
    "IQ3_KT",
    "IQ4_K",
    "IQ4_KS",
    "IQ4_KSS",
    "IQ4_KT",
    "IQ5_K",
    "IQ5_KS",
    "IQ6_K",
    "TQ1_0",
    "TQ2_0",
    "F16",
    "BF16",
    "F32",
    "FP16",
    "FP32",
    "MXFP4",
    "MXFP4_MOE",
    "NVFP4",
];

impl Quant {
    /// Reads the quantization off a GGUF file name: the longest known name at its end, before `-00001-of-000NN`,
    /// with a maker's prefix (`UD-`) kept. Never a substring: `Q4_K` is not `Q4_K_M`.
    pub fn of_gguf_name(file_name: &str) -> Option<Self> {
        let base = file_name.rsplit('/').next().unwrap_or(file_name);
        let stem = strip_suffix_ignore_case(base, ".gguf")?;
        let (stem, _) = split_part_suffix(stem);
        let upper = stem.to_ascii_uppercase();
        let longest = QUANTS.iter().filter(|quant| ends_as_word(&upper, quant)).max_by_key(|quant| quant.len())?;
        let rest = &upper[..upper.len() - longest.len()];
        let is_makers = rest.strip_suffix('-').is_some_and(|rest| ends_as_word(rest, "UD"));
        let quant = if is_makers { format!("UD-{longest}") } else { (*longest).to_owned() };
        quant.parse().ok()
    }

    /// The same for a path: from the file's name, else from the folder that holds it.
    pub fn of_gguf_path(path: &str) -> Option<Self> {
        let folder = || path.rsplit('/').nth(1).and_then(|folder| Self::of_gguf_name(&format!("{folder}.gguf")));
        Self::of_gguf_name(path).or_else(folder)
    }

    /// How far this is from what is taken when nobody says which: `q4_k_m` is nearest. A maker's variant comes right after the
    /// plain one, and names that are not known come last.
    pub fn distance(&self) -> usize {
        let plain = self.as_str().strip_prefix("ud-");
        let name = plain.unwrap_or(self.as_str());
        let place = PREFERRED.iter().position(|preferred| *preferred == name);
        place.map_or(usize::MAX, |place| 2 * place + usize::from(plain.is_some()))
    }
}

/// Quantizations from the best default away from it in size and quality, better before worse: `q4_k_m` is the guide's
/// recommendation.
const PREFERRED: [&str; 47] = [
    "q4_k_m",
    "q4_k_xl",
    "q4_k_l",
    "q4_k",
    "q4_k_s",
    "iq4_nl",
    "q4_1",
    "q4_0",
    "iq4_xs",
    "mxfp4",
    "mxfp4_moe",
    "nvfp4",
    "q5_k_m",
    "q5_k_xl",
    "q5_k_l",
    "q5_k",
    "q5_k_s",
    "q5_1",
    "q5_0",
    "q6_k",
    "q6_k_xl",
    "q6_k_l",
    "q3_k_xl",
    "q3_k_l",
    "q3_k_m",
    "q3_k",
    "q8_0",
    "q8_k_xl",
    "q3_k_s",
    "iq3_m",
    "iq3_s",
    "iq3_xs",
    "iq3_xxs",
    "q2_k_xl",
    "q2_k_l",
    "q2_k",
    "f16",
    "bf16",
    "fp16",
    "f32",
    "fp32",
    "iq2_m",
    "iq2_s",
    "iq2_xs",
    "iq2_xxs",
    "iq1_m",
    "iq1_s",
];

fn ends_as_word(text: &str, word: &str) -> bool {
    text.strip_suffix(word).is_some_and(|rest| rest.is_empty() || rest.ends_with(['.', '-', '_']))
}

fn strip_suffix_ignore_case<'a>(text: &'a str, suffix: &str) -> Option<&'a str> {
    let cut = text.len().checked_sub(suffix.len())?;
    (text.is_char_boundary(cut) && text[cut..].eq_ignore_ascii_case(suffix)).then(|| &text[..cut])
}

/// Whether a file of this name is the projector (`mmproj`) that a multimodal GGUF model needs for pictures or sound: a
/// companion of a model, not one itself.
pub fn is_projector(file_name: &str) -> bool {
    let lower = file_name.to_ascii_lowercase();
    lower.ends_with(".gguf") && lower.contains("mmproj")
}

/// Splits `-00002-of-00005` off the stem of a split GGUF: the rest, and (part, parts).
pub fn split_part_suffix(stem: &str) -> (&str, Option<(u32, u32)>) {
    let parse = || {
        let (rest, count) = stem.rsplit_once("-of-")?;
        let (rest, number) = rest.rsplit_once('-')?;
        let five = |text: &str| (text.len() == 5 && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?;
        let (number, count): (u32, u32) = (five(number)?, five(count)?);
        (number >= 1 && number <= count).then_some((rest, (number, count)))
    };
    match parse() {
        Some((rest, part)) => (rest, Some(part)),
        None => (stem, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_quantization_is_read_from_the_end_of_the_name_by_longest_match() {
        let cases = [
            ("tinyllama-1.1b-chat-v1.0.Q4_K_M.gguf", Some("q4_k_m")),
            ("Meta-Llama-3-8B-Instruct-Q5_K_M.gguf", Some("q5_k_m")),
            ("x.Q4_K.gguf", Some("q4_k")),
            ("x-Q4_K_S.gguf", Some("q4_k_s")),
            ("model-q8_0.gguf", Some("q8_0")),
            ("x-UD-Q4_K_XL-00001-of-00003.gguf", Some("ud-q4_k_xl")),
            ("x.IQ4_XS.gguf", Some("iq4_xs")),
            ("x-TQ1_0.gguf", Some("tq1_0")),
            ("x-UD-IQ2_XXS.gguf", Some("ud-iq2_xxs")),
            ("UD-Q2_K_XL.gguf", Some("ud-q2_k_xl")),
            ("cloud-Q4_K_M.gguf", Some("q4_k_m")),
            ("x.i1-IQ3_XXS.gguf", Some("iq3_xxs")),
            ("x-IQ4_KSS-00002-of-00003.gguf", Some("iq4_kss")),
            ("x-Q8_0_L.gguf", Some("q8_0_l")),
            ("x-Q4_0_4_8.gguf", Some("q4_0_4_8")),
            ("x-MXFP4_MOE.gguf", Some("mxfp4_moe")),
            ("x-f32.gguf", Some("f32")),
            ("x.BF16.gguf", Some("bf16")),
            ("gpt-oss-20b-mxfp4.gguf", Some("mxfp4")),
            ("Q4_K_M-model.gguf", None),
            ("freq8_0.gguf", None),
            ("x.Q4_K_M.bin", None),
        ];
        for (name, quant) in cases {
            assert_eq!(Quant::of_gguf_name(name).as_ref().map(Quant::as_str), quant, "{name}");
        }
    }

    #[test]
    fn a_quantization_is_read_from_the_folder_where_the_name_has_none() {
        let of = |path| Quant::of_gguf_path(path).map(|quant| quant.to_string());
        assert_eq!(of("a/UD-Q4_K_XL/big-00001-of-00002.gguf").as_deref(), Some("ud-q4_k_xl"));
        assert_eq!(of("Q4_K_M/big-Q8_0.gguf").as_deref(), Some("q8_0"));
        assert_eq!(of("Q4_K_M/deeper/big.gguf"), None);
    }

    #[test]
    fn the_default_is_nearest_and_every_name_that_is_preferred_is_known() {
        let distance = |quant: &str| quant.parse::<Quant>().unwrap().distance();
        assert_eq!(distance("q4_k_m"), 0);
        for (nearer, farther) in
            [("q4_k_m", "ud-q4_k_m"), ("ud-q4_k_xl", "q4_k_l"), ("q5_k_m", "q8_0"), ("f32", "iq1_s"), ("iq1_s", "odd")]
        {
            assert!(distance(nearer) < distance(farther), "{nearer} {farther}");
        }
        for quant in PREFERRED {
            assert!(QUANTS.contains(&quant.to_ascii_uppercase().as_str()), "{quant}");
        }
    }

    proptest! {
        #[test]
        fn every_known_quantization_is_found_behind_any_separator(index in 0..QUANTS.len(), separator in "[-._]", lower: bool) {
            let quant = if lower { QUANTS[index].to_lowercase() } else { QUANTS[index].to_owned() };
            let found = Quant::of_gguf_name(&format!("some-7b{separator}{quant}.gguf"));
            prop_assert_eq!(found.map(|q| q.to_string()), Some(QUANTS[index].to_lowercase()));
        }
    }
}
