//! What a verification found, and what a repair did about it.

use crate::{digest::Sha256Digest, hint::Hint, store::ViewKey};
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

impl VerifyState {
    /// All of them, the good ones first.
    pub const ALL: [Self; 5] = [Self::Ok, Self::Unverified, Self::Foreign, Self::Modified, Self::Missing];

    /// The word for it in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unverified => "unverified",
            Self::Modified => "modified",
            Self::Missing => "missing",
            Self::Foreign => "foreign",
        }
    }

    /// Whether a file in this state is lost or wrong.
    pub const fn is_damage(self) -> bool {
        matches!(self, Self::Modified | Self::Missing)
    }
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
    /// Its view; none where a folder has a name that none of ours has.
    #[serde(skip)]
    pub view: Option<ViewKey>,
    /// Where it stands, or should.
    pub path: PathBuf,
    /// Its length in bytes.
    pub size: u64,
    /// What was found.
    pub state: VerifyState,
    /// The digest it should have, where known.
    pub sha256: Option<Sha256Digest>,
    /// Parts of it that are damaged, where the records tell.
    pub damaged_ranges: Vec<ByteRange>,
    /// Whether it is a plain file, which is left alone and so not repaired.
    #[serde(skip)]
    pub is_plain: bool,
    /// One line of explanation, where the state needs one.
    pub note: Option<String>,
    /// What to do about what the note says.
    #[serde(skip)]
    pub hints: Vec<Hint>,
}

/// A part of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ByteRange {
    /// Offset of its first byte.
    pub start: u64,
    /// Offset of the byte after its last.
    pub end: u64,
}

/// What a repair did.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct RepairReport {
    /// Every file that was damaged or missing.
    pub repairs: Vec<RepairedFile>,
    /// Bytes that were downloaded.
    pub download_bytes: u64,
}

/// One file that was damaged or missing.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct RepairedFile {
    /// The file.
    pub path: PathBuf,
    /// The digest it should have, where known.
    pub sha256: Option<Sha256Digest>,
    /// Whether it is whole again.
    pub repaired: bool,
    /// Bytes that were downloaded for it; 0 for a copy that was made again, or where the whole file is downloaded with its
    /// model.
    pub download_bytes: u64,
    /// Why it is not repaired, or what became of something that stood in the way.
    pub note: Option<String>,
}
