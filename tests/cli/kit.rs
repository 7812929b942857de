//! A machine to work at: a Hub with a small model, a project whose registry names it, and looks at what is on disk.

use model_manager::disk::{Disk, Kind, RealDisk};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use crate::fsck::{Expect, assert_sound};
#[allow(unused_imports, reason = "other tests use fewer of them")]
pub use crate::support::entries::{blob_in, entry, open_entry};
use crate::support::hub::{Content, TestHub};
use crate::support::run::{Output, Running, Sandbox};

pub const REPO: &str = "TheBloke/Tiny-GGUF";
pub const FILE: &str = "tiny.Q4_K_M.gguf";
pub const OTHER: &str = "tiny.Q8_0.gguf";
pub const MIB: u64 = 1 << 20;
/// Where a download of `tiny` ends.
pub const PATH: &str = "models/tiny/gguf/q4_k_m/tiny.Q4_K_M.gguf";

/// A Hub, and the machine of somebody who uses it.
pub struct Machine {
    pub hub: TestHub,
    pub sandbox: Sandbox,
}

impl Machine {
    /// The model `tiny` with two quantizations, all of it pinned in the project's registry.
    pub fn new() -> Self {
        Self::with(2 * MIB + 7)
    }

    /// The same with a file of so many bytes as `q4_k_m`.
    pub fn with(len: u64) -> Self {
        Self::of(Content::synthetic(len, 1))
    }

    pub fn of(content: impl Into<Content>) -> Self {
        let machine = Self::empty();
        machine.hub.repo(REPO).lfs(FILE, content).lfs(OTHER, Content::synthetic(MIB + 1, 2)).commit();
        machine.registry(&[entry(&machine.hub, "tiny", REPO, &[("q4_k_m", FILE), ("q8_0", OTHER)])]);
        machine
    }

    /// A Hub without a repository, and a project without a registry.
    pub fn empty() -> Self {
        let hub = TestHub::start();
        let sandbox = Sandbox::new(&hub);
        Self { hub, sandbox }
    }

    pub fn registry(&self, entries: &[String]) {
        self.sandbox.write("configs/models.yaml", format!("models:\n{}", entries.concat()));
    }

    pub fn content(&self) -> Content {
        self.hub.content(REPO, FILE)
    }

    /// Runs the command line, split at spaces.
    #[track_caller]
    pub fn run(&self, line: &str) -> Output {
        self.sandbox.run(line.split_whitespace())
    }

    /// Runs a command line in another folder of the same user.
    #[track_caller]
    pub fn run_in(&self, folder: &str, line: &str) -> Output {
        let mut command = self.sandbox.command(line.split_whitespace());
        command.current_dir(self.sandbox.other_project(folder));
        self.sandbox.finish(command)
    }

    pub fn spawn(&self, line: &str) -> Running {
        self.sandbox.spawn(line.split_whitespace())
    }

    /// Few tries, so that what never gets better ends soon.
    pub fn impatient(self) -> Self {
        self.sandbox.write("configs/manager.yaml", "tries: 2\n");
        self
    }

    pub fn store(&self) -> PathBuf {
        self.sandbox.models().join(".blobs")
    }

    pub fn blob(&self, content: &Content) -> PathBuf {
        blob_in(&self.store(), content)
    }

    /// Nothing wrong and nothing unfinished in the store.
    #[track_caller]
    pub fn assert_tidy(&self) {
        assert_sound(&RealDisk, &self.store(), Expect::Tidy);
    }

    /// The same where a process was killed: its lease and temporary files wait for the collector, but no part does.
    #[track_caller]
    pub fn assert_right_after_kill(&self, output: &Output) {
        assert_eq!(output.last_line(), PATH, "{output}");
        assert_content(&self.sandbox.project().join(PATH), &self.content());
        assert_sound(&RealDisk, &self.store(), Expect::Unfinished);
        assert!(self.partials().is_empty(), "{:?}", self.partials());
    }

