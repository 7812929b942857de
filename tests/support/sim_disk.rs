//! A disk in memory that can lose power.
//!
//! It keeps what programs see and, beside it, what is durable and the changes in between in their order. A crash keeps
//! the durable part and any of the changes: file content and length wait for a sync of the file, permission bits for
//! [`DiskFile::sync_all`], names for a sync of their folder. A rename is one change and belongs to the target's folder.
//! This is weaker than what journaling file systems promise, so what survives here survives there.
//!
//! Its medium can fail as Linux lets it: what was to be written of a file is lost and goes on to be seen until the cache
//! is dropped. Each open file is told once, one that is opened later only where no other was, and the next sync succeeds.
//! What is written to the same place afterwards is lost too, as on ext4, until the cache is dropped or the place renewed.
//! A folder whose sync fails keeps its changes for the next.

use model_manager::disk::{Disk, DiskError, DiskFile, Entry, Kind, LockKind, Open, Result, Space, Stat, Syncs};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt, io,
    ops::Range,
    path::{Component, Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

type Ino = u64;
type Name = (Ino, String);
const ROOT: Ino = 1;

#[derive(Clone, Debug)]
struct Node {
    dir: bool,
    mode: u32,
    mtime_ns: i64,
    data: Arc<Vec<u8>>,
}

#[derive(Clone, Debug)]
enum Change {
    Link(Name, Ino),
    Unlink(Name),
    Rename(Name, Name, Ino),
    Write(Ino, u64, Vec<u8>),
    SetLen(Ino, u64),
    SetMode(Ino, u32),
}

impl Change {
    fn is_of_file(&self, ino: Ino) -> bool {
        matches!(self, Self::Write(of, ..) | Self::SetLen(of, _) | Self::SetMode(of, _) if *of == ino)
    }
}

/// A call in which the medium may fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    Sync,
    SyncDir,
    /// Tells nobody that it failed.
    StartWriteback,
}

/// Picks the calls, numbered from 1, in which the medium fails.
pub type Picker = Box<dyn Fn(u64, Call, &Path) -> bool + Send>;

/// What the system knows of failures to write a file out.
#[derive(Default)]
struct Failures {
    count: u64,
    /// Whether any open file was told of the last.
    told: bool,
}

/// What is on the medium.
#[derive(Clone, Debug, Default)]
struct Image {
    nodes: HashMap<Ino, Node>,
    names: BTreeMap<Name, Ino>,
}

impl Image {
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Link(name, ino) => {
                self.names.insert(name.clone(), *ino);
            }
            Change::Unlink(name) => {
                self.names.remove(name);
            }
            Change::Rename(from, to, ino) => {
                if self.names.get(from) == Some(ino) {
                    self.names.remove(from);
                }
                self.names.insert(to.clone(), *ino);
            }
            Change::Write(ino, offset, bytes) => {
                let node = self.nodes.get_mut(ino).expect("nodes stay");
                let data = Arc::make_mut(&mut node.data);
                let end = *offset as usize + bytes.len();
                if data.len() < end {
                    data.resize(end, 0);
                }
                data[*offset as usize..end].copy_from_slice(bytes);
            }
            Change::SetLen(ino, len) => {
                let node = self.nodes.get_mut(ino).expect("nodes stay");
                Arc::make_mut(&mut node.data).resize(*len as usize, 0);
            }
            Change::SetMode(ino, mode) => self.nodes.get_mut(ino).expect("nodes stay").mode = *mode,
        }
    }
}

/// A moment at which the power may fail.
#[derive(Clone)]
pub struct Moment {
    durable: Arc<Image>,
    pending: Vec<Change>,
}

impl Moment {
    /// Changes that may or may not have reached the medium.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// The disk after the power failed and of the pending changes only those reached it that `keep` picks.
    pub fn crash(&self, keep: impl Fn(usize) -> bool) -> SimDisk {
        let mut image = Image::clone(&self.durable);
        for (_, change) in self.pending.iter().enumerate().filter(|(number, _)| keep(*number)) {
            image.apply(change);
        }
        SimDisk::of(image)
    }
}

