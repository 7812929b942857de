//! The operating system's file system.

#[cfg(not(target_os = "linux"))]
use super::Kind;
#[cfg(target_os = "linux")]
use super::folder::{ByHandle, Folder};
use super::{At, Confined, Disk, DiskError, DiskFile, Entry, LockKind, Open, Result, Space, Stat, Syncs, system};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, SystemTime},
};

/// No file system has larger blocks.
const LARGEST_BLOCK: u64 = 64 << 10;

/// The operating system's file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

#[derive(Debug)]
pub(super) struct RealFile {
    file: fs::File,
    path: PathBuf,
    syncs: Syncs,
    /// The process that locked it; 0 is none.
    locked_by: AtomicU32,
}

impl RealFile {
    pub(super) fn new(file: fs::File, path: &Path) -> Self {
        Self { file, path: path.to_owned(), syncs: Syncs::default(), locked_by: AtomicU32::new(0) }
    }
}

impl Drop for RealFile {
    /// Closing gives a lock up only with the last copy of the open file, and a child forked meanwhile has one.
    fn drop(&mut self) {
        let locked_by = *self.locked_by.get_mut();
        if locked_by != 0 && locked_by == std::process::id() {
            // Closing follows at once.
            let _ = system::unlock(&self.file);
        }
    }
}

impl DiskFile for RealFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        let mut filled = 0;
        while filled < buf.len() {
            match system::read_at(&self.file, &mut buf[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error).at("read", &self.path),
            }
        }
        Ok(filled)
    }

    fn write_at(&self, data: &[u8], offset: u64) -> Result<()> {
        let mut written = 0;
        while written < data.len() {
            match system::write_at(&self.file, &data[written..], offset + written as u64) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()).at("write", &self.path),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error).at("write", &self.path),
            }
        }
        Ok(())
    }

    fn stat(&self) -> Result<Stat> {
        system::stat_open(&self.file).at("look at", &self.path)
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.file.set_len(len).at("resize", &self.path)
    }

    fn allocate(&self, len: u64) -> Result<()> {
        let before = self.stat()?.len;
        match fs4::FileExt::allocate(&self.file, len) {
            Ok(()) => Ok(()),
            Err(error) if matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput) => self.set_len(len),
            Err(error) => {
                // A failed reservation keeps what it got (ext4), which would leave the disk full. What was there stays.
                let _ = self.file.set_len(before);
                Err(error).at("reserve room for", &self.path)
            }
        }
    }

    fn set_mode(&self, mode: u32) -> Result<()> {
        system::set_mode(&self.file, mode).at("set the mode of", &self.path)
    }

    fn set_group(&self, gid: u32) -> Result<()> {
        system::set_group(&self.file, gid).at("give to a group", &self.path)
    }

    fn sync_data(&self) -> Result<()> {
        self.syncs.sync(|| self.file.sync_data().at("sync", &self.path))
    }

    fn sync_all(&self) -> Result<()> {
        self.syncs.sync(|| system::sync(&self.file).at("sync", &self.path))
    }

    fn start_writeback(&self, offset: u64, len: u64) {
        if let Err(error) = system::start_writeback(&self.file, offset, len).at("write out", &self.path) {
            self.syncs.fail(error);
        }
    }

    fn renew(&self, offset: u64, len: u64) -> Result<()> {
        let whole = self.stat()?.len;
        // A block that is zeroed in part is zeroed in memory, and stays what it was: so the last one is taken whole.
        let end = (offset + len).next_multiple_of(LARGEST_BLOCK);
        match system::zero(&self.file, offset, end - offset) {
            // What was taken behind the end is given back.
            Ok(()) if end > whole => self.set_len(whole),
            Ok(()) => Ok(()),
            Err(error) if matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput) => {
                self.drop_cache();
                Ok(())
            }
            Err(error) => Err(error).at("take room again in", &self.path),
        }
    }

    fn drop_cache(&self) {
        system::drop_cache(&self.file);
    }

    fn keep_access_time(&self) {
        system::keep_access_time(&self.file);
    }

    fn touch(&self) -> Result<()> {
        system::touch(&self.file).at("set the times of", &self.path)
    }

    fn set_modified(&self, mtime_ns: i64) -> Result<()> {
        let from_epoch = Duration::from_nanos(mtime_ns.unsigned_abs());
        let time = if mtime_ns < 0 { SystemTime::UNIX_EPOCH - from_epoch } else { SystemTime::UNIX_EPOCH + from_epoch };
        self.file.set_modified(time).at("set the times of", &self.path)
    }

    fn has_writer(&self) -> Option<bool> {
        system::has_writer(&self.file)
    }

    fn try_lock(&self, kind: LockKind) -> Result<bool> {
        let is_locked = system::try_lock(&self.file, kind).at("lock", &self.path)?;
        if is_locked {
            self.locked_by.store(std::process::id(), Ordering::Relaxed);
        }
        Ok(is_locked)
    }
}

