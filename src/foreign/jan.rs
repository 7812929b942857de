//! Jan: `llamacpp/models/<id>/model.yml` in its data folder.
//!
//! `model_path` and `mmproj_path` are relative to the data folder, or absolute; `model_sha256` is the hash that was expected. An
//! absolute path may be in another application's folder, or lead to a view of ours.

use super::{Claim, reader::Reader};
use crate::yaml::{self, Node, Value};
use std::path::Path;

pub(super) fn scan(reader: &mut Reader<'_>, dir: &Path) {
    let models = dir.join("llamacpp/models");
    for (name, path) in reader.walk(&models) {
        let Some(id) = name.strip_suffix("/model.yml") else { continue };
        let Some(text) = reader.text(&path) else { continue };
        let root = match yaml::read(&text) {
            Ok(Some(root)) => root,
            Ok(None) => continue,
            Err(_) => {
                reader.problem(&path, "it cannot be read as YAML".to_owned());
                continue;
            }
        };
        for (key, hash) in [("model_path", "model_sha256"), ("mmproj_path", "mmproj_sha256")] {
            let Some(file) = text_of(&root, key) else { continue };
            let claim = Claim { sha256: text_of(&root, hash).and_then(|hash| hash.parse().ok()), ..Claim::default() };
            if let Some(file) = reader.file(&dir.join(file)) {
                reader.add(id, file, claim);
            }
        }
    }
}

/// The text of a key of the document.
fn text_of<'n>(root: &'n Node, key: &str) -> Option<&'n str> {
    let Value::Map(entries) = &root.value else { return None };
    let entry = entries.iter().find(|entry| entry.key == key)?;
    match &entry.node.value {
        Value::Text(text) | Value::Bare(text) if !text.is_empty() => Some(text),
        _ => None,
    }
}
