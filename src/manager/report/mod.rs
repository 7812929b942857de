//! What each use-case answers. These values are what `--json` prints and what the Python package returns, so their
//! fields are a promise.

pub(super) mod lock;
pub(super) mod memory;

use super::MemoryReport;
use crate::{
    digest::{GitSha1, Sha256Digest},
    names::{Format, Quant},
    settings::LinkMode,
    store::{IntakeKey, Trust, Unreferenced, ViewKey},
};
use serde::Serialize;
use std::path::PathBuf;

/// Which model, and which of its forms.
#[derive(Debug, Clone, Default)]
pub struct Selector {
    /// Its name: an id, a repository such as `owner/repo:Q4_K_M`, a path or a digest.
    pub model: String,
    /// Only this format.
    pub format: Option<Format>,
    /// Only this quantization.
    pub quant: Option<Quant>,
}

/// Choices of a download.
#[derive(Debug, Clone, Default)]
pub struct DownloadOptions {
    /// Fetch again even what is present.
    pub force: bool,
    /// Another revision than the registry's.
    pub revision: Option<crate::names::Revision>,
    /// What else a GGUF model gets of its repository: a projector, a draft and so on.
    pub with: Vec<crate::source::hub::Companion>,
}

/// One file of a planned or finished download.
#[derive(Debug, Clone, Serialize)]
pub struct FileReport {
    /// Its path below the view's folder.
    pub file: String,
    /// Its length in bytes; `null` while nobody knows it.
    pub size: Option<u64>,
    /// Its SHA-256; `null` while nobody knows it.
    pub sha256: Option<Sha256Digest>,
    /// The git hash by which the Hub knows a small file, where it was asked.
    pub git_sha1: Option<GitSha1>,
    /// How far what is here is vouched for: `sha256-upstream`, `git-sha1-upstream`, or `tofu` where nobody published a hash;
    /// `null` while it is not here.
    pub trust: Option<Trust>,
    /// Where its bytes are or come from.
    pub state: FileSupply,
    /// Bytes that travelled, or, in a plan, that would.
    pub fetched: u64,
}

/// Where the bytes of a file come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FileSupply {
    /// They are in the store.
    Present,
    /// They are in the store and damaged; what is wrong of them comes over the network.
    Damaged,
    /// A plain file at the view's path is taken into the store.
    Adopt,
    /// Some are in the store from an interrupted download.
    Partial,
    /// They come over the network.
    Fetch,
}

/// What a download would do.
#[derive(Debug, Clone, Serialize)]
pub struct PlanReport {
    /// The view it would make.
    #[serde(flatten)]
    pub view: ViewKey,
    /// The path it would print.
    pub path: PathBuf,
    /// The repository.
    pub repo: String,
    /// The commit, branch or tag.
    pub revision: String,
    /// The licence, where known.
    pub license: Option<String>,
    /// Whether the repository asks for access.
    pub gated: bool,
    /// Every file.
    pub files: Vec<FileReport>,
    /// Bytes of all files whose size is known.
    pub size: u64,
    /// Bytes that would travel.
    pub fetch: u64,
    /// Bytes that would be taken on the store's volume.
    pub take: u64,
    /// The store: its volume is the one that is filled.
    pub store: PathBuf,
    /// Bytes free on that volume now, where that can be told.
    pub free: Option<u64>,
    /// Bytes free after it; `null` where they do not suffice.
    pub free_after: Option<u64>,
    /// Whether it fits the memory of this machine.
    pub memory: MemoryReport,
    /// API requests that planning took.
    pub api_requests: u32,
    /// Requests that the download would make at least: to plan again, and one for each content that it fetches.
    pub requests: u32,
    /// Files of the repository that a set leaves out, the first thousand of them; none where the repository was not
    /// asked.
    pub left_out: Vec<LeftOut>,
    /// What was chosen and why.
    pub notices: Vec<String>,
}

/// A file of the repository that a set leaves out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Its path in the repository.
    pub file: String,
    /// Its length in bytes.
    pub size: u64,
    /// Why.
    pub why: &'static str,
}

impl LeftOut {
    pub(super) fn new(file: &crate::source::hub::HubFile, why: &'static str) -> Self {
        Self { file: file.path.to_string(), size: file.size, why }
    }
}

/// What a download did.
#[derive(Debug, Clone, Serialize)]
pub struct DownloadReport {
    /// The view.
    #[serde(flatten)]
    pub view: ViewKey,
    /// The path to give to a backend: the file of a GGUF (part 1 of a split one), the folder of a set.
    pub path: PathBuf,
    /// Every file.
    pub files: Vec<FileReport>,
    /// Bytes of all files.
    pub size: u64,
    /// Bytes that travelled.
    pub fetched: u64,
    /// How the view shows its blobs.
    pub link: Option<&'static str>,
    /// What was chosen and why.
    pub notices: Vec<String>,
}

