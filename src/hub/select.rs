//! The complete set of files that vLLM and transformers need: weights, index, configuration, tokenizer, licence.

use super::{HubError, HubFile};
use crate::{
    json::{Fact, Object},
    names::{Format, RelPath, is_apple_double},
};
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// The files of a set, and what of the repository is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetChoice<'a> {
    /// What is taken, by path.
    pub files: Vec<&'a HubFile>,
    /// What is not taken, by path, and why.
    pub left_out: Vec<(&'a HubFile, &'static str)>,
}

/// The complete set in `format` (`safetensors` or `pytorch`): one copy of the weights, and with them everything small that does
/// not belong to another framework.
pub fn complete_set<'a>(files: &'a [HubFile], format: &Format) -> Result<SetChoice<'a>, HubError> {
    let (kinds, index_end): (&[Kind], &str) = match format.as_str() {
        "safetensors" => (&[Kind::SAFETENSORS], ".safetensors.index.json"),
        "pytorch" => (&[Kind::BIN, Kind::PT], ".bin.index.json"),
        _ => return Err(HubError::Nothing { wanted: format!("known set of files for the format `{format}`"), there: Vec::new() }),
    };
    let mut folders: BTreeMap<&str, Vec<&HubFile>> = BTreeMap::new();
    files.iter().for_each(|file| folders.entry(file.path.folder()).or_default().push(file));
    let listing = Listing { folders, has: files.iter().map(|file| file.path.as_str()).collect(), kinds, index_end };
    let (weights, missing) = match listing.has.contains("model_index.json") {
        true => (listing.pipeline(), BTreeSet::new()),
        false => listing.model(),
    };
    if weights.is_empty() {
        return Err(HubError::Nothing { wanted: format!("{format} weights in its root folder"), there: formats_there(files) });
    }
    if !missing.is_empty() {
        return Err(HubError::Incomplete { what: format!("set of {format} files"), missing: missing.into_iter().collect() });
    }
    let taken: BTreeSet<&str> = weights.iter().map(|file| file.path.as_str()).collect();
    let beside: BTreeSet<&str> = weights.iter().map(|file| file.path.folder()).collect();
    let described: BTreeSet<(&str, &str)> = weights
        .iter()
        .filter_map(|file| Some((file.path.folder(), split_shard(file.path.file_name().rsplit_once('.')?.0).0)))
        .collect();
    let of_others: BTreeSet<&str> = listing
        .folders
        .iter()
        .filter(|(_, files)| files.iter().any(|file| has_end(&file.path, &WEIGHTS)))
        .map(|(folder, _)| *folder)
        .collect();
    let mut choice = SetChoice { files: weights, left_out: Vec::new() };
    for file in files.iter().filter(|file| !taken.contains(file.path.as_str())) {
        match listing.why_not(file, &beside, &described, &of_others) {
            None => choice.files.push(file),
            Some(why) => choice.left_out.push((file, why)),
        }
    }
    choice.files.sort_by(|a, b| a.path.cmp(&b.path));
    choice.left_out.sort_by(|a, b| a.0.path.cmp(&b.0.path));
    Ok(choice)
}

/// The longest file that is no weights and comes along unasked: vocabularies are the longest of them.
const LONGEST_SMALL: u64 = 128 << 20;

/// The files of a repository, seen by one format.
struct Listing<'a> {
    folders: BTreeMap<&'a str, Vec<&'a HubFile>>,
    has: BTreeSet<&'a str>,
    kinds: &'static [Kind],
    index_end: &'static str,
}

impl<'a> Listing<'a> {
    fn in_folder(&self, folder: &str) -> &[&'a HubFile] {
        self.folders.get(folder).map_or(&[], Vec::as_slice)
    }

