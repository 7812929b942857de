//! A project and a store as the first version wrote them, opened by the program of today: see
//! `tests/fixtures/layout-1/make.sh`.
#![cfg(unix)]

use crate::kit::set_mode;
use crate::support::{hub::TestHub, run::Sandbox};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

const PARTIAL: &str = "ca0a4d41ad9731ff07d50653c0f7e4b1d03b9e11a0a4feffca79396b72b7b94e";
const TINY: &str = "b17f5815919e6ef2776373516ae1bab355c2cfacd5098d85a357efed698f13ca";
const TINY_PATH: &str = "models/fixture--tiny/gguf/q8_0/tiny.Q8_0.gguf";

/// The fixture in the place of the sandbox's project, with the folders and modes that version control does not keep.
fn fixture(s: &Sandbox) -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/layout-1/project");
    copy(&from, &s.project());
    let store = s.models().join(".blobs");
    for dir in ["leases", "trash", "tmp", "bad", "lock/b"] {
        fs::create_dir_all(store.join(dir)).unwrap();
    }
    for dir in ["sha256", "meta", "segments"] {
        (0..=255).for_each(|shard| fs::create_dir_all(store.join(dir).join(format!("{shard:02x}"))).unwrap());
    }
    for (dir, mode) in [("sha256", 0o444), ("lock", 0o600)] {
        files(&store.join(dir)).iter().for_each(|path| set_mode(path, mode));
    }
    store
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, target) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        match path.symlink_metadata().unwrap() {
            meta if meta.is_dir() => copy(&path, &target),
            meta if meta.is_symlink() => std::os::unix::fs::symlink(fs::read_link(&path).unwrap(), target).unwrap(),
            _ => fs::write(target, fs::read(&path).unwrap()).unwrap(),
        }
    }
}

/// Every regular file below a folder.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.symlink_metadata().unwrap() {
            meta if meta.is_dir() => found.extend(files(&path)),
            meta if meta.is_file() => found.push(path),
            _ => {}
        }
    }
    found.sort();
    found
}

