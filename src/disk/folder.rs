//! Open folders: what is in one is looked up from there, and not from the root of the volume. Where a tree has thousands
//! of small folders, that is what its reading costs.

use super::{Disk, Entry, Result, Stat};
use std::{fmt, path::PathBuf};

/// A folder that was opened and read. It stays the same folder whatever becomes of its name.
pub trait Folder: Send + Sync + fmt::Debug {
    /// The names that were in it, in no order.
    fn entries(&self) -> &[Entry];
    /// A folder in it, or one that a link in it leads to.
    fn folder(&self, name: &str) -> Result<Box<dyn Folder + '_>>;
    /// Facts about a name in it.
    fn stat(&self, name: &str) -> Result<Stat>;
    /// Facts about what a name in it leads to.
    fn stat_follow(&self, name: &str) -> Result<Stat>;
    /// What a symbolic link in it holds, and facts about what that leads to.
    fn link(&self, name: &str) -> Result<(PathBuf, Result<Stat>)>;
}

/// A folder of a disk that knows paths only.
#[derive(Debug)]
pub(super) struct ByPath<'d> {
    disk: &'d dyn Disk,
    path: PathBuf,
    entries: Vec<Entry>,
}

impl<'d> ByPath<'d> {
    pub(super) fn open(disk: &'d dyn Disk, path: PathBuf) -> Result<Self> {
        let entries = disk.list(&path)?;
        Ok(Self { disk, path, entries })
    }
}

impl Folder for ByPath<'_> {
    fn entries(&self) -> &[Entry] {
        &self.entries
    }

    fn folder(&self, name: &str) -> Result<Box<dyn Folder + '_>> {
        Ok(Box::new(Self::open(self.disk, self.path.join(name))?))
    }

    fn stat(&self, name: &str) -> Result<Stat> {
        self.disk.stat(&self.path.join(name))
    }

    fn stat_follow(&self, name: &str) -> Result<Stat> {
        self.disk.stat_follow(&self.path.join(name))
    }

    fn link(&self, name: &str) -> Result<(PathBuf, Result<Stat>)> {
        Ok((self.disk.read_link(&self.path.join(name))?, self.stat_follow(name)))
    }
}

#[cfg(target_os = "linux")]
pub(super) use linux::ByHandle;