    /// Folders that can hold parts of the model.
    fn below(&self) -> impl Iterator<Item = &'a str> {
        self.folders.keys().copied().filter(|folder| !folder.is_empty() && !is_of_others(folder))
    }

    fn weights_in(&self, folder: &str) -> Vec<&'a HubFile> {
        let files = self.in_folder(folder);
        self.kinds.iter().map(|kind| kind.weights(files)).find(|weights| !weights.is_empty()).unwrap_or_default()
    }

    /// The weights of a model, with those of its adapters and modules, and what is missing.
    fn model(&self) -> (Vec<&'a HubFile>, BTreeSet<String>) {
        let mut weights = self.weights_in("");
        let mut needs = &["config.json", "adapter_config.json"][..];
        if weights.is_empty() && self.index_end == Kind::SAFETENSORS_INDEX {
            weights = self.consolidated();
            needs = &["params.json", "config.json"];
        }
        if weights.is_empty() {
            return (weights, BTreeSet::new());
        }
        let mut missing = holes(&weights);
        for stem in sharded_stems(&weights) {
            let index = format!("{stem}{}", self.index_end);
            if !self.has.contains(index.as_str()) {
                missing.insert(index);
            }
        }
        if let (Some(first), false) = (needs.first(), needs.iter().any(|name| self.has.contains(name))) {
            missing.insert((*first).to_owned());
        }
        for folder in self.below().filter(|folder| self.belongs(folder)) {
            let mut own = self.weights_in(folder);
            if own.is_empty() {
                // A module or adapter without a copy in this format is needed as it is.
                let files = self.in_folder(folder);
                let others = [Kind::SAFETENSORS, Kind::BIN].map(|kind| kind.weights(files));
                own = others.into_iter().find(|weights| !weights.is_empty()).unwrap_or_default();
            }
            weights.extend(own);
        }
        (weights, missing)
    }

    /// The weights in Mistral's own format.
    fn consolidated(&self) -> Vec<&'a HubFile> {
        let is_one = |file: &&'a HubFile| {
            let name = file.path.as_str();
            name.starts_with("consolidated") && name.ends_with(".safetensors")
        };
        self.in_folder("").iter().copied().filter(is_one).collect()
    }

    /// The weights of a pipeline of several models, each in a folder.
    fn pipeline(&self) -> Vec<&'a HubFile> {
        self.below().flat_map(|folder| self.weights_in(folder)).collect()
    }

    /// Whether a folder's weights are part of the model: an adapter, or a module of sentence-transformers.
    fn belongs(&self, folder: &str) -> bool {
        let is_module = folder.split_once('_').is_some_and(|(number, _)| number.bytes().all(|byte| byte.is_ascii_digit()));
        self.has.contains(format!("{folder}/adapter_config.json").as_str()) || (is_module && self.has.contains("modules.json"))
    }

    /// Why a file that is not among the chosen weights is left out: from the folders that weights are taken from, the stems of
    /// shards there, and the folders that have any weights.
    fn why_not(
        &self,
        file: &HubFile,
        beside: &BTreeSet<&str>,
        described: &BTreeSet<(&str, &str)>,
        of_others: &BTreeSet<&str>,
    ) -> Option<&'static str> {
        let (name, folder) = (file.path.file_name(), file.path.folder());
        let lower = name.to_ascii_lowercase();
        let ends = |known: &[&str]| known.iter().any(|end| lower.ends_with(end));
        if is_of_others(folder) {
            return Some("of another framework or form");
        }
        if is_apple_double(file.path.as_str()) || matches!(lower.as_str(), ".gitattributes" | ".gitignore") {
            return Some("of no use to a loader");
        }
        if ends(&WEIGHTS) {
            let is_of_format = self.kinds.iter().any(|kind| kind.ends.iter().any(|end| lower.ends_with(end)));
            return Some(if is_of_format { "another copy, variant or part of the weights" } else { "weights in another format" });
        }
        if lower.contains(".index.") && lower.ends_with(".json") {
            let stem = name.strip_suffix(self.index_end);
            let describes = stem.is_some_and(|stem| described.contains(&(folder, stem)));
            return (!describes).then_some("describes weights that are left out");
        }
        if ends(&MEDIA) {
            return Some("a picture, a film, a sound or a paper");
        }
        if file.size > LONGEST_SMALL {
            return Some("large, and no weights");
        }
        let is_elsewhere = !folder.is_empty() && !beside.contains(folder) && of_others.contains(folder);
        is_elsewhere.then_some("beside weights that are left out")
    }
}

/// How files of weights end, of any framework, and archives.
const WEIGHTS: [&str; 22] = [
    ".safetensors",
    ".bin",
    ".pt",
    ".pth",
    ".gguf",
    ".ggml",
    ".onnx",
    ".onnx_data",
    ".h5",
    ".msgpack",
    ".ot",
    ".ckpt",
    ".tflite",
    ".pb",
    ".mlmodel",
    ".npz",
    ".nemo",
    ".tar",
    ".gz",
    ".zip",
    ".pdparams",
    ".parquet",
];
const MEDIA: [&str; 11] = [".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg", ".mp4", ".mov", ".pdf", ".mp3", ".wav"];

