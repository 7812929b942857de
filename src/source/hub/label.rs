//! Labels: a name of its own for each GGUF file, or set of parts, of a repository.

use crate::{
    digest::sha256_of,
    names::{Quant, Role, quant_in_stem, words},
};
use std::collections::{BTreeMap, BTreeSet};

/// What a label is made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Labelled<'a> {
    /// The path of the first file.
    pub(super) path: &'a str,
    /// The same without part number and extension.
    pub(super) name: &'a str,
    pub(super) role: Role,
    pub(super) quant: Option<&'a Quant>,
}

/// The longest label.
const LONGEST: usize = 48;
/// Rounds in which names that are alike get more words. Only names made for it need more.
const ROUNDS: usize = 16;

/// How much of a name a label has. If two labels are equal, both get more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Detail {
    /// The quantization, or for a companion its role and that.
    Plain,
    /// Also what distinguishes the file's name from those that were alike.
    Name,
    /// The same of the whole path.
    Path,
    /// All words of the path.
    Whole,
    /// These and the beginning of a hash of the path.
    Hash,
    /// A hash of the path.
    OnlyHash,
}

impl Detail {
    fn next(self) -> Self {
        match self {
            Self::Plain => Self::Name,
            Self::Name => Self::Path,
            Self::Path => Self::Whole,
            Self::Whole => Self::Hash,
            Self::Hash | Self::OnlyHash => Self::OnlyHash,
        }
    }
}

/// A unique label for each, independent of their order. The quantization alone is the label of the one model that has
/// it nearest to the repository's root; others with it also get the words that distinguish them.
pub(super) fn labels(all: &[Labelled<'_>]) -> Vec<Quant> {
    let models: Vec<&Labelled<'_>> = all.iter().filter(|one| one.role == Role::Model).collect();
    let common = shared_words(models.iter().map(|one| name_words(one)));
    let mut details: Vec<(Detail, Shared)> = all.iter().map(|one| (first_detail(one), common.clone())).collect();
    if models.len() < 2 {
        details.iter_mut().for_each(|(_, common)| common.clear());
    }
    let mut found: Vec<Option<Quant>> =
        all.iter().zip(&details).map(|(one, (detail, common))| text(one, *detail, common)).collect();
    for round in 0.. {
        let mut groups: BTreeMap<Option<&Quant>, Vec<usize>> = BTreeMap::new();
        for (at, label) in found.iter().enumerate() {
            groups.entry(label.as_ref()).or_default().push(at);
        }
        let alike: Vec<Vec<usize>> =
            groups.into_iter().filter(|(label, group)| label.is_none() || group.len() > 1).map(|(_, group)| group).collect();
        if alike.is_empty() {
            break;
        }
        for group in alike {
            let keeps = if found[group[0]].is_some() { keeper(all, &details, &group) } else { None };
            let raised: Vec<usize> = group.iter().copied().filter(|at| Some(*at) != keeps).collect();
            let by_name = shared_words(group.iter().map(|at| name_words(&all[*at])));
            let by_path = shared_words(group.iter().map(|at| path_words(&all[*at])));
            for at in raised {
                let (detail, common) = &mut details[at];
                *detail = if round < ROUNDS { detail.next() } else { Detail::OnlyHash };
                match detail {
                    Detail::Name => common.clone_from(&by_name),
                    Detail::Path => common.clone_from(&by_path),
                    _ => {}
                }
                found[at] = text(&all[at], *detail, common);
            }
        }
    }
    found.into_iter().flatten().collect()
}

fn first_detail(one: &Labelled<'_>) -> Detail {
    match (one.role, one.quant) {
        (Role::Model, None) => Detail::Name,
        _ => Detail::Plain,
    }
}

/// The one of a group with equal labels that keeps its label: the one with the fewest details, models before
/// companions, the nearest to the root first; `None` if several qualify.
fn keeper(all: &[Labelled<'_>], details: &[(Detail, Shared)], group: &[usize]) -> Option<usize> {
    let rank = |at: &usize| (details[*at].0, all[*at].role, all[*at].path.matches('/').count());
    let first = group.iter().map(rank).min()?;
    let mut least = group.iter().filter(|at| rank(at) == first);
    let only = least.next().copied();
    only.filter(|_| first.0 == Detail::Plain && least.next().is_none())
}

/// How often each word occurs in all of some names.
type Shared = BTreeMap<String, usize>;

fn counted(words: Vec<String>) -> Shared {
    let mut counts = Shared::new();
    words.into_iter().for_each(|word| *counts.entry(word).or_default() += 1);
    counts
}

fn shared_words(mut all: impl Iterator<Item = Vec<String>>) -> Shared {
    let mut shared = counted(all.next().unwrap_or_default());
    for words in all {
        let counts = counted(words);
        shared.retain(|word, count| {
            *count = (*count).min(counts.get(word).copied().unwrap_or(0));
            *count > 0
        });
    }
    shared
}

/// The words without those that are shared, as often as they are: what comes first is what names have in common.
fn without(words: Vec<String>, shared: &mut Shared) -> Vec<String> {
    let is_own = |word: &String| match shared.get_mut(word) {
        Some(left) if *left > 0 => {
            *left -= 1;
            false
        }
        _ => true,
    };
    words.into_iter().filter(is_own).collect()
}

fn file_name<'a>(one: &Labelled<'a>) -> &'a str {
    one.name.rsplit('/').next().unwrap_or(one.name)
}

