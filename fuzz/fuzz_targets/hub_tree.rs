//! The Hub's listing of a repository, and what is chosen from it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model_manager::{
    facts::FileFacts,
    fuzzing::listing,
    names::{Format, RelPath},
    source::{
        Pinned,
        hub::{Companion, check_collisions, companion_choice, complete_set, gguf_choice, gguf_units, select_files},
    },
};
use model_manager_fuzz::{assert_one_line, assert_safe_path};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use url::Url;

/// Stands between two pages.
const BREAK: u8 = 0x1e;

fn pinned() -> Pinned {
    let (repo, commit) = ("owner/repo".parse(), "0123456789abcdef0123456789abcdef01234567".parse());
    Pinned::assumed(&repo.expect("a name"), &commit.expect("a revision")).expect("a commit")
}

fn paths<'a>(files: impl IntoIterator<Item = &'a FileFacts>) -> BTreeSet<&'a str> {
    files.into_iter().map(|file| file.path.as_str()).collect()
}

/// The files that pages list, read without a type.
fn listed(pages: &[&[u8]]) -> Vec<Value> {
    let read = |page: &&[u8]| serde_json::from_slice::<Vec<Value>>(page).unwrap_or_default();
    pages.iter().flat_map(read).filter(|entry| entry["type"] == "file").collect()
}

fuzz_target!(|data: &[u8]| {
    let pages: Vec<&[u8]> = data.split(|byte| *byte == BREAK).collect();
    let from = Url::parse("https://hub.example/api/models/owner/repo/tree/x").expect("an address");
    let listed_now = match listing(&from, &pages, &pinned()) {
        Ok(listed) => listed,
        Err(error) => return assert_one_line(&error.to_string(), 2500),
    };
    let files = &listed_now.files;
    let all = paths(files);
    assert_eq!(all.len(), files.len(), "each file once");
    all.iter().for_each(|path| assert_safe_path(path));
    listed_now.skipped.iter().for_each(|name| assert_one_line(name, 1300));
    // The reader passes over values that nothing asks for, also where they are not UTF-8.
    if pages.iter().any(|page| serde_json::from_slice::<Value>(page).is_err()) {
        return;
    }
    let raw = listed(&pages);
    let by_path: HashMap<&str, &Value> =
        raw.iter().map(|entry| (entry["path"].as_str().expect("a file has a path"), entry)).collect();
    assert!(files.len() + listed_now.skipped.len() <= raw.len());
    for file in files {
        let entry = by_path.get(file.path.as_str()).expect("it was listed");
        let is_lfs = entry["lfs"].is_object();
        let size = entry["lfs"]["size"].as_u64().filter(|_| is_lfs).or(entry["size"].as_u64());
        assert!(size == file.size || is_lfs && entry["lfs"].get("size").is_none(), "{file:?}");
        assert!(file.sha256.is_none() || is_lfs, "only LFS publishes the SHA-256 of a content");
        assert!(file.git_sha1.is_none() || !is_lfs, "of an LFS file git knows the pointer only");
        let hash = file.sha256.map(|sha256| sha256.to_string()).or(file.git_sha1.map(|sha1| sha1.to_string()));
        let published = entry.to_string().to_lowercase();
        assert!(hash.is_none_or(|hash| published.contains(&hash)), "a hash that was not published");
    }

    // What is chosen is of the listing, and what is one on a file system that ignores case is refused.
    let refs: Vec<&FileFacts> = files.iter().collect();
    let folded: BTreeSet<String> = files.iter().map(|file| file.path.as_str().to_lowercase()).collect();
    assert_eq!(check_collisions(&refs).is_ok(), folded.len() == files.len());
    for format in [Format::safetensors(), Format::pytorch(), Format::gguf()] {
        match complete_set(files, &format) {
            Ok(set) => {
                let chosen = paths(set.files.iter().copied());
                assert!(!set.files.is_empty() && chosen.is_subset(&all) && chosen.len() == set.files.len());
                assert_eq!(set.files.len() + set.left_out.len(), files.len(), "what is left out is reported");
            }
            Err(error) => assert!(error.to_string().len() <= 300 + 2 * data.len()),
        }
    }
    let units = gguf_units(files);
    let parts: Vec<&str> = units.iter().flat_map(|unit| unit.parts.iter().map(|part| part.path.as_str())).collect();
    assert_eq!(parts.iter().collect::<BTreeSet<_>>().len(), parts.len(), "each file in one unit");
    for quant in [None, "q4_k_m".parse().ok()] {
        if let Ok(unit) = gguf_choice(files, quant.as_ref()) {
            assert!(unit.missing.is_empty() && unit.parts.iter().all(|part| all.contains(part.path.as_str())));
        }
    }
    let model: RelPath = "a/b/model.gguf".parse().expect("a path");
    for role in Companion::ROLES {
        if let Ok(companion) = companion_choice(files, &Companion { role, name: None }, &model) {
            assert!(!companion.is_empty() && companion.iter().all(|file| all.contains(file.path.as_str())));
        }
    }
    let (include, exclude) = (["*.json".to_owned()], ["a*".to_owned()]);
    let chosen = paths(select_files(files, &include, &exclude));
    assert!(chosen.iter().all(|path| path.ends_with(".json") && !path.starts_with('a')));
});