fn has_end(path: &RelPath, ends: &[&str]) -> bool {
    let lower = path.file_name().to_ascii_lowercase();
    ends.iter().any(|end| lower.ends_with(end))
}

/// Whether a folder holds the model for another framework, in its maker's own form, or the state of a training run.
fn is_of_others(folder: &str) -> bool {
    const NAMES: [&str; 13] =
        ["onnx", "openvino", "original", "metal", "coreml", "flax", "tf", "tflite", "gguf", "mlx", "tensorrt", "runs", "logs"];
    folder.split('/').any(|part| {
        let lower = part.to_ascii_lowercase();
        NAMES.contains(&lower.as_str()) || lower.starts_with("checkpoint-") || lower.starts_with("onnx_")
    })
}

/// Whether names of shards that are missing and names that are there tell of two ways to cut the same weights, and those that are
/// there are all of one.
pub fn is_cut_otherwise(missing: &[String], there: &[&str]) -> bool {
    let cut = |name: &str| {
        let (stem, part) = split_shard(name.rsplit_once('.').map_or(name, |(stem, _)| stem));
        part.map(|(number, count)| (stem.to_owned(), count, number))
    };
    let parts: Option<Vec<_>> = there.iter().map(|name| cut(name)).collect();
    let Some(parts) = parts.filter(|parts| !parts.is_empty()) else { return false };
    let (stem, count) = (&parts[0].0, parts[0].1);
    let numbers: BTreeSet<u32> = parts.iter().map(|(.., number)| *number).collect();
    let is_whole = parts.iter().all(|part| (&part.0, part.1) == (stem, count)) && numbers.len() as u64 >= u64::from(count);
    is_whole && missing.iter().all(|name| cut(name).is_some_and(|(its, of, _)| its == *stem && of != count))
}

/// Names that an `*.index.json` lists and that are not among the names beside it; an error if it is no index.
pub fn missing_from_index(index: &[u8], there: &[&str]) -> Result<Vec<String>, HubError> {
    let refuse = |why: &str| HubError::Answer { url: "the index of the weights".into(), why: why.into() };
    let index: Index = serde_json::from_slice(index).map_err(|_| refuse("it is not JSON"))?;
    let Object::Read(Shards(named)) = index.weight_map else { return Err(refuse("it has no `weight_map`")) };
    if named.len() > MOST_SHARDS {
        return Err(refuse("it names more files than a set can have"));
    }
    let there: BTreeSet<&str> = there.iter().copied().collect();
    Ok(named.into_iter().filter(|name| !there.contains(name.as_str())).collect())
}

/// Missing shards that are named.
const MOST_HOLES: usize = 1000;
/// Files that an index may name.
const MOST_SHARDS: usize = 100_000;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Index {
    weight_map: Object<Shards>,
}

/// The files that the values of a map name.
struct Shards(BTreeSet<String>);

impl<'de> Deserialize<'de> for Shards {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Values;
        impl<'de> Visitor<'de> for Values {
            type Value = Shards;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of tensors to files")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shards, A::Error> {
                let mut named = BTreeSet::new();
                while map.next_key::<IgnoredAny>()?.is_some() {
                    if let Some(name) = map.next_value::<Fact>()?.text().filter(|_| named.len() <= MOST_SHARDS) {
                        named.insert(name.to_owned());
                    }
                }
                Ok(Shards(named))
            }
        }
        deserializer.deserialize_map(Values)
    }
}

/// How the weights of a format are called.
struct Kind {
    ends: &'static [&'static str],
    /// The stem of the weights themselves, beside which other stems are variants or something else.
    usual: &'static str,
}

