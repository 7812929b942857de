//! The only room that touches the file system.
//!
//! [`Disk`] is a small trait so that tests can break it and simulate power loss; [`RealDisk`] is the operating system.
//! No method follows a final symbolic link unless its name says so, none removes recursively, and every error carries
//! the path and the action.
#![expect(clippy::disallowed_methods, reason = "this is the room the ban sends file access to")]

#[cfg_attr(unix, path = "confined/mod.rs")]
#[cfg_attr(windows, path = "confined_windows.rs")]
mod confined;
mod error;
mod folder;
pub mod limits;
pub mod lock;
mod memory;
mod ownership;
pub(crate) mod parallel;
mod real;
mod syncs;
#[cfg(unix)]
#[path = "unix.rs"]
mod system;
#[cfg(windows)]
#[path = "windows.rs"]
mod system;
mod temp;
#[cfg(test)]
mod tests;
mod unnamed;
#[cfg(windows)]
mod windows_paths;

use confined::Confined;
pub(crate) use error::{At, not_regular};
pub use error::{DiskError, Result};
pub use folder::Folder;
pub use memory::total_memory;
pub use ownership::{Owner, owner_to_give};
pub use real::RealDisk;
pub use syncs::Syncs;
pub use system::{
    boot_id, group_name, group_number, host_name, is_mount_point, is_network_file_system, machine_id, user_id, user_name,
};
pub use temp::{TEMP_PREFIX, is_temp_name, temp_name};
pub use unnamed::UnnamedFile;

use std::{
    collections::BTreeSet,
    fmt, io,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Dir,
    /// A symbolic link.
    Symlink,
    /// A device, a socket, a pipe.
    Other,
}

/// Facts about a file. Two are equal whatever their access times are: looking at a file changes that.
#[derive(Debug, Clone, Copy, Eq)]
pub struct Stat {
    /// What it is.
    pub kind: Kind,
    /// Length in bytes.
    pub len: u64,
    /// Bytes its blocks take on the volume.
    pub allocated: u64,
    /// Modification time, nanoseconds since 1970.
    pub mtime_ns: i64,
    /// Access time, nanoseconds since 1970; many volumes keep it only to the day, or not at all.
    pub atime_ns: i64,
    /// Inode number; 0 where the system has none.
    pub ino: u64,
    /// Device number; 0 where the system has none.
    pub dev: u64,
    /// Number of names the file has.
    pub nlink: u64,
    /// Permission bits; 0o444 or 0o644 where the system has only a read-only flag.
    pub mode: u32,
    /// Owner; 0 where the system has none.
    pub uid: u32,
    /// Group; 0 where the system has none.
    pub gid: u32,
}

impl PartialEq for Stat {
    fn eq(&self, other: &Self) -> bool {
        let Self { kind, len, allocated, mtime_ns, atime_ns: _, ino, dev, nlink, mode, uid, gid } = *self;
        (kind, len, allocated, mtime_ns) == (other.kind, other.len, other.allocated, other.mtime_ns)
            && (ino, dev, nlink) == (other.ino, other.dev, other.nlink)
            && (mode, uid, gid) == (other.mode, other.uid, other.gid)
    }
}

/// A name in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name; names that are not Unicode keep their replacement characters and can only be reported.
    pub name: String,
    /// What it is.
    pub kind: Kind,
}

/// Room on a volume, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// What this user may still write.
    pub available: u64,
    /// The volume's size.
    pub total: u64,
}

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// An existing file, for reading. Below a confined root a symbolic link is an error, elsewhere it is followed.
    Read,
    /// What a path leads to, for reading, by whatever links.
    ReadFollow,
    /// An existing file, for reading and writing; a symbolic link is an error.
    Write,
    /// A file that must not exist yet, with these permission bits.
    CreateNew(u32),
    /// A file that is created with these permission bits if it is missing, and never cut.
    CreateIfMissing(u32),
}

/// How a file lock is shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockKind {
    /// Together with other shared holders.
    Shared,
    /// Alone.
    Exclusive,
}

