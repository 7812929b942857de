//! The complete set of files that vLLM and transformers need: weights, index, configuration, tokenizer, licence.

use super::{Fact, HubError, HubFile, Object};
use crate::names::{Format, split_part_suffix};
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// The complete set in `format` (`safetensors` or `pytorch`), from the root of the repository; other folders hold other
/// formats of the same weights.
pub fn complete_set<'a>(files: &'a [HubFile], format: &Format) -> Result<Vec<&'a HubFile>, HubError> {
    let root: Vec<&HubFile> = files.iter().filter(|file| file.path.depth() == 0).collect();
    let (kinds, index_end): (&[Kind], &str) = match format.as_str() {
        "safetensors" => (&[Kind::SAFETENSORS], ".safetensors.index.json"),
        "pytorch" => (&[Kind::BIN, Kind::PT], ".bin.index.json"),
        _ => return Err(HubError::Nothing { wanted: format!("known set of files for the format `{format}`"), there: Vec::new() }),
    };
    let Some(mut chosen) = kinds.iter().map(|kind| kind.weights(&root)).find(|weights| !weights.is_empty()) else {
        return Err(HubError::Nothing { wanted: format!("{format} weights in its root folder"), there: formats_there(files) });
    };
    let mut missing = holes(&chosen);
    let has = |name: &str| root.iter().any(|file| file.path.as_str() == name);
    for stem in sharded_stems(&chosen) {
        let index = format!("{stem}{index_end}");
        if !has(&index) {
            missing.insert(index);
        }
    }
    if !has("config.json") && !has("adapter_config.json") {
        missing.insert("config.json".into());
    }
    if !missing.is_empty() {
        return Err(HubError::Incomplete { what: format!("set of {format} files"), missing: missing.into_iter().collect() });
    }
    let stems = sharded_stems(&chosen);
    let is_index = |name: &str| name.strip_suffix(index_end).is_some_and(|stem| stems.contains(stem));
    chosen.extend(root.iter().filter(|file| is_companion(file.path.as_str()) || is_index(file.path.as_str())));
    chosen.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(chosen)
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

    /// The weights; where the usual names exist, only these, and shards rather than a single file if there is an index.
    fn weights<'a>(&self, root: &[&'a HubFile]) -> Vec<&'a HubFile> {
        let all: Vec<(&'a HubFile, &'a str)> =
            root.iter().filter_map(|file| Some((*file, self.stem(file.path.as_str())?))).collect();
        let usual = |single: bool| {
            let fits = move |stem: &str| {
                let (base, part) = split_part_suffix(stem);
                base == self.usual && part.is_none() == single
            };
            all.iter().filter(move |(_, stem)| fits(stem)).map(|(file, _)| *file).collect::<Vec<_>>()
        };
        let (single, shards) = (usual(true), usual(false));
        let end = self.ends.first().copied().unwrap_or_default();
        let index = format!("{}{end}.index.json", self.usual);
        let indexed = root.iter().any(|file| file.path.as_str() == index);
        match (single.is_empty(), shards.is_empty()) {
            (true, true) => all.into_iter().map(|(file, _)| file).collect(),
            (false, true) => single,
            (false, false) if !indexed => single,
            _ => shards,
        }
    }
}

/// Stem, number and count of a shard, and its extension.
fn shard(file: &HubFile) -> Option<(&str, u32, u32, &str)> {
    let (stem, extension) = file.path.as_str().rsplit_once('.')?;
    let (stem, part) = split_part_suffix(stem);
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
        let gone = (1..=*count).filter(|number| !there.contains(number)).take(100);
        gone.map(move |number| format!("{stem}-{number:05}-of-{count:05}.{extension}"))
    });
    holes.take(MOST_HOLES).collect()
}

/// What a loader needs beside the weights, and what the licence asks to travel with them.
fn is_companion(name: &str) -> bool {
    const NAMES: [&str; 15] = [
        "config.json",
        "generation_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "preprocessor_config.json",
        "processor_config.json",
        "image_processor_config.json",
        "video_preprocessor_config.json",
        "quantize_config.json",
        "quantization_config.json",
        "quant_config.json",
        "hf_quant_config.json",
        "adapter_config.json",
        "modules.json",
        "README.md",
    ];
    const STARTS: [&str; 5] = ["tokenizer", "chat_template", "vocab", "merges", "spiece"];
    const PAPERS: [&str; 5] = ["license", "licence", "notice", "use_policy", "readme"];
    let lower = name.to_ascii_lowercase();
    // Loaders import the code that `auto_map` in the configuration names.
    let is_code = ["configuration_", "modeling_", "tokenization_", "processing_", "image_processing_"]
        .iter()
        .any(|start| lower.starts_with(start));
    NAMES.contains(&name)
        || STARTS.iter().any(|start| lower.starts_with(start))
        || PAPERS.iter().any(|start| lower.starts_with(start))
        || [".model", ".tiktoken"].iter().any(|end| lower.ends_with(end))
        || (is_code && lower.ends_with(".py"))
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
        complete_set(&files, &format).map(|set| set.iter().map(|file| file.path.to_string()).collect())
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