impl Kind {
    const SAFETENSORS_INDEX: &'static str = ".safetensors.index.json";
    const SAFETENSORS: Self = Self { ends: &[".safetensors"], usual: "model" };
    const BIN: Self = Self { ends: &[".bin"], usual: "pytorch_model" };
    const PT: Self = Self { ends: &[".pt", ".pth"], usual: "model" };
    /// State of a training run, and Meta's own format: not weights that a loader looks for.
    const OTHERS: [&'static str; 8] =
        ["consolidated", "training_args", "optimizer", "scheduler", "scaler", "rng_state", "random_states", "tokenizer"];

    fn stem<'n>(&self, name: &'n str) -> Option<&'n str> {
        let stem = self.ends.iter().find_map(|end| name.strip_suffix(end))?;
        (!Self::OTHERS.iter().any(|other| stem.starts_with(other))).then_some(stem)
    }

    /// The weights in a folder; where the usual names exist, only these, and shards rather than a single file if there is an index.
    fn weights<'a>(&self, folder: &[&'a HubFile]) -> Vec<&'a HubFile> {
        let mut all: Vec<(&'a HubFile, &'a str)> =
            folder.iter().filter_map(|file| Some((*file, self.stem(file.path.file_name())?))).collect();
        let is_plain = |(_, stem): &(&HubFile, &str)| !is_variant(stem);
        if all.iter().any(is_plain) {
            all.retain(is_plain);
        }
        let usual_stem =
            USUAL.into_iter().chain([self.usual]).find(|usual| all.iter().any(|(_, stem)| split_shard(stem).0 == *usual));
        let usual_stem = usual_stem.unwrap_or(self.usual);
        let usual = |single: bool| {
            let fits = move |stem: &str| {
                let (base, part) = split_shard(stem);
                base == usual_stem && part.is_none() == single
            };
            all.iter().filter(move |(_, stem)| fits(stem)).map(|(file, _)| *file).collect::<Vec<_>>()
        };
        let (single, shards) = (usual(true), usual(false));
        let end = self.ends.first().copied().unwrap_or_default();
        let index = format!("{usual_stem}{end}.index.json");
        let indexed = folder.iter().any(|file| file.path.file_name() == index);
        match (single.is_empty(), shards.is_empty()) {
            (true, true) => all.into_iter().map(|(file, _)| file).collect(),
            (false, true) => single,
            (false, false) if !indexed => single,
            _ => shards,
        }
    }
}

/// Stems of weights in a pipeline's folder, before which the format's own comes.
const USUAL: [&str; 1] = ["diffusion_pytorch_model"];

/// Whether a stem names a precision, as `model.fp16` and `model.fp16-00001-of-00002` do.
fn is_variant(stem: &str) -> bool {
    let (base, _) = split_shard(stem);
    let variant = base.rsplit_once('.').map(|(_, variant)| variant);
    variant.is_some_and(|variant| ["fp16", "bf16", "fp32", "fp8", "int8", "non_ema"].contains(&variant))
}

