//! A project on a disk that can fail, and a Hub in this process.

pub use crate::support::entries::{entry, open_entry};
use crate::{
    faulty_disk::FaultyDisk,
    fsck::{Expect, fsck},
    support::{
        entries::blob_in,
        hub::{Content, TestHub},
    },
};
use model_manager::{
    Call, DownloadOptions, Error, ErrorKind, LinkMode, LockOptions, ModelManager, Registry, Result, Selector, Session, Settings,
    SyncOptions,
    disk::{Disk, Kind},
    store::{Project as StoreProject, STORE_DIR, Store},
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

pub const REPO: &str = "acme/Tiny-GGUF";
pub const Q4: &str = "tiny.Q4_K_M.gguf";
pub const Q8: &str = "tiny.Q8_0.gguf";
/// Where a download of `tiny` in q4_k_m ends, below the models directory.
pub const SHOWN: &str = "tiny/gguf/q4_k_m/tiny.Q4_K_M.gguf";

/// A Hub with one repository of two quantizations.
pub fn hub() -> TestHub {
    let hub = TestHub::start();
    hub.repo(REPO).lfs(Q4, Content::synthetic(5000, 1)).lfs(Q8, Content::synthetic(7000, 2)).commit();
    hub
}

pub fn registry(entries: &[String]) -> Registry {
    Registry::parse(&format!("models:\n{}", entries.concat()), "models.yaml").unwrap()
}

/// A project and a session that works in it.
pub struct Project {
    pub session: Session,
    pub disk: Arc<dyn Disk>,
    pub models: PathBuf,
}

impl Project {
    pub fn on(disk: Arc<dyn Disk>, root: &Path, hub: &TestHub, registry: Registry, link: LinkMode) -> Self {
        let mut settings = Settings::new(root.join("models"));
        settings.network.endpoints = vec![hub.url()];
        settings.network.tries = 2;
        settings.lock_timeout = Some(Duration::from_secs(30));
        settings.link = link;
        let session = Session::on_disk(settings, disk.clone()).unwrap().with_registry(registry);
        Self { session, disk, models: root.join("models") }
    }

    /// The same session in another project; the store stays where it is said to be.
    pub fn beside(&self, root: &Path, store: Option<&Path>) -> Self {
        let mut settings = self.session.settings().clone();
        settings.models_dir = root.join("models");
        settings.lock_file = root.join("configs/models.lock");
        settings.store = store.map(Path::to_owned);
        Self { session: self.session.with_settings(settings), disk: self.disk.clone(), models: root.join("models") }
    }

    /// The same project with other settings.
    pub fn with(&self, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = self.session.settings().clone();
        change(&mut settings);
        Self { session: self.session.with_settings(settings), disk: self.disk.clone(), models: self.models.clone() }
    }

    pub fn offline(&self) -> Self {
        self.with(|settings| settings.network.offline = true)
    }

    pub fn knowing(&self, registry: Registry) -> Self {
        Self { session: self.session.with_registry(registry), disk: self.disk.clone(), models: self.models.clone() }
    }

    pub fn manager(&self) -> ModelManager {
        self.session.blocking(Call::default())
    }

    pub fn store(&self) -> PathBuf {
        self.session.settings().store.clone().unwrap_or_else(|| self.models.join(STORE_DIR))
    }

    pub fn blob(&self, content: &Content) -> PathBuf {
        blob_in(&self.store(), content)
    }

    pub fn download(&self, what: &str) -> Result<()> {
        self.manager().download(&Selector::new(what).unwrap(), &DownloadOptions::default()).map(drop)
    }

    pub fn lock(&self, what: &[&str], update: bool) -> Result<()> {
        let what: Vec<Selector> = what.iter().map(|name| Selector::new(*name).unwrap()).collect();
        let mut options = LockOptions::default();
        options.update = update;
        self.manager().lock(&what, options).map(drop)
    }

    pub fn lock_text(&self) -> Option<String> {
        let bytes = self.disk.read_small(&self.session.settings().lock_file).unwrap();
        bytes.map(|bytes| String::from_utf8(bytes).unwrap())
    }

    pub fn sync(&self, locked: bool) -> Result<()> {
        let mut options = SyncOptions::default();
        options.locked = locked;
        self.manager().sync(options).map(drop)
    }

    pub fn bytes(&self, below: &str) -> Option<Vec<u8>> {
        let file = self.disk.open(&self.models.join(below), model_manager::disk::Open::ReadFollow).ok()?;
        let mut bytes = vec![0; file.stat().unwrap().len as usize];
        let mut done = 0;
        while done < bytes.len() {
            match file.read_at(&mut bytes[done..], done as u64).unwrap() {
                0 => break,
                count => done += count,
            }
        }
        Some(bytes)
    }

    #[track_caller]
    pub fn assert_shown(&self, below: &str, content: &Content) {
        assert!(self.bytes(below).as_deref() == Some(content.bytes().as_slice()), "{below} is not what it should be");
    }

    /// Files below the models directory but not of the store, with paths from there.
    pub fn shown(&self) -> Vec<String> {
        let (mut found, mut todo) = (Vec::new(), vec![self.models.clone()]);
        while let Some(dir) = todo.pop() {
            for entry in self.disk.list(&dir).unwrap_or_default() {
                let path = dir.join(&entry.name);
                match entry.kind {
                    Kind::Dir if entry.name == STORE_DIR => {}
                    Kind::Dir => todo.push(path),
                    _ if entry.name.starts_with('.') => {}
                    _ => found.push(path.strip_prefix(&self.models).unwrap().to_string_lossy().replace('\\', "/")),
                }
            }
        }
        found.sort();
        found
    }

    /// What must hold at every moment: the store is sound, what a root names is in it, what is shown leads to something,
    /// and a root keeps it.
    #[track_caller]
    pub fn assert_promises(&self) {
        let Ok(store) = Store::open(self.disk.clone(), &self.store()) else {
            assert!(self.shown().is_empty(), "shown without a store: {:?}", self.shown());
            return;
        };
        let faults = fsck(&*self.disk, &self.store(), Expect::Unfinished);
        assert!(faults.is_empty(), "the store is not sound:\n{}", faults.join("\n"));
        let project = StoreProject::identify(&*self.disk, &self.models).unwrap();
        let roots = project.map(|project| store.roots_of(&project).unwrap()).unwrap_or_default();
        let mut kept = Vec::new();
        for root in &roots {
            for file in &root.files {
                assert!(store.stat(&file.sha256).unwrap().is_some(), "{} is kept by a root and lost", file.path);
                kept.push(format!("{}/{}", root.view.dir().to_string_lossy().replace('\\', "/"), file.path));
            }
        }
        for shown in self.shown() {
            assert!(self.disk.stat_follow(&self.models.join(&shown)).is_ok(), "{shown} leads to nothing");
            assert!(kept.contains(&shown), "{shown} is shown and no root keeps it");
        }
    }
}

/// A folder in memory where the system has that.
pub fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

/// A Hub, and a project on a disk that fails when it is told to. `tiny` is pinned in both quantizations.
pub struct Machine {
    pub hub: TestHub,
    pub disk: FaultyDisk,
    pub dir: tempfile::TempDir,
    pub project: Project,
}

impl Machine {
    pub fn new() -> Self {
        let hub = hub();
        let known = registry(&[entry(&hub, "tiny", REPO, &[("q4_k_m", Q4), ("q8_0", Q8)])]);
        Self::with(hub, known)
    }

    /// Nothing of `tiny` is pinned.
    pub fn open() -> Self {
        Self::with(hub(), registry(&[open_entry("tiny", REPO, &[("q4_k_m", Q4), ("q8_0", Q8)])]))
    }

    pub fn with(hub: TestHub, known: Registry) -> Self {
        let (dir, disk) = (scratch(), FaultyDisk::new());
        let project = Project::on(Arc::new(disk.clone()), &dir.path().join("p"), &hub, known, LinkMode::Auto);
        Self { hub, disk, dir, project }
    }

    pub fn content(&self) -> Content {
        self.hub.content(REPO, Q4)
    }

    pub fn requests(&self) -> u64 {
        self.hub.count().total_requests()
    }
}

#[track_caller]
pub fn refused<T>(result: Result<T>, kind: ErrorKind) -> Error {
    match result {
        Ok(_) => panic!("it was not refused"),
        Err(error) => {
            assert_eq!(error.kind(), kind, "{error}");
            error
        }
    }
}
