//! Entries of a registry for models of the test Hub, and where a store has their content.

use super::hub::{Content, TestHub};
use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

/// A model of the registry with everything pinned.
pub fn entry(hub: &TestHub, id: &str, repo: &str, files: &[(&str, &str)]) -> String {
    let mut text =
        format!("  {id}:\n    huggingface_id: \"{repo}\"\n    revision: \"{}\"\n    formats:\n      gguf:\n", hub.commit(repo));
    for (quant, file) in files {
        let content = hub.content(repo, file);
        let (size, sha256) = (content.len(), content.sha256());
        write!(text, "        {quant}:\n          file: \"{file}\"\n          size: {size}\n          sha256: \"{sha256}\"\n")
            .unwrap();
    }
    text
}

/// The same as the guide's template writes it: nothing pinned.
pub fn open_entry(id: &str, repo: &str, files: &[(&str, &str)]) -> String {
    let mut text = format!("  {id}:\n    huggingface_id: \"{repo}\"\n    formats:\n      gguf:\n");
    for (quant, file) in files {
        write!(text, "        {quant}:\n          file: \"{file}\"\n          sha256: null\n").unwrap();
    }
    text
}

/// Where a store has this content.
pub fn blob_in(store: &Path, content: &Content) -> PathBuf {
    store.join("sha256").join(&content.sha256()[..2]).join(content.sha256())
}
