//! A real disk that fails when it is told to.
//!
//! Only operations that change something are counted, so that "the N-th operation" means a step of a protocol. A file
//! without the owner's write bit cannot be opened for writing, as for everybody but root, who runs many test machines.

use model_manager::disk::{Disk, DiskError, DiskFile, Entry, LockKind, Open, RealDisk, Result, Space, Stat, Syncs};
use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

/// An operation that changes something on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    CreateDir,
    RemoveDir,
    RemoveFile,
    Rename,
    RenameNew,
    Symlink,
    HardLink,
    Reflink,
    /// Opening for writing.
    Open,
    SyncDir,
    Write,
    SetLen,
    Allocate,
    SetMode,
    SyncData,
    SyncAll,
}

/// Picks the operations that fail, and how.
pub type Picker = Box<dyn Fn(Op, &Path) -> Option<io::ErrorKind> + Send + Sync>;

/// Called before a file is opened for reading.
pub type OnRead = Arc<dyn Fn(&Path) + Send + Sync>;

/// When to fail.
pub enum Rule {
    /// Never.
    Never,
    /// The operation with this number, counted from 1, once.
    Once(u64, io::ErrorKind),
    /// That operation and all later ones, as if the process had died: nothing is tidied up.
    Dead(u64),
    /// Whatever the function picks.
    Pick(Picker),
}

struct State {
    rule: Mutex<Rule>,
    count: AtomicU64,
    on_read: Mutex<Option<OnRead>>,
}

/// A real disk that fails by a [`Rule`].
#[derive(Clone)]
pub struct FaultyDisk {
    state: Arc<State>,
    inner: Arc<dyn Disk>,
}

struct FaultyFile {
    inner: Box<dyn DiskFile>,
    path: PathBuf,
    disk: FaultyDisk,
    syncs: Syncs,
}

impl fmt::Debug for FaultyDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaultyDisk")
    }
}

impl fmt::Debug for FaultyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultyFile({})", self.path.display())
    }
}

impl FaultyDisk {
    pub fn new() -> Self {
        let state = State { rule: Mutex::new(Rule::Never), count: AtomicU64::new(0), on_read: Mutex::default() };
        Self { state: Arc::new(state), inner: Arc::new(RealDisk) }
    }

    /// Calls `on_read` from now on, which may wait: the disk of a volume that does not answer.
    #[allow(dead_code, reason = "not every test has such a volume")]
    pub fn on_read(&self, on_read: impl Fn(&Path) + Send + Sync + 'static) {
        *self.state.on_read.lock().unwrap() = Some(Arc::new(on_read));
    }

    /// Begins to count from 1 again under a new rule.
    pub fn set(&self, rule: Rule) {
        *self.state.rule.lock().unwrap() = rule;
        self.state.count.store(0, Ordering::SeqCst);
    }

    /// Operations counted since the rule was set.
    pub fn count(&self) -> u64 {
        self.state.count.load(Ordering::SeqCst)
    }

    /// The same disk and rule, confined below `root`.
    pub fn entered_at(&self, root: &Path) -> Self {
        Self { state: self.state.clone(), inner: self.inner.clone().confined(root) }
    }

    fn step(&self, op: Op, path: &Path) -> Result<()> {
        let number = self.state.count.fetch_add(1, Ordering::SeqCst) + 1;
        let kind = match &*self.state.rule.lock().unwrap() {
            Rule::Never => None,
            Rule::Once(at, kind) => (number == *at).then_some(*kind),
            Rule::Dead(from) => (number >= *from).then_some(io::ErrorKind::Other),
            Rule::Pick(pick) => pick(op, path),
        };
        match kind {
            None => Ok(()),
            Some(kind) => Err(DiskError { action: "(told to fail)", path: path.to_owned(), source: kind.into() }),
        }
    }
}

