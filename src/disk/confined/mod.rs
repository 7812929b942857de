//! The operating system's file system, entered below some roots by handle only.
//!
//! A folder's handle stays that folder whatever becomes of its name, and the system resolves a name below a handle without
//! looking at what is above. Linux 5.6 and newer resolve a whole path and refuse links in one call (`openat2(2)` with
//! `RESOLVE_NO_SYMLINKS`); elsewhere each component is opened with `O_NOFOLLOW`.

mod paths;

#[cfg(target_os = "linux")]
use super::folder::{ByHandle, Folder};
use super::{
    At, Disk, DiskFile, Entry, Open, RealDisk, Result, Space, Stat,
    limits::OpenFiles,
    real::{RealFile, action_of, open_or_create},
    system::{self, Links},
};
use paths::{is_tidy, split, strip};
use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{AtFlags, CWD, Mode, OFlags},
    io::Errno,
};
use std::{
    collections::HashMap,
    ffi::OsString,
    io,
    path::{Component, Path, PathBuf},
    sync::{Arc, OnceLock, PoisonError, RwLock},
};

/// Where a path without a folder of its own is: the root itself.
const HERE: &str = ".";

/// The operating system's file system, entered below some roots by handle only. See [`Disk::confined`].
#[derive(Debug, Clone, Default)]
pub(super) struct Confined {
    roots: Vec<Arc<RootHandle>>,
}

/// A folder below which no link is followed.
#[derive(Debug)]
struct RootHandle {
    path: PathBuf,
    /// From the first use on.
    handle: OnceLock<OwnedFd>,
    /// Handles of folders below it, by their path from here.
    folders: RwLock<HashMap<OsString, Arc<OwnedFd>>>,
    /// How many of these are kept, from the first use on.
    most: OnceLock<usize>,
}

/// A handle of a folder, and whether it is one of those that are kept.
struct Opened {
    handle: Arc<OwnedFd>,
    was_kept: bool,
}

/// What tells a folder from another that later has its path.
fn identity(stat: &rustix::fs::Stat) -> (u64, u64) {
    #[allow(clippy::useless_conversion, clippy::unnecessary_cast, reason = "their types differ by system")]
    (stat.st_dev as u64, stat.st_ino as u64)
}

impl RootHandle {
    fn handle(&self) -> io::Result<BorrowedFd<'_>> {
        if let Some(handle) = self.handle.get() {
            return Ok(handle.as_fd());
        }
        let handle = rustix::fs::open(&self.path, path_flags(), Mode::empty())?;
        // Of two threads that open it at once, one handle is used by both.
        Ok(self.handle.get_or_init(|| handle).as_fd())
    }

    /// The folder at `path` from here.
    fn folder(&self, path: &Path) -> io::Result<Opened> {
        let kept = self.folders.read().unwrap_or_else(PoisonError::into_inner).get(path.as_os_str()).cloned();
        if let Some(handle) = kept {
            return Ok(Opened { handle, was_kept: true });
        }
        let from_here = if path.as_os_str().is_empty() { Path::new(HERE) } else { path };
        let handle = Arc::new(open_without_links(self.handle()?, from_here, path_flags())?);
        let mut folders = self.folders.write().unwrap_or_else(PoisonError::into_inner);
        // With more of them the process would run into the limit of open files.
        if folders.len() >= *self.most.get_or_init(|| OpenFiles::now().folders)
            && let Some(other) = folders.keys().next().cloned()
        {
            folders.remove(&other);
        }
        folders.insert(path.as_os_str().to_owned(), handle.clone());
        Ok(Opened { handle, was_kept: false })
    }

    /// Drops the handles of a folder and of those below it, which may refer to removed folders.
    fn forget(&self, path: &Path) {
        let mut folders = self.folders.write().unwrap_or_else(PoisonError::into_inner);
        folders.retain(|kept, _| !Path::new(kept).starts_with(path));
    }

    /// Whether a kept handle is still of the folder at its path. Links in the path are followed, which is no harm: nothing is
    /// opened by it.
    fn is_there_still(&self, path: &Path, handle: &OwnedFd) -> io::Result<bool> {
        let path = if path.as_os_str().is_empty() { Path::new(HERE) } else { path };
        let named = rustix::fs::statat(self.handle()?, path, AtFlags::empty());
        Ok(named.is_ok_and(|named| rustix::fs::fstat(handle).is_ok_and(|kept| identity(&kept) == identity(&named))))
    }

    /// Opens a file for reading. Where the handle of its folder is not kept it is opened from the root: for one file of a folder,
    /// one call costs less than a handle that nobody may need again.
    fn open_to_read(&self, path: &Path) -> io::Result<std::fs::File> {
        #[cfg(target_os = "linux")]
        {
            let folders = self.folders.read().unwrap_or_else(PoisonError::into_inner);
            let is_kept = folders.contains_key(split(path).0.as_os_str());
            drop(folders);
            if !is_kept && let Some(opened) = resolve_below(self.handle()?, path, system::read_flags() | OFlags::NOFOLLOW) {
                return opened.map(Into::into);
            }
        }
        self.with(path, |dir, name| open(dir, name, Open::Read))
    }

    /// Calls `act` with the folder's handle and a name in it. A cached handle may be of a folder that was replaced
    /// meanwhile: if nothing is found and the folder is another now, it is opened again.
    fn with<T>(&self, path: &Path, act: impl Fn(BorrowedFd<'_>, &Path) -> io::Result<T>) -> io::Result<T> {
        let (above, name) = split(path);
        let folder = self.folder(above)?;
        match act(folder.handle.as_fd(), name) {
            Err(error)
                if folder.was_kept && error.kind() == io::ErrorKind::NotFound && !self.is_there_still(above, &folder.handle)? =>
            {
                self.forget(above);
                act(self.folder(above)?.handle.as_fd(), name)
            }
            other => other,
        }
        .map_err(refused)
    }
}

