//! What is known about a model.

use super::{MemoryReport, ModelOrigin, RepoFile};
use crate::names::{Format, Quant, Role, SourceId};
use serde::Serialize;

/// One quantization, or the one form of a format without any, in `info`.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct InfoForm {
    /// The format.
    pub format: Format,
    /// The quantization.
    pub quant: Option<Quant>,
    /// Where it comes from.
    pub origin: ModelOrigin,
    /// The files the registry names; empty for a complete set.
    pub files: Vec<RepoFile>,
    /// Bytes of all files, where the registry knows them all.
    pub total_bytes: Option<u64>,
    /// Whether revision, sizes and hashes are all known.
    pub pinned: bool,
    /// Whether its hashes are published.
    pub verified: bool,
    /// Whether it is here.
    pub present: bool,
    /// Whether it is what a download takes where nothing else is said.
    pub is_default: bool,
    /// Bits of its files for each parameter, where both are known.
    pub bits_per_weight: Option<f64>,
    /// Whether it fits the memory of this machine.
    pub memory: MemoryReport,
    /// `active`, `superseded` or `deprecated`.
    pub status: &'static str,
    /// What takes its place.
    pub superseded_by: Option<String>,
    /// Whether the repository asks for access.
    pub gated: bool,
    /// The licence.
    pub license: Option<String>,
    /// What else there is to say.
    pub note: Option<String>,
    /// What its files say about themselves; `null` where they are not here and were not asked for, or say nothing.
    pub weights: Option<WeightsInfo>,
    /// Why a file of it could not be looked into.
    pub weights_note: Option<String>,
}

/// What the files of a model say about themselves: GGUF headers, or safetensors headers and `config.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct WeightsInfo {
    /// What it is for, such as `mmproj` or `adapter`, where a GGUF header says that it is no model.
    pub role: Option<Role>,
    /// The kind of model, such as `llama` or `LlamaForCausalLM`.
    pub architecture: Option<String>,
    /// The model's name.
    pub name: Option<String>,
    /// Tokens that it was trained to take.
    pub context_length: Option<u64>,
    /// Number of parameters in all files; `null` where packing hides it.
    pub parameters: Option<u64>,
    /// How most of the weights are kept, such as `Q4_K_M`, `BF16` or `awq 4 bit`.
    pub quantization: Option<String>,
    /// The Jinja template that makes text from messages.
    pub chat_template: Option<String>,
}

/// One model in `info`.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct InfoModel {
    /// Its registry id, or the repository that was named.
    pub model: String,
    /// One line about it.
    pub description: Option<String>,
    /// `tiny` to `xlarge`.
    pub size_class: Option<String>,
    /// Number of parameters, for people.
    pub params: Option<String>,
    /// Memory needed, for people.
    pub ram: Option<String>,
    /// What it is good for.
    pub use_case: Option<String>,
    /// The repository on the Hub.
    pub repo: Option<SourceId>,
    /// The licence.
    pub license: Option<String>,
    /// Its forms.
    pub forms: Vec<InfoForm>,
    /// The GGUF files and sets of parts of a repository that was named without a label.
    pub labels: Vec<LabelInfo>,
}

/// A GGUF file, or set of parts, of a repository.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct LabelInfo {
    /// What `owner/repo:LABEL` calls it.
    pub label: Quant,
    /// `model`, `mmproj`, `draft`, `imatrix`, `tokenizer`, `encoder`, `vae` or `adapter`, by its name, or by its header
    /// where that was read and the name says nothing.
    pub role: Role,
    /// Bytes of all its files.
    pub total_bytes: u64,
    /// Its files.
    pub files: Vec<RepoFile>,
    /// Whether it is here.
    pub present: bool,
    /// Whether it is what a download takes where nothing else is said.
    pub is_default: bool,
    /// Bits of its files for each parameter, where these are known: of a model by the header of the one that was read.
    pub bits_per_weight: Option<f64>,
    /// Whether a model fits the memory of this machine; `None` for what is no model.
    pub memory: Option<MemoryReport>,
}