impl Disk for RealDisk {
    fn confined(self: Arc<Self>, root: &Path) -> Arc<dyn Disk> {
        Arc::new(Confined::default()).confined(root)
    }

    fn stat(&self, path: &Path) -> Result<Stat> {
        system::stat(path).at("look at", path)
    }

    fn stat_follow(&self, path: &Path) -> Result<Stat> {
        system::stat_follow(path).at("look at", path)
    }

    #[cfg(target_os = "linux")]
    fn list(&self, dir: &Path) -> Result<Vec<Entry>> {
        ByHandle::open(dir).map(ByHandle::into_entries)
    }

    #[cfg(not(target_os = "linux"))]
    fn list(&self, dir: &Path) -> Result<Vec<Entry>> {
        list_by_path(dir).at("list", dir)
    }

    #[cfg(target_os = "linux")]
    fn open_folder(&self, dir: &Path) -> Result<Option<Box<dyn Folder>>> {
        Ok(Some(Box::new(ByHandle::open(dir)?)))
    }

    fn create_dir(&self, path: &Path, mode: u32) -> Result<()> {
        system::create_dir(path, mode).at("create the folder", path)
    }

    fn remove_dir(&self, path: &Path) -> Result<()> {
        fs::remove_dir(path).at("remove the folder", path)
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        system::remove_file(path).at("remove", path)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        system::rename(from, to).at("rename to", to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> Result<()> {
        system::rename_new(from, to).at("rename to", to)
    }

    fn symlink(&self, target: &Path, link: &Path) -> Result<()> {
        system::symlink(target, link).at("make the symbolic link", link)
    }

    fn read_link(&self, path: &Path) -> Result<PathBuf> {
        fs::read_link(path).at("read the link", path)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> Result<()> {
        fs::hard_link(from, to).at("make the hard link", to)
    }

    fn reflink(&self, from: &Path, to: &Path) -> Result<()> {
        reflink_copy::reflink(from, to).at("make the reflink copy", to)?;
        system::give_copy(to);
        Ok(())
    }

    fn open(&self, path: &Path, how: Open) -> Result<Box<dyn DiskFile>> {
        let file = open_or_create(how, |how| system::open(path, how)).at(action_of(how), path)?;
        Ok(Box::new(RealFile::new(file, path)))
    }

    fn sync_dir(&self, path: &Path) -> Result<()> {
        system::sync_dir(path).at("sync the folder", path)
    }

    fn space(&self, path: &Path) -> Result<Space> {
        let stats = fs4::statvfs(path).at("ask for the free space of", path)?;
        Ok(Space { available: stats.available_space(), total: stats.total_space() })
    }

    fn canonical(&self, path: &Path) -> Result<PathBuf> {
        system::canonical(path).at("resolve", path)
    }
}

/// What opening a file so is called in an error.
pub(super) fn action_of(how: Open) -> &'static str {
    if matches!(how, Open::CreateNew(_)) { "create" } else { "open" }
}

/// Opens a file; [`Open::CreateIfMissing`] is taken apart. Opening without the create flag comes first: in a sticky folder the
/// kernel refuses `O_CREAT` on a file of another user even where writing it is allowed (`fs.protected_regular`).
pub(super) fn open_or_create(how: Open, open: impl Fn(Open) -> io::Result<fs::File>) -> io::Result<fs::File> {
    let Open::CreateIfMissing(mode) = how else { return open(how) };
    loop {
        match open(Open::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => match open(Open::CreateNew(mode)) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                other => return other,
            },
            other => return other,
        }
    }
}

/// The names in a folder and what they are.
#[cfg(not(target_os = "linux"))]
pub(super) fn list_by_path(dir: &Path) -> io::Result<Vec<Entry>> {
    let entry = |entry: io::Result<fs::DirEntry>| -> io::Result<Entry> {
        let entry = entry?;
        let kind = kind_of(&entry.file_type()?);
        Ok(Entry { name: entry.file_name().to_string_lossy().into_owned(), kind })
    };
    fs::read_dir(dir)?.map(entry).collect()
}

#[cfg(not(target_os = "linux"))]
pub(super) fn kind_of(file_type: &fs::FileType) -> Kind {
    if file_type.is_symlink() {
        Kind::Symlink
    } else if file_type.is_dir() {
        Kind::Dir
    } else if file_type.is_file() {
        Kind::File
    } else {
        Kind::Other
    }
}

impl From<DiskError> for io::Error {
    fn from(error: DiskError) -> Self {
        Self::new(error.kind(), error.to_string())
    }
}