/// One line of `list`.
#[derive(Debug, Clone, Serialize)]
pub struct ListedModel {
    /// The model's folder name.
    pub model: String,
    /// The format's folder name.
    pub format: String,
    /// The quantization's folder name, where there is one.
    pub quant: Option<String>,
    /// What a backend is given: the file of a GGUF, the folder of a set.
    pub path: PathBuf,
    /// Its files, below the view's folder: what its record says it has. What else lies there is not among them.
    pub files: Vec<String>,
    /// Bytes of all files.
    pub size: u64,
    /// How they are.
    pub state: ListedState,
    /// Those that are not there.
    pub missing: Vec<String>,
    /// Those that are known not to be what they should be.
    pub damaged: Vec<String>,
}

/// How the files of a listed model are, as far as it can be told without reading them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ListedState {
    /// All lead into the store.
    Stored,
    /// Plain files, dropped by hand or by the old tool.
    Foreign,
    /// A file is missing, or its link leads nowhere.
    Broken,
    /// None is missing, and one is known not to be what it should be.
    Damaged,
}

/// State of one file after verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum VerifyState {
    /// Its content is what was published, or what the registry pins.
    Ok,
    /// Its content is as it was recorded when it came, but was never compared with a published hash.
    Unverified,
    /// Its content is wrong.
    Modified,
    /// It is not there.
    Missing,
    /// Not ours, and nothing is known about it.
    Foreign,
}

/// One verified file.
#[derive(Debug, Clone, Serialize)]
pub struct VerifiedFile {
    /// The model's folder name.
    pub model: String,
    /// The format's folder name.
    pub format: String,
    /// The quantization's folder name, where there is one.
    pub quant: Option<String>,
    /// The file.
    pub path: PathBuf,
    /// Its length in bytes.
    pub size: u64,
    /// What was found.
    pub state: VerifyState,
    /// The digest it should have, where known.
    pub sha256: Option<Sha256Digest>,
    /// Bytes ranges that are damaged, where the records tell.
    pub damaged: Vec<(u64, u64)>,
    /// Whether it is a plain file, which is left alone and so not repaired.
    #[serde(skip)]
    pub is_plain: bool,
    /// One line of explanation, where the state needs one.
    pub note: Option<String>,
}

/// What a removal did, or would do.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RemoveReport {
    /// Views that are gone.
    pub views: Vec<ViewKey>,
    /// Files and links that are gone.
    pub removed: Vec<PathBuf>,
    /// Files that stay because they are not ours, and why.
    pub kept: Vec<(PathBuf, String)>,
    /// Blobs that are gone.
    pub blobs: Vec<BlobLine>,
    /// Bytes given back.
    pub freed: u64,
    /// Blobs that stay because somebody uses them, and who.
    pub shared: Vec<SharedBlob>,
    /// Whether this was only a plan.
    pub dry_run: bool,
}

/// A blob in a report.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct BlobLine {
    /// Its address.
    pub sha256: Sha256Digest,
    /// Its length in bytes.
    pub size: u64,
}

impl From<&Unreferenced> for BlobLine {
    fn from(blob: &Unreferenced) -> Self {
        Self { sha256: blob.digest, size: blob.size }
    }
}

/// A blob that somebody else uses.
#[derive(Debug, Clone, Serialize)]
pub struct SharedBlob {
    /// Its address.
    pub sha256: Sha256Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Who uses it: `<project path>: <view>`.
    pub users: Vec<String>,
}

