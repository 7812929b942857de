//! What kind of file a name says it is: the one table of extensions and of names with a meaning.

use crate::names::Format;

/// The kind of a file of a model, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum FileKind {
    /// llama.cpp's single-file format.
    Gguf,
    /// Tensors of a set, behind a header in JSON.
    Safetensors,
    /// A pickled state dictionary as transformers names it.
    PytorchBin,
    /// Any other pickled file of PyTorch.
    PytorchPickle,
    /// Weights of another framework.
    OtherWeights,
    /// An archive or a table, which may hold weights and is of no use to a loader.
    Archive,
    /// A picture, a film, a sound or a paper.
    Media,
    /// Says which shard has which tensor.
    ShardIndex,
    /// `config.json`.
    Config,
    /// `tokenizer_config.json`.
    TokenizerConfig,
    /// `chat_template.jinja`.
    ChatTemplate,
}

/// Each kind with its extensions, in the order in which they are listed for people.
const EXTENSIONS: [(FileKind, &[&str]); 7] = [
    (FileKind::Gguf, &["gguf"]),
    (FileKind::Safetensors, &["safetensors"]),
    (FileKind::PytorchBin, &["bin"]),
    (FileKind::PytorchPickle, &["pt", "pth"]),
    (
        FileKind::OtherWeights,
        &["onnx", "h5", "msgpack", "ggml", "onnx_data", "ot", "ckpt", "tflite", "pb", "mlmodel", "npz", "nemo", "pdparams"],
    ),
    (FileKind::Archive, &["tar", "gz", "zip", "parquet"]),
    (FileKind::Media, &["png", "jpg", "jpeg", "gif", "webp", "svg", "mp4", "mov", "pdf", "mp3", "wav"]),
];

/// Names that mean something in every repository.
const NAMES: [(FileKind, &str); 3] = [
    (FileKind::Config, "config.json"),
    (FileKind::TokenizerConfig, "tokenizer_config.json"),
    (FileKind::ChatTemplate, "chat_template.jinja"),
];

impl FileKind {
    /// The kind of the file at `path`, whatever the case of its name; `None` if the name says nothing.
    pub fn of(path: impl AsRef<str>) -> Option<Self> {
        let name = path.as_ref().rsplit('/').next()?.to_ascii_lowercase();
        if let Some((kind, _)) = NAMES.iter().find(|(_, known)| *known == name) {
            return Some(*kind);
        }
        let (_, extension) = name.rsplit_once('.')?;
        if extension == "json" && name.contains(".index.") {
            return Some(Self::ShardIndex);
        }
        EXTENSIONS.iter().find(|(_, extensions)| extensions.contains(&extension)).map(|(kind, _)| *kind)
    }

    /// The extensions of files of this kind, in lower case and without the dot.
    pub fn extensions(self) -> &'static [&'static str] {
        EXTENSIONS.iter().find(|(kind, _)| *kind == self).map_or(&[], |(_, extensions)| extensions)
    }

    /// The extensions of weights of every framework.
    pub fn weight_extensions() -> impl Iterator<Item = &'static str> {
        let weights = EXTENSIONS.iter().filter(|(kind, _)| kind.holds_weights() && *kind != Self::Archive);
        weights.flat_map(|(_, extensions)| extensions.iter().copied())
    }

    /// The format whose weights these are.
    pub fn format(self) -> Option<Format> {
        match self {
            Self::Gguf => Some(Format::gguf()),
            Self::Safetensors => Some(Format::safetensors()),
            Self::PytorchBin | Self::PytorchPickle => Some(Format::pytorch()),
            _ => None,
        }
    }

    /// Whether these are weights that a program loads: those of a [`Format`].
    pub fn is_weights(self) -> bool {
        matches!(self, Self::Gguf | Self::Safetensors | Self::PytorchBin | Self::PytorchPickle)
    }

    /// Whether such files hold weights of any framework, packed or not.
    pub fn holds_weights(self) -> bool {
        self.is_weights() || matches!(self, Self::OtherWeights | Self::Archive)
    }
}

/// The format whose weights the file at `path` holds, by its name.
pub fn format_of(path: impl AsRef<str>) -> Option<Format> {
    FileKind::of(path)?.format()
}

/// Whether the file at `path` has weights that a program loads, by its name.
pub fn is_weights(path: impl AsRef<str>) -> bool {
    FileKind::of(path).is_some_and(FileKind::is_weights)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_extension_means_one_kind_in_lower_and_in_upper_case() {
        let mut seen = BTreeSet::new();
        for (kind, extensions) in EXTENSIONS {
            for extension in extensions {
                assert!(seen.insert(*extension), "{extension} stands twice");
                for name in [format!("a.b/x.{extension}"), format!("a/X.{}", extension.to_uppercase()), format!(".{extension}")] {
                    assert_eq!(FileKind::of(&name), Some(kind), "{name}");
                }
                assert_eq!(FileKind::of(format!("a.{extension}/README")), None, "a folder's name says nothing of the file");
                assert_eq!(FileKind::of(extension), None, "a name without a dot has no extension");
            }
            assert_eq!(kind.extensions(), extensions);
        }
    }

    #[test]
    fn names_with_a_meaning_are_known_in_both_cases_and_in_any_folder() {
        for (kind, name) in NAMES {
            for name in [name.to_owned(), name.to_uppercase(), format!("text_encoder/{name}")] {
                assert_eq!(FileKind::of(&name), Some(kind), "{name}");
            }
        }
        for name in ["model.safetensors.index.json", "MODEL.BIN.INDEX.FP16.JSON"] {
            assert_eq!(FileKind::of(name), Some(FileKind::ShardIndex), "{name}");
        }
        for name in ["generation_config.json", "index.json", "tokenizer.model", "README.md", "x.gguf.part", ""] {
            assert_eq!(FileKind::of(name), None, "{name}");
        }
    }

    #[test]
    fn weights_have_a_format_and_nothing_else_has() {
        for (kind, _) in EXTENSIONS.iter().copied().chain(NAMES.iter().map(|(kind, _)| (*kind, &[][..]))) {
            assert_eq!(kind.format().is_some(), kind.is_weights(), "{kind:?}");
            assert!(!kind.is_weights() || kind.holds_weights(), "{kind:?}");
        }
        assert!(is_weights("a/B.PTH") && !is_weights("a.onnx") && !is_weights("bin"));
        assert_eq!(format_of("x.GGUF"), Some(Format::gguf()));
        assert!(FileKind::weight_extensions().all(|extension| extension != "zip"));
    }
}
