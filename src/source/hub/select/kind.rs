//! How the weights of a format are called, and which of a folder's are taken.

use super::shards::split_shard;
use crate::{facts::FileFacts, weights::FileKind};

/// How loaders expect the weights of one kind to be named.
pub(super) struct WeightNames {
    pub(super) kind: FileKind,
    /// The stem of the weights themselves, beside which other stems are variants or something else.
    usual: &'static str,
}

impl WeightNames {
    pub(super) const SAFETENSORS_INDEX: &'static str = ".safetensors.index.json";
    pub(super) const SAFETENSORS: Self = Self { kind: FileKind::Safetensors, usual: "model" };
    pub(super) const BIN: Self = Self { kind: FileKind::PytorchBin, usual: "pytorch_model" };
    pub(super) const PICKLE: Self = Self { kind: FileKind::PytorchPickle, usual: "model" };
    /// State of a training run, and Meta's own format: not weights that a loader looks for.
    const OTHERS: [&'static str; 8] =
        ["consolidated", "training_args", "optimizer", "scheduler", "scaler", "rng_state", "random_states", "tokenizer"];

    /// Whether the weights themselves have this stem.
    pub(super) fn is_usual(&self, stem: &str) -> bool {
        self.usual == stem || USUAL.contains(&stem)
    }

    /// The stem of weights of this kind; loaders ask for the extension in lower case.
    fn stem<'n>(&self, name: &'n str) -> Option<&'n str> {
        let (stem, extension) = name.rsplit_once('.')?;
        if !self.kind.extensions().contains(&extension) {
            return None;
        }
        (!Self::OTHERS.iter().any(|other| stem.starts_with(other))).then_some(stem)
    }

    /// The weights in a folder; where the usual names exist, only these, and shards rather than a single file if there
    /// is an index.
    pub(super) fn weights<'a>(&self, folder: &[&'a FileFacts]) -> Vec<&'a FileFacts> {
        let mut all: Vec<(&'a FileFacts, &'a str)> =
            folder.iter().filter_map(|file| Some((*file, self.stem(file.path.file_name())?))).collect();
        let is_plain = |(_, stem): &(&FileFacts, &str)| !is_variant(stem);
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
        let extension = self.kind.extensions().first().copied().unwrap_or_default();
        let index = format!("{usual_stem}.{extension}.index.json");
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
pub(super) fn is_variant(stem: &str) -> bool {
    let (base, _) = split_shard(stem);
    let variant = base.rsplit_once('.').map(|(_, variant)| variant);
    variant.is_some_and(|variant| ["fp16", "bf16", "fp32", "fp8", "int8", "non_ema"].contains(&variant))
}