/// The words of a text without the quantization and `gguf`.
fn plain_words(text: &str) -> Vec<String> {
    let mut all = match quant_in_stem(text) {
        Some((span, _)) => [words(&text[..span.start]), words(&text[span.end..])].concat(),
        None => words(text),
    };
    all.retain(|word| word != "gguf");
    all
}

fn name_words(one: &Labelled<'_>) -> Vec<String> {
    plain_words(file_name(one))
}

fn path_words(one: &Labelled<'_>) -> Vec<String> {
    one.name.split('/').flat_map(plain_words).collect()
}

/// The words of a name that are not common, in their order and each once, with the quantization in its place.
fn text(one: &Labelled<'_>, detail: Detail, common: &Shared) -> Option<Quant> {
    let marker = match one.role {
        Role::Model => Vec::new(),
        role => vec![own_marker(one).unwrap_or_else(|| role.as_str().to_owned())],
    };
    let quant = one.quant.map(Quant::as_str);
    let hash = || sha256_of(one.path.as_bytes()).to_string();
    let folders = one.name.rsplit_once('/').map_or("", |(folders, _)| folders);
    let (before, after) = match detail {
        Detail::Plain => (marker, Vec::new()),
        Detail::Name => parts(file_name(one), &marker, &mut common.clone()),
        Detail::Path => {
            let mut common = common.clone();
            let above = without(folders.split('/').flat_map(plain_words).collect(), &mut common);
            let (before, after) = parts(file_name(one), &marker, &mut common);
            ([above, before].concat(), after)
        }
        Detail::Whole | Detail::Hash => {
            let (before, after) = parts(file_name(one), &marker, &mut Shared::new());
            ([words(folders), before].concat(), after)
        }
        Detail::OnlyHash => return hash()[..40].parse().ok(),
    };
    let mut seen = BTreeSet::new();
    let mut once = |words: Vec<String>| words.into_iter().filter(|word| seen.insert(word.clone())).collect::<Vec<_>>();
    let (before, after) = (once(before), once(after));
    // A model that nothing distinguishes, and that has no quantization, is called by its whole name.
    if before.is_empty() && after.is_empty() && quant.is_none() {
        return label(&words(file_name(one)), None, &[], None);
    }
    let hash = (detail == Detail::Hash).then(hash);
    label(&before, quant, &after, hash.as_deref().map(|hash| &hash[..8]))
}

/// The word of a companion's name that gives its role.
fn own_marker(one: &Labelled<'_>) -> Option<String> {
    let known = ["mmproj", "mtp", "dflash", "eagle3", "eagle", "nextn", "imatrix", "tokenizer", "vae", "encoder", "t5xxl", "umt5"];
    name_words(one).into_iter().find(|word| known.contains(&word.as_str()))
}

/// The words before and behind the quantization, without those that are common; the marker stays.
fn parts(name: &str, marker: &[String], common: &mut Shared) -> (Vec<String>, Vec<String>) {
    common.retain(|word, _| !marker.contains(word));
    let mut kept = |text: &str| without(words(text).into_iter().filter(|word| word != "gguf").collect(), common);
    let (mut before, after) = match quant_in_stem(name) {
        Some((span, _)) => (kept(&name[..span.start]), kept(&name[span.end..])),
        None => (kept(name), Vec::new()),
    };
    if let Some(missing) = marker.iter().find(|marker| !before.contains(marker) && !after.contains(marker)) {
        before.insert(0, missing.clone());
    }
    (before, after)
}

