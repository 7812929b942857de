//! A member who exchanges what is in a folder with links that lead to the same names in a private folder.

use std::{
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::support::run::Sandbox;

/// What names of the tree lead to while they are exchanged: a private folder with the same names in it.
pub struct Outside {
    root: PathBuf,
    seen: Vec<String>,
}

impl Outside {
    /// A private twin of `tree`: the same folders and file names, other content. `more` are files beside them.
    pub fn twin_of(tree: &Path, root: PathBuf, more: &[PathBuf]) -> Self {
        let private = |path: &Path| {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, format!("private {}\n", path.display())).unwrap();
            std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
            // As old as what a collection takes for left behind.
            let old = std::fs::FileTimes::new().set_modified(std::time::SystemTime::now() - Duration::from_secs(30 * 24 * 3600));
            std::fs::File::options().write(true).open(path).unwrap().set_times(old).unwrap();
        };
        std::fs::DirBuilder::new().mode(0o700).create(&root).unwrap();
        for name in names_below(tree) {
            let (there, here) = (tree.join(&name), root.join(&name));
            if there.symlink_metadata().unwrap().is_dir() {
                std::fs::DirBuilder::new().mode(0o700).recursive(true).create(&here).unwrap();
            } else {
                private(&here);
            }
        }
        more.iter().for_each(|name| private(&root.join(name)));
        let seen = look_at(&root);
        Self { root, seen }
    }

    /// Nothing was made, changed, given away or removed.
    #[track_caller]
    pub fn assert_untouched(&self, by: &str) {
        let now = look_at(&self.root);
        let before: std::collections::BTreeSet<&String> = self.seen.iter().collect();
        let after: std::collections::BTreeSet<&String> = now.iter().collect();
        let changed: Vec<_> = before.symmetric_difference(&after).collect();
        assert!(changed.is_empty(), "{by} changed what is outside: {changed:#?}");
    }
}

/// Every path below a folder, the folders first.
fn names_below(root: &Path) -> Vec<PathBuf> {
    let mut names = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(root.join(&folder)) else { continue };
        for entry in entries {
            let entry = entry.unwrap();
            let name = folder.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                folders.push(name.clone());
            }
            names.push(name);
        }
    }
    names.sort();
    names
}

fn look_at(root: &Path) -> Vec<String> {
    let line = |name: PathBuf| {
        let path = root.join(&name);
        let meta = path.symlink_metadata().unwrap();
        let content = if meta.is_file() { std::fs::read(&path).unwrap() } else { Vec::new() };
        let (mode, uid, gid, links) = (meta.mode(), meta.uid(), meta.gid(), meta.nlink());
        let links = if meta.is_dir() { 0 } else { links };
        format!(
            "{} {mode:o} {uid}:{gid} {links} {:?} {}",
            name.display(),
            meta.modified().unwrap(),
            String::from_utf8_lossy(&content)
        )
    };
    let mut names = names_below(root);
    names.push(PathBuf::new());
    names.into_iter().map(line).collect()
}

/// Exchanges names of a tree with links to their twins, again and again, until it is dropped.
pub struct Swapper {
    stop: Arc<AtomicBool>,
    swaps: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Swapper {
    /// Begins with the `names` of `tree`; the links lead below `outside`.
    pub fn start(s: &Sandbox, tree: &Path, outside: &Outside, names: &[PathBuf]) -> Self {
        let decoys = tempfile::Builder::new().prefix("decoys-").tempdir_in(s.root()).unwrap().keep();
        let pairs: Vec<(PathBuf, PathBuf, PathBuf)> = (0..)
            .zip(names)
            .map(|(number, name)| (tree.join(name), decoys.join(format!("{number}")), outside.root.join(name)))
            .collect();
        let (stop, swaps) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let thread = std::thread::spawn({
            let (stop, swaps) = (stop.clone(), swaps.clone());
            move || {
                let mut random = fastrand::Rng::new();
                while !stop.load(Ordering::Relaxed) {
                    let (name, decoy, target) = &pairs[random.usize(..pairs.len())];
                    swap(name, decoy, target, Duration::from_micros(random.u64(..400)), &swaps);
                }
            }
        });
        Self { stop, swaps, thread: Some(thread) }
    }

    /// Ends it and tells how often something was exchanged.
    pub fn stop(mut self) -> u64 {
        self.end();
        self.swaps.load(Ordering::Relaxed)
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Swapper {
    fn drop(&mut self) {
        self.end();
    }
}

/// Puts a link in the place of a name for a while.
fn swap(name: &Path, decoy: &Path, target: &Path, pause: Duration, swaps: &AtomicU64) {
    let _there_already = symlink(target, decoy);
    if renameat_with(CWD, name, CWD, decoy, RenameFlags::EXCHANGE).is_err() {
        return;
    }
    swaps.fetch_add(1, Ordering::Relaxed);
    let until = Instant::now() + pause;
    while Instant::now() < until {
        std::hint::spin_loop();
    }
    if renameat_with(CWD, name, CWD, decoy, RenameFlags::EXCHANGE).is_err() {
        // The program removed the link; what stood there comes back as it was.
        let _gone_too = std::fs::rename(decoy, name);
    }
}
