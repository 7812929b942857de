//! Applications that keep files under their own names and write no record of them: LM Studio, GPT4All,
//! text-generation-webui.
//!
//! LM Studio has exactly two levels, `<publisher>/<repository>/<file>`, which are those of the Hub where it fetched from there.
//! GPT4All has GGUF files in one folder and below it. text-generation-webui has GGUF files at the top, and a folder for each
//! model of several files.

use super::{
    Claim,
    reader::{Reader, is_unfinished},
};
use crate::{names::RepoId, weights};
use std::path::Path;

pub(super) fn scan_two_levels(reader: &mut Reader<'_>, dir: &Path) {
    for publisher in reader.folders(dir) {
        if publisher.starts_with('.') {
            continue;
        }
        for model in reader.folders(&dir.join(&publisher)) {
            let name = format!("{publisher}/{model}");
            let repo: Option<RepoId> = name.parse().ok();
            for (file, path) in reader.walk(&dir.join(&publisher).join(&model)) {
                if is_unfinished(&file) {
                    reader.unfinished();
                } else if weights::format_of(&file).is_some() {
                    let claim = Claim { repo: repo.clone(), path: file.parse().ok(), ..Claim::default() };
                    if let Some(found) = reader.file(&path) {
                        reader.add(&name, found, claim);
                    }
                }
            }
        }
    }
}

pub(super) fn scan_gguf(reader: &mut Reader<'_>, dir: &Path) {
    for (name, path) in reader.walk(dir) {
        let file_name = name.rsplit('/').next().unwrap_or_default();
        if is_unfinished(file_name) {
            reader.unfinished();
        } else if let Some(stem) = file_name.strip_suffix(".gguf")
            && let Some(file) = reader.file(&path)
        {
            reader.add(stem, file, Claim { path: file_name.parse().ok(), ..Claim::default() });
        }
    }
}

pub(super) fn scan_text_gen(reader: &mut Reader<'_>, dir: &Path) {
    for (name, path) in reader.walk(dir) {
        if is_unfinished(&name) {
            reader.unfinished();
            continue;
        }
        let (model, file_name) = name.split_once('/').unwrap_or((name.trim_end_matches(".gguf"), &name));
        let belongs = weights::is_weights(file_name) || (name.contains('/') && is_beside_weights(file_name));
        if belongs && let Some(file) = reader.file(&path) {
            // Its downloader calls the folder after the repository, with `_` for the slash.
            let repo = model.replacen('_', "/", 1).parse().ok().filter(|_| name.contains('/'));
            reader.add(model, file, Claim { repo, path: file_name.parse().ok(), ..Claim::default() });
        }
    }
}

/// Whether a loader of a model of several files reads a file of this name.
pub(super) fn is_beside_weights(file: &str) -> bool {
    ["json", "txt", "model", "jinja", "tiktoken"].iter().any(|ending| file.ends_with(&format!(".{ending}")))
}
