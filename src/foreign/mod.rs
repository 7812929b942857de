//! The stores of other applications: where they are, which models they hold, and under which names.
//!
//! A scan only reads. What it says of a file is a claim: a name is no hash, and hashing decides. Everything
//! read has a bound, and what cannot be read is a [`Problem`] of the scan and never its end.
//!
//! One file per application; facts and sources of each layout stand in its head.

mod comfyui;
mod docker;
mod flat;
mod folder;
mod git_lfs;
mod hf;
mod jan;
mod ollama;
mod place;
mod places;
mod ramalama;
mod reader;
#[cfg(test)]
mod tests;
mod watch;

pub use folder::LeftOut;
pub use place::{CONFIG_FOLDER, FileToPlace, ModelToPlace, Placed, Placement, placements, placements_in_folder};
pub use places::default_places;
pub use watch::{Patience, Place, Watch, scan_all};

use crate::{
    digest::{GitSha1, Sha256Digest},
    disk::Disk,
    names::{App, RelPath, RepoId},
};
use reader::{Limits, Reader};
use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

/// What an application says of a file. None of it is proved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claim {
    /// Its SHA-256.
    pub sha256: Option<Sha256Digest>,
    /// Its git blob id, where the Hub has it outside of LFS.
    pub git_sha1: Option<GitSha1>,
    /// The repository of the Hub.
    pub repo: Option<RepoId>,
    /// The commit, 40 hexadecimal digits.
    pub commit: Option<String>,
    /// Its path in the repository.
    pub path: Option<RelPath>,
}

/// A file of an application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppFile {
    /// The regular file itself; no link leads on from it.
    pub path: PathBuf,
    /// Its length in bytes.
    pub size: u64,
    /// Device and inode number, by which two names of one file are known; 0 where there are none.
    pub id: (u64, u64),
    /// What the application says of it.
    pub claim: Claim,
}

/// A model as an application has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppModel {
    /// What the application calls it.
    pub name: String,
    /// Its files.
    pub files: Vec<AppFile>,
}

/// Something that was not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub path: PathBuf,
    /// What is wrong.
    pub why: String,
}

/// What a place of an application holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scan {
    /// The version of the layout, where the application writes one.
    pub layout: Option<String>,
    /// Its models, by name.
    pub models: Vec<AppModel>,
    /// What was not understood and left out.
    pub problems: Vec<Problem>,
    /// Downloads that the application has not finished.
    pub unfinished: usize,
}

/// Whether an application does with a file that has a further name elsewhere as with any other: it removes names and writes new
/// files, and writes in none that is there.
#[must_use]
pub fn survives_hard_links(app: App) -> bool {
    // Docker Model Runner gives its blobs further names itself, so one that is replaced keeps the old bytes elsewhere.
    app != App::Docker
}

/// Reads what an application has in `dir`. `watch` hears of each step, and may end it.
#[must_use]
pub fn scan(disk: &dyn Disk, app: App, dir: &Path, watch: &Watch) -> Scan {
    let mut reader = Reader::new(disk, watch, Limits::PLACE);
    match app {
        App::Hf => hf::scan(&mut reader, dir),
        App::LlamaCpp => hf::scan_llama_cpp(&mut reader, dir),
        App::Ollama => ollama::scan(&mut reader, dir),
        App::LmStudio => flat::scan_two_levels(&mut reader, dir),
        App::Docker => docker::scan(&mut reader, dir),
        App::RamaLama => ramalama::scan(&mut reader, dir),
        App::Jan => jan::scan(&mut reader, dir),
        App::Gpt4All => flat::scan_gguf(&mut reader, dir),
        App::TextGen => flat::scan_text_gen(&mut reader, dir),
        App::ComfyUi => comfyui::scan(&mut reader, dir),
        App::GitLfs => git_lfs::scan(&mut reader, dir),
    }
    reader.end()
}

/// The files that the records of an application in `dir` name; `None` where a record cannot be read, which may name any. Only the
/// cache of `huggingface_hub` and Ollama have such records: the others have their files and no more.
#[must_use]
pub fn needed(disk: &dyn Disk, app: App, dir: &Path) -> Option<HashSet<PathBuf>> {
    let watch = Watch::default();
    let mut reader = Reader::new(disk, &watch, Limits::PLACE);
    let needed = match app {
        App::Hf | App::LlamaCpp => hf::needed(&mut reader, dir),
        App::Ollama => ollama::needed(&mut reader, dir),
        _ => HashSet::new(),
    };
    reader.end().problems.is_empty().then_some(needed)
}
