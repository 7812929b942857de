//! The cache of `huggingface_hub`, which llama.cpp uses too, and llama.cpp's own folder of before.
//!
//! `models--<owner>--<name>/{refs/<name>, snapshots/<commit>/<path> -> ../../blobs/<etag>, blobs/<etag>}`. An etag of 64 digits
//! is the SHA-256 of the content, one of 40 git's blob id. Since 1.32 `blobs/<etag>` may be a link to a file that several
//! caches share, whose name is no hash of its content. On Windows without links, `snapshots` holds the files themselves.
//! Before 2026 llama.cpp had `<owner>_<name>_<file>.gguf` and beside it `….gguf.etag` or a `.json` with the etag.

use super::{
    Claim,
    reader::{Reader, is_unfinished},
};
use crate::names::{RelPath, RepoId};
use serde::Deserialize;
use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

/// Reads a cache.
pub(super) fn scan(reader: &mut Reader<'_>, dir: &Path) {
    for folder in reader.folders(dir) {
        let Some(repo) = repo_of(&folder) else { continue };
        let root = dir.join(&folder);
        for blob in reader.list(&root.join("blobs")) {
            if is_unfinished(&blob.name) {
                reader.unfinished();
            }
        }
        for commit in current(reader, &root) {
            let snapshot = root.join("snapshots").join(&commit);
            for (name, path) in reader.walk(&snapshot) {
                if is_unfinished(&name) {
                    continue;
                }
                let mut claim = Claim {
                    repo: Some(repo.clone()),
                    commit: Some(commit.clone()).filter(|commit| is_commit(commit)),
                    path: name.parse::<RelPath>().ok(),
                    ..Claim::default()
                };
                if let Some(etag) = reader.link(&path).as_deref().and_then(Path::file_name).and_then(|etag| etag.to_str()) {
                    claim_etag(&mut claim, etag);
                }
                if let Some(file) = reader.file(&path) {
                    reader.add(repo.as_str(), file, claim);
                }
            }
        }
    }
}

/// The blobs that links of any snapshot lead to.
pub(super) fn needed(reader: &mut Reader<'_>, dir: &Path) -> HashSet<PathBuf> {
    let mut needed = HashSet::new();
    for folder in reader.folders(dir).into_iter().filter(|folder| repo_of(folder).is_some()) {
        let root = dir.join(folder);
        for (_, path) in reader.walk(&root.join("snapshots")) {
            if let Some(etag) = reader.link(&path).as_deref().and_then(Path::file_name) {
                needed.insert(root.join("blobs").join(etag));
            }
        }
    }
    needed
}

/// Reads the folder of llama.cpp: a cache as above where it has one, and the flat files of before.
pub(super) fn scan_llama_cpp(reader: &mut Reader<'_>, dir: &Path) {
    scan(reader, dir);
    #[derive(Deserialize)]
    struct Described {
        #[serde(default)]
        etag: String,
        #[serde(default)]
        url: String,
    }
    for entry in reader.list(dir) {
        let path = dir.join(&entry.name);
        if is_unfinished(&entry.name) {
            reader.unfinished();
            continue;
        }
        if !entry.name.ends_with(".gguf") {
            continue;
        }
        let mut claim = Claim::default();
        let beside = |ending: &str| dir.join(format!("{}{ending}", entry.name));
        if reader.is_there(&beside(".etag")) {
            let etag = reader.text(&beside(".etag")).unwrap_or_default();
            claim_etag(&mut claim, etag.trim());
        } else if reader.is_there(&beside(".json"))
            && let Some(described) = reader.json::<Described>(&beside(".json"))
        {
            claim_etag(&mut claim, &described.etag);
            claim_address(&mut claim, &described.url);
        }
        if let Some(file) = reader.file(&path) {
            reader.add(entry.name.trim_end_matches(".gguf"), file, claim);
        }
    }
}

/// The snapshot that `main` names, else that of another branch or tag, else the first: files of two commits are not one model.
fn current(reader: &mut Reader<'_>, root: &Path) -> Vec<String> {
    let snapshots = reader.folders(&root.join("snapshots"));
    let named = |reader: &mut Reader<'_>, name: &str| {
        let commit = reader.text(&root.join("refs").join(name)).map(|text| text.trim().to_owned());
        commit.filter(|commit| snapshots.contains(commit))
    };
    if let Some(main) = named(reader, "main") {
        return vec![main];
    }
    let refs: Vec<String> = reader.list(&root.join("refs")).into_iter().map(|entry| entry.name).collect();
    let mut others = refs.iter().filter_map(|name| named(reader, name)).collect::<Vec<_>>();
    others.truncate(1);
    if others.is_empty() { snapshots.into_iter().take(1).collect() } else { others }
}

/// The repository that a folder of a cache is of.
fn repo_of(folder: &str) -> Option<RepoId> {
    folder.strip_prefix("models--")?.replacen("--", "/", 1).parse().ok()
}

/// Takes an etag, with or without quotes, for the hash that it is.
fn claim_etag(claim: &mut Claim, etag: &str) {
    let etag = etag.trim_start_matches("W/").trim_matches('"');
    match etag.len() {
        64 => claim.sha256 = etag.parse().ok(),
        40 => claim.git_sha1 = etag.parse().ok(),
        _ => {}
    }
}

/// Takes the address of a file at the Hub apart: `https://host/<owner>/<name>/resolve/<revision>/<path>`.
fn claim_address(claim: &mut Claim, address: &str) {
    let Some((_, path)) = address.split_once("://").and_then(|(_, rest)| rest.split_once('/')) else { return };
    let Some((repo, rest)) = path.split_once("/resolve/") else { return };
    claim.repo = repo.parse().ok();
    if let Some((revision, path)) = rest.split_once('/') {
        claim.commit = Some(revision.to_owned()).filter(|revision| is_commit(revision));
        claim.path = path.split(['?', '#']).next().and_then(|path| path.parse().ok());
    }
}

fn is_commit(name: &str) -> bool {
    name.len() == 40 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}
