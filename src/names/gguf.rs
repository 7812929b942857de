//! What the names of GGUF files say: quantization, part of a split file, projector.

use super::{Quant, RelPath};
use std::{collections::BTreeSet, ops::Range};

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

    /// The same for a path: from the end of the file's name, else from the folder that holds it.
    pub fn of_gguf_path(path: &str) -> Option<Self> {
        let folder = || path.rsplit('/').nth(1).and_then(|folder| Self::of_gguf_name(&format!("{folder}.gguf")));
        Self::of_gguf_name(path).or_else(folder)
    }

    /// The same, and else from wherever in the file's name it stands, known or only alike (`q8_k_p`, `3.7bpw`).
    pub fn in_gguf_path(path: &str) -> Option<Self> {
        let anywhere = || {
            let stem = strip_suffix_ignore_case(path.rsplit('/').next()?, ".gguf")?;
            Some(quant_in_stem(stem)?.1)
        };
        Self::of_gguf_path(path).or_else(anywhere)
    }

    /// The distance from the default, `q4_k_m`. A publisher's variant (`ud-`) comes right after the plain one, then
    /// names of which only the bits are known, and last all others.
    pub fn distance(&self) -> usize {
        let plain = self.as_str().strip_prefix("ud-");
        let name = plain.unwrap_or(self.as_str());
        let place = PREFERRED.iter().position(|preferred| *preferred == name).or_else(|| {
            let bits = name.trim_start_matches(|c: char| !c.is_ascii_digit()).bytes().next()?;
            Some(PREFERRED.len() + PREFERRED_BITS.iter().position(|known| *known == bits)?)
        });
        place.map_or(usize::MAX, |place| 2 * place + usize::from(plain.is_some()))
    }
}

/// First digits of names of which only the bits are known (`q8_k_p`, `fp16`, `3.7bpw`), in the order of [`PREFERRED`].
const PREFERRED_BITS: &[u8] = b"4563821";

/// The quantization in a stem, and its span: at the end, else the first word that is one. Plain number formats come
/// last, because they often describe only tensors that were not quantized.
pub fn quant_in_stem(stem: &str) -> Option<(Range<usize>, Quant)> {
    let (stem, _) = split_part_suffix(stem);
    if let Some(quant) = Quant::of_gguf_name(&format!("{stem}.gguf"))
        && let Some(start) = stem.len().checked_sub(quant.as_str().len())
        && stem.get(start..).is_some_and(|end| end.eq_ignore_ascii_case(quant.as_str()))
    {
        return Some((start..stem.len(), quant));
    }
    let upper = stem.to_ascii_uppercase();
    let starts = (0..upper.len()).filter(|at| *at == 0 || is_separator(upper.as_bytes()[at - 1]));
    let mut found = starts.filter_map(|at| Some(at..at + quant_len(&upper[at..])?)).collect::<Vec<_>>();
    found.sort_by_key(|span| (FLOATS.contains(&&upper[span.clone()]), span.start));
    let mut span = found.into_iter().next()?;
    if upper[..span.start].strip_suffix("UD-").is_some_and(|rest| rest.bytes().next_back().is_none_or(is_separator)) {
        span.start -= 3;
    }
    let quant = upper[span.clone()].parse().ok()?;
    Some((span, quant))
}

/// Formats of numbers.
const FLOATS: [&str; 9] = ["F16", "BF16", "F32", "FP16", "FP32", "FP8", "FP4", "INT8", "INT4"];

fn is_separator(byte: u8) -> bool {
    matches!(byte, b'.' | b'-' | b'_' | b' ')
}

/// The length of the quantization that an upper-case text begins with, up to the end of a word.
fn quant_len(text: &str) -> Option<usize> {
    let word_at = |at: usize| {
        let rest = text.get(at..).unwrap_or_default();
        &rest[..rest.bytes().position(is_separator).unwrap_or(rest.len())]
    };
    let bits_per_weight = || {
        let len = text.bytes().position(|byte| !byte.is_ascii_digit() && byte != b'.')?;
        (len > 0 && text.as_bytes()[0] != b'.' && word_at(len) == "BPW").then_some(len + 3)
    };
    let first = word_at(0);
    if !is_first_word(first) {
        return bits_per_weight();
    }
    let mut len = first.len();
    while text.as_bytes().get(len) == Some(&b'_') && is_next_word(word_at(len + 1)) {
        len += 1 + word_at(len + 1).len();
    }
    Some(len)
}

/// `Q4`, `IQ2XXS`, `PQ2`, or a number format.
fn is_first_word(word: &str) -> bool {
    let is_q = || {
        let (before, after) = word.split_once('Q')?;
        let kind = after.trim_start_matches(|c: char| c.is_ascii_digit());
        let digits = after.len() - kind.len();
        let letters = kind.bytes().all(|byte| b"KSMLXP".contains(&byte)) && kind.len() <= 4;
        Some(before.len() <= 2 && before.bytes().all(|byte| byte.is_ascii_uppercase()) && (1..=2).contains(&digits) && letters)
    };
    FLOATS.contains(&word) || ["MXFP4", "NVFP4"].contains(&word) || is_q().unwrap_or(false)
}

