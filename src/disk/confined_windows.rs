//! The operating system's file system, with a look at each component below some roots.
//!
//! Windows resolves names below a handle only in its native interface, which the standard library does not offer. So each
//! component is checked before the path is used, and a link or junction is refused. One that is created between check
//! and use is not noticed; `store-layout.md`, section 13, says so.

use super::{At, Disk, DiskFile, Entry, Kind, Open, RealDisk, Result, Space, Stat};
use std::{
    io,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

/// The operating system's file system, with a look at each component below some roots. See [`Disk::confined`].
#[derive(Debug, Clone, Default)]
pub(super) struct Confined {
    roots: Vec<PathBuf>,
}

impl Confined {
    /// Refuses a path on which a link stands, or that leads upwards. Its last component is not looked at.
    fn enter(&self, path: &Path, action: &'static str) -> Result<()> {
        self.components(path, action).map(drop)
    }

    /// The same, and the last component is no link either.
    fn enter_whole(&self, path: &Path, action: &'static str) -> Result<()> {
        match self.components(path, action)? {
            true => refuse_link(path, action),
            false => Ok(()),
        }
    }

    /// Whether the path has a component below a root; those above the last are no links then.
    fn components(&self, path: &Path, action: &'static str) -> Result<bool> {
        let Some((root, rest)) = self.roots.iter().find_map(|root| Some((root, path.strip_prefix(root).ok()?))) else {
            return Ok(false);
        };
        if !rest.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path leads upwards")).at(action, path);
        }
        let mut at = root.clone();
        for part in rest.parent().into_iter().flat_map(Path::components) {
            at.push(part);
            refuse_link(&at, action)?;
        }
        Ok(!rest.as_os_str().is_empty())
    }
}

fn refuse_link(path: &Path, action: &'static str) -> Result<()> {
    match RealDisk.stat(path) {
        Ok(stat) if stat.kind == Kind::Symlink => {
            let why = "a symbolic link stands in the way, and none is followed here";
            Err(io::Error::new(io::ErrorKind::InvalidInput, why)).at(action, path)
        }
        // What is not there, or may not be looked at, the operation itself finds out.
        _ => Ok(()),
    }
}

impl Disk for Confined {
    fn confined(self: Arc<Self>, root: &Path) -> Arc<dyn Disk> {
        if self.roots.iter().any(|known| known == root) {
            return self;
        }
        let mut roots = self.roots.clone();
        roots.push(root.to_owned());
        // A store may be inside a models directory: the innermost root applies.
        roots.sort_by_key(|root| std::cmp::Reverse(root.components().count()));
        Arc::new(Self { roots })
    }

    fn stat(&self, path: &Path) -> Result<Stat> {
        self.enter(path, "look at")?;
        RealDisk.stat(path)
    }

    fn stat_follow(&self, path: &Path) -> Result<Stat> {
        RealDisk.stat_follow(path)
    }

    fn list(&self, dir: &Path) -> Result<Vec<Entry>> {
        self.enter_whole(dir, "list")?;
        RealDisk.list(dir)
    }

    fn create_dir(&self, path: &Path, mode: u32) -> Result<()> {
        self.enter(path, "create the folder")?;
        RealDisk.create_dir(path, mode)
    }

    fn remove_dir(&self, path: &Path) -> Result<()> {
        self.enter_whole(path, "remove the folder")?;
        RealDisk.remove_dir(path)
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        self.enter(path, "remove")?;
        RealDisk.remove_file(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.enter(from, "rename")?;
        self.enter(to, "rename to")?;
        RealDisk.rename(from, to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> Result<()> {
        self.enter(from, "rename")?;
        self.enter(to, "rename to")?;
        RealDisk.rename_new(from, to)
    }

    fn symlink(&self, target: &Path, link: &Path) -> Result<()> {
        self.enter(link, "make the symbolic link")?;
        RealDisk.symlink(target, link)
    }

    fn read_link(&self, path: &Path) -> Result<PathBuf> {
        self.enter(path, "read the link")?;
        RealDisk.read_link(path)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> Result<()> {
        self.enter_whole(from, "link")?;
        self.enter(to, "make the hard link")?;
        RealDisk.hard_link(from, to)
    }

    fn reflink(&self, from: &Path, to: &Path) -> Result<()> {
        self.enter_whole(from, "copy")?;
        self.enter(to, "make the reflink copy")?;
        RealDisk.reflink(from, to)
    }

    fn open(&self, path: &Path, how: Open) -> Result<Box<dyn DiskFile>> {
        if how != Open::ReadFollow {
            self.enter_whole(path, "open")?;
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
