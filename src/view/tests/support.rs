//! A models directory with a store, and a disk that fails on demand.

use crate::{
    disk::{Disk, DiskError, DiskFile, Entry, Open, RealDisk, Result, Space, Stat},
    settings::LinkMode,
    store::{ImportMode, Store, ViewFile, ViewKey},
    view::{Built, ViewError, Views},
};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Those of these modes that work here: Windows makes symbolic links for accounts with a privilege only.
pub(super) fn those_that_work<const N: usize>(modes: [LinkMode; N]) -> impl Iterator<Item = LinkMode> {
    let without_links = cfg!(windows) && {
        let temp = tempfile::tempdir().unwrap();
        let (target, link) = (temp.path().join("target"), temp.path().join("link"));
        fs::write(&target, "").unwrap();
        RealDisk.symlink(&target, &link).is_err() || fs::read(&link).is_err()
    };
    modes.into_iter().filter(move |mode| !(without_links && *mode == LinkMode::Symlink))
}

pub(super) type Trouble = fn() -> io::Error;

/// The real disk, but for the operations that are set to fail.
#[derive(Debug, Default)]
pub(super) struct Broken {
    pub(super) symlink: Mutex<Option<Trouble>>,
    pub(super) hard_link: Mutex<Option<Trouble>>,
    pub(super) reflink: Mutex<Option<Trouble>>,
    /// Opening through a symbolic link.
    pub(super) follow: Mutex<Option<Trouble>>,
    /// Creating a file.
    pub(super) create: Mutex<Option<Trouble>>,
    /// Operations that change something.
    pub(super) changes: Mutex<Vec<String>>,
    /// Folders that were listed.
    pub(super) listed: Mutex<Vec<PathBuf>>,
}

impl Broken {
    fn check(&self, what: &Mutex<Option<Trouble>>, path: &Path) -> Result<()> {
        match *what.lock().unwrap() {
            Some(trouble) => Err(DiskError { action: "do", path: path.to_owned(), source: trouble() }),
            None => Ok(()),
        }
    }
    fn note(&self, what: &str, path: &Path) {
        self.changes.lock().unwrap().push(format!("{what} {}", path.display()));
    }
    pub(super) fn fail(what: &Mutex<Option<Trouble>>, trouble: Trouble) {
        *what.lock().unwrap() = Some(trouble);
    }
}

impl Disk for Broken {
    fn confined(self: Arc<Self>, _: &Path) -> Arc<dyn Disk> {
        self
    }
    fn stat(&self, path: &Path) -> Result<Stat> {
        RealDisk.stat(path)
    }
    fn stat_follow(&self, path: &Path) -> Result<Stat> {
        RealDisk.stat_follow(path)
    }
    fn list(&self, dir: &Path) -> Result<Vec<Entry>> {
        self.listed.lock().unwrap().push(dir.to_owned());
        RealDisk.list(dir)
    }
    fn create_dir(&self, path: &Path, mode: u32) -> Result<()> {
        RealDisk.create_dir(path, mode)?;
        self.note("create_dir", path);
        Ok(())
    }
    fn remove_dir(&self, path: &Path) -> Result<()> {
        RealDisk.remove_dir(path)?;
        self.note("remove_dir", path);
        Ok(())
    }
    fn remove_file(&self, path: &Path) -> Result<()> {
        RealDisk.remove_file(path)?;
        self.note("remove_file", path);
        Ok(())
    }
    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.note("rename", to);
        RealDisk.rename(from, to)
    }
    fn rename_new(&self, from: &Path, to: &Path) -> Result<()> {
        self.note("rename_new", to);
        RealDisk.rename_new(from, to)
    }
    fn symlink(&self, target: &Path, link: &Path) -> Result<()> {
        self.check(&self.symlink, link)?;
        self.note("symlink", link);
        RealDisk.symlink(target, link)
    }
    fn read_link(&self, path: &Path) -> Result<PathBuf> {
        RealDisk.read_link(path)
    }
    fn hard_link(&self, from: &Path, to: &Path) -> Result<()> {
        self.check(&self.hard_link, to)?;
        self.note("hard_link", to);
        RealDisk.hard_link(from, to)
    }
    fn reflink(&self, from: &Path, to: &Path) -> Result<()> {
        self.check(&self.reflink, to)?;
        self.note("reflink", to);
        // Most test machines have no file system that can.
        fs::copy(from, to).map(drop).map_err(|source| DiskError { action: "reflink", path: to.to_owned(), source })
    }
    fn open(&self, path: &Path, how: Open) -> Result<Box<dyn DiskFile>> {
        if how == Open::ReadFollow && fs::symlink_metadata(path).is_ok_and(|meta| meta.is_symlink()) {
            self.check(&self.follow, path)?;
        }
        if matches!(how, Open::CreateNew(_)) {
            self.check(&self.create, path)?;
            self.note("create", path);
        }
        RealDisk.open(path, how)
    }
    fn sync_dir(&self, path: &Path) -> Result<()> {
        RealDisk.sync_dir(path)
    }
    fn space(&self, path: &Path) -> Result<Space> {
        RealDisk.space(path)
    }
    fn canonical(&self, path: &Path) -> Result<PathBuf> {
        RealDisk.canonical(path)
    }
}