impl DiskFile for FaultyFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        self.inner.read_at(buf, offset)
    }
    fn write_at(&self, data: &[u8], offset: u64) -> Result<()> {
        if let Err(error) = self.disk.step(Op::Write, &self.path) {
            // What fails in the middle has done its first half.
            self.inner.write_at(&data[..data.len() / 2], offset)?;
            return Err(error);
        }
        self.inner.write_at(data, offset)
    }
    fn stat(&self) -> Result<Stat> {
        self.inner.stat()
    }
    fn set_len(&self, len: u64) -> Result<()> {
        self.disk.step(Op::SetLen, &self.path)?;
        self.inner.set_len(len)
    }
    fn allocate(&self, len: u64) -> Result<()> {
        self.disk.step(Op::Allocate, &self.path)?;
        self.inner.allocate(len)
    }
    fn set_mode(&self, mode: u32) -> Result<()> {
        self.disk.step(Op::SetMode, &self.path)?;
        self.inner.set_mode(mode)
    }
    fn set_group(&self, gid: u32) -> Result<()> {
        self.inner.set_group(gid)
    }
    fn keep_access_time(&self) {
        self.inner.keep_access_time();
    }
    fn touch(&self) -> Result<()> {
        self.inner.touch()
    }
    fn sync_data(&self) -> Result<()> {
        self.syncs.sync(|| {
            self.disk.step(Op::SyncData, &self.path)?;
            self.inner.sync_data()
        })
    }
    fn sync_all(&self) -> Result<()> {
        self.syncs.sync(|| {
            self.disk.step(Op::SyncAll, &self.path)?;
            self.inner.sync_all()
        })
    }
    fn start_writeback(&self, offset: u64, len: u64) {
        self.inner.start_writeback(offset, len);
    }
    fn set_modified(&self, mtime_ns: i64) -> Result<()> {
        self.disk.step(Op::SetMode, &self.path)?;
        self.inner.set_modified(mtime_ns)
    }
    fn has_writer(&self) -> Option<bool> {
        self.inner.has_writer()
    }
    fn try_lock(&self, kind: LockKind) -> Result<bool> {
        self.inner.try_lock(kind)
    }
}

impl Disk for FaultyDisk {
    fn confined(self: Arc<Self>, root: &Path) -> Arc<dyn Disk> {
        Arc::new(self.entered_at(root))
    }
    fn stat(&self, path: &Path) -> Result<Stat> {
        self.inner.stat(path)
    }
    fn stat_follow(&self, path: &Path) -> Result<Stat> {
        self.inner.stat_follow(path)
    }
    fn list(&self, dir: &Path) -> Result<Vec<Entry>> {
        self.inner.list(dir)
    }
    fn create_dir(&self, path: &Path, mode: u32) -> Result<()> {
        self.step(Op::CreateDir, path)?;
        self.inner.create_dir(path, mode)
    }
    fn remove_dir(&self, path: &Path) -> Result<()> {
        self.step(Op::RemoveDir, path)?;
        self.inner.remove_dir(path)
    }
    fn remove_file(&self, path: &Path) -> Result<()> {
        self.step(Op::RemoveFile, path)?;
        self.inner.remove_file(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.step(Op::Rename, to)?;
        self.inner.rename(from, to)
    }
    fn rename_new(&self, from: &Path, to: &Path) -> Result<()> {
        self.step(Op::RenameNew, to)?;
        self.inner.rename_new(from, to)
    }
    fn symlink(&self, target: &Path, link: &Path) -> Result<()> {
        self.step(Op::Symlink, link)?;
        self.inner.symlink(target, link)
    }
    fn read_link(&self, path: &Path) -> Result<PathBuf> {
        self.inner.read_link(path)
    }
    fn hard_link(&self, from: &Path, to: &Path) -> Result<()> {
        self.step(Op::HardLink, to)?;
        self.inner.hard_link(from, to)
    }
    fn reflink(&self, from: &Path, to: &Path) -> Result<()> {
        self.step(Op::Reflink, to)?;
        self.inner.reflink(from, to)
    }
    fn open(&self, path: &Path, how: Open) -> Result<Box<dyn DiskFile>> {
        if matches!(how, Open::Read | Open::ReadFollow) {
            let on_read = self.state.on_read.lock().unwrap().clone();
            on_read.iter().for_each(|on_read| on_read(path));
        } else {
            self.step(Op::Open, path)?;
            let writes_existing = matches!(how, Open::Write | Open::CreateIfMissing(_));
            if writes_existing && self.inner.stat(path).is_ok_and(|stat| stat.mode & 0o200 == 0) {
                let source = io::ErrorKind::PermissionDenied.into();
                return Err(DiskError { action: "open", path: path.to_owned(), source });
            }
        }
        let inner = self.inner.open(path, how)?;
        Ok(Box::new(FaultyFile { inner, path: path.to_owned(), disk: self.clone(), syncs: Syncs::default() }))
    }
    fn sync_dir(&self, path: &Path) -> Result<()> {
        self.step(Op::SyncDir, path)?;
        self.inner.sync_dir(path)
    }
    fn space(&self, path: &Path) -> Result<Space> {
        self.inner.space(path)
    }
    fn canonical(&self, path: &Path) -> Result<PathBuf> {
        self.inner.canonical(path)
    }
}