impl Confined {
    /// The root that `path` is below and its path from there; `None` where it is below none, or a root itself.
    fn below<'p>(&self, path: &'p Path) -> Option<io::Result<(&RootHandle, &'p Path)>> {
        let (root, rest) = self.root_of(path)?;
        if rest.as_os_str().is_empty() {
            return None;
        }
        let is_plain = is_tidy(rest) || rest.components().all(|part| matches!(part, Component::Normal(_)));
        Some(match is_plain {
            true => Ok((root, rest)),
            false => Err(io::Error::new(io::ErrorKind::InvalidInput, "the path leads upwards")),
        })
    }

    fn root_of<'p>(&self, path: &'p Path) -> Option<(&RootHandle, &'p Path)> {
        self.roots.iter().find_map(|root| Some((&**root, strip(path, &root.path)?)))
    }

    /// Does something with a name in an open folder: in its folder below a root, or `None` outside of all roots.
    fn at<T>(&self, path: &Path, action: &'static str, act: impl Fn(BorrowedFd<'_>, &Path) -> io::Result<T>) -> Option<Result<T>> {
        let below = self.below(path)?;
        Some(below.and_then(|(root, rest)| root.with(rest, act)).at(action, path))
    }

    /// The same with two names, of which one may be outside of all roots; `None` where both are.
    fn at_both<T>(
        &self,
        from: &Path,
        to: &Path,
        action: &'static str,
        act: impl Fn((BorrowedFd<'_>, &Path), (BorrowedFd<'_>, &Path)) -> io::Result<T>,
    ) -> Option<Result<T>> {
        let (source, target) = (self.below(from), self.below(to));
        if source.is_none() && target.is_none() {
            return None;
        }
        let both = || {
            let (source, target) = (source.transpose()?, target.transpose()?);
            in_folder(source, from, |from_dir, from| in_folder(target, to, |to_dir, to| act((from_dir, from), (to_dir, to))))
        };
        Some(both().at(action, to))
    }

    /// What a path leads to: below a root from its handle on, by whatever links.
    fn through<T>(&self, path: &Path, act: impl Fn(BorrowedFd<'_>, &Path) -> io::Result<T>) -> io::Result<T> {
        match self.root_of(path) {
            Some((root, rest)) if rest.as_os_str().is_empty() => match root.handle() {
                Ok(root) => act(root, Path::new(HERE)),
                // Something other than a folder is there.
                Err(_) => act(CWD, path),
            },
            Some((root, rest)) => act(root.handle()?, rest),
            None => act(CWD, path),
        }
    }

    /// An open folder, of which a link is none.
    fn open_dir(&self, path: &Path) -> io::Result<OwnedFd> {
        match self.root_of(path) {
            Some((root, rest)) if rest.as_os_str().is_empty() => system::open_dir_at(root.handle()?, Path::new(HERE)),
            Some((root, rest)) => root.with(rest, |dir, name| system::open_dir_at(dir, name)),
            None => Ok(std::fs::File::open(path)?.into()),
        }
    }
}