/// Splits the number and count of a shard off a stem: `-00001-of-00002`, also behind `_` or `.`, with any number of digits, and
/// counted from zero.
fn split_shard(stem: &str) -> (&str, Option<(u32, u32)>) {
    let parse = || {
        let (rest, count) = stem.rsplit_once("-of-").or_else(|| stem.rsplit_once("_of_"))?;
        let at = rest.rfind(['-', '_', '.'])?;
        let number = |text: &str| (text.len() <= 6 && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?;
        let (number, count): (u32, u32) = (number(&rest[at + 1..])?, number(count)?);
        (number <= count).then_some((&rest[..at], (number, count)))
    };
    match parse() {
        Some((rest, part)) => (rest, Some(part)),
        None => (stem, None),
    }
}

/// Stem, number and count of a shard, and its extension.
fn shard(file: &HubFile) -> Option<(&str, u32, u32, &str)> {
    let (stem, extension) = file.path.as_str().rsplit_once('.')?;
    let (stem, part) = split_shard(stem);
    let (number, count) = part?;
    Some((stem, number, count, extension))
}

fn sharded_stems(files: &[&HubFile]) -> BTreeSet<String> {
    files.iter().filter_map(|file| shard(file)).filter(|(_, _, count, _)| *count > 1).map(|(stem, ..)| stem.to_owned()).collect()
}

/// Shards that should be there and are not.
fn holes(files: &[&HubFile]) -> BTreeSet<String> {
    let mut groups: BTreeMap<(&str, u32, &str), BTreeSet<u32>> = BTreeMap::new();
    for (stem, number, count, extension) in files.iter().filter_map(|file| shard(file)) {
        groups.entry((stem, count, extension)).or_default().insert(number);
    }
    let holes = groups.iter().flat_map(|((stem, count, extension), there)| {
        // Counted from zero, the last may have the number that is the count, or the one before it.
        let last = if there.contains(&0) && !there.contains(count) { count.saturating_sub(1) } else { *count };
        let first = u32::from(!there.contains(&0));
        let gone = (first..=last).filter(|number| !there.contains(number)).take(100);
        gone.map(move |number| format!("{stem}-{number:05}-of-{count:05}.{extension}"))
    });
    holes.take(MOST_HOLES).collect()
}

/// The formats that stand in a repository, for an error.
fn formats_there(files: &[HubFile]) -> Vec<String> {
    const ENDS: [&str; 9] = [".gguf", ".safetensors", ".bin", ".pt", ".pth", ".onnx", ".h5", ".msgpack", ".ggml"];
    let there = |end: &&&str| files.iter().any(|file| file.path.as_str().to_ascii_lowercase().ends_with(**end));
    ENDS.iter().filter(there).map(|end| format!("*{end}")).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::tree::file, *};

    fn set(names: &[&str], format: Format) -> Result<Vec<String>, HubError> {
        let files: Vec<HubFile> = names.iter().map(|name| file(name)).collect();
        complete_set(&files, &format).map(|set| set.files.iter().map(|file| file.path.to_string()).collect())
    }

    #[test]
    fn one_format_is_taken_with_all_that_belongs_to_it() {
        let names = [
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors",
            "model.safetensors.index.json",
            "config.json",
            "tokenizer.json",
            "tokenizer.model",
            "chat_template.jinja",
            "LICENSE",
            "README.md",
            "USE_POLICY.md",
        ];
        let others = [
            "original/consolidated.00.pth",
            "consolidated.safetensors",
            "pytorch_model-00001-of-00002.bin",
            "pytorch_model.bin.index.json",
            "model.fp16.safetensors",
            "onnx/model.onnx",
            "onnx/config.json",
            "tf_model.h5",
            "flax_model.msgpack",
            ".gitattributes",
            "training_args.bin",
            "demo.png",
        ];
        let mut taken = set(&[&names[..], &others[..]].concat(), Format::safetensors()).unwrap();
        let mut wanted = names.to_vec();
        taken.sort();
        wanted.sort();
        assert_eq!(taken, wanted);
    }

    #[test]
    fn missing_shards_index_and_configuration_are_named() {
        let error =
            set(&["model-00001-of-00003.safetensors", "model-00003-of-00003.safetensors"], Format::safetensors()).unwrap_err();
        let HubError::Incomplete { missing, .. } = error else { panic!("{error}") };
        assert_eq!(missing, ["config.json", "model-00002-of-00003.safetensors", "model.safetensors.index.json"]);
        let error = set(&["pytorch_model.bin", "x.gguf", "config.json"], Format::safetensors()).unwrap_err();
        assert!(error.hint().unwrap().contains("*.gguf, *.bin"), "{error:?}");
    }

    /// What is taken of a listing in which `-` stands before what is not.
    fn holds(format: Format, listing: &[&str]) {
        let names: Vec<&str> = listing.iter().map(|name| name.strip_prefix('-').unwrap_or(name)).collect();
        let wanted: BTreeSet<&str> = listing.iter().copied().filter(|name| !name.starts_with('-')).collect();
        let files: Vec<HubFile> = names.iter().map(|name| file(name)).collect();
        let set = complete_set(&files, &format).unwrap_or_else(|error| panic!("{listing:?}: {error}"));
        let taken: BTreeSet<&str> = set.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(taken, wanted);
        assert_eq!(set.files.len() + set.left_out.len(), files.len(), "what is left out is told");
    }

    #[test]
    fn shards_belong_together_whatever_their_numbers_are_written_like() {
        let index = "model.safetensors.index.json";
        let more = ["config.json", "-original/consolidated.safetensors", "-metal/model.bin"];
        for shards in [
            ["model-00000-of-00002.safetensors", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"],
            ["model_00001-of-00003.safetensors", "model_00002-of-00003.safetensors", "model_00003-of-00003.safetensors"],
            ["model-00000-of-00003.safetensors", "model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors"],
            ["model-1-of-3.safetensors", "model-2-of-3.safetensors", "model-3-of-3.safetensors"],
            ["weights_a.safetensors", "weights_b.safetensors", "-weights_a.bin"],
        ] {
            let index: &[&str] = if shards[0].starts_with("model") { &[index] } else { &[] };
            holds(Format::safetensors(), &[&shards[..], index, &more[..]].concat());
        }
    }

    #[test]
    fn modules_adapters_and_code_belong_to_the_model_and_other_frameworks_do_not() {
        holds(
            Format::safetensors(),
            &[
                "model.safetensors",
                "config.json",
                "modules.json",
                "config_sentence_transformers.json",
                "sentence_bert_config.json",
                "1_Pooling/config.json",
                "2_Dense/config.json",
                "2_Dense/model.safetensors",
                "-2_Dense/pytorch_model.bin",
                "3_Dense/config.json",
                "3_Dense/pytorch_model.bin",
                "additional_chat_templates/tool.jinja",
                "code/modeling_x.py",
                "vocab.txt",
                "-onnx/model.onnx",
                "-onnx/config.json",
                "-openvino/openvino_model.xml",
                "-openvino/openvino_model.bin",
                "-pytorch_model.bin",
                "-rust_model.ot",
                "-tf_model.h5",
                "-model.onnx",
                "-.gitattributes",
                "-._config.json",
            ],
        );
        holds(
            Format::safetensors(),
            &[
                "model.safetensors",
                "config.json",
                "speech-lora/adapter_config.json",
                "speech-lora/adapter_model.safetensors",
                "-speech-lora/adapter_model.bin",
                "vision-lora/adapter_config.json",
                "vision-lora/adapter_model.safetensors",
                "-figures/plot.png",
                "-checkpoint-500/model.safetensors",
                "-checkpoint-500/config.json",
                "-fp8/model.safetensors",
                "-fp8/config.json",
                "-consolidated.safetensors",
                "-consolidated.safetensors.index.json",
                "params.json",
                "tekken.json",
            ],
        );
    }

    #[test]
    fn a_set_in_mistrals_own_form_is_taken_where_there_is_no_other() {
        holds(Format::safetensors(), &["consolidated.safetensors", "params.json", "tekken.json", "README.md"]);
        holds(
            Format::safetensors(),
            &[
                "consolidated-00001-of-00002.safetensors",
                "consolidated-00002-of-00002.safetensors",
                "consolidated.safetensors.index.json",
                "params.json",
                "tokenizer.model.v3",
            ],
        );
        let error = set(&["consolidated.safetensors"], Format::safetensors()).unwrap_err();
        assert!(error.to_string().contains("params.json missing"), "{error}");
    }

    #[test]
    fn a_pipeline_is_taken_in_one_variant_and_without_its_twins() {
        holds(
            Format::safetensors(),
            &[
                "model_index.json",
                "scheduler/scheduler_config.json",
                "tokenizer/vocab.json",
                "text_encoder/config.json",
                "text_encoder/model.safetensors",
                "-text_encoder/model.fp16.safetensors",
                "-text_encoder/pytorch_model.bin",
                "-text_encoder/model.onnx",
                "unet/config.json",
                "unet/diffusion_pytorch_model-00001-of-00002.safetensors",
                "unet/diffusion_pytorch_model-00002-of-00002.safetensors",
                "unet/diffusion_pytorch_model.safetensors.index.json",
                "-unet/diffusion_pytorch_model.fp16.safetensors",
                "vae/config.json",
                "vae/diffusion_pytorch_model.fp16.safetensors",
                "-big_base_1.0.safetensors",
                "-vae_1_0/diffusion.ckpt",
                "-preview.png",
            ],
        );
    }

    #[test]
    fn an_index_of_another_cut_does_not_spoil_a_whole_set() {
        let there = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
        let missing = |name: &str| [name.to_owned()];
        assert!(is_cut_otherwise(&missing("model-00001-of-00004.safetensors"), &there));
        assert!(!is_cut_otherwise(&missing("model-extra.safetensors"), &there));
        assert!(!is_cut_otherwise(&missing("model-00001-of-00004.safetensors"), &there[..1]));
        assert!(!is_cut_otherwise(&missing("model-00003-of-00002.safetensors"), &there));
    }

    #[test]
    fn pytorch_takes_its_weights_and_not_the_trainers_state() {
        let names = ["pytorch_model.bin", "training_args.bin", "optimizer.bin", "model.safetensors", "config.json", "vocab.txt"];
        assert_eq!(set(&names, Format::pytorch()).unwrap(), ["config.json", "pytorch_model.bin", "vocab.txt"]);
        assert_eq!(set(&["adapter_model.safetensors", "adapter_config.json"], Format::safetensors()).unwrap().len(), 2);
    }

    #[test]
    fn an_index_is_held_against_the_chosen_files() {
        let index = br#"{"weight_map":{"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}}"#;
        assert_eq!(missing_from_index(index, &["model-00001-of-00002.safetensors"]).unwrap(), ["model-00002-of-00002.safetensors"]);
        assert!(missing_from_index(b"[]", &[]).is_err());
    }
}