#[derive(Default)]
struct State {
    seen: Image,
    durable: Arc<Image>,
    pending: Vec<Change>,
    next: Ino,
    locks: HashMap<Ino, Vec<(u64, LockKind)>>,
    handles: u64,
    failures: HashMap<Ino, Failures>,
    /// Places of files to which nothing can be written that stays.
    stuck: HashMap<Ino, Vec<Range<u64>>>,
    picker: Option<Picker>,
    calls: u64,
    moments: Option<Vec<Moment>>,
}

impl State {
    fn change(&mut self, change: Change) {
        self.seen.apply(&change);
        self.pending.push(change);
        self.record();
    }

    fn record(&mut self) {
        if let Some(moments) = &mut self.moments {
            moments.push(Moment { durable: self.durable.clone(), pending: self.pending.clone() });
        }
    }

    fn settle(&mut self, is_synced: impl Fn(&Change) -> bool) {
        let (done, left): (Vec<_>, Vec<_>) = std::mem::take(&mut self.pending).into_iter().partition(|change| is_synced(change));
        let durable = Arc::make_mut(&mut self.durable);
        done.iter().for_each(|change| durable.apply(change));
        // A name that is durably taken away need not have been made before.
        let renamed: Vec<(Name, Ino)> = done
            .iter()
            .filter_map(|change| if let Change::Rename(from, _, ino) = change { Some((from.clone(), *ino)) } else { None })
            .collect();
        self.pending = left
            .into_iter()
            .filter(|change| !matches!(change, Change::Link(name, ino) if renamed.contains(&(name.clone(), *ino))))
            .collect();
        self.record();
    }

    fn fails(&mut self, call: Call, path: &Path) -> bool {
        self.calls += 1;
        self.picker.as_ref().is_some_and(|picks| picks(self.calls, call, path))
    }

    /// What was to be written of a file is not, and nothing is left to be written.
    fn lose(&mut self, ino: Ino) {
        let (lost, pending) = std::mem::take(&mut self.pending).into_iter().partition(|change| change.is_of_file(ino));
        self.pending = pending;
        let place = |change: &Change| match change {
            Change::Write(_, offset, bytes) => Some(*offset..*offset + bytes.len() as u64),
            _ => None,
        };
        let lost: Vec<Change> = lost;
        self.stuck.entry(ino).or_default().extend(lost.iter().filter_map(place));
        let failures = self.failures.entry(ino).or_default();
        *failures = Failures { count: failures.count + 1, told: false };
        self.record();
    }

    /// What can be read when nothing is in the cache but what is still to be written.
    fn uncached(&self) -> Image {
        let mut image = Image::clone(&self.durable);
        self.pending.iter().for_each(|change| image.apply(change));
        image
    }

    fn new_node(&mut self, dir: bool, mode: u32) -> Ino {
        self.next += 1;
        let node = Node { dir, mode, mtime_ns: now_ns(), data: Arc::default() };
        self.seen.nodes.insert(self.next, node.clone());
        Arc::make_mut(&mut self.durable).nodes.insert(self.next, node);
        self.next
    }

    fn touch(&mut self, ino: Ino) {
        // After a crash a file is as old as when it was made; no test of crashes depends on more.
        self.seen.nodes.get_mut(&ino).expect("nodes stay").mtime_ns = now_ns();
    }
}

fn now_ns() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_nanos() as i64)
}

/// A disk in memory that can lose power.
#[derive(Clone)]
pub struct SimDisk(Arc<Mutex<State>>);

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimDisk")
    }
}

fn fail<T>(kind: io::ErrorKind, path: &Path) -> Result<T> {
    Err(DiskError { action: "(simulated)", path: path.to_owned(), source: kind.into() })
}

impl SimDisk {
    pub fn new() -> Self {
        let root = Node { dir: true, mode: 0o755, mtime_ns: 0, data: Arc::default() };
        Self::of(Image { nodes: HashMap::from([(ROOT, root)]), names: BTreeMap::new() })
    }

