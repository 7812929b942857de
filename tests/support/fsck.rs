//! An independent reader of a store: it knows `store-layout.md` and none of the store's code.

use model_manager::{
    digest::{SegmentValue, Sha256Digest, merge_segments, segment_count, segment_range, segment_value, sha256_of},
    disk::{Disk, Kind},
};
use std::{collections::BTreeMap, path::Path};

/// What may lie around.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Nothing unfinished: no partial downloads, temporary files, trash, leases or orphan records.
    Tidy,
    /// What a crash may leave, in its place and under its kind of name.
    Unfinished,
}

/// Every fault of the store at `root`; empty when it is sound.
pub fn fsck(disk: &dyn Disk, root: &Path, expect: Expect) -> Vec<String> {
    let mut fsck = Fsck { disk, root, expect, faults: Vec::new(), blobs: BTreeMap::new() };
    fsck.run();
    fsck.faults
}

/// Panics with every fault of the store at `root`.
pub fn assert_sound(disk: &dyn Disk, root: &Path, expect: Expect) {
    let faults = fsck(disk, root, expect);
    assert!(faults.is_empty(), "the store is not sound:\n{}", faults.join("\n"));
}

struct Fsck<'a> {
    disk: &'a dyn Disk,
    root: &'a Path,
    expect: Expect,
    faults: Vec<String>,
    blobs: BTreeMap<Sha256Digest, Vec<u8>>,
}