/// What follows a quantization's first word behind `_`: `K`, `M`, `0`, `G64`, `MOE4`.
fn is_next_word(word: &str) -> bool {
    let of = |start: &str| word.strip_prefix(start).is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()));
    let is_kind = ["K", "KT", "KS", "KL", "KSS", "S", "XS", "XXS", "M", "L", "XL", "XXL", "NL", "P", "R4", "R8"].contains(&word);
    is_kind || (word.len() == 1 && of("")) || (word.len() > 1 && of("G")) || of("MOE")
}

/// What a GGUF file is for, as far as its name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// What is run.
    Model,
    /// What lets a model see or hear.
    Projector,
    /// What guesses ahead for a model: a draft, or a head for several tokens.
    Draft,
    /// Statistics from which quantizations are made.
    Imatrix,
    /// Turns text or sound into tokens and back.
    Tokenizer,
    /// An encoder of text beside a model of pictures.
    Encoder,
    /// The part of a model of pictures or sound that makes them.
    Vae,
    /// A change of a model's weights (LoRA); known by header only.
    Adapter,
}

impl serde::Serialize for Role {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Role {
    /// The role in reports, and in the labels of companions.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Projector => "mmproj",
            Self::Draft => "draft",
            Self::Imatrix => "imatrix",
            Self::Tokenizer => "tokenizer",
            Self::Encoder => "encoder",
            Self::Vae => "vae",
            Self::Adapter => "adapter",
        }
    }

    /// What people call it.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Projector => "projector",
            Self::Imatrix => "importance matrix",
            Self::Vae => "VAE",
            role => role.as_str(),
        }
    }

    /// The role by a GGUF header's `general.type` and `general.architecture`; `None` for a plain model.
    pub fn of_gguf_header(kind: Option<&str>, architecture: Option<&str>) -> Option<Self> {
        match kind.unwrap_or_default() {
            "mmproj" | "clip-vision" => return Some(Self::Projector),
            "adapter" => return Some(Self::Adapter),
            "imatrix" => return Some(Self::Imatrix),
            _ => {}
        }
        let words = words(architecture?);
        let has = |known: &[&str]| words.iter().any(|word| known.contains(&word.as_str()));
        match () {
            () if has(&["clip", "mmproj"]) => Some(Self::Projector),
            () if has(&["imatrix"]) => Some(Self::Imatrix),
            () if has(&DRAFTS) || has(&["mtp", "nextn", "eagle", "medusa"]) => Some(Self::Draft),
            () if words.iter().any(|word| word.ends_with("tokenizer")) => Some(Self::Tokenizer),
            () if has(&["vae"]) => Some(Self::Vae),
            () if has(&["t5encoder"]) => Some(Self::Encoder),
            () => None,
        }
    }

    /// The role by the file's own name. Whether `mtp` within a name means a companion depends on the other names.
    pub fn of_gguf_name(file_name: &str) -> Self {
        if is_projector(file_name) {
            return Self::Projector;
        }
        let stem = strip_suffix_ignore_case(file_name, ".gguf").unwrap_or(file_name);
        let words = words(stem);
        let has = |known: &[&str]| words.iter().any(|word| known.contains(&word.as_str()));
        let first = words.first().map(String::as_str);
        let is_imatrix = has(&["imatrix"]) && (first == Some("imatrix") || quant_in_stem(stem).is_none());
        match () {
            () if is_imatrix => Self::Imatrix,
            () if matches!(first, Some("mtp" | "eagle" | "nextn")) => Self::Draft,
            () if has(&DRAFTS) => Self::Draft,
            () if words.iter().any(|word| word.ends_with("tokenizer")) => Self::Tokenizer,
            () if has(&["vae"]) => Self::Vae,
            () if has(&["encoder", "embedding", "t5xxl", "umt5"]) || stem.to_ascii_lowercase().starts_with("clip_") => {
                Self::Encoder
            }
            () => Self::Model,
        }
    }
}

/// Words that mark a draft anywhere in a name.
const DRAFTS: [&str; 4] = ["draft", "drafter", "dflash", "eagle3"];

/// The role of each of the GGUF files of a folder, by their names. `mtp` within a name marks a companion only if
/// another model is without it: if all have it, it is part of the model's name.
pub fn gguf_roles<T: AsRef<str>>(names: &[T]) -> Vec<Role> {
    let names: Vec<&str> = names.iter().map(|name| name.as_ref().rsplit('/').next().unwrap_or_default()).collect();
    let has_head = |name: &str| words(name).iter().any(|word| word == "mtp");
    let own: Vec<Role> = names.iter().map(|name| Role::of_gguf_name(name)).collect();
    let is_plain = own.iter().zip(&names).any(|(role, name)| *role == Role::Model && !has_head(name));
    let with_heads = own.into_iter().zip(names);
    with_heads.map(|(role, name)| if role == Role::Model && is_plain && has_head(name) { Role::Draft } else { role }).collect()
}

