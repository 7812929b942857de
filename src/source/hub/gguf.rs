//! The GGUF files of a repository: one unit per model or companion, whether it is one file or many parts.

use super::{
    FileFacts, Offer, SourceError,
    label::{Labelled, labels},
};
use crate::{
    names::{Quant, RelPath, Role, gguf_roles, is_apple_double, split_part_suffix, words},
    weights::FileKind,
};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

/// One GGUF model or companion: a file, or all parts of a split one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GgufUnit<'a> {
    /// The path without the part number and `.gguf`.
    pub name: String,
    /// The quantization that the name carries.
    pub quant: Option<Quant>,
    /// What it is called in its repository: no other unit there is called so.
    pub label: Quant,
    /// What it is for.
    pub role: Role,
    /// The files, in the order of their numbers.
    pub parts: Vec<&'a FileFacts>,
    /// Names of parts that the repository lacks.
    pub missing: Vec<String>,
}

impl GgufUnit<'_> {
    /// Bytes of all parts.
    pub fn size(&self) -> u64 {
        self.parts.iter().fold(0, |sum, part| sum.saturating_add(part.size.unwrap_or(0)))
    }

    /// Whether a file is one of its parts.
    pub fn has(&self, path: &RelPath) -> bool {
        self.parts.iter().any(|part| part.path == *path)
    }

    fn depth(&self) -> usize {
        self.name.matches('/').count()
    }

    fn file_name(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or(&self.name)
    }

    /// The distance of its quantization from the default. Of unknown ones with the same number of bits, the plainest
    /// name is nearest.
    pub(super) fn distance(&self) -> (usize, usize, &str) {
        match &self.quant {
            Some(quant) => (quant.distance(), quant.as_str().len(), quant.as_str()),
            None => (usize::MAX, 0, ""),
        }
    }

    /// How far its variant is from the usual one, by the words that makers use for them.
    fn variant(&self) -> usize {
        const WORDS: [&str; 12] =
            ["balanced", "base", "medium", "turbo", "flash", "", "quality", "dynamic", "compact", "small", "mini", "nano"];
        let words = words(self.label.as_str());
        let plain = WORDS.iter().position(|known| known.is_empty());
        let found = WORDS.iter().position(|known| words.iter().any(|word| word == known));
        found.or(plain).unwrap_or_default()
    }

    /// The words of its name, where digits do not count, and these: versions, then sizes of models, the later and the smaller first.
    fn shape(&self) -> (BTreeSet<String>, Vec<Reverse<String>>, Vec<String>) {
        let (mut versions, mut sizes) = (Vec::new(), Vec::new());
        let mut shape = BTreeSet::new();
        for word in words(self.file_name()) {
            let kind: String = word.chars().filter(|c| !c.is_ascii_digit() && *c != '.').collect();
            // Numbers are compared as such.
            let padded = || word.split('.').map(|part| format!("{part:0>24}")).collect::<Vec<_>>().join(".");
            match kind.len() == word.len() {
                true => {}
                false if ["b", "m"].contains(&kind.as_str()) => sizes.push(kind.clone() + &padded()),
                false => versions.push(Reverse(padded())),
            }
            shape.insert(kind);
        }
        (shape, versions, sizes)
    }

    fn offer(&self) -> Offer {
        Offer { label: self.label.to_string(), size: self.size() }
    }
}