/// An open file. All methods work on positions, so that threads can share it.
///
/// A sync proves what was written through this open file, and nothing else. After one has failed, none succeeds: what was
/// written since the last that succeeded may be lost, however long it can still be read.
pub trait DiskFile: Send + Sync + fmt::Debug {
    /// Reads into `buf` at `offset`; fewer bytes than asked only at the end of the file.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize>;
    /// Writes all of `data` at `offset`.
    fn write_at(&self, data: &[u8], offset: u64) -> Result<()>;
    /// Facts about the open file.
    fn stat(&self) -> Result<Stat>;
    /// Cuts or extends it.
    fn set_len(&self, len: u64) -> Result<()>;
    /// Reserves `len` bytes; falls back to extending where the file system cannot reserve. On failure the
    /// length and content are as before.
    fn allocate(&self, len: u64) -> Result<()>;
    /// Sets the permission bits.
    fn set_mode(&self, mode: u32) -> Result<()>;
    /// Gives it to a group; the permission bits stay.
    fn set_group(&self, gid: u32) -> Result<()>;
    /// Makes the content durable.
    fn sync_data(&self) -> Result<()>;
    /// Makes content, length and permission bits durable.
    fn sync_all(&self) -> Result<()>;
    /// Asks the system to begin writing these bytes out; no promise. Where that fails at once, later syncs fail.
    fn start_writeback(&self, offset: u64, len: u64);
    /// Makes these bytes zeros and lets the system forget what it knows of how they are stored, but for the blocks they take.
    /// What is written to them afterwards is written as if they had never been: where the medium refused them once, ext4 may
    /// else leave out that they are to be read at all. Where the system cannot, it is [`Self::drop_cache`].
    fn renew(&self, _offset: u64, _len: u64) -> Result<()> {
        self.drop_cache();
        Ok(())
    }
    /// Asks the system to drop the clean pages of the file from its cache, so that reads come from the medium. Best
    /// effort.
    fn drop_cache(&self) {}
    /// Keeps what is read through it from counting as a use of the file, where the system can.
    fn keep_access_time(&self) {}
    /// Sets its times to now. Everyone with write permission for the file may do that.
    fn touch(&self) -> Result<()> {
        Ok(())
    }

    /// Sets its modification time, in nanoseconds since 1970.
    fn set_modified(&self, _mtime_ns: i64) -> Result<()> {
        Ok(())
    }

    /// Whether a process has it open for writing; `None` where the system does not tell.
    fn has_writer(&self) -> Option<bool> {
        None
    }
    /// Tries to lock it; `false` when another process holds it. Released when the file is closed or the process dies.
    fn try_lock(&self, kind: LockKind) -> Result<bool>;
}

/// A file system.
pub trait Disk: Send + Sync + fmt::Debug {
    /// The same file system, entered below `root` by handle only: `root` is opened once, at the first use, and each path
    /// below it is resolved from there, component by component. A symbolic link on the way, or in the last place, is an
    /// error of kind [`io::ErrorKind::InvalidInput`]; only methods that say so follow links. So a user who may write
    /// below `root` can damage what is there, but cannot make this process act elsewhere. Paths outside of all confined
    /// roots are resolved as before.
    ///
    /// Links above `root`, and `root` itself, are followed when it is opened. Where it does not exist yet, it is opened when
    /// it does.
    fn confined(self: Arc<Self>, root: &Path) -> Arc<dyn Disk>;
    /// Facts about a path itself.
    fn stat(&self, path: &Path) -> Result<Stat>;
    /// Facts about what a path leads to.
    fn stat_follow(&self, path: &Path) -> Result<Stat>;
    /// The names in a folder, in no order.
    fn list(&self, dir: &Path) -> Result<Vec<Entry>>;
    /// Opens a folder and reads it; `None` where that is no more than a path. See [`Folder`].
    fn open_folder(&self, _dir: &Path) -> Result<Option<Box<dyn Folder>>> {
        Ok(None)
    }
    /// Makes one folder with these permission bits, whatever the umask says.
    fn create_dir(&self, path: &Path, mode: u32) -> Result<()>;
    /// Removes an empty folder.
    fn remove_dir(&self, path: &Path) -> Result<()>;
    /// Removes a file or a link.
    fn remove_file(&self, path: &Path) -> Result<()>;
    /// Moves a name, replacing what the target names.
    fn rename(&self, from: &Path, to: &Path) -> Result<()>;
    /// Moves a name unless the target exists.
    fn rename_new(&self, from: &Path, to: &Path) -> Result<()>;
    /// Makes a symbolic link at `link` that holds `target`.
    fn symlink(&self, target: &Path, link: &Path) -> Result<()>;
    /// What a symbolic link holds.
    fn read_link(&self, path: &Path) -> Result<PathBuf>;
    /// Gives the file at `from` the further name `to`.
    fn hard_link(&self, from: &Path, to: &Path) -> Result<()>;
    /// Makes `to` a copy that shares its extents with `from`.
    fn reflink(&self, from: &Path, to: &Path) -> Result<()>;
    /// Opens a file; see [`Open`] on what becomes of a symbolic link at `path`.
    fn open(&self, path: &Path, how: Open) -> Result<Box<dyn DiskFile>>;
    /// Makes the names in a folder durable.
    fn sync_dir(&self, path: &Path) -> Result<()>;
    /// Room on the volume that holds `path`.
    fn space(&self, path: &Path) -> Result<Space>;
    /// The absolute path without links.
    fn canonical(&self, path: &Path) -> Result<PathBuf>;
}