impl Fsck<'_> {
    fn fault(&mut self, path: &Path, why: &str) {
        self.faults.push(format!("{}: {why}", path.display()));
    }

    fn names(&mut self, dir: &Path) -> Vec<(String, Kind)> {
        match self.disk.list(dir) {
            Ok(mut entries) => {
                entries.sort_by(|a, b| a.name.cmp(&b.name));
                entries.into_iter().map(|entry| (entry.name, entry.kind)).collect()
            }
            Err(error) => {
                self.fault(dir, &format!("cannot be listed: {error}"));
                Vec::new()
            }
        }
    }

    fn json(&mut self, path: &Path) -> serde_json::Value {
        let text = self.disk.read_small(path).ok().flatten().unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_else(|error| {
            self.fault(path, &format!("is not JSON: {error}"));
            serde_json::Value::Null
        })
    }

    fn mode(&mut self, path: &Path, wanted: u32) {
        match self.disk.stat(path) {
            Ok(stat) if stat.mode == wanted => {}
            // Windows knows only whether a file can be written.
            Ok(stat) if cfg!(windows) && (stat.kind == Kind::Dir || (stat.mode & 0o222 == 0) == (wanted & 0o222 == 0)) => {}
            Ok(stat) => self.fault(path, &format!("has the mode {:o}, not {wanted:o}", stat.mode)),
            Err(error) => self.fault(path, &format!("cannot be looked at: {error}")),
        }
    }

    fn unfinished(&mut self, path: &Path, what: &str) {
        if self.expect == Expect::Tidy {
            self.fault(path, what);
        }
    }

    fn run(&mut self) {
        let root = self.root;
        let marker = self.json(&root.join("STORE.json"));
        let dir_mode = marker["dir_mode"].as_u64().unwrap_or(0) as u32;
        let file_mode = dir_mode & 0o666;
        let dirs = ["sha256", "meta", "segments", "ingest", "leases", "roots", "lock", "trash", "bad", "tmp"];
        for (name, kind) in self.names(root) {
            let known = dirs.contains(&name.as_str()) && kind == Kind::Dir || ["STORE.json", "CACHEDIR.TAG"].contains(&&*name);
            if !known {
                self.fault(&root.join(name), "does not belong into a store");
            }
        }
        for dir in dirs.iter().chain(&["lock/b"]) {
            self.mode(&root.join(dir), dir_mode);
        }
        for name in ["STORE.json", "CACHEDIR.TAG"] {
            self.mode(&root.join(name), file_mode);
        }
        self.sharded("sha256", dir_mode, |fsck, path, name| {
            let Ok(digest) = name.parse::<Sha256Digest>() else { return fsck.fault(path, "is not named by a digest") };
            // A further name of a file that another application has keeps its mode.
            let is_named_twice = fsck.disk.stat(path).is_ok_and(|stat| stat.nlink > 1);
            if !is_named_twice {
                fsck.mode(path, 0o444);
            }
            let content = fsck.disk.read_small(path).ok().flatten().unwrap_or_default();
            if sha256_of(&content) != digest {
                let len = content.len();
                fsck.fault(path, &format!("has other content than its name says ({len} bytes)"));
            }
            fsck.blobs.insert(digest, content);
        });
        self.sharded("segments", dir_mode, |fsck, path, name| {
            fsck.mode(path, file_mode);
            let Ok(digest) = name.parse::<Sha256Digest>() else { return fsck.fault(path, "is not named by a digest") };
            let Some(content) = fsck.blobs.get(&digest).cloned() else { return fsck.unfinished(path, "has no blob") };
            let len = content.len() as u64;
            let values = (0..segment_count(len)).map(|index| {
                let range = segment_range(index, len);
                segment_value(index, len, &content[range.start as usize..range.end as usize])
            });
            let values: Vec<SegmentValue> = values.collect();
            let text: Vec<u8> = values.iter().flat_map(|value| *value.as_bytes()).collect();
            if fsck.disk.read_small(path).ok().flatten().as_deref() != Some(&text[..]) {
                fsck.fault(path, "does not hold the values of its blob's segments");
            }
        });
        self.sharded("meta", dir_mode, |fsck, path, name| {
            fsck.mode(path, file_mode);
            // It may be lost and may say anything.
            if name == "headers" {
                return;
            }
            let Some(digest) = name.strip_suffix(".json").and_then(|name| name.parse::<Sha256Digest>().ok()) else {
                return fsck.fault(path, "is not named by a digest");
            };
            let meta = fsck.json(path);
            let Some(content) = fsck.blobs.get(&digest).cloned() else { return fsck.unfinished(path, "has no blob") };
            let len = content.len() as u64;
            let blake3 = blake3::hash(&content).to_hex().to_string();
            if meta["size"].as_u64() != Some(len) || meta["blake3"].as_str() != Some(&blake3) || meta["format"] != 1 {
                fsck.fault(path, "says something else than its blob");
            }
            let values = (0..segment_count(len)).map(|index| {
                let range = segment_range(index, len);
                segment_value(index, len, &content[range.start as usize..range.end as usize])
            });
            let merged = merge_segments(&values.collect::<Vec<_>>(), len);
            if merged.map(|merged| merged.to_string()) != Some(blake3) {
                fsck.fault(path, "the segment values do not merge to the root");
            }
        });
        for (name, kind) in self.names(&root.join("ingest")) {
            let dir = root.join("ingest").join(&name);
            self.unfinished(&dir, "is a partial download");
            if kind != Kind::Dir {
                self.fault(&dir, "is not a folder");
                continue;
            }
            for (file, _) in self.names(&dir) {
                if !["data", "journal", "claim"].contains(&&*file) && !file.starts_with(".tmp-") {
                    self.fault(&dir.join(file), "does not belong into a partial download");
                }
            }
        }
        for (name, _) in self.names(&root.join("leases")) {
            self.unfinished(&root.join("leases").join(name), "is a lease");
        }
        for (name, _) in self.names(&root.join("tmp")) {
            let path = root.join("tmp").join(&name);
            self.unfinished(&path, "is a temporary file");
            if !name.starts_with(".tmp-") {
                self.fault(&path, "is no temporary file of ours");
            }
        }
        for (name, _) in self.names(&root.join("bad")) {
            // What was put aside has more to its name.
            let path = root.join("bad").join(&name);
            let Some(digest) = name.strip_suffix(".json") else { continue };
            if digest.parse::<Sha256Digest>().is_err() {
                self.fault(&path, "is not named by a digest");
            }
            self.mode(&path, file_mode);
            self.unfinished(&path, "says that a blob is damaged");
        }
        for (name, _) in self.names(&root.join("trash")) {
            self.unfinished(&root.join("trash").join(name), "is in the trash");
        }
        let lock_mode = if dir_mode & 0o020 != 0 { 0o660 } else { 0o600 };
        for dir in ["lock", "lock/b", "leases"].map(|dir| root.join(dir)) {
            for (name, kind) in self.names(&dir) {
                if kind == Kind::File && !name.starts_with(".tmp-") {
                    self.mode(&dir.join(name), lock_mode);
                }
            }
        }
        for (name, _) in self.names(&root.join("lock")) {
            let of_views = name.strip_prefix("views-").is_some_and(|project| project.parse::<uuid::Uuid>().is_ok());
            if !of_views && !["store", "gc", "projects", "records", "b"].contains(&&*name) {
                self.unfinished(&root.join("lock").join(name), "is no lock");
            }
        }
        for (project, kind) in self.names(&root.join("roots")) {
            let dir = root.join("roots").join(&project);
            if kind != Kind::Dir || project.parse::<uuid::Uuid>().is_err() {
                self.fault(&dir, "is not a project");
                continue;
            }
            self.mode(&dir, dir_mode);
            for (name, _) in self.names(&dir) {
                let path = dir.join(&name);
                self.mode(&path, file_mode);
                let record = self.json(&path);
                if name == "project.json" {
                    if record["uuid"].as_str() != Some(&project) {
                        self.fault(&path, "is of another project");
                    }
                    continue;
                }
                let mut lines = String::new();
                for file in record["files"].as_array().cloned().unwrap_or_default() {
                    let (digest, size) = (file["sha256"].as_str().unwrap_or_default(), file["size"].as_u64().unwrap_or(u64::MAX));
                    lines += &format!("{digest} {size} {}\n", file["path"].as_str().unwrap_or_default());
                    let held = digest.parse().ok().and_then(|digest: Sha256Digest| self.blobs.get(&digest));
                    if held.is_none_or(|content| content.len() as u64 != size) {
                        self.fault(&path, &format!("needs the blob {digest}, which is not there"));
                    }
                }
                if record["check"].as_str() != Some(&sha256_of(lines.as_bytes()).to_string()) {
                    self.fault(&path, "its check does not match its files");
                }
            }
        }
    }

    fn sharded(&mut self, dir: &str, dir_mode: u32, each: impl Fn(&mut Self, &Path, &str)) {
        for shard in 0..=255 {
            let shard = format!("{shard:02x}");
            let path = self.root.join(dir).join(&shard);
            self.mode(&path, dir_mode);
            for (name, _) in self.names(&path) {
                let is_headers = dir == "meta" && name == "headers";
                if !is_headers && (!name.starts_with(&shard) || name != name.to_lowercase()) {
                    self.fault(&path.join(&name), "is in the wrong folder");
                }
                each(self, &path.join(&name), &name);
            }
        }
    }
}
