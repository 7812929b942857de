//! A project and a store as the first version wrote them, opened by the program of today: see
//! `tests/fixtures/layout-1/make.sh`.
#![cfg(unix)]

use crate::kit::set_mode;
use crate::support::{hub::TestHub, run::Sandbox};
use std::{
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

/// The records of the store, which say what is kept and where it came from.
fn records(store: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let all = ["meta", "segments", "roots"].iter().flat_map(|dir| files(&store.join(dir)));
    all.filter(|path| !path.ends_with("project.json")).map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[test]
fn every_command_opens_a_store_of_the_first_version_and_changes_none_of_its_records() {
    let s = Sandbox::offline();
    let store = fixture(&s);
    let before = records(&store);
    assert_eq!(before.len(), 4 + 1 + 2, "{before:?}");
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
        let after = records(&store);
        // Only the stamp of a record follows a file that was copied, once the file was read.
        let same = |(path, old): &(PathBuf, Vec<u8>), new: &[u8]| {
            old == new
                || (path.parent().unwrap().parent().unwrap().ends_with("meta")
                    && (line.starts_with("verify") || line == "sync --locked"))
        };
        assert!(before.len() == after.len() && before.iter().zip(&after).all(|(old, (_, new))| same(old, new)), "{line}");
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
    let meta = files(&store.join("meta")).into_iter().map(|path| fs::read_to_string(path).unwrap());
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
    hub.repo("fixture/cut").lfs("model.safetensors", content).file("config.json", "{\"model_type\": \"cut\"}\n").commit();
    assert!(store.join("ingest").join(PARTIAL).exists());
    s.run(["download", "fixture/cut"]).ok();
    assert!(store.join("sha256/ca").join(PARTIAL).exists());
    assert!(!store.join("ingest").join(PARTIAL).exists(), "all of it is removed");
}