/// A models directory with a store.
pub(super) struct House {
    pub(super) temp: tempfile::TempDir,
    pub(super) disk: Arc<Broken>,
    pub(super) store: Store,
    pub(super) views: Views,
    pub(super) project: Uuid,
}

impl House {
    /// With the store in the models directory.
    pub(super) fn new() -> Self {
        Self::with_store("models/.blobs")
    }

    pub(super) fn with_store(place: &str) -> Self {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join(place);
        fs::create_dir_all(temp.path().join("models")).unwrap();
        let store = Store::open_or_init(Arc::new(RealDisk), &root, false).unwrap();
        let disk = Arc::new(Broken::default());
        let views = Views::new(disk.clone(), temp.path().join("models"), Some(store.clone()));
        Self { temp, disk, store, views, project: Uuid::new_v4() }
    }

    /// The same place, seen by another process.
    pub(super) fn again(&self) -> Views {
        Views::new(self.disk.clone(), self.models(), Some(self.store.clone()))
    }

    pub(super) fn models(&self) -> PathBuf {
        self.temp.path().join("models")
    }

    pub(super) fn at(&self, path: &str) -> PathBuf {
        self.models().join(path)
    }

    /// A file of a view, with its blob in the store.
    pub(super) fn file(&self, path: &str, content: &str) -> ViewFile {
        let scratch = self.temp.path().join("scratch");
        fs::write(&scratch, content).unwrap();
        let blob = self
            .store
            .import(&scratch, ImportMode::Copy, None, &self.store.lease().unwrap(), &|_| {}, &CancellationToken::new())
            .unwrap();
        fs::remove_file(scratch).unwrap();
        ViewFile { path: path.parse().unwrap(), sha256: blob.digest, size: blob.size }
    }

    pub(super) fn blob(&self, file: &ViewFile) -> PathBuf {
        self.store.layout().blob(&file.sha256)
    }

    pub(super) fn build(&self, key: &ViewKey, files: &[ViewFile], mode: LinkMode) -> Result<Built, ViewError> {
        self.views.build(key, files, mode, &self.project)
    }

    /// Puts a file or, with `->`, a link of the user's in the models directory.
    pub(super) fn put(&self, path: &str, content: &str) -> PathBuf {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// Removes a file, read-only as it may be.
    pub(super) fn remove(&self, path: &Path) {
        RealDisk.remove_file(path).unwrap();
    }

    pub(super) fn changes(&self) -> Vec<String> {
        std::mem::take(&mut *self.disk.changes.lock().unwrap())
    }

    /// Every name below the models directory, hidden ones and the store aside.
    pub(super) fn tree(&self) -> Vec<String> {
        fn walk(dir: &Path, below: &str, names: &mut Vec<String>) {
            for entry in fs::read_dir(dir).unwrap() {
                let entry = entry.unwrap();
                let name = format!("{below}{}", entry.file_name().to_string_lossy());
                if name == ".blobs" {
                    continue;
                }
                if entry.file_type().unwrap().is_dir() {
                    walk(&entry.path(), &format!("{name}/"), names);
                } else {
                    names.push(name);
                }
            }
        }
        let mut names = Vec::new();
        walk(&self.models(), "", &mut names);
        names.sort();
        names
    }
}

pub(super) fn key(text: &str) -> ViewKey {
    let mut parts = text.split('/');
    ViewKey {
        model: parts.next().unwrap().parse().unwrap(),
        format: parts.next().unwrap().parse().unwrap(),
        quant: parts.next().map(|quant| quant.parse().unwrap()),
    }
}

pub(super) fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

pub(super) fn stat(path: &Path) -> Stat {
    RealDisk.stat(path).unwrap()
}

pub(super) const NOT_SUPPORTED: Trouble = || io::ErrorKind::Unsupported.into();
pub(super) const OTHER_VOLUME: Trouble = || io::ErrorKind::CrossesDevices.into();
pub(super) const TOO_MANY_LINKS: Trouble = || io::ErrorKind::TooManyLinks.into();
