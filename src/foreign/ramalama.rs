//! RamaLama: `store/<transport>/<owner>/<name>/{refs/<tag>.json, snapshots/sha256-<hex>/<file>, blobs/sha256-<hex>}`.
//!
//! A file of a snapshot is a hard link, a link or a copy of a blob. A name of a blob is a hash of its content for what came
//! from the Hub or from Ollama's registry, and is **not** for `file://`. Chat templates are written again in place, so only
//! weights are taken.

use super::{
    Claim,
    reader::{Reader, is_unfinished},
};
use crate::names::RepoId;
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// A reference, of which only this is read.
#[derive(Deserialize)]
struct Reference {
    #[serde(default)]
    files: Vec<Referenced>,
}

#[derive(Deserialize)]
struct Referenced {
    #[serde(default)]
    name: String,
    #[serde(default)]
    hash: String,
}

pub(super) fn scan(reader: &mut Reader<'_>, dir: &Path) {
    let store = dir.join("store");
    for transport in reader.folders(&store) {
        let names_are_hashes = matches!(transport.as_str(), "huggingface" | "ollama");
        // The files of each model's snapshots, in the order of the walk.
        let mut models: BTreeMap<String, Vec<(String, PathBuf)>> = BTreeMap::new();
        for (name, path) in reader.walk(&store.join(&transport)) {
            if name.contains("/blobs/") && is_unfinished(&name) {
                reader.unfinished();
            }
            if let Some((model, _)) = name.split_once("/snapshots/") {
                let file_name = name.rsplit('/').next().unwrap_or_default().to_owned();
                models.entry(model.to_owned()).or_default().push((file_name, path));
            }
        }
        for (model, files) in models {
            let hashes = hashes(reader, &store.join(&transport).join(&model));
            let repo: Option<RepoId> = if transport == "huggingface" { model.parse().ok() } else { None };
            for (file_name, path) in files {
                if !crate::weights::is_weights(&file_name) || is_unfinished(&file_name) {
                    continue;
                }
                let sha256 = hashes.get(&file_name).filter(|_| names_are_hashes).and_then(|hash| hash.parse().ok());
                let claim = Claim { sha256, repo: repo.clone(), path: file_name.parse().ok(), ..Claim::default() };
                if let Some(file) = reader.file(&path) {
                    reader.add(&format!("{transport}://{model}"), file, claim);
                }
            }
        }
    }
}

/// What the references of a model say of its files: name and hash.
fn hashes(reader: &mut Reader<'_>, model: &Path) -> BTreeMap<String, String> {
    let mut hashes = BTreeMap::new();
    for entry in reader.list(&model.join("refs")) {
        if let Some(Reference { files }) = reader.json::<Reference>(&model.join("refs").join(entry.name)) {
            let plain = |hash: String| hash.trim_start_matches("sha256-").trim_start_matches("sha256:").to_owned();
            hashes.extend(files.into_iter().map(|file| (file.name, plain(file.hash))));
        }
    }
    hashes
}