    fn of(image: Image) -> Self {
        let next = image.nodes.keys().copied().max().unwrap_or(ROOT);
        Self(Arc::new(Mutex::new(State { seen: image.clone(), durable: Arc::new(image), next, ..State::default() })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no panic in here")
    }

    /// Makes everything durable.
    pub fn sync_everything(&self) {
        self.state().settle(|_| true);
    }

    /// This moment.
    pub fn now(&self) -> Moment {
        let state = self.state();
        Moment { durable: state.durable.clone(), pending: state.pending.clone() }
    }

    /// Lets the medium fail in the calls that `picks` picks from now on.
    pub fn fail(&self, picks: impl Fn(u64, Call, &Path) -> bool + Send + 'static) {
        let mut state = self.state();
        state.picker = Some(Box::new(picks));
        state.calls = 0;
    }

    /// Lets it fail no more, and tells in how many calls it could have failed meanwhile.
    pub fn mend(&self) -> u64 {
        let mut state = self.state();
        state.picker = None;
        state.calls
    }

    /// Where a file was written to and waits for a sync.
    pub fn unsynced(&self, path: &Path) -> BTreeSet<u64> {
        let ino = self.ino(path).expect("a file");
        let at = |change: &Change| if let Change::Write(of, at, _) = change { (*of == ino).then_some(*at) } else { None };
        self.state().pending.iter().filter_map(at).collect()
    }

    /// Drops what was read or written and need not be written out any more.
    pub fn drop_caches(&self) {
        let mut state = self.state();
        let mut image = state.uncached();
        for (ino, node) in &mut image.nodes {
            node.mtime_ns = state.seen.nodes[ino].mtime_ns;
        }
        state.seen = image;
        state.stuck.clear();
    }

    /// Runs `work` and gives every moment of it. What is then chosen by chance comes from a seed, which a test that fails
    /// shows and `MODEL_MANAGER_TEST_SEED` names.
    pub fn moments(&self, work: impl FnOnce()) -> Vec<Moment> {
        self.state().moments = Some(Vec::new());
        self.state().record();
        work();
        let named = std::env::var("MODEL_MANAGER_TEST_SEED").ok();
        let seed = named.map_or_else(|| fastrand::u64(..), |seed| seed.parse().expect("a seed is a number"));
        eprintln!("MODEL_MANAGER_TEST_SEED={seed}");
        fastrand::seed(seed);
        self.state().moments.take().expect("set above")
    }

    /// The folder that holds a path, and its last part.
    fn name(&self, path: &Path) -> Result<Name> {
        let Some(name) = path.file_name() else { return fail(io::ErrorKind::InvalidInput, path) };
        let parent = self.ino(path.parent().unwrap_or(Path::new("/")))?;
        Ok((parent, name.to_string_lossy().into_owned()))
    }

    fn ino(&self, path: &Path) -> Result<Ino> {
        let state = self.state();
        let mut ino = ROOT;
        for part in path.components() {
            let Component::Normal(part) = part else { continue };
            match state.seen.names.get(&(ino, part.to_string_lossy().into_owned())) {
                Some(next) => ino = *next,
                None => return fail(io::ErrorKind::NotFound, path),
            }
        }
        Ok(ino)
    }

    fn stat_ino(&self, ino: Ino) -> Stat {
        let state = self.state();
        let node = &state.seen.nodes[&ino];
        Stat {
            kind: if node.dir { Kind::Dir } else { Kind::File },
            len: node.data.len() as u64,
            allocated: node.data.len() as u64,
            mtime_ns: node.mtime_ns,
            atime_ns: 0,
            ino,
            dev: 1,
            nlink: if node.dir { 2 } else { state.seen.names.values().filter(|named| **named == ino).count() as u64 },
            mode: node.mode,
            uid: 0,
            gid: 0,
        }
    }

    fn create(&self, path: &Path, dir: bool, mode: u32) -> Result<Ino> {
        let name = self.name(path)?;
        let mut state = self.state();
        if state.seen.names.contains_key(&name) {
            return fail(io::ErrorKind::AlreadyExists, path);
        }
        let ino = state.new_node(dir, mode);
        state.touch(name.0);
        state.change(Change::Link(name, ino));
        Ok(ino)
    }

    fn move_name(&self, from: &Path, to: &Path, replace: bool) -> Result<()> {
        let (ino, from_name, to_name) = (self.ino(from)?, self.name(from)?, self.name(to)?);
        let mut state = self.state();
        match state.seen.names.get(&to_name) {
            Some(_) if !replace => return fail(io::ErrorKind::AlreadyExists, to),
            Some(there) if *there == ino => return Ok(()),
            _ => {}
        }
        state.touch(from_name.0);
        state.touch(to_name.0);
        state.change(Change::Rename(from_name, to_name, ino));
        Ok(())
    }
}

struct SimFile {
    disk: SimDisk,
    ino: Ino,
    path: PathBuf,
    handle: u64,
    /// Failures of which this open file was told, or that another was told of before it was opened.
    known: AtomicU64,
    syncs: Syncs,
}

impl SimFile {
    fn sync(&self, is_synced: impl Fn(&Change) -> bool) -> Result<()> {
        self.syncs.sync(|| {
            let mut state = self.disk.state();
            if state.fails(Call::Sync, &self.path) {
                state.lose(self.ino);
            }
            let failures = state.failures.entry(self.ino).or_default();
            if self.known.swap(failures.count, Ordering::Relaxed) != failures.count {
                failures.told = true;
                return fail(io::ErrorKind::Other, &self.path);
            }
            state.settle(is_synced);
            Ok(())
        })
    }
}

impl fmt::Debug for SimFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimFile({})", self.ino)
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        if let Some(holders) = self.disk.state().locks.get_mut(&self.ino) {
            holders.retain(|(handle, _)| *handle != self.handle);
        }
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        let data = self.disk.state().seen.nodes[&self.ino].data.clone();
        let rest = data.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(buf.len());
        buf[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
    fn write_at(&self, data: &[u8], offset: u64) -> Result<()> {
        let mut state = self.disk.state();
        state.touch(self.ino);
        let (change, end) = (Change::Write(self.ino, offset, data.to_vec()), offset + data.len() as u64);
        let is_stuck = |place: &Range<u64>| place.start < end && offset < place.end;
        match state.stuck.get(&self.ino).is_some_and(|stuck| stuck.iter().any(is_stuck)) {
            true => state.seen.apply(&change),
            false => state.change(change),
        }
        Ok(())
    }
    fn stat(&self) -> Result<Stat> {
        Ok(self.disk.stat_ino(self.ino))
    }
    fn set_len(&self, len: u64) -> Result<()> {
        let mut state = self.disk.state();
        state.stuck.entry(self.ino).or_default().retain(|place| place.start < len);
        state.change(Change::SetLen(self.ino, len));
        Ok(())
    }
    fn allocate(&self, len: u64) -> Result<()> {
        if self.stat()?.len < len {
            self.set_len(len)?;
        }
        Ok(())
    }
    fn set_mode(&self, mode: u32) -> Result<()> {
        self.disk.state().change(Change::SetMode(self.ino, mode));
        Ok(())
    }
    fn set_group(&self, _: u32) -> Result<()> {
        Ok(())
    }
    fn sync_data(&self) -> Result<()> {
        self.sync(|change| change.is_of_file(self.ino) && !matches!(change, Change::SetMode(..)))
    }
    fn sync_all(&self) -> Result<()> {
        self.sync(|change| change.is_of_file(self.ino))
    }
    fn start_writeback(&self, _: u64, _: u64) {
        let mut state = self.disk.state();
        if state.fails(Call::StartWriteback, &self.path) {
            state.lose(self.ino);
        }
    }
    fn renew(&self, offset: u64, len: u64) -> Result<()> {
        let mut state = self.disk.state();
        let is_around = |place: &Range<u64>| place.start < offset || offset + len < place.end;
        state.stuck.entry(self.ino).or_default().retain(is_around);
        state.change(Change::Write(self.ino, offset, vec![0; len as usize]));
        Ok(())
    }
    fn drop_cache(&self) {
        let mut state = self.disk.state();
        state.stuck.remove(&self.ino);
        let data = state.uncached().nodes.remove(&self.ino).expect("nodes stay").data;
        let node = state.seen.nodes.get_mut(&self.ino).expect("nodes stay");
        let len = node.data.len();
        node.data = data;
        Arc::make_mut(&mut node.data).resize(len, 0);
    }
    fn try_lock(&self, kind: LockKind) -> Result<bool> {
        let mut state = self.disk.state();
        let holders = state.locks.entry(self.ino).or_default();
        let others = holders
            .iter()
            .any(|(handle, held)| *handle != self.handle && (kind == LockKind::Exclusive || *held == LockKind::Exclusive));
        if !others {
            holders.push((self.handle, kind));
        }
        Ok(!others)
    }
}

impl Disk for SimDisk {
    /// It knows no links.
    fn confined(self: Arc<Self>, _: &Path) -> Arc<dyn Disk> {
        self
    }
    fn stat(&self, path: &Path) -> Result<Stat> {
        Ok(self.stat_ino(self.ino(path)?))
    }
    fn stat_follow(&self, path: &Path) -> Result<Stat> {
        self.stat(path)
    }
    fn list(&self, dir: &Path) -> Result<Vec<Entry>> {
        let ino = self.ino(dir)?;
        let state = self.state();
        let names = state.seen.names.range((ino, String::new())..(ino + 1, String::new()));
        let kind = |ino: &Ino| if state.seen.nodes[ino].dir { Kind::Dir } else { Kind::File };
        Ok(names.map(|((_, name), ino)| Entry { name: name.clone(), kind: kind(ino) }).collect())
    }
    fn create_dir(&self, path: &Path, mode: u32) -> Result<()> {
        self.create(path, true, mode).map(drop)
    }
    fn remove_dir(&self, path: &Path) -> Result<()> {
        if !self.list(path)?.is_empty() {
            return fail(io::ErrorKind::DirectoryNotEmpty, path);
        }
        self.remove_file(path)
    }
    fn remove_file(&self, path: &Path) -> Result<()> {
        self.ino(path)?;
        let name = self.name(path)?;
        let mut state = self.state();
        state.touch(name.0);
        state.change(Change::Unlink(name));
        Ok(())
    }
    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.move_name(from, to, true)
    }
    fn rename_new(&self, from: &Path, to: &Path) -> Result<()> {
        self.move_name(from, to, false)
    }
    fn symlink(&self, _: &Path, link: &Path) -> Result<()> {
        fail(io::ErrorKind::Unsupported, link)
    }
    fn read_link(&self, path: &Path) -> Result<PathBuf> {
        fail(io::ErrorKind::InvalidInput, path)
    }
    fn hard_link(&self, from: &Path, to: &Path) -> Result<()> {
        let (ino, name) = (self.ino(from)?, self.name(to)?);
        self.state().change(Change::Link(name, ino));
        Ok(())
    }
    fn reflink(&self, _: &Path, to: &Path) -> Result<()> {
        fail(io::ErrorKind::Unsupported, to)
    }
    fn open(&self, path: &Path, how: Open) -> Result<Box<dyn DiskFile>> {
        let ino = match how {
            Open::CreateNew(mode) => self.create(path, false, mode)?,
            Open::CreateIfMissing(mode) => match self.ino(path) {
                Err(error) if error.is_not_found() => self.create(path, false, mode)?,
                other => other?,
            },
            Open::Read | Open::ReadFollow | Open::Write => self.ino(path)?,
        };
        let writes = matches!(how, Open::Write | Open::CreateIfMissing(_));
        if writes && self.stat_ino(ino).mode & 0o200 == 0 {
            return fail(io::ErrorKind::PermissionDenied, path);
        }
        let mut state = self.state();
        state.handles += 1;
        let failures = state.failures.get(&ino).map_or(0, |failures| failures.count.saturating_sub((!failures.told).into()));
        let (known, syncs) = (AtomicU64::new(failures), Syncs::default());
        Ok(Box::new(SimFile { disk: self.clone(), ino, path: path.to_owned(), handle: state.handles, known, syncs }))
    }
    fn sync_dir(&self, path: &Path) -> Result<()> {
        let ino = self.ino(path)?;
        let mut state = self.state();
        if state.fails(Call::SyncDir, path) {
            return fail(io::ErrorKind::Other, path);
        }
        state.settle(|change| match change {
            Change::Link(name, _) | Change::Unlink(name) | Change::Rename(_, name, _) => name.0 == ino,
            _ => false,
        });
        Ok(())
    }
    fn space(&self, _: &Path) -> Result<Space> {
        Ok(Space { available: 1 << 40, total: 1 << 41 })
    }
    fn canonical(&self, path: &Path) -> Result<PathBuf> {
        Ok(path.to_owned())
    }
}