/// All GGUF models and companions of a listing, each with its label.
pub fn gguf_units<'a>(files: impl IntoIterator<Item = &'a FileFacts>) -> Vec<GgufUnit<'a>> {
    let mut groups: BTreeMap<(String, u32), BTreeMap<u32, &FileFacts>> = BTreeMap::new();
    for file in files {
        let path = file.path.as_str();
        let Some((stem, _)) = path.rsplit_once('.') else { continue };
        if FileKind::of(path) != Some(FileKind::Gguf) || is_apple_double(path) {
            continue;
        }
        let (stem, part) = split_part_suffix(stem);
        let (number, count) = part.unwrap_or((1, 1));
        // A single file and "part 1 of 1" of the same name are different things, but not worth two units: the single file is
        // the one, wherever it stands in the listing.
        let kept = groups.entry((stem.to_owned(), count)).or_default().entry(number).or_insert(file);
        if path.len() < kept.path.as_str().len() {
            *kept = file;
        }
    }
    let names: Vec<&String> = groups.keys().map(|(name, _)| name).collect();
    let roles = gguf_roles(&names.iter().map(|name| format!("{name}.gguf")).collect::<Vec<_>>());
    let quants: Vec<Option<Quant>> = names.iter().map(|name| Quant::in_gguf_path(&format!("{name}.gguf"))).collect();
    let labelled: Vec<Labelled<'_>> = groups
        .iter()
        .zip(roles.iter().zip(&quants))
        .filter_map(|(((name, _), parts), (role, quant))| {
            let path = parts.values().next()?.path.as_str();
            Some(Labelled { path, name, role: *role, quant: quant.as_ref() })
        })
        .collect();
    let labels = labels(&labelled);
    // Of many units with many missing parts each, one of them is enough to know.
    let mut named = MOST_NAMED;
    let units = groups.into_iter().zip(roles.into_iter().zip(quants)).zip(labels).map(|((group, (role, quant)), label)| {
        let ((name, count), parts) = group;
        let missing = missing(&name, count, &parts, named.clamp(1, 100));
        named = named.saturating_sub(missing.len());
        GgufUnit { name, quant, label, role, parts: parts.into_values().collect(), missing }
    });
    units.collect()
}

/// Missing parts of one listing that are named.
const MOST_NAMED: usize = 10_000;

fn missing(name: &str, count: u32, parts: &BTreeMap<u32, &FileFacts>, most: usize) -> Vec<String> {
    let holes = (1..=count).filter(|number| !parts.contains_key(number)).take(most);
    holes.map(|number| format!("{name}-{number:05}-of-{count:05}.gguf")).collect()
}

/// The unit with the wanted label, or else the only model of this quantization; with none wanted, Q4_K_M or the next best. Read
/// [`GgufUnit::label`] for what was taken and say it.
#[cfg(feature = "unstable")]
pub fn gguf_choice<'a>(
    files: impl IntoIterator<Item = &'a FileFacts>,
    wanted: Option<&Quant>,
) -> Result<GgufUnit<'a>, SourceError> {
    choose_unit(gguf_units(files), wanted, &|_| false)
}

/// The same among units. If none has the label, the one that the view has under this name (`kept`) is chosen.
pub fn choose_unit<'a>(
    mut units: Vec<GgufUnit<'a>>,
    wanted: Option<&Quant>,
    kept: &dyn Fn(&GgufUnit<'a>) -> bool,
) -> Result<GgufUnit<'a>, SourceError> {
    // With none asked for, a model with a hole is passed over where another is whole.
    if wanted.is_none() && units.iter().any(|unit| unit.role == Role::Model && unit.missing.is_empty()) {
        units.retain(|unit| unit.missing.is_empty());
    }
    let found = match wanted {
        Some(wanted) => named(&units, wanted, kept),
        None => usual(&units),
    };
    let several = match found.as_slice() {
        [unit] if !unit.missing.is_empty() => {
            return Err(SourceError::Incomplete {
                what: format!("split GGUF file `{}`", unit.name),
                missing: unit.missing.clone(),
            });
        }
        [unit] => return Ok((*unit).clone()),
        several => several,
    };
    let label = wanted.map(Quant::to_string);
    let offers = |units: &[&GgufUnit<'a>]| {
        let mut offers: Vec<Offer> = units.iter().map(|unit| unit.offer()).collect();
        match &label {
            Some(label) => crate::names::sort_by_nearness(label, &mut offers, |offer| &offer.label),
            None => offers.sort_by(|a, b| a.label.cmp(&b.label)),
        }
        offers
    };
    Err(match several {
        [] => {
            let models = units.iter().filter(|unit| unit.role == Role::Model);
            let all: Vec<_> = if models.clone().next().is_some() { models.collect() } else { units.iter().collect() };
            SourceError::NoLabel { label: label.clone(), there: offers(&all), repo: None, format: None }
        }
        several => SourceError::Ambiguous { label: label.clone(), there: offers(several), repo: None },
    })
}

