//! What comes along beside the chosen weights, and why the rest does not.

use super::{RepoFiles, kind::is_variant};
use crate::{facts::FileFacts, names::is_apple_double, weights::FileKind};
use std::collections::BTreeSet;

/// The longest file that is no weights and comes along unasked: vocabularies are the longest of them.
const LONGEST_SMALL: u64 = 128 << 20;

/// Why weights of the wanted format are left out where others of it are taken.
pub const ANOTHER_COPY: &str = "another copy, variant or part of the weights";

impl RepoFiles<'_> {
    /// Why a file that is not among the chosen weights is left out: from the folders that weights are taken from, the
    /// stems of shards there, and the folders that have any weights.
    pub(super) fn why_not(
        &self,
        file: &FileFacts,
        beside: &BTreeSet<&str>,
        described: &BTreeSet<(&str, &str)>,
        of_others: &BTreeSet<&str>,
    ) -> Option<&'static str> {
        let (name, folder) = (file.path.file_name(), file.path.folder());
        let lower = name.to_ascii_lowercase();
        let kind = FileKind::of(name);
        if is_of_others(folder) {
            return Some("of another framework or form");
        }
        if is_apple_double(file.path.as_str()) || matches!(lower.as_str(), ".gitattributes" | ".gitignore" | ".ds_store") {
            return Some("of no use to a loader");
        }
        if kind.is_some_and(FileKind::holds_weights) {
            return Some(if self.is_of_format(file) { ANOTHER_COPY } else { "weights in another format" });
        }
        if kind == Some(FileKind::ShardIndex) {
            let stem = self.stem_of_index(name);
            let stem = stem.as_deref();
            let of_folder = || described.iter().filter(|(its, _)| *its == folder).map(|(_, stem)| *stem);
            // The format's own index may name weights of any name.
            let is_own = |stem: &str| self.kinds.iter().any(|kind| kind.is_usual(stem)) && of_folder().next().is_some();
            let is_of_variant = || of_folder().any(is_variant);
            let describes = stem.is_some_and(|stem| described.contains(&(folder, stem)) || (is_own(stem) && !is_of_variant()));
            return (!describes).then_some("describes weights that are left out");
        }
        if kind == Some(FileKind::Media) {
            return Some("a picture, a film, a sound or a paper");
        }
        if file.size.is_some_and(|size| size > LONGEST_SMALL) {
            return Some("large, and no weights");
        }
        let is_elsewhere = !folder.is_empty() && !beside.contains(folder) && of_others.contains(folder);
        is_elsewhere.then_some("beside weights that are left out")
    }
}

impl RepoFiles<'_> {
    /// The stem of the weights that an index of this name describes: `model.safetensors.index.fp16.json` those of
    /// `model.fp16`.
    fn stem_of_index(&self, name: &str) -> Option<String> {
        let weights_end = self.index_end.strip_suffix(".index.json")?;
        let (weights, rest) = name.split_once(".index.")?;
        let stem = weights.strip_suffix(weights_end)?;
        match rest.strip_suffix(".json") {
            Some(variant) => Some(format!("{stem}.{variant}")),
            None => (rest == "json").then(|| stem.to_owned()),
        }
    }
}

/// Whether a file has weights of any framework, by its name.
pub(super) fn has_weights(file: &FileFacts) -> bool {
    FileKind::of(&file.path).is_some_and(FileKind::holds_weights)
}

/// Whether a folder holds the model for another framework, in its maker's own form, or the state of a training run.
pub(super) fn is_of_others(folder: &str) -> bool {
    const NAMES: [&str; 13] =
        ["onnx", "openvino", "original", "metal", "coreml", "flax", "tf", "tflite", "gguf", "mlx", "tensorrt", "runs", "logs"];
    folder.split('/').any(|part| {
        let lower = part.to_ascii_lowercase();
        NAMES.contains(&lower.as_str()) || lower.starts_with("checkpoint-") || lower.starts_with("onnx_")
    })
}
