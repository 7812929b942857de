//! The complete set of files that vLLM and transformers need: weights, index, configuration, tokenizer, licence.
//!
//! Which weights: here, by the names of [`kind`]. What comes with them: [`extra_files`]. Whether shards are all there:
//! [`shards`] by their names, [`index`] by what their index says.

mod extra_files;
mod index;
mod kind;
mod shards;

pub use extra_files::ANOTHER_COPY;
pub use index::missing_from_index;
pub use shards::{is_cut_otherwise, missing_shards};

use super::{FileFacts, SourceError, matches};
use crate::{names::Format, weights::FileKind};
use extra_files::{has_weights, is_of_others};
use kind::WeightNames;
use shards::{sharded_stems, split_shard};
use std::collections::{BTreeMap, BTreeSet};

/// The files of a set, and what of the repository is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetChoice<'a> {
    /// What is taken, by path.
    pub files: Vec<&'a FileFacts>,
    /// What is not taken, by path, and why.
    pub left_out: Vec<(&'a FileFacts, &'static str)>,
}

impl SetChoice<'_> {
    /// The same without what these patterns exclude.
    pub fn without(mut self, exclude: &[String]) -> Self {
        let (kept, excluded) =
            self.files.into_iter().partition(|file| !exclude.iter().any(|pattern| matches(pattern, file.path.as_str())));
        self.files = kept;
        let excluded: Vec<&FileFacts> = excluded;
        self.left_out.extend(excluded.into_iter().map(|file| (file, "excluded by the registry")));
        self.left_out.sort_by(|a, b| a.0.path.cmp(&b.0.path));
        self
    }
}

/// The complete set in `format` (`safetensors` or `pytorch`): one copy of the weights, and with them everything small that does
/// not belong to another framework.
pub fn complete_set<'a>(files: &'a [FileFacts], format: &Format) -> Result<SetChoice<'a>, SourceError> {
    let (kinds, index_end): (&[WeightNames], &str) = match format.as_str() {
        "safetensors" => (&[WeightNames::SAFETENSORS], ".safetensors.index.json"),
        "pytorch" => (&[WeightNames::BIN, WeightNames::PICKLE], ".bin.index.json"),
        _ => {
            return Err(SourceError::Nothing {
                wanted: format!("known set of files for the format `{format}`"),
                there: Vec::new(),
            });
        }
    };
    let mut folders: BTreeMap<&str, Vec<&FileFacts>> = BTreeMap::new();
    files.iter().for_each(|file| folders.entry(file.path.folder()).or_default().push(file));
    let repo_files = RepoFiles { folders, has: files.iter().map(|file| file.path.as_str()).collect(), kinds, index_end };
    let (weights, missing) = match repo_files.has.contains("model_index.json") {
        true => (repo_files.pipeline(), BTreeSet::new()),
        false => repo_files.model(),
    };
    let index = repo_files.index().filter(|_| weights.is_empty() && files.iter().any(|file| repo_files.is_of_format(file)));
    if weights.is_empty() && index.is_none() {
        return Err(SourceError::Nothing { wanted: format!("{format} weights in its root folder"), there: formats_there(files) });
    }
    if !missing.is_empty() {
        return Err(SourceError::Incomplete { what: format!("set of {format} files"), missing: missing.into_iter().collect() });
    }
    let taken: BTreeSet<&str> = weights.iter().map(|file| file.path.as_str()).collect();
    let beside: BTreeSet<&str> = weights.iter().map(|file| file.path.folder()).collect();
    let mut described: BTreeSet<(&str, &str)> = weights
        .iter()
        .filter_map(|file| Some((file.path.folder(), split_shard(file.path.file_name().rsplit_once('.')?.0).0)))
        .collect();
    described.extend(index.and_then(|index| index.strip_suffix(index_end)).map(|stem| ("", stem)));
    let of_others: BTreeSet<&str> = repo_files
        .folders
        .iter()
        .filter(|(_, files)| files.iter().any(|file| has_weights(file)))
        .map(|(folder, _)| *folder)
        .collect();
    let mut choice = SetChoice { files: weights, left_out: Vec::new() };
    for file in files.iter().filter(|file| !taken.contains(file.path.as_str())) {
        match repo_files.why_not(file, &beside, &described, &of_others) {
            None => choice.files.push(file),
            Some(why) => choice.left_out.push((file, why)),
        }
    }
    choice.files.sort_by(|a, b| a.path.cmp(&b.path));
    choice.left_out.sort_by(|a, b| a.0.path.cmp(&b.0.path));
    Ok(choice)
}

/// The files of a repository, seen by one format.
struct RepoFiles<'a> {
    folders: BTreeMap<&'a str, Vec<&'a FileFacts>>,
    has: BTreeSet<&'a str>,
    kinds: &'static [WeightNames],
    index_end: &'static str,
}

impl<'a> RepoFiles<'a> {
    fn in_folder(&self, folder: &str) -> &[&'a FileFacts] {
        self.folders.get(folder).map_or(&[], Vec::as_slice)
    }