/// The unit of this label, by whatever it can be named: label, what was kept under it, quantization, or the end of the file's name.
fn named<'u, 'a>(units: &'u [GgufUnit<'a>], wanted: &Quant, kept: &dyn Fn(&GgufUnit<'a>) -> bool) -> Vec<&'u GgufUnit<'a>> {
    let with = |fits: &dyn Fn(&GgufUnit<'a>) -> bool| units.iter().filter(|unit| fits(unit)).collect::<Vec<_>>();
    let labelled = with(&|unit| unit.label == *wanted);
    if !labelled.is_empty() {
        return labelled;
    }
    let kept = with(kept);
    if kept.len() == 1 {
        return kept;
    }
    let of_quant = with(&|unit| unit.role == Role::Model && unit.quant.as_ref() == Some(wanted));
    if !of_quant.is_empty() {
        return of_quant;
    }
    let ending = words(wanted.as_str());
    with(&|unit| unit.quant.is_none() && words(unit.file_name()).ends_with(&ending))
}

/// The default choice: among the models, or the rest if there is none, those nearest to the default quantization and to
/// the root; of several, the usual variant; of these, the one whose name has no word that the others lack.
fn usual<'u, 'a>(units: &'u [GgufUnit<'a>]) -> Vec<&'u GgufUnit<'a>> {
    let models: Vec<&GgufUnit<'a>> = units.iter().filter(|unit| unit.role == Role::Model).collect();
    let candidates = if models.is_empty() { units.iter().collect() } else { models };
    let found = least(candidates, |unit| unit.distance());
    let found = least(found, |unit| unit.depth());
    let found = least(found, |unit| unit.variant());
    let mut shapes: Vec<_> = found.iter().map(|unit| (unit.shape(), *unit)).collect();
    shapes.sort_by(|(a, _), (b, _)| (a.0.len(), a).cmp(&(b.0.len(), b)));
    match shapes.as_slice() {
        [(first, unit), rest @ ..] if rest.iter().all(|(other, _)| other != first && first.0.is_subset(&other.0)) => vec![*unit],
        _ => found,
    }
}