#[cfg(target_os = "linux")]
mod linux {
    use super::Folder;
    use crate::disk::{
        DiskError, Entry, Result, Stat,
        system::{kind_of, open_dir_at, stat_at, stat_of},
    };
    use rustix::{
        fd::{AsFd, OwnedFd},
        fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir},
    };
    use std::{
        ffi::{OsStr, OsString},
        io,
        mem::MaybeUninit,
        os::unix::ffi::{OsStrExt, OsStringExt},
        path::{Path, PathBuf},
    };

    /// A folder and its handle.
    #[derive(Debug)]
    pub(in crate::disk) struct ByHandle {
        handle: OwnedFd,
        path: PathBuf,
        entries: Vec<Entry>,
    }

    impl ByHandle {
        pub(in crate::disk) fn open(path: &Path) -> Result<Self> {
            Self::open_at(CWD, path, path.to_owned())
        }

        /// The same below an open folder, where a link in its place is an error.
        pub(in crate::disk) fn open_below(above: impl AsFd, name: &Path) -> io::Result<(OwnedFd, Vec<Entry>)> {
            let handle = open_dir_at(above, name)?;
            let entries = entries(&handle)?;
            Ok((handle, entries))
        }

        pub(in crate::disk) fn of((handle, entries): (OwnedFd, Vec<Entry>), path: PathBuf) -> Self {
            Self { handle, path, entries }
        }

        fn open_at(above: impl AsFd, name: &Path, path: PathBuf) -> Result<Self> {
            let read = || -> io::Result<(OwnedFd, Vec<Entry>)> {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
                let handle = rustix::fs::openat(above, name, flags, Mode::empty())?;
                let entries = entries(&handle)?;
                Ok((handle, entries))
            };
            match read() {
                Ok(opened) => Ok(Self::of(opened, path)),
                Err(source) => Err(DiskError { action: "list", path, source }),
            }
        }

        pub(in crate::disk) fn into_entries(self) -> Vec<Entry> {
            self.entries
        }
    }

    /// The names in a folder with less system calls than the standard library.
    fn entries(folder: &OwnedFd) -> io::Result<Vec<Entry>> {
        let mut buffer = [MaybeUninit::uninit(); 32 << 10];
        let mut names = RawDir::new(folder, &mut buffer);
        let mut entries = Vec::new();
        while let Some(entry) = names.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            let kind = match entry.file_type() {
                // Not every file system says what a name is.
                FileType::Unknown => match stat_at(folder, Path::new(OsStr::from_bytes(name))) {
                    Ok(stat) => stat.kind,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(error),
                },
                known => kind_of(known),
            };
            entries.push(Entry { name: String::from_utf8_lossy(name).into_owned(), kind });
        }
        Ok(entries)
    }

    impl Folder for ByHandle {
        fn entries(&self) -> &[Entry] {
            &self.entries
        }

        fn folder(&self, name: &str) -> Result<Box<dyn Folder + '_>> {
            Ok(Box::new(Self::open_at(&self.handle, Path::new(name), self.path.join(name))?))
        }

        fn stat(&self, name: &str) -> Result<Stat> {
            self.stat_by(name, AtFlags::SYMLINK_NOFOLLOW)
        }

        fn stat_follow(&self, name: &str) -> Result<Stat> {
            self.stat_by(name, AtFlags::empty())
        }

        fn link(&self, name: &str) -> Result<(PathBuf, Result<Stat>)> {
            let target = rustix::fs::readlinkat(&self.handle, name, Vec::new());
            let target = target.map_err(|source| self.failed("read the link", name, source))?;
            // By its target and not by its name, for the system would read the link again: of a long one, a block.
            let stat = rustix::fs::statat(&self.handle, &target, AtFlags::empty());
            let stat = stat.map(|stat| stat_of(&stat)).map_err(|source| self.failed("look at", name, source));
            Ok((OsString::from_vec(target.into_bytes()).into(), stat))
        }
    }

    impl ByHandle {
        fn stat_by(&self, name: &str, flags: AtFlags) -> Result<Stat> {
            let stat = rustix::fs::statat(&self.handle, name, flags);
            stat.map(|stat| stat_of(&stat)).map_err(|source| self.failed("look at", name, source))
        }

        fn failed(&self, action: &'static str, name: &str, source: rustix::io::Errno) -> DiskError {
            DiskError { action, path: self.path.join(name), source: source.into() }
        }
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use crate::disk::{Kind, RealDisk};
    use std::path::Path;

    fn names(folder: &dyn Folder) -> Vec<String> {
        let mut names: Vec<String> = folder.entries().iter().map(|entry| format!("{} {:?}", entry.name, entry.kind)).collect();
        names.sort();
        names
    }

    /// What both ways of looking at a folder must find.
    fn look(folder: &dyn Folder, root: &Path) {
        assert_eq!(names(folder), ["dangling Symlink", "inner Dir", "link Symlink", "there Symlink"]);
        let inner = folder.folder("inner").unwrap();
        assert_eq!(names(&*inner), ["a File"]);
        assert_eq!(names(&*folder.folder("there").unwrap()), ["a File"]);
        let disk: &dyn Disk = &RealDisk;
        assert_eq!(inner.stat_follow("a").unwrap(), disk.stat(&root.join("inner/a")).unwrap());
        assert_eq!(folder.stat("link").unwrap(), disk.stat(&root.join("link")).unwrap());
        assert_eq!(folder.stat_follow("link").unwrap(), disk.stat(&root.join("inner/a")).unwrap());
        assert_eq!(folder.stat_follow("there").unwrap().kind, Kind::Dir);
        let (target, stat) = folder.link("link").unwrap();
        assert_eq!((target.as_path(), stat.unwrap()), (Path::new("inner/a"), disk.stat(&root.join("inner/a")).unwrap()));
        let (target, stat) = folder.link("dangling").unwrap();
        assert_eq!((target.as_path(), stat.unwrap_err().path), (Path::new("nowhere"), root.join("dangling")));
        for error in [
            folder.stat_follow("dangling").unwrap_err(),
            folder.folder("dangling").unwrap_err(),
            folder.link("dangling/x").unwrap_err(),
        ] {
            assert!(error.is_not_found() && error.path.starts_with(root.join("dangling")), "{error}");
        }
        let error = folder.link("inner").unwrap_err();
        assert_eq!((error.action, error.path), ("read the link", root.join("inner")));
    }

    #[test]
    fn a_folder_by_its_handle_is_the_same_as_by_its_path() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path();
        std::fs::create_dir(root.join("inner")).unwrap();
        std::fs::write(root.join("inner/a"), "weights").unwrap();
        for (target, link) in [("inner/a", "link"), ("inner", "there"), ("nowhere", "dangling")] {
            std::os::unix::fs::symlink(target, root.join(link)).unwrap();
        }
        let disk: &dyn Disk = &RealDisk;
        look(&*disk.folder(root).unwrap(), root);
        look(&ByPath::open(disk, root.to_owned()).unwrap(), root);
        let error = disk.folder(&root.join("inner/a")).unwrap_err();
        assert_eq!((error.action, error.is_not_found()), ("list", true));
    }
}