    /// Whether a file is named as weights of this format are.
    fn is_of_format(&self, file: &FileFacts) -> bool {
        FileKind::of(&file.path).is_some_and(|kind| self.kinds.iter().any(|names| names.kind == kind))
    }

    /// Folders that can hold parts of the model.
    fn below(&self) -> impl Iterator<Item = &'a str> {
        self.folders.keys().copied().filter(|folder| !folder.is_empty() && !is_of_others(folder))
    }

    fn weights_in(&self, folder: &str) -> Vec<&'a FileFacts> {
        let files = self.in_folder(folder);
        self.kinds.iter().map(|kind| kind.weights(files)).find(|weights| !weights.is_empty()).unwrap_or_default()
    }

    /// The weights of a model, with those of its adapters and modules, and what is missing.
    fn model(&self) -> (Vec<&'a FileFacts>, BTreeSet<String>) {
        let mut weights = self.weights_in("");
        let mut needs = &["config.json", "adapter_config.json", "open_clip_config.json"][..];
        if weights.is_empty() && self.index_end == WeightNames::SAFETENSORS_INDEX {
            weights = self.consolidated();
            needs = &["params.json", "config.json"];
        }
        let (has_own, has_index) = (!weights.is_empty(), self.index().is_some());
        // Modules of sentence-transformers may all stand in folders, the first of them too.
        let is_all_modules = self.has.contains("modules.json") && !self.in_folder("").iter().any(|file| has_weights(file));
        if !has_own && !has_index && !is_all_modules {
            return (weights, BTreeSet::new());
        }
        let mut missing = missing_shards(weights.iter().map(|file| file.path.as_str()));
        if has_index {
            // The index says where they are; who reads it finds out.
            let is_below = |name: &str| self.has.iter().any(|path| path.rsplit_once('/').is_some_and(|(_, its)| its == name));
            missing.retain(|name| !is_below(name));
        }
        for stem in sharded_stems(&weights).into_iter().filter(|stem| self.kinds.iter().any(|kind| kind.is_usual(stem))) {
            let index = format!("{stem}{}", self.index_end);
            if !self.has.contains(index.as_str()) {
                missing.insert(index);
            }
        }
        if !has_own && !has_index {
            needs = &["modules.json"];
        }
        if let (Some(first), false) = (needs.first(), needs.iter().any(|name| self.has.contains(name))) {
            missing.insert((*first).to_owned());
        }
        weights.extend(self.adapter_beside(&weights));
        for folder in self.below().filter(|folder| self.belongs(folder)) {
            let mut own = self.weights_in(folder);
            if own.is_empty() {
                // A module or adapter without a copy in this format is needed as it is.
                let files = self.in_folder(folder);
                let others = [WeightNames::SAFETENSORS, WeightNames::BIN].map(|kind| kind.weights(files));
                own = others.into_iter().find(|weights| !weights.is_empty()).unwrap_or_default();
            }
            weights.extend(own);
        }
        (weights, missing)
    }

    /// The weights of an adapter in the root folder, where those of a model stand there too: its configuration comes along,
    /// and a loader that finds it wants them.
    fn adapter_beside(&self, weights: &[&'a FileFacts]) -> Vec<&'a FileFacts> {
        let is_taken = |file: &&FileFacts| weights.iter().any(|taken| taken.path == file.path);
        let named = |extension: &str| format!("adapter_model.{extension}");
        let there: Vec<&FileFacts> = self.in_folder("").to_vec();
        let all = self.kinds.iter().chain(&[WeightNames::SAFETENSORS, WeightNames::BIN]);
        let mut extensions = all.flat_map(|names| names.kind.extensions());
        let first = extensions.find_map(|extension| there.iter().find(|file| file.path.as_str() == named(extension)));
        let is_wanted = self.has.contains("adapter_config.json") && !weights.is_empty();
        first.copied().filter(|file| is_wanted && !is_taken(file)).into_iter().collect()
    }

    /// The index in the root folder of weights with the usual names, which may stand in other folders.
    fn index(&self) -> Option<&'a str> {
        let is_index = |path: &&&'a str| {
            let stem = path.strip_suffix(self.index_end);
            stem.is_some_and(|stem| self.kinds.iter().any(|kind| kind.is_usual(stem)))
        };
        self.has.iter().find(is_index).copied()
    }

    /// The weights in Mistral's own format.
    fn consolidated(&self) -> Vec<&'a FileFacts> {
        let is_one = |file: &&'a FileFacts| {
            let name = file.path.as_str();
            name.starts_with("consolidated") && name.ends_with(".safetensors")
        };
        self.in_folder("").iter().copied().filter(is_one).collect()
    }

    /// The weights of a pipeline of several models, each in a folder.
    fn pipeline(&self) -> Vec<&'a FileFacts> {
        self.below().flat_map(|folder| self.weights_in(folder)).collect()
    }

    /// Whether a folder's weights are part of the model: an adapter, or a module of sentence-transformers.
    fn belongs(&self, folder: &str) -> bool {
        // `1_Pooling`, `document_0_MLMTransformer`.
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let is_module = folder.rsplit_once('_').is_some_and(|(before, _)| before.split(['_', '/']).any(is_number));
        self.has.contains(format!("{folder}/adapter_config.json").as_str()) || (is_module && self.has.contains("modules.json"))
    }
}