/// Does something with a name in its folder below a root, or with a path outside of all roots.
fn in_folder<T>(
    below: Option<(&RootHandle, &Path)>,
    path: &Path,
    act: impl Fn(BorrowedFd<'_>, &Path) -> io::Result<T>,
) -> io::Result<T> {
    match below {
        Some((root, rest)) => root.with(rest, act),
        None => act(CWD, path),
    }
}

/// Opens a file by its name in a folder. If the folder belongs to another user or others may write it, a file with more
/// than one name is not opened for writing: it may be a hard link to a file elsewhere.
fn open(dir: BorrowedFd<'_>, name: &Path, how: Open) -> io::Result<std::fs::File> {
    let file = system::open_at(dir, name, how, Links::Refuse)?;
    if how == Open::Write && system::stat_open(&file)?.nlink > 1 && !is_this_users_alone(dir)? {
        let why = "it has further names, and others may write its folder";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    Ok(file)
}

/// Whether only this user makes names in a folder.
fn is_this_users_alone(dir: BorrowedFd<'_>) -> io::Result<bool> {
    let folder = system::stat_follow_at(dir, Path::new(HERE))?;
    Ok(folder.mode & 0o022 == 0 && system::user_id() == Some(folder.uid))
}

/// Enough to look names up below a folder, also where its names may not be read.
fn path_flags() -> OFlags {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let flags = OFlags::PATH;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let flags = OFlags::RDONLY;
    flags | OFlags::DIRECTORY | OFlags::CLOEXEC
}

/// Opens a folder below another; a link on the way is an error.
fn open_without_links(root: BorrowedFd<'_>, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    #[cfg(target_os = "linux")]
    if let Some(opened) = resolve_below(root, path, flags) {
        return opened;
    }
    step_by_step(root, path, flags)
}

/// The same in one call; `None` where the kernel is older, or a sandbox does not know the call.
#[cfg(target_os = "linux")]
fn resolve_below(root: BorrowedFd<'_>, path: &Path, flags: OFlags) -> Option<io::Result<OwnedFd>> {
    use rustix::fs::ResolveFlags;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match rustix::fs::openat2(root, path, flags, Mode::empty(), resolve) {
        Err(Errno::NOSYS | Errno::PERM) => None,
        opened => Some(opened.map_err(|error| refused(error.into()))),
    }
}

/// The same where each component has to be opened by itself.
fn step_by_step(root: BorrowedFd<'_>, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let mut folder = rustix::fs::openat(root, HERE, flags, Mode::empty())?;
    for part in path.components().filter(|part| *part != Component::CurDir) {
        let name = Path::new(part.as_os_str());
        folder = match rustix::fs::openat(&folder, name, flags | OFlags::NOFOLLOW, Mode::empty()) {
            // Some systems say of a link that it is no folder, others that it is a link.
            Err(Errno::NOTDIR) if system::stat_at(&folder, name)?.kind == super::Kind::Symlink => return Err(link_in_the_way()),
            other => other.map_err(|error| refused(error.into()))?,
        };
    }
    Ok(folder)
}

fn link_in_the_way() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "a symbolic link stands in the way, and none is followed here")
}

/// Says what `ELOOP` means where links are refused.
fn refused(error: io::Error) -> io::Error {
    match Errno::from_io_error(&error) {
        Some(Errno::LOOP) => link_in_the_way(),
        _ => error,
    }
}

impl Disk for Confined {
    fn confined(self: Arc<Self>, root: &Path) -> Arc<dyn Disk> {
        if self.roots.iter().any(|known| known.path == root) {
            return self;
        }
        let mut roots = self.roots.clone();
        roots.push(Arc::new(RootHandle {
            path: root.to_owned(),
            handle: OnceLock::new(),
            folders: RwLock::default(),
            most: OnceLock::new(),
        }));
        // A store may be inside a models directory: the innermost root applies.
        roots.sort_by_key(|root| std::cmp::Reverse(root.path.components().count()));
        Arc::new(Self { roots })
    }

    fn stat(&self, path: &Path) -> Result<Stat> {
        let below = self.at(path, "look at", |dir, name| system::stat_at(dir, name));
        below.unwrap_or_else(|| RealDisk.stat(path))
    }

    fn stat_follow(&self, path: &Path) -> Result<Stat> {
        self.through(path, |dir, path| system::stat_follow_at(dir, path)).at("look at", path)
    }

    #[cfg(target_os = "linux")]
    fn list(&self, dir: &Path) -> Result<Vec<Entry>> {
        self.open_listed(dir).map(ByHandle::into_entries)
    }

    #[cfg(not(target_os = "linux"))]
    fn list(&self, dir: &Path) -> Result<Vec<Entry>> {
        self.open_dir(dir).and_then(|handle| system::list_open_dir(&handle)).at("list", dir)
    }

    #[cfg(target_os = "linux")]
    fn open_folder(&self, dir: &Path) -> Result<Option<Box<dyn Folder>>> {
        Ok(Some(Box::new(self.open_listed(dir)?)))
    }

