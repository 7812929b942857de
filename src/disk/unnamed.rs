//! Small files that are written before they get their names.

use super::{Disk, DiskFile, Result, TEMP_PREFIX};
use std::path::{Path, PathBuf};

/// A small file without a name of its own yet; it goes away when it is dropped before it gets one.
#[derive(Debug)]
pub struct UnnamedFile<'d> {
    disk: &'d dyn Disk,
    temp: PathBuf,
    /// Closed before it is renamed, as some systems ask.
    file: Option<Box<dyn DiskFile>>,
    len: u64,
    is_synced: bool,
    is_named: bool,
}

impl dyn Disk + '_ {
    /// Writes a small file in `temp_dir`, on the volume where it will get its name. Nothing is synced yet.
    pub fn write_unnamed<'d>(&'d self, content: &[u8], mode: u32, temp_dir: &Path) -> Result<UnnamedFile<'d>> {
        let (temp, file) = self.create_temp(temp_dir, TEMP_PREFIX, mode)?;
        let len = content.len() as u64;
        let unnamed = UnnamedFile { disk: self, temp, file: Some(file), len, is_synced: false, is_named: false };
        if let Some(file) = &unnamed.file {
            file.write_at(content, 0)?;
            file.set_mode(mode)?;
        }
        Ok(unnamed)
    }
}

impl UnnamedFile<'_> {
    /// Asks the system to begin writing it out: the first sync of several files then finds the blocks of all of them allocated,
    /// and the file system commits once.
    pub fn start_writeback(&self) {
        if let Some(file) = &self.file {
            file.start_writeback(0, self.len);
        }
    }

    /// Makes the content durable, once.
    pub fn sync(&mut self) -> Result<()> {
        if let Some(file) = self.file.as_ref().filter(|_| !self.is_synced) {
            file.sync_all()?;
            self.is_synced = true;
        }
        Ok(())
    }

    /// Gives it its name, replacing what has it: after any crash the old or the new content stands there, never a
    /// mixture. Which of them is settled by a sync of the folder, which is the caller's: one does for several names.
    pub fn name(mut self, path: &Path) -> Result<()> {
        self.sync()?;
        self.rename(path)
    }

    /// The same, unless something has the name already: then it is an error, and that stays.
    pub fn name_new(mut self, path: &Path) -> Result<()> {
        self.sync()?;
        self.file = None;
        self.disk.rename_new(&self.temp, path)?;
        self.is_named = true;
        Ok(())
    }

    /// The same as [`Self::name`] for what may be lost.
    pub(super) fn rename(mut self, path: &Path) -> Result<()> {
        self.file = None;
        self.disk.rename(&self.temp, path)?;
        self.is_named = true;
        Ok(())
    }
}

impl Drop for UnnamedFile<'_> {
    fn drop(&mut self) {
        self.file = None;
        if !self.is_named {
            // A temporary file that cannot be removed is swept by its pattern.
            let _ = self.disk.remove_file(&self.temp);
        }
    }
}