/// The formats of a repository, for an error.
fn formats_there(files: &[FileFacts]) -> Vec<String> {
    let extension = |file: &FileFacts| Some(file.path.file_name().rsplit_once('.')?.1.to_ascii_lowercase());
    let there: BTreeSet<String> = files.iter().filter_map(extension).collect();
    FileKind::weight_extensions().filter(|known| there.contains(*known)).map(|known| format!("*.{known}")).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::tree::file, *};
    use crate::hint::Hint;

    fn set(names: &[&str], format: Format) -> Result<Vec<String>, SourceError> {
        let files: Vec<FileFacts> = names.iter().map(|name| file(name)).collect();
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
        let SourceError::Incomplete { missing, .. } = error else { panic!("{error}") };
        assert_eq!(missing, ["config.json", "model-00002-of-00003.safetensors", "model.safetensors.index.json"]);
        let error = set(&["pytorch_model.bin", "x.gguf", "config.json"], Format::safetensors()).unwrap_err();
        assert_eq!(error.hint(), Some(Hint::ThereIs(vec!["*.gguf".into(), "*.bin".into()])));
    }

    /// What is taken of a repo_files in which `-` stands before what is not.
    fn holds(format: Format, repo_files: &[&str]) {
        let names: Vec<&str> = repo_files.iter().map(|name| name.strip_prefix('-').unwrap_or(name)).collect();
        let wanted: BTreeSet<&str> = repo_files.iter().copied().filter(|name| !name.starts_with('-')).collect();
        let files: Vec<FileFacts> = names.iter().map(|name| file(name)).collect();
        let set = complete_set(&files, &format).unwrap_or_else(|error| panic!("{repo_files:?}: {error}"));
        let taken: BTreeSet<&str> = set.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(taken, wanted);
        assert_eq!(set.files.len() + set.left_out.len(), files.len(), "what is left out is reported");
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
            holds(Format::safetensors(), &[&shards[..], &[index], &more[..]].concat());
        }
        let fp16 = "unet/diffusion_pytorch_model.fp16-00001-of-00001.safetensors";
        let own = ["model_index.json", fp16, "unet/diffusion_pytorch_model.safetensors.index.fp16.json", "unet/config.json"];
        holds(Format::safetensors(), &own);
        let plain =
            ["model.safetensors", "-model.fp16.safetensors.index.json", "-model.safetensors.index.fp16.json", "config.json"];
        holds(Format::safetensors(), &plain);
        // The index of what is left out is left out too.
        holds(Format::safetensors(), &["model.fp16.safetensors", "-model.safetensors.index.json", "config.json"]);
        holds(Format::safetensors(), &["model.safetensors", "-consolidated.safetensors.index.json", "config.json"]);
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
    fn weights_in_folders_belong_to_a_set_whose_root_has_none() {
        let modules = ["modules.json", "0_Transformer/config.json", "0_Transformer/model.safetensors", "1_Pooling/config.json"];
        holds(Format::safetensors(), &modules);
        let named =
            ["modules.json", "query_0_Static/model.safetensors", "document_0_MLM/model.safetensors", "-fp8/model.safetensors"];
        holds(Format::safetensors(), &named);
        // A root with weights of another format is no set of its folders.
        let other = ["modules.json", "config.json", "pytorch_model.bin", "2_Dense/model.safetensors"];
        assert!(set(&other, Format::safetensors()).is_err());
        // What an index names is known when it is read.
        holds(Format::safetensors(), &["model.safetensors.index.json", "config.json", "-parts/a.safetensors"]);
        let mixed = ["model-00001-of-00002.safetensors", "model.safetensors.index.json", "config.json"];
        holds(Format::safetensors(), &[&mixed[..], &["-parts/model-00002-of-00002.safetensors"]].concat());
    }

    #[test]
    fn an_adapter_beside_a_model_comes_with_its_configuration() {
        let names = ["model.safetensors", "config.json", "adapter_config.json", "adapter_model.safetensors", "-adapter_model.bin"];
        holds(Format::safetensors(), &names);
        holds(Format::safetensors(), &["model.safetensors", "config.json", "-adapter_model.safetensors"]);
    }

    #[test]
    fn shards_with_names_of_their_own_need_no_index_and_open_clip_has_its_own_configuration() {
        holds(Format::safetensors(), &["output-00001-of-00002.safetensors", "output-00002-of-00002.safetensors", "config.json"]);
        holds(Format::safetensors(), &["open_clip_model.safetensors", "open_clip_config.json", "-.DS_Store"]);
    }

    #[test]
    fn pytorch_takes_its_weights_and_not_the_trainers_state() {
        let names = ["pytorch_model.bin", "training_args.bin", "optimizer.bin", "model.safetensors", "config.json", "vocab.txt"];
        assert_eq!(set(&names, Format::pytorch()).unwrap(), ["config.json", "pytorch_model.bin", "vocab.txt"]);
        assert_eq!(set(&["adapter_model.safetensors", "adapter_config.json"], Format::safetensors()).unwrap().len(), 2);
    }
}