/// The words as a label; where that is too long, the words behind the quantization and then those before it are cut.
fn label(before: &[String], quant: Option<&str>, after: &[String], hash: Option<&str>) -> Option<Quant> {
    let end = [quant, hash].into_iter().flatten().collect::<Vec<_>>().join("-");
    let whole = [before.join("-"), quant.unwrap_or_default().to_owned(), after.join("-"), hash.unwrap_or_default().to_owned()];
    let mut text = whole.iter().filter(|part| !part.is_empty()).map(String::as_str).collect::<Vec<_>>().join("-");
    if text.len() > LONGEST {
        let words = [before, after].concat().join("-");
        let room = LONGEST.saturating_sub(end.len() + 1);
        let cut = words.get(..room.min(words.len())).unwrap_or_default().trim_end_matches(['-', '.']);
        text = [cut, end.as_str()].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-");
    }
    let quant: Quant = text.parse().ok()?;
    is_free(quant.as_str()).then_some(quant)
}

/// References read these otherwise: as whichever is usual, as a file, or as the quantization behind it.
fn is_free(label: &str) -> bool {
    let is_matrix = label.strip_prefix("i1-").is_some_and(|rest| Quant::of_gguf_name(&format!("m-{rest}.gguf")).is_some());
    label != "latest" && !label.ends_with(".gguf") && !is_matrix
}

#[cfg(test)]
mod tests {
    use super::super::{gguf_choice, gguf_units, tree::file};
    use crate::facts::FileFacts;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    fn labels(names: &[&str]) -> Vec<String> {
        let files: Vec<FileFacts> = names.iter().map(|name| file(name)).collect();
        let units = gguf_units(&files);
        let by_path: BTreeMap<&str, String> =
            units.iter().flat_map(|unit| unit.parts.iter().map(|part| (part.path.as_str(), unit.label.to_string()))).collect();
        names.iter().map(|name| by_path[name].clone()).collect()
    }