/// One quantization, or the one form of a format without any, in `info`.
#[derive(Debug, Clone, Serialize)]
pub struct InfoForm {
    /// The format.
    pub format: Format,
    /// The quantization.
    pub quant: Option<Quant>,
    /// The repository.
    pub repo: String,
    /// The pinned revision.
    pub revision: Option<String>,
    /// The files the registry names; empty for a complete set.
    pub files: Vec<String>,
    /// Bytes, where the registry knows them all.
    pub size: Option<u64>,
    /// Whether revision, sizes and hashes are all known.
    pub pinned: bool,
    /// Whether its hashes are published.
    pub verified: bool,
    /// Whether it is here.
    pub present: bool,
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
pub struct WeightsInfo {
    /// What it is for, such as `mmproj` or `adapter`, where a GGUF header says that it is no model.
    pub role: Option<&'static str>,
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
pub struct InfoModel {
    /// Its registry id.
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
    pub repo: Option<String>,
    /// The licence.
    pub license: Option<String>,
    /// Its forms.
    pub forms: Vec<InfoForm>,
    /// The GGUF files and sets of parts of a repository that was named without a label.
    pub labels: Vec<LabelInfo>,
}

/// A GGUF file, or set of parts, of a repository.
#[derive(Debug, Clone, Serialize)]
pub struct LabelInfo {
    /// What `owner/repo:LABEL` calls it.
    pub label: String,
    /// `model`, `mmproj`, `draft`, `imatrix`, `tokenizer`, `encoder`, `vae` or `adapter`, by its name, or by its header
    /// where that was read and the name says nothing.
    pub role: &'static str,
    /// Bytes.
    pub size: u64,
    /// Its files.
    pub files: Vec<String>,
    /// Whether it is here.
    pub present: bool,
}

/// The link mode in reports.
pub(crate) fn link_word(mode: LinkMode) -> &'static str {
    mode.word()
}

/// A partial download in a report.
#[derive(Debug, Clone, Serialize)]
pub struct PartialLine {
    /// Its name in the store.
    pub key: String,
    /// The file it will become.
    pub what: String,
    /// Bytes it takes on the volume.
    pub bytes: u64,
}

impl From<&(IntakeKey, String, u64)> for PartialLine {
    fn from((key, what, bytes): &(IntakeKey, String, u64)) -> Self {
        Self { key: key.to_string(), what: what.clone(), bytes: *bytes }
    }
}

/// What a collection did, or would do.
#[derive(Debug, Clone, Serialize)]
pub struct GcSummary {
    /// Whether this was only a plan.
    pub dry_run: bool,
    /// Blobs that are gone.
    pub blobs: Vec<BlobLine>,
    /// Abandoned partial downloads that are gone.
    pub partials: Vec<PartialLine>,
    /// Records without a blob and temporary files of dead processes that are gone.
    pub leftovers: Vec<PathBuf>,
    /// Blobs that stay because something needs them.
    pub kept: usize,
    /// Unreferenced blobs that stay because they are younger than the grace period.
    pub young: usize,
    /// Bytes of those.
    pub young_bytes: u64,
    /// Bytes given back.
    pub freed: u64,
    /// Blobs among them that free nothing, because the file has further names (hard links).
    pub frees_nothing: Vec<BlobLine>,
    /// Blobs that stay because a program has them open; Windows removes no such file.
    pub open: Vec<BlobLine>,
    /// The longest time others were shut out, in milliseconds.
    pub longest_section_ms: Option<f64>,
}

/// Who keeps a blob.
#[derive(Debug, Clone, Serialize)]
pub struct WhyReport {
    /// Its address.
    pub sha256: Sha256Digest,
    /// Its length in bytes, where it is there.
    pub size: Option<u64>,
    /// Whether it is in the store.
    pub present: bool,
    /// Whether it is known to be damaged.
    pub damaged: bool,
    /// Who uses it: `<project path>: <view>`.
    pub users: Vec<String>,
    /// Whether a running process relies on it.
    pub leased: bool,
    /// How far its content is vouched for: `tofu` where nobody published a hash; `null` where nothing is recorded.
    pub trust: Option<Trust>,
    /// Where it came from.
    pub sources: Vec<crate::store::Source>,
}

/// Where the store's bytes are.
#[derive(Debug, Clone, Default, Serialize)]
pub struct DfReport {
    /// The store.
    pub store: PathBuf,
    /// Number of blobs.
    pub blobs: usize,
    /// Number of blobs that are known to be damaged.
    pub damaged: usize,
    /// Number of projects.
    pub projects: usize,
    /// Bytes that all views together show.
    pub logical: u64,
    /// Bytes that all blobs take on the volume.
    pub physical: u64,
    /// Bytes that sharing saves.
    pub shared: u64,
    /// Bytes of blobs that nothing needs.
    pub reclaimable: u64,
    /// Bytes of interrupted downloads.
    pub partial: u64,
    /// Bytes free on the volume.
    pub free: u64,
    /// Size of the volume.
    pub total: u64,
}

/// What became of a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ProjectState {
    /// It is where it was.
    Live,
    /// Its volume is there and it is not.
    Missing,
    /// It cannot be seen from here: another host, an unmounted volume, no permission.
    Unreachable,
}

/// A project that uses the store.
#[derive(Debug, Clone, Serialize)]
pub struct ProjectLine {
    /// Its identity.
    pub uuid: String,
    /// Its models directory when it was last seen.
    pub path: String,
    /// The machine it was seen on.
    pub host: String,
    /// When, RFC 3339.
    pub last_seen: String,
    /// What became of it.
    pub state: ProjectState,
    /// Its views.
    pub views: Vec<String>,
    /// Bytes they show.
    pub size: u64,
}

/// What a doctor's visit found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct DoctorReport {
    /// The store.
    pub store: PathBuf,
    /// Number of blobs.
    pub blobs: usize,
    /// Whether every byte was read.
    pub read_bytes: bool,
    /// What is not as it should be, the worst first.
    pub findings: Vec<crate::store::Finding>,
}

/// What a repair did.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RepairReport {
    /// Every file that was damaged or missing.
    pub files: Vec<RepairedFile>,
    /// Bytes that travelled.
    pub fetched: u64,
}

/// One file that was to be mended.
#[derive(Debug, Clone, Serialize)]
pub struct RepairedFile {
    /// The file.
    pub path: PathBuf,
    /// Whether it is whole again.
    pub mended: bool,
    /// Bytes that travelled for it.
    pub fetched: u64,
    /// Why not, where it is not.
    pub note: Option<String>,
}