pub(super) fn least<'u, T, K: Ord>(all: Vec<&'u T>, key: impl Fn(&'u T) -> K) -> Vec<&'u T> {
    let Some(first) = all.iter().map(|one| key(one)).min() else { return all };
    all.into_iter().filter(|one| key(one) == first).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::tree::file, *};
    use crate::hint::{Action, Hint, Operand, Parameter, Verb};

    /// The names that a download of each label takes.
    fn labels_of(error: &SourceError) -> Vec<String> {
        let Some(Hint::Labels { labels, .. }) = error.hint() else { panic!("{error:?}") };
        let name = |(action, size): (Action, u64)| match &action.operands[..] {
            [Operand::Name(name)] if size == 1 && action.verb == Verb::Download => name.clone(),
            other => panic!("{other:?}"),
        };
        labels.into_iter().map(name).collect()
    }

    fn choose(files: &[FileFacts], quant: Option<&str>) -> Result<Vec<String>, SourceError> {
        let quant = quant.map(|q| q.parse().unwrap());
        gguf_choice(files, quant.as_ref()).map(|unit| unit.parts.iter().map(|p| p.path.to_string()).collect())
    }

    #[test]
    fn a_quantization_is_never_taken_for_another() {
        let files =
            ["x.Q4_K.gguf", "x.Q4_K_M.gguf", "x-UD-Q4_K_XL.gguf", "mmproj-Q4_K_M.gguf", "x-imatrix.gguf", "README.md"].map(file);
        assert_eq!(choose(&files, Some("q4_k")).unwrap(), ["x.Q4_K.gguf"]);
        assert_eq!(choose(&files, Some("Q4_K_M")).unwrap(), ["x.Q4_K_M.gguf"]);
        let error = choose(&files, Some("q4_k_xl")).unwrap_err();
        assert!(labels_of(&error).contains(&"owner/repo:ud-q4_k_xl".to_owned()), "{error:?}");
    }

    #[test]
    fn the_nearest_labels_come_first_with_the_whole_name_and_the_size() {
        let files = ["x.Q8_0.gguf", "x.Q4_K_M.gguf", "x.Q4_K_S.gguf", "mmproj-F16.gguf"].map(file);
        let error = choose(&files, Some("q4_k_n")).unwrap_err().of_repo("me/x", None);
        assert_eq!(labels_of(&error), ["me/x:q4_k_m", "me/x:q4_k_s", "me/x:q8_0"]);
        let many: Vec<FileFacts> = (0..13).map(|n| file(&format!("voice{}.Q8_0.gguf", (b'a' + n) as char))).collect();
        let error = choose(&many, None).unwrap_err();
        assert_eq!(labels_of(&error).len(), 13);
        let error = choose(&[file("model.safetensors")], None).unwrap_err().of_repo("me/x", Some("safetensors"));
        let action = Action::new(Verb::Download).name("me/x").value(Parameter::Format, "safetensors");
        assert_eq!(error.hint(), Some(Hint::OtherFormat { format: "safetensors".into(), action }));
    }

    #[test]
    fn companions_are_no_models_while_there_is_one() {
        for names in [
            ["a-Q8_0.gguf", "mtp-a-Q4_K_M.gguf"],
            ["a-Q8_0.gguf", "a-MTP-Q4_K_M.gguf"],
            ["a-Q8_0.gguf", "dflash-a-Q4_K_M.gguf"],
            ["a-Q8_0.gguf", "a-DRAFT-0.5B-Q4_K_M.gguf"],
            ["a-Q8_0.gguf", "a-Q4_K_M.mmproj.gguf"],
            ["a-Q8_0.gguf", "a.imatrix.gguf"],
            ["a-Q8_0.gguf", "sound-tokenizer-Q4_K_M.gguf"],
            ["a-Q8_0.gguf", "vae-Q4_K_M.gguf"],
            ["a-Q8_0.gguf", "text_encoder-Q4_K_M.gguf"],
            ["a-Q8_0.gguf", "._a-Q4_K_M.gguf"],
            ["a-Q8_0.gguf", "__MACOSX/a-Q4_K_M.gguf"],
        ] {
            assert_eq!(choose(&names.map(file), None).unwrap(), ["a-Q8_0.gguf"], "{names:?}");
            let units = gguf_units(&names.map(file)).len();
            assert_eq!(units, if names[1].contains("._") || names[1].contains("MACOSX") { 1 } else { 2 });
        }
        assert_eq!(choose(&[file("sound-tokenizer-24khz.gguf")], None).unwrap(), ["sound-tokenizer-24khz.gguf"]);
        assert_eq!(choose(&["a-MTP-Q8_0.gguf", "a-MTP-Q4_K_M.gguf"].map(file), None).unwrap(), ["a-MTP-Q4_K_M.gguf"]);
        assert_eq!(choose(&["a-Q4_K_M-imatrix.gguf", "a-Q8_0.gguf"].map(file), None).unwrap(), ["a-Q4_K_M-imatrix.gguf"]);
    }

    #[test]
    fn of_families_and_sizes_the_usual_one_is_taken() {
        for (names, taken) in [
            (["x-7b-APEX-I-Mini.gguf", "x-7b-APEX-I-Balanced.gguf", "x-7b-APEX-I-Quality.gguf"], 1),
            (["x-tiny-q8_0.gguf", "x-base-q8_0.gguf", "x-small-q8_0.gguf"], 1),
            (["x-v1.2-q8_0.gguf", "x-v1.10-q8_0.gguf", "x-v1.9-q8_0.gguf"], 1),
            (["x-14b-q8_0.gguf", "x-7b-q8_0.gguf", "x-72b-q8_0.gguf"], 1),
            (["x-Q2_0_g64.gguf", "x-PQ2_0.gguf", "x-Q2_0.gguf"], 2),
            (["x-mini-q4_k_m.gguf", "x-q4_k_m.gguf", "x-q4_k_m-long.gguf"], 1),
        ] {
            assert_eq!(choose(&names.map(file), None).unwrap(), [names[taken]]);
        }
    }

    #[test]
    fn what_was_kept_under_a_name_keeps_it_where_no_label_is_the_same() {
        let files = ["a.Q4_K_M.gguf", "b.Q4_K_M.gguf"].map(file);
        let wanted: Quant = "q4_k_m".parse().unwrap();
        assert!(matches!(gguf_choice(&files, Some(&wanted)), Err(SourceError::Ambiguous { .. })));
        let unit = choose_unit(gguf_units(&files), Some(&wanted), &|unit| unit.name == "b.Q4_K_M").unwrap();
        assert_eq!(unit.label.as_str(), "b-q4_k_m");
        assert_eq!(choose(&["x-I-Mini.gguf", "x-I-Nano.gguf"].map(file), Some("i-nano")).unwrap(), ["x-I-Nano.gguf"]);
    }

    #[test]
    fn all_parts_are_one_unit_and_a_hole_is_named() {
        let names = |n: &[u32]| n.iter().map(|n| file(&format!("Q8_0/big-{n:05}-of-00003.gguf"))).collect::<Vec<_>>();
        let files = names(&[3, 1, 2]);
        let parts = choose(&files, Some("q8_0")).unwrap();
        assert_eq!(parts.len(), 3);
        assert!(parts[0].contains("00001"));
        let error = choose(&names(&[1, 3]), Some("q8_0")).unwrap_err();
        assert!(
            matches!(&error, SourceError::Incomplete { missing, .. } if *missing == ["Q8_0/big-00002-of-00003.gguf"]),
            "{error}"
        );
    }

    #[test]
    fn of_a_single_file_and_a_part_1_of_1_the_single_file_is_meant_whatever_their_order() {
        let (single, part) = ("m-Q8_0.gguf", "m-Q8_0-00001-of-00001.gguf");
        for names in [[single, part], [part, single]] {
            let files = names.map(file);
            let units = gguf_units(&files);
            assert_eq!(units.iter().flat_map(|unit| &unit.parts).map(|file| file.path.as_str()).collect::<Vec<_>>(), [single]);
        }
    }

    #[test]
    fn with_none_asked_one_that_is_whole_is_taken_and_one_with_a_hole_where_it_is_all_there_is() {
        let holed = "m-Q4_K_M-00001-of-00002.gguf";
        let files = |names: &[&str]| names.iter().map(|name| file(name)).collect::<Vec<_>>();
        assert_eq!(choose(&files(&[holed, "m-Q8_0.gguf"]), None).unwrap(), ["m-Q8_0.gguf"]);
        for (names, quant) in [(&[holed, "m-Q8_0.gguf"], Some("q4_k_m")), (&[holed, "mmproj-F16.gguf"], None)] {
            let error = choose(&files(names), quant).unwrap_err();
            assert!(
                matches!(&error, SourceError::Incomplete { missing, .. } if *missing == ["m-Q4_K_M-00002-of-00002.gguf"]),
                "{error}"
            );
        }
    }

    #[test]
    fn with_none_asked_the_usual_one_is_taken_and_a_lone_odd_one_too() {
        let files = ["x.Q8_0.gguf", "x.Q4_K_M.gguf"].map(file);
        assert_eq!(choose(&files, None).unwrap(), ["x.Q4_K_M.gguf"]);
        assert_eq!(choose(&["x.F16.gguf", "x.Q8_0.gguf", "x.IQ1_S.gguf"].map(file), None).unwrap(), ["x.Q8_0.gguf"]);
        assert_eq!(choose(&["x.F16.gguf", "x.BF16.gguf", "other.gguf"].map(file), None).unwrap(), ["x.F16.gguf"]);
        assert_eq!(choose(&["x-UD-Q4_K_XL.gguf", "x-Q4_K_S.gguf"].map(file), None).unwrap(), ["x-UD-Q4_K_XL.gguf"]);
        assert_eq!(choose(&[file("odd.gguf")], None).unwrap(), ["odd.gguf"]);
        let two = choose(&["a.Q4_K_M.gguf", "b.Q4_K_M.gguf", "c.Q8_0.gguf"].map(file), None).unwrap_err();
        assert!(two.to_string().ends_with("a-q4_k_m (1 B), b-q4_k_m (1 B)"), "{two}");
        assert!(matches!(choose(&[file("a.gguf"), file("b.gguf")], None), Err(SourceError::Ambiguous { .. })));
        assert!(matches!(choose(&[file("config.json")], None), Err(SourceError::NoLabel { .. })));
    }
}
