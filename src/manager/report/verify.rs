//! What a verification found, and what a repair did about it.

use crate::digest::Sha256Digest;
use serde::Serialize;
use std::path::PathBuf;

/// State of one file after verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
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
#[non_exhaustive]
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

/// What a repair did.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct RepairReport {
    /// Every file that was damaged or missing.
    pub files: Vec<RepairedFile>,
    /// Bytes that travelled.
    pub fetched: u64,
}

/// One file that was to be mended.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
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
