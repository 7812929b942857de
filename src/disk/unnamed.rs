//! Small files that are written before they get their names, one or several at once.

use super::{Disk, DiskFile, Result};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// A small file without a name of its own yet; it goes away when it is dropped before it gets one.
#[derive(Debug)]
pub struct Unnamed<'d> {
    disk: &'d dyn Disk,
    temp: PathBuf,
    /// Closed before it is renamed, as some systems ask.
    file: Option<Box<dyn DiskFile>>,
    is_synced: bool,
    is_named: bool,
}

impl dyn Disk + '_ {
    /// Writes a small file in `temp_dir`, on the volume where it will get its name. Nothing is synced yet.
    pub fn write_unnamed<'d>(&'d self, content: &[u8], mode: u32, temp_dir: &Path) -> Result<Unnamed<'d>> {
        let (temp, file) = self.create_temp(temp_dir, ".tmp-", mode)?;
        let unnamed = Unnamed { disk: self, temp, file: Some(file), is_synced: false, is_named: false };
        if let Some(file) = &unnamed.file {
            file.write_at(content, 0)?;
            file.set_mode(mode)?;
            // So that one sync of several files finds the room of all of them taken, and the file system commits once.
            file.start_writeback(0, content.len() as u64);
        }
        Ok(unnamed)
    }

    /// Gives files their names, replacing what has them: after any crash the old or the new content stands under each
    /// name, never a mixture. All are synced before the first is named, and each folder is synced once.
    pub fn name_all(&self, mut files: Vec<(Unnamed<'_>, &Path)>) -> Result<()> {
        files.iter_mut().try_for_each(|(file, _)| file.sync())?;
        let folders: BTreeSet<&Path> = files.iter().filter_map(|(_, path)| path.parent()).collect();
        files.into_iter().try_for_each(|(file, path)| file.rename(path))?;
        folders.into_iter().try_for_each(|folder| self.sync_dir(folder))
    }
}

impl Unnamed<'_> {
    /// Makes the content durable, once.
    pub fn sync(&mut self) -> Result<()> {
        if let Some(file) = self.file.as_ref().filter(|_| !self.is_synced) {
            file.sync_all()?;
            self.is_synced = true;
        }
        Ok(())
    }

    /// Gives it its name, replacing what has it.
    pub(super) fn rename(mut self, path: &Path) -> Result<()> {
        self.file = None;
        self.disk.rename(&self.temp, path)?;
        self.is_named = true;
        Ok(())
    }
}

impl Drop for Unnamed<'_> {
    fn drop(&mut self) {
        self.file = None;
        if !self.is_named {
            // A temporary file that cannot be removed is swept by its pattern.
            let _ = self.disk.remove_file(&self.temp);
        }
    }
}