/// Those of the files of a view that are no model, but stand beside one. Where there is no model, only a projector is
/// none.
pub fn companions<'a>(paths: impl IntoIterator<Item = &'a RelPath>) -> BTreeSet<&'a RelPath> {
    let is_gguf = |path: &&RelPath| strip_suffix_ignore_case(path.as_str(), ".gguf").is_some();
    let paths: Vec<&RelPath> = paths.into_iter().filter(is_gguf).collect();
    let roles = gguf_roles(&paths.iter().map(|path| path.as_str()).collect::<Vec<_>>());
    let has_model = roles.contains(&Role::Model);
    let is_beside = |role: Role| role == Role::Projector || (has_model && role != Role::Model);
    paths.into_iter().zip(roles).filter(|(_, role)| is_beside(*role)).map(|(path, _)| path).collect()
}

/// The words of a name in lower case, split at separators; `1.5` is one word.
pub fn words(name: &str) -> Vec<String> {
    let lower: Vec<char> = name.to_lowercase().chars().collect();
    let is_digit = |at: Option<usize>| at.and_then(|at| lower.get(at)).is_some_and(char::is_ascii_digit);
    let mut words = vec![String::new()];
    for (at, c) in lower.iter().enumerate() {
        match c {
            '.' if is_digit(at.checked_sub(1)) && is_digit(Some(at + 1)) => words.last_mut().map(|word| word.push('.')),
            c if c.is_ascii_alphanumeric() => words.last_mut().map(|word| word.push(*c)),
            _ => {
                words.push(String::new());
                None
            }
        };
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Whether this is the file that macOS puts beside another for what its file system cannot hold.
pub fn is_apple_double(path: &str) -> bool {
    path.split('/').any(|part| part.starts_with("._") || part == "__MACOSX")
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
fn is_projector(file_name: &str) -> bool {
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
    fn the_place_of_a_quantization_in_a_stem_holds_just_that() {
        let part = "-00001-of-00002";
        for (stem, quant) in [
            ("m-Q4_0".to_owned(), "q4_0"),
            (format!("m-UD-Q4_K_XL{part}"), "ud-q4_k_xl"),
            (format!("m-Q4_0{part}{part}"), "q4_0"),
            ("Q8_0-m".to_owned(), "q8_0"),
        ] {
            let (span, found) = quant_in_stem(&stem).unwrap();
            assert_eq!((found.as_str(), stem[span].to_ascii_lowercase().as_str()), (quant, quant), "{stem}");
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

    #[test]
    fn what_stands_beside_a_model_is_told_by_the_names_that_stand_together() {
        let beside = |names: &[&str]| {
            let paths: Vec<RelPath> = names.iter().map(|name| name.parse().unwrap()).collect();
            companions(&paths).into_iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(beside(&["owl-Q8_0.gguf", "owl-Q8_0-mtp.gguf", "mmproj-F16.gguf"]), ["mmproj-F16.gguf", "owl-Q8_0-mtp.gguf"]);
        assert_eq!(beside(&["owl-MTP-00001-of-00002.gguf", "owl-MTP-00002-of-00002.gguf"]), [""; 0]);
        assert_eq!(beside(&["owl-embedding-Q8_0.gguf", "mmproj-F16.gguf"]), ["mmproj-F16.gguf"], "it is the model there");
        assert_eq!(beside(&["draft-owl.gguf"]), [""; 0]);
        assert_eq!(beside(&["model.safetensors", "vae.safetensors"]), [""; 0]);
    }

    #[test]
    fn a_header_tells_what_is_no_model() {
        for (kind, architecture, role) in [
            (Some("mmproj"), Some("clip"), Some(Role::Projector)),
            (None, Some("clip"), Some(Role::Projector)),
            (Some("adapter"), Some("llama"), Some(Role::Adapter)),
            (Some("imatrix"), None, Some(Role::Imatrix)),
            (Some("model"), Some("eagle3"), Some(Role::Draft)),
            (Some("model"), Some("owl4-mtp"), Some(Role::Draft)),
            (None, Some("wavtokenizer-dec"), Some(Role::Tokenizer)),
            (None, Some("t5encoder"), Some(Role::Encoder)),
            (Some("model"), Some("llama"), None),
            (Some("odd"), Some("bert"), None),
            (None, None, None),
        ] {
            assert_eq!(Role::of_gguf_header(kind, architecture), role, "{kind:?} {architecture:?}");
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