/// How often folders are made again that another process removes meanwhile: so often that one which does nothing but
/// remove them does not win.
const REMOVALS: usize = 1000;
/// As many links as Linux follows in one path.
const MOST_LINKS: usize = 40;
/// So many folders to sync are worth a thread.
const LEAST_SYNCS: usize = 16;
/// Small files above this many bytes are refused when read whole.
const SMALL_FILE_LIMIT: u64 = 64 << 20;

impl dyn Disk + '_ {
    /// Facts about a path itself, or `None` where nothing stands.
    pub fn find(&self, path: &Path) -> Result<Option<Stat>> {
        absent_is_none(self.stat(path))
    }

    /// A folder, to look at what is in it.
    pub fn folder(&self, dir: &Path) -> Result<Box<dyn Folder + '_>> {
        match self.open_folder(dir)? {
            Some(folder) => Ok(folder),
            None => Ok(Box::new(folder::ByPath::open(self, dir.to_owned())?)),
        }
    }

    /// The names in a folder in order, or none where the folder is missing.
    pub fn list_sorted(&self, dir: &Path) -> Result<Vec<Entry>> {
        let mut entries = absent_is_none(self.list(dir))?.unwrap_or_default();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// Reads a small file whole, or `None` where it is missing.
    pub fn read_small(&self, path: &Path) -> Result<Option<Vec<u8>>> {
        self.read_at_most(path, SMALL_FILE_LIMIT)
    }

    /// The same with a limit of its own: a file that is longer is refused before it is read.
    pub fn read_at_most(&self, path: &Path, most: u64) -> Result<Option<Vec<u8>>> {
        let Some(file) = absent_is_none(self.open(path, Open::Read))? else { return Ok(None) };
        let stat = file.stat()?;
        if stat.kind != Kind::File {
            return Err(not_regular()).at("read", path);
        }
        if stat.len > most {
            let why = format!("its {} bytes are more than the {most} that such a file may have", stat.len);
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, why)).at("read", path);
        }
        let mut data = vec![0; stat.len as usize];
        let got = file.read_at(&mut data, 0)?;
        data.truncate(got);
        Ok(Some(data))
    }

    /// Where an absolute path leads: every link in it followed, also one that leads to nothing, and `..` taken as the system
    /// takes it. Missing components are kept as they are.
    pub fn real_place(&self, path: &Path) -> Result<PathBuf> {
        let mut real = PathBuf::new();
        let mut ahead: Vec<PathBuf> = parts_reversed(path);
        let mut links = 0..MOST_LINKS;
        while let Some(part) = ahead.pop() {
            match part.components().next() {
                Some(Component::ParentDir) => {
                    real.pop();
                }
                Some(Component::Normal(_)) => {
                    let next = real.join(&part);
                    let is_link = self.find(&next)?.is_some_and(|stat| stat.kind == Kind::Symlink);
                    if !is_link {
                        real = next;
                        continue;
                    }
                    if links.next().is_none() {
                        let why = "too many links follow each other";
                        return Err(io::Error::new(io::ErrorKind::InvalidInput, why)).at("resolve", path);
                    }
                    ahead.extend(parts_reversed(&self.read_link(&next)?));
                }
                Some(Component::CurDir) | None => {}
                // The target of a link, from the top again. A drive and its root are two parts.
                Some(Component::Prefix(_) | Component::RootDir) => real.push(&part),
            }
        }
        Ok(real)
    }

    /// Reads a small file that this program keeps, or `None` where nothing stands. A link to nothing is not nothing.
    pub fn read_record(&self, path: &Path) -> Result<Option<Vec<u8>>> {
        self.read_record_of(path, SMALL_FILE_LIMIT)
    }

    /// The same with a limit of its own.
    pub fn read_record_of(&self, path: &Path, most: u64) -> Result<Option<Vec<u8>>> {
        match self.read_at_most(path, most)? {
            None if self.find(path)?.is_some_and(|stat| stat.kind == Kind::Symlink) => Err(DiskError::wrong_kind("read", path)),
            found => Ok(found),
        }
    }

    /// Makes a folder and those above it. Folders that exist are left as they are. One that another process removes in the
    /// same moment, because it is empty, is made again.
    pub fn create_dirs(&self, path: &Path, mode: u32) -> Result<()> {
        let mut tries = 0..REMOVALS;
        loop {
            let Err(error) = self.create_dir(path, mode) else { return Ok(()) };
            // A folder on a read-only volume answers EROFS although it is there.
            let is_there = self.stat_follow(path).map(|stat| stat.kind == Kind::Dir);
            match (is_there, path.parent()) {
                (Ok(true), _) => return Ok(()),
                (Ok(false), _) => return Err(error),
                _ if tries.next().is_none() => return Err(error),
                (Err(_), Some(parent)) if error.is_not_found() && !parent.as_os_str().is_empty() => {
                    self.create_dirs(parent, mode)?;
                }
                (Err(gone), _) if error.kind() == io::ErrorKind::AlreadyExists && gone.is_not_found() => {}
                _ => return Err(error),
            }
        }
    }

    /// Makes a new file in `dir` under a name that no other file has: `prefix` and twelve random characters.
    pub fn create_temp(&self, dir: &Path, prefix: &str, mode: u32) -> Result<(PathBuf, Box<dyn DiskFile>)> {
        self.make_temp(dir, prefix, |path| self.open(path, Open::CreateNew(mode)))
    }

    /// The same, where `make` makes the file at the path that it gets, unless something stands there.
    pub fn make_temp<T>(&self, dir: &Path, prefix: &str, mut make: impl FnMut(&Path) -> Result<T>) -> Result<(PathBuf, T)> {
        let named = tempfile::Builder::new()
            .prefix(prefix)
            .rand_bytes(temp::TEMP_RANDOM)
            .disable_cleanup(true)
            .make_in(dir, |path| make(path).map_err(|error| error.source))
            .at("create a file in", dir)?;
        let (made, path) = named.into_parts();
        Ok((path.to_path_buf(), made))
    }

    /// Makes the names in these folders durable, where there are many a few at once: the system makes one of several syncs
    /// that it is asked for together.
    pub fn sync_dirs(&self, dirs: &BTreeSet<PathBuf>) -> Result<()> {
        parallel::map(dirs.iter(), parallel::workers(dirs.len(), LEAST_SYNCS), |dir| self.sync_dir(dir)).map(drop)
    }

    /// Replaces a small file so that after any crash the old or the new content stands under `path`, never a mixture:
    /// a new file in `temp_dir` (same volume) is written, synced, renamed over `path`, and the folder is synced.
    pub fn replace_small(&self, path: &Path, content: &[u8], mode: u32, temp_dir: &Path) -> Result<()> {
        self.write_unnamed(content, mode, temp_dir)?.name(path)?;
        path.parent().map_or(Ok(()), |folder| self.sync_dir(folder))
    }

    /// Replaces a small file that may be lost. A process that dies leaves the old or the new content; a power loss may
    /// leave anything, so its readers must be able to do without.
    pub fn replace_hint(&self, path: &Path, content: &[u8], mode: u32, temp_dir: &Path) -> Result<()> {
        self.write_unnamed(content, mode, temp_dir)?.rename(path)
    }

    /// Removes a file or link; one that is gone already is fine. Tells whether it was there.
    pub fn remove_if_there(&self, path: &Path) -> Result<bool> {
        Ok(absent_is_none(self.remove_file(path))?.is_some())
    }

    /// Removes `dir` and the folders above it while they are empty, up to but not including `stop`. Plain `rmdir` only,
    /// so that a fresh entry of another process stops it.
    pub fn prune_empty(&self, dir: &Path, stop: &Path) -> Result<()> {
        let mut dir = dir;
        while dir != stop && dir.starts_with(stop) {
            match self.remove_dir(dir) {
                Ok(()) => {}
                Err(error) if error.is_not_found() => {}
                Err(error) if matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists) => break,
                Err(error) => return Err(error),
            }
            match dir.parent() {
                Some(parent) => dir = parent,
                None => break,
            }
        }
        Ok(())
    }
}

/// The components of a path, the first last.
fn parts_reversed(path: &Path) -> Vec<PathBuf> {
    let mut parts: Vec<PathBuf> = path.components().map(|part| PathBuf::from(part.as_os_str())).collect();
    parts.reverse();
    parts
}

/// Turns "not there" into `None`.
pub fn absent_is_none<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// The present time in UTC, in whole seconds, as records and lock files have it.
pub fn timestamp() -> String {
    jiff::Timestamp::now().round(jiff::Unit::Second).unwrap_or_else(|_| jiff::Timestamp::now()).to_string()
}