/// What says what is kept, where it came from and what is shown: the records of the store, the manifests of the views, the
/// registry and the lock file. Indexes of headers, which may be removed at any time, are none of them.
fn records(s: &Sandbox, store: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let of_store = ["meta", "segments", "roots"].iter().flat_map(|dir| files(&store.join(dir)));
    let manifests = files(&s.models()).into_iter().filter(|path| path.ends_with(".view.json"));
    let all = of_store.chain(manifests).chain(files(&s.project().join("configs"))).chain([store.join("STORE.json")]);
    let is_record = |path: &PathBuf| !path.ends_with("project.json") && !path.ends_with("headers");
    all.filter(is_record).map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// What a record of a blob says but for the moment at which it was verified, with the kinds that the first version did not
/// write.
fn meaning_of(record: &[u8]) -> serde_json::Value {
    let mut record: serde_json::Value = serde_json::from_slice(record).unwrap();
    let fields = record.as_object_mut().unwrap();
    assert!(fields.remove("stamp").is_some() && fields.remove("verified_at").is_some(), "{fields:?}");
    for source in fields["sources"].as_array_mut().unwrap() {
        let source = source.as_object_mut().unwrap();
        if !source.contains_key("kind") {
            let is_local = source["endpoint"] == "local";
            source.insert("kind".into(), if is_local { "local" } else { "source" }.into());
            source.retain(|field, _| !is_local || field != "endpoint");
        }
    }
    record
}

#[test]
fn every_command_opens_a_store_of_the_first_version_and_changes_none_of_its_records() {
    let s = Sandbox::offline();
    let store = fixture(&s);
    let before = records(&s, &store);
    let count = |is: &dyn Fn(&Path) -> bool| before.keys().filter(|path| is(path)).count();
    let counts = ["meta", "segments", "roots"].map(|dir| count(&|path| path.starts_with(store.join(dir))));
    assert_eq!((counts, count(&|path| path.ends_with(".view.json"))), ([4, 1, 2], 2), "{:?}", before.keys());
    let configs = s.project().join("configs");
    assert_eq!(count(&|path| path.starts_with(&configs)), 2, "a registry and a lock file");
    for line in [
        "init",
        "list",
        "info",
        "path fixture/tiny:Q8_0",
        "verify --quick",
        "verify",
        "download fixture/tiny:Q8_0",
        "sync --locked",
        "sync --dry-run",
        "lock --check",
        "why fixture--tiny",
        "df",
        "projects",
        "gc --dry-run",
        "remove fixture--set --dry-run",
        "doctor",
        "lint",
    ] {
        let output = s.run(line.split_whitespace()).ok();
        assert!(!output.stderr.contains("cannot be read"), "{output}");
        let after = records(&s, &store);
        assert!(before.keys().eq(after.keys()), "{line}: {:?}", after.keys());
        // Only the stamp of a record follows a file that was copied, once the file was read.
        let is_read = line.starts_with("verify") || line == "sync --locked";
        for ((path, old), new) in before.iter().zip(after.values()) {
            if is_read && path.starts_with(store.join("meta")) {
                assert_eq!(meaning_of(old), meaning_of(new), "{line}: {}", path.display());
            } else {
                assert_eq!(String::from_utf8_lossy(old), String::from_utf8_lossy(new), "{line}: {}", path.display());
            }
        }
        before.iter().for_each(|(path, text)| fs::write(path, text).unwrap());
    }
    let why = s.run(["why", TINY, "--json"]).ok().json();
    let source = &why["blobs"][0]["sources"][0];
    assert_eq!((&source["kind"], &why["blobs"][0]["trust"]), (&"local".into(), &"sha256-upstream".into()), "{why}");
    assert!(source["path"].as_str().unwrap().ends_with(TINY_PATH), "{why}");
}

#[test]
fn records_of_the_first_version_get_kinds_when_they_are_written_anyway() {
    let s = Sandbox::offline();
    let store = fixture(&s);
    s.run(["verify", "fixture--set"]).ok();
    let meta = records(&s, &store).into_iter().filter(|(path, _)| path.starts_with(store.join("meta")));
    let meta = meta.map(|(_, text)| String::from_utf8(text).unwrap());
    let of_set: Vec<String> = meta.filter(|text| text.contains("fixture/set")).collect();
    assert_eq!(of_set.len(), 2);
    assert!(of_set.iter().all(|text| text.contains(r#""kind": "source""#)), "{of_set:?}");
}

#[test]
fn a_partial_download_of_the_first_version_is_finished() {
    let hub = TestHub::start();
    let s = Sandbox::new(&hub);
    let store = fixture(&s);
    let header = r#"{"zeros": {"dtype": "U8", "shape": [3145728], "data_offsets": [0, 3145728]}}"#;
    let mut content = (header.len() as u64).to_le_bytes().to_vec();
    content.extend(header.as_bytes());
    content.resize(content.len() + (3 << 20), 0);
    let len = content.len() as u64;
    hub.repo("fixture/cut").lfs("model.safetensors", content).file("config.json", "{\"model_type\": \"cut\"}\n").commit();
    // Kind 2 in a record of 64 bytes: after a reboot only what such a record covers counts.
    let journal = fs::read(store.join("ingest").join(PARTIAL).join("journal")).unwrap();
    assert!(journal.chunks(64).skip(1).any(|record| record[..8] == 2_u64.to_le_bytes()), "a synced record");
    s.run(["download", "fixture/cut"]).ok();
    let fetched = hub.count().content_bytes();
    assert!((1..len - (2 << 20) + 4096).contains(&fetched), "what its journal records is not fetched again: {fetched} of {len}");
    assert!(store.join("sha256/ca").join(PARTIAL).exists());
    assert!(!store.join("ingest").join(PARTIAL).exists(), "all of it is removed");
}