    #[test]
    fn a_label_is_the_quantization_wherever_it_stands_or_else_what_distinguishes_the_file() {
        let cases: &[&[(&str, &str)]] = &[
            &[("Owl-7B.Q4_K_M.gguf", "q4_k_m"), ("Owl-7B.UD-Q4_K_XL.gguf", "ud-q4_k_xl"), ("Owl-7B.Q8_0.gguf", "q8_0")],
            &[("Q4_K_M/Owl-00001-of-00002.gguf", "q4_k_m"), ("Q4_K_M/Owl-00002-of-00002.gguf", "q4_k_m")],
            &[("owl-9B_q4_0-it.gguf", "q4_0"), ("owl-9B-it-mmproj.gguf", "mmproj")],
            &[("Owl-NVFP4-MTP-TURBO.gguf", "nvfp4")],
            &[("Owl-Q4_K_M-mtp.gguf", "q4_k_m")],
            &[("owl-Q4_K_M.gguf", "q4_k_m"), ("owl-Q4_K_M-mtp.gguf", "mtp-q4_k_m"), ("mtp-owl.gguf", "mtp")],
            &[("owl-text-f16_ct-duck.gguf", "f16"), ("owl-mmproj-f16-2025.gguf", "mmproj-f16")],
            &[("owl-f16.mmproj.gguf", "mmproj-f16"), ("owl-Q5_K_M-F16-Merged.gguf", "q5_k_m")],
            &[
                ("owl-Q8_K_P.gguf", "q8_k_p"),
                ("owl-Q2_0.gguf", "q2_0"),
                ("owl-PQ2_0.gguf", "pq2_0"),
                ("owl-Q2_0_g64.gguf", "q2_0_g64"),
            ],
            &[("owl-both-q8.gguf", "q8"), ("owl-3.7bpw.gguf", "3.7bpw"), ("owl-MXFP4_MOE4.gguf", "mxfp4_moe4")],
            &[("owl-kquant-17gb.gguf", "17gb"), ("owl-kquant-dynamic.gguf", "dynamic"), ("dflash-kquant.gguf", "dflash")],
            &[("Owl-APEX-I-Quality.gguf", "i-quality"), ("Owl-APEX-Quality.gguf", "quality"), ("Owl-APEX-I-Mini.gguf", "i-mini")],
            &[("Owl-Nano-X-I-Nano.gguf", "nano"), ("Owl-Nano-X-I-Mini.gguf", "mini")],
            &[("owl-small-f16.gguf", "small-f16"), ("owl-large-f16.gguf", "large-f16"), ("owl-large-q8_0.gguf", "q8_0")],
            &[("Owl-A-GGUF/owl-a-q8_0.gguf", "owl-a-q8_0"), ("Duck-GGUF/duck-q8_0.gguf", "duck-q8_0")],
            &[("one/owl.Q8_0.gguf", "one-q8_0"), ("two/owl.Q8_0.gguf", "two-q8_0")],
            &[("owl.Q8_0.gguf", "q8_0"), ("two/owl.Q8_0.gguf", "two-q8_0")],
            &[("voice_a.gguf", "a"), ("voice_b.gguf", "b"), ("tokenizer.gguf", "tokenizer")],
            &[("owl-24khz.gguf", "owl-24khz")],
            &[("mmproj-F16.gguf", "mmproj-f16"), ("mmproj-BF16.gguf", "mmproj-bf16"), ("owl.gguf", "owl")],
            &[("clip_l-Q4_0.gguf", "encoder-l-q4_0"), ("clip_g-Q4_0.gguf", "encoder-g-q4_0"), ("x-Q4_0.gguf", "q4_0")],
            &[("owl-latest.gguf", "owl-latest"), ("owl-con.gguf", "owl-con"), ("owl-i1-Q8_0.gguf", "q8_0")],
            &[("latest.gguf", "latest-b6521858")],
        ];
        for case in cases {
            let names: Vec<&str> = case.iter().map(|(name, _)| *name).collect();
            let wanted: Vec<&str> = case.iter().map(|(_, label)| *label).collect();
            assert_eq!(labels(&names), wanted, "{names:?}");
        }
    }

    #[test]
    fn a_label_is_cut_where_it_is_too_long_and_keeps_its_quantization() {
        let long = "words-".repeat(20);
        let found = labels(&[&format!("{long}a-Q8_0.gguf"), &format!("other-{long}b-Q8_0.gguf"), "x-Q8_0.gguf"]);
        assert!(found.iter().all(|label| label.len() <= 48 && label.contains("q8_0")), "{found:?}");
        assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), 3);
    }

    proptest! {
        #[test]
        fn labels_are_valid_names_that_plan_what_they_label_and_none_is_given_twice(
            names in proptest::collection::btree_set(
                "((mtp|mmproj|a|B|é|con|latest|i1|1\\.5|x_y|Q4_K_M|q8_0|F16|nano|gguf|dir/)[-._ ]?){1,5}(Q4_K_M|-00001-of-00001)?\\.gguf",
                1..12,
            ),
            seed: u64,
        ) {
            let mut files: Vec<FileFacts> =
                names.iter().filter_map(|name| name.parse().ok()).map(|path: crate::names::RelPath| file(path.as_str())).collect();
            let units = gguf_units(&files);
            let labels: BTreeSet<&str> = units.iter().map(|unit| unit.label.as_str()).collect();
            prop_assert_eq!(labels.len(), units.len());
            for unit in &units {
                prop_assert_eq!(&unit.label.as_str().parse::<crate::names::Quant>().unwrap(), &unit.label);
                let text = format!("o/r:{}", unit.label);
                let read = crate::source::hub::Reference::parse(&text, &[]).unwrap();
                let crate::source::hub::Reference::Hub { quant: Some(read), .. } = read else { panic!("{text}") };
                prop_assert_eq!(&gguf_choice(&files, Some(&read)).unwrap(), unit);
            }
            let before: Vec<String> = units.iter().map(|unit| format!("{} {}", unit.name, unit.label)).collect();
            let by = (seed as usize) % files.len().max(1);
            files.rotate_left(by);
            files.reverse();
            let after: Vec<String> = gguf_units(&files).iter().map(|unit| format!("{} {}", unit.name, unit.label)).collect();
            prop_assert_eq!(before, after);
        }
    }
}