    fn create_dir(&self, path: &Path, mode: u32) -> Result<()> {
        let below = self.at(path, "create the folder", |dir, name| system::create_dir_at(dir, name, mode));
        below.unwrap_or_else(|| RealDisk.create_dir(path, mode))
    }

    fn remove_dir(&self, path: &Path) -> Result<()> {
        let Some(below) = self.below(path) else { return RealDisk.remove_dir(path) };
        let removed = below.and_then(|(root, rest)| {
            root.forget(rest);
            root.with(rest, |dir, name| Ok(rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR)?))
        });
        removed.at("remove the folder", path)
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        let below = self.at(path, "remove", |dir, name| Ok(rustix::fs::unlinkat(dir, name, AtFlags::empty())?));
        below.unwrap_or_else(|| RealDisk.remove_file(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let rename = |from: (BorrowedFd<'_>, &Path), to: (BorrowedFd<'_>, &Path)| -> io::Result<()> {
            Ok(rustix::fs::renameat(from.0, from.1, to.0, to.1)?)
        };
        self.at_both(from, to, "rename to", rename).unwrap_or_else(|| RealDisk.rename(from, to))
    }

    fn rename_new(&self, from: &Path, to: &Path) -> Result<()> {
        let below = self.at_both(from, to, "rename to", |from, to| system::rename_new_at(from, to));
        below.unwrap_or_else(|| RealDisk.rename_new(from, to))
    }

    fn symlink(&self, target: &Path, link: &Path) -> Result<()> {
        let below = self.at(link, "make the symbolic link", |dir, name| system::symlink_at(target, dir, name));
        below.unwrap_or_else(|| RealDisk.symlink(target, link))
    }

    fn read_link(&self, path: &Path) -> Result<PathBuf> {
        let below = self.at(path, "read the link", |dir, name| system::read_link_at(dir, name));
        below.unwrap_or_else(|| RealDisk.read_link(path))
    }

    fn hard_link(&self, from: &Path, to: &Path) -> Result<()> {
        let link = |from: (BorrowedFd<'_>, &Path), to: (BorrowedFd<'_>, &Path)| -> io::Result<()> {
            Ok(rustix::fs::linkat(from.0, from.1, to.0, to.1, AtFlags::empty())?)
        };
        self.at_both(from, to, "make the hard link", link).unwrap_or_else(|| RealDisk.hard_link(from, to))
    }

    fn reflink(&self, from: &Path, to: &Path) -> Result<()> {
        let below = self.at_both(from, to, "make the reflink copy", |from, to| system::reflink_at(from, to));
        below.unwrap_or_else(|| RealDisk.reflink(from, to))
    }

    fn open(&self, path: &Path, how: Open) -> Result<Box<dyn DiskFile>> {
        let file = match how {
            Open::ReadFollow => self.through(path, |dir, path| system::open_at(dir, path, how, Links::Follow)),
            how => match self.below(path) {
                Some(below) => below.and_then(|(root, rest)| match how {
                    Open::Read => root.open_to_read(rest),
                    how => open_or_create(how, |how| root.with(rest, |dir, name| open(dir, name, how))),
                }),
                None if self.root_of(path).is_some() => self.open_dir(path).map(Into::into),
                None => return RealDisk.open(path, how),
            },
        };
        Ok(Box::new(RealFile::new(file.at(action_of(how), path)?, path)))
    }

    fn sync_dir(&self, path: &Path) -> Result<()> {
        self.open_dir(path).and_then(|dir| system::sync_open_dir(dir.into())).at("sync the folder", path)
    }

    fn space(&self, path: &Path) -> Result<Space> {
        let Some((root, _)) = self.root_of(path) else { return RealDisk.space(path) };
        root.handle().and_then(system::space_of).at("ask for the free space of", path)
    }

    fn canonical(&self, path: &Path) -> Result<PathBuf> {
        RealDisk.canonical(path)
    }
}

#[cfg(target_os = "linux")]
impl Confined {
    fn open_listed(&self, dir: &Path) -> Result<ByHandle> {
        let opened = match self.root_of(dir) {
            Some((root, rest)) if rest.as_os_str().is_empty() => {
                root.handle().and_then(|root| ByHandle::open_below(root, Path::new(HERE)))
            }
            Some((root, rest)) => root.with(rest, |above, name| ByHandle::open_below(above, name)),
            None => return ByHandle::open(dir),
        };
        Ok(ByHandle::of(opened.at("list", dir)?, dir.to_owned()))
    }
}

#[cfg(test)]
mod tests;