    /// `tiny` in q4_k_m is there, right, and shown where it should be.
    #[track_caller]
    pub fn assert_right(&self, output: &Output) {
        assert_eq!(output.last_line(), PATH, "{output}");
        assert_content(&self.sandbox.project().join(PATH), &self.content());
        self.assert_tidy();
    }

    /// Nothing was published, nothing is shown, and no part was left behind.
    #[track_caller]
    pub fn assert_nothing_published(&self) {
        let tree = self.sandbox.tree();
        let blobs: Vec<_> = tree.paths().into_iter().filter(|path| path.contains("/sha256/") && path.len() > 80).collect();
        assert!(blobs.is_empty(), "published: {blobs:?}");
        assert!(!self.sandbox.project().join("models/tiny").exists(), "a view is shown:\n{tree}");
    }

    /// What interrupted downloads left: the names of their folders.
    pub fn partials(&self) -> Vec<String> {
        names(&self.store().join("ingest"))
    }
}

pub fn names(dir: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

/// The files of a view, without its manifest, in order.
pub fn shown(machine: &Machine, dir: &str) -> Vec<String> {
    let mut names = names(&machine.sandbox.project().join(dir));
    names.retain(|name| !name.starts_with('.'));
    names.sort();
    names
}

#[track_caller]
pub fn assert_content(path: &Path, content: &Content) {
    let found = Content::file(path);
    assert_eq!((found.len(), found.sha256()), (content.len(), content.sha256()), "{}", path.display());
}

/// What changes whenever a path is written, even with the same content. Not of `lock`, where every command that opens
/// the store tries out whether locks work.
pub fn stamps(dir: &Path) -> BTreeMap<PathBuf, (SystemTime, u64)> {
    let mut found = BTreeMap::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(path) = todo.pop() {
        let Ok(meta) = path.symlink_metadata() else { continue };
        if meta.is_dir() {
            todo.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        if path.ends_with(".blobs/lock") {
            continue;
        }
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(&meta);
        #[cfg(not(unix))]
        let inode = 0;
        found.insert(path, (meta.modified().unwrap(), inode));
    }
    found
}

/// Nothing below `dir` was written since `before`.
#[track_caller]
pub fn assert_not_written(dir: &Path, before: &BTreeMap<PathBuf, (SystemTime, u64)>) {
    let after = stamps(dir);
    let mut changed: Vec<&PathBuf> =
        after.iter().filter(|(path, stamp)| before.get(*path) != Some(*stamp)).map(|(path, _)| path).collect();
    changed.extend(before.keys().filter(|path| !after.contains_key(*path)));
    assert!(changed.is_empty(), "written: {changed:#?}");
}

/// Sets the permission bits; Windows knows only whether a file can be written.
pub fn set_mode(path: impl AsRef<Path>, mode: u32) {
    let mut permissions = std::fs::metadata(&path).unwrap().permissions();
    #[cfg(unix)]
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, mode);
    #[cfg(not(unix))]
    permissions.set_readonly(mode & 0o222 == 0);
    std::fs::set_permissions(path, permissions).unwrap();
}

/// Whether this is a link into the store: a symbolic one, or a hard one where the system makes those.
pub fn is_link(path: &Path) -> bool {
    let stat = RealDisk.stat(path).unwrap();
    stat.kind == Kind::Symlink || (cfg!(windows) && stat.nlink > 1)
}

/// Removes a file, read-only as it may be.
pub fn remove(path: impl AsRef<Path>) {
    RealDisk.remove_file(path.as_ref()).unwrap();
}

/// Removes a folder and all in it, read-only as it may be.
pub fn remove_all(folder: impl AsRef<Path>) {
    for entry in std::fs::read_dir(folder.as_ref()).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => remove_all(entry.path()),
            false => remove(entry.path()),
        }
    }
    std::fs::remove_dir(folder).unwrap();
}

/// Waits until `done` says so.
#[track_caller]
pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < end, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
