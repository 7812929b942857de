//! Files of other applications that are replaced by files which share their bytes with an equal one, and made own copies again.
//!
//! The record of a replacement is written before anything is made. The old file keeps a second name until the new one is in its
//! place and the old one is known to be as it was when it was hashed: nothing that an application wrote meanwhile is lost.

use super::{
    Project, Result, Sharing, Store, StoreError,
    format::{FileFacts, Replacement},
    ingest::import,
    layout::Layout,
};
use crate::{
    digest::Sha256Digest,
    disk::{Disk, DiskFile, Kind, Open, Stat, absent_is_none},
};
use std::{
    path::{Component, Path, PathBuf},
    sync::Arc,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How the temporary names beside a file begin; the identity of the replacement follows.
const PREFIX: &str = ".model-manager-";
/// The permission bits that are given back.
const MODE: u32 = 0o777;

/// A file of an application that is to share its bytes with an equal one. Both were hashed, when they were as the facts say.
#[derive(Debug, Clone)]
pub struct FileToReplace {
    /// The application.
    pub app: String,
    /// Its folder, without links.
    pub dir: PathBuf,
    /// The file, below that folder.
    pub path: PathBuf,
    /// Its content.
    pub sha256: Sha256Digest,
    /// What it was when it was hashed.
    pub stat: Stat,
    /// The equal file, which stays.
    pub same_as: PathBuf,
    /// The folder that this file is in, without links.
    pub same_as_dir: PathBuf,
    /// What that was when it was hashed.
    pub same_as_stat: Stat,
    /// Whether the application can do with a hard link, where there are no reflinks.
    pub may_link: bool,
}

impl Project {
    /// The replacements of the project.
    ///
    /// # Errors
    /// Where a record cannot be read.
    pub fn replacements(store: &Store, project: &Uuid) -> Result<Vec<Replacement>> {
        let path_of = |found: &Replacement| store.layout().replacement_record(project, &found.id);
        Self::records(store, project, Layout::is_replacement, Replacement::from_json, path_of)
    }

    /// Replaces a file by one that shares its bytes with the equal one: by a reflink, else by a hard link. Mode, group and times
    /// stay; those of a hard link are the other file's. What fails is undone, at the latest by [`Self::settle_replacement`].
    ///
    /// # Errors
    /// Where one of the files is not as it was when it was hashed, a program writes it, or it cannot be shared.
    pub fn replace(&self, disk: &Arc<dyn Disk>, file: &FileToReplace) -> Result<Replacement> {
        let replacement = Replacement {
            id: Uuid::new_v4(),
            app: file.app.clone(),
            dir: file.dir.clone(),
            path: file.path.clone(),
            sha256: file.sha256,
            size: file.stat.len,
            sharing: None,
            before: FileFacts {
                ino: file.stat.ino,
                mtime_ns: file.stat.mtime_ns,
                mode: file.stat.mode & 0o7777,
                gid: file.stat.gid,
            },
            ino: None,
        };
        require_inside(&replacement)?;
        let disk = disk.clone().confined(&file.same_as_dir).confined(&file.dir);
        require_unchanged(&*disk, &file.path, &file.stat)?;
        require_unchanged(&*disk, &file.same_as, &file.same_as_stat)?;
        let replaced = self.replace_recorded(&*disk, file, replacement.clone());
        if replaced.is_err() {
            // The first error counts; what is left is undone by the next command.
            let _ = self.settle_on(&*disk, &self.read_again(&replacement));
        }
        replaced
    }

    fn replace_recorded(&self, disk: &dyn Disk, file: &FileToReplace, mut replacement: Replacement) -> Result<Replacement> {
        let (new, old) = (replacement.new_name(), replacement.old_name());
        self.write_replacement(&replacement)?;
        disk.hard_link(&file.path, &old)?;
        let sharing = match disk.reflink(&file.same_as, &new) {
            Ok(()) => Sharing::Reflink,
            Err(_) if file.may_link => {
                disk.remove_if_there(&new)?;
                disk.hard_link(&file.same_as, &new)?;
                Sharing::HardLink
            }
            Err(_) => {
                let why = "the file system has no reflinks, and a hard link does not do for both files";
                return Err(StoreError::NotReplaced { path: file.path.clone(), why });
            }
        };
        let data = disk.open(&new, Open::Read)?;
        if sharing == Sharing::Reflink {
            self.dress(&*data, &file.path, &replacement.before)?;
            data.sync_all()?;
        }
        require_unchanged(disk, &file.same_as, &file.same_as_stat)?;
        let made = data.stat()?;
        drop(data);
        if sharing == Sharing::Reflink && made.uid != file.stat.uid {
            return Err(StoreError::NotReplaced { path: file.path.clone(), why: "it belongs to another user" });
        }
        if made.len != file.stat.len || (sharing == Sharing::HardLink && made.ino != file.same_as_stat.ino) {
            return Err(StoreError::Changed { path: file.same_as.clone() });
        }
        sync_parent(disk, &file.path)?;
        (replacement.sharing, replacement.ino) = (Some(sharing), Some(made.ino));
        self.write_replacement(&replacement)?;
        require_unchanged(disk, &file.path, &file.stat)?;
        disk.rename(&new, &file.path)?;
        sync_parent(disk, &file.path)?;
        // By now nobody can open the old file by its name any more.
        require_unchanged(disk, &old, &file.stat)?;
        disk.remove_file(&old)?;
        sync_parent(disk, &file.path)?;
        Ok(replacement)
    }

    /// Ends what was cut off of a replacement: it is done, or undone. Returns whether the new file is in its place; where it is
    /// not, the record is gone.
    ///
    /// # Errors
    /// Where the folder of the application cannot be entered, or something cannot be removed.
    pub fn settle_replacement(&self, disk: &Arc<dyn Disk>, replacement: &Replacement) -> Result<bool> {
        require_inside(replacement)?;
        // Where its volume is not there, nothing can be told.
        disk.stat_follow(&replacement.dir)?;
        self.settle_on(&*disk.clone().confined(&replacement.dir), replacement)
    }

    fn settle_on(&self, disk: &dyn Disk, replacement: &Replacement) -> Result<bool> {
        let (new, old) = (replacement.new_name(), replacement.old_name());
        let here = absent_is_none(disk.stat(&replacement.path))?;
        let is_new = replacement.ino.is_some()
            && here.as_ref().is_some_and(|here| here.kind == Kind::File && Some(here.ino) == replacement.ino);
        let kept = absent_is_none(disk.stat(&old))?;
        let mut is_done = is_new;
        let mut is_changed = disk.remove_if_there(&new)?;
        if let Some(kept) = kept {
            let as_it_was = (kept.ino, kept.len, kept.mtime_ns)
                == (replacement.before.ino, replacement.size, replacement.before.mtime_ns)
                && disk.open(&old, Open::Read)?.has_writer() != Some(true);
            if is_new && !as_it_was {
                // The application wrote the old file in the moment in which it was replaced: it has that again.
                disk.rename(&old, &replacement.path)?;
                is_done = false;
            } else {
                disk.remove_file(&old)?;
            }
            is_changed = true;
        }
        if is_changed {
            absent_is_none(sync_parent(disk, &replacement.path))?;
        }
        if !is_done {
            self.forget_replacement(&replacement.id)?;
        }
        Ok(is_done)
    }

    /// Makes a replaced file a copy of its own again, with the mode and the time that the old one had. Returns `false` where
    /// it is no longer what was put there: it stays as it is.
    ///
    /// # Errors
    /// Where there is no room, or it cannot be read or written. It is as it was then.
    pub fn make_own_copy(
        &self,
        disk: &Arc<dyn Disk>,
        replacement: &Replacement,
        progress: &(dyn Fn(u64) + Sync),
        cancel: &CancellationToken,
    ) -> Result<bool> {
        if !self.settle_replacement(disk, replacement)? {
            return Ok(false);
        }
        let disk = &*disk.clone().confined(&replacement.dir);
        let (path, new) = (&replacement.path, replacement.new_name());
        let source = disk.open(path, Open::Read)?;
        let before = source.stat()?;
        if before.len != replacement.size {
            self.forget_replacement(&replacement.id)?;
            return Ok(false);
        }
        let space = disk.space(path.parent().unwrap_or(path))?;
        if space.available < before.len {
            return Err(StoreError::NoSpace { path: path.clone(), need: before.len, free: space.available });
        }
        let copied = (|| -> Result<bool> {
            let data = disk.open(&new, Open::CreateNew(0o600))?;
            data.allocate(before.len)?;
            data.set_len(before.len)?;
            let (digest, _) = import::hash(&*source, path, before.len, Some(&*data), progress, cancel)?;
            if digest != replacement.sha256 {
                disk.remove_file(&new)?;
                return Ok(false);
            }
            self.dress(&*data, path, &replacement.before)?;
            data.sync_all()?;
            require_unchanged(disk, path, &before)?;
            disk.rename(&new, path)?;
            sync_parent(disk, path)?;
            Ok(true)
        })();
        if copied.is_err() {
            // The first error counts; the next command removes it.
            let _ = disk.remove_if_there(&new);
        }
        let is_own = copied?;
        self.forget_replacement(&replacement.id)?;
        Ok(is_own)
    }

    /// Gives a new file what the old one had.
    fn dress(&self, data: &dyn DiskFile, path: &Path, before: &FileFacts) -> Result<()> {
        if data.stat()?.gid != before.gid && data.set_group(before.gid).is_err() {
            return Err(StoreError::NotReplaced { path: path.to_owned(), why: "its group cannot be given to a new file" });
        }
        data.set_mode(before.mode & MODE)?;
        Ok(data.set_modified(before.mtime_ns)?)
    }

    /// The record as it was last written.
    fn read_again(&self, replacement: &Replacement) -> Replacement {
        let path = self.store().layout().replacement_record(self.uuid(), &replacement.id);
        let text = self.store().disk().read_record(&path).ok().flatten();
        text.and_then(|text| Replacement::from_json(&path, &text).ok().flatten()).unwrap_or_else(|| replacement.clone())
    }

    fn write_replacement(&self, replacement: &Replacement) -> Result<()> {
        let _shared = self.store().shared()?;
        let path = self.store().layout().replacement_record(self.uuid(), &replacement.id);
        self.store().replace_record(&path, &replacement.to_json())
    }

    fn forget_replacement(&self, id: &Uuid) -> Result<()> {
        let _shared = self.store().shared()?;
        self.store().disk().remove_if_there(&self.store().layout().replacement_record(self.uuid(), id))?;
        Ok(self.store().disk().sync_dir(&self.store().layout().project(self.uuid()))?)
    }
}

impl Replacement {
    /// The new file, before it has its name.
    fn new_name(&self) -> PathBuf {
        self.path.with_file_name(format!("{PREFIX}{}", self.id))
    }

    /// The second name of the old file.
    fn old_name(&self) -> PathBuf {
        self.path.with_file_name(format!("{PREFIX}{}.old", self.id))
    }
}

/// Refuses a file that is not the one that was hashed, or that a program has open for writing.
fn require_unchanged(disk: &dyn Disk, path: &Path, hashed: &Stat) -> Result<()> {
    let file = disk.open(path, Open::Read)?;
    let here = file.stat()?;
    let facts = |stat: &Stat| (stat.kind, stat.ino, stat.dev, stat.len, stat.mtime_ns, stat.mode, stat.uid, stat.gid);
    if facts(&here) != facts(hashed) {
        return Err(StoreError::Changed { path: path.to_owned() });
    }
    if file.has_writer() == Some(true) {
        return Err(StoreError::NotReplaced { path: path.to_owned(), why: "a program has it open for writing" });
    }
    Ok(())
}

/// A record is not trusted: it may come with a project, or from another user who may write the store.
fn require_inside(replacement: &Replacement) -> Result<()> {
    let is_plain = |path: &Path| path.components().all(|part| !matches!(part, Component::ParentDir | Component::CurDir));
    let Replacement { dir, path, .. } = replacement;
    match dir.is_absolute() && is_plain(dir) && is_plain(path) && path.starts_with(dir) && path != dir {
        true => Ok(()),
        false => Err(StoreError::BadRecord {
            path: dir.clone(),
            why: format!("the replacement {} is of a file outside of that folder", replacement.id),
        }),
    }
}

fn sync_parent(disk: &dyn Disk, path: &Path) -> crate::disk::Result<()> {
    path.parent().map_or(Ok(()), |parent| disk.sync_dir(parent))
}
