//! Reads and writes the lock file, whole and one process at a time.

use crate::manager::{ModelManager, lock::entry::view_of};
use crate::{
    disk::{Kind, LockKind, lock},
    error::{Error, ErrorKind, Result},
    hint::Hint,
    registry::{LockFile, LockedFile, MOST_BYTES},
    store::ViewFile,
};
use std::path::PathBuf;

/// Permission bits of a new lock file and of the folder for it: it is a part of the project, readable by all who may read the project.
const FILE_MODE: u32 = 0o644;
const DIR_MODE: u32 = 0o755;

impl ModelManager {
    /// What is locked; `None` where there is no lock file.
    pub(in crate::manager) fn read_lock(&self) -> Result<Option<LockFile>> {
        let path = &self.settings.lock_file;
        let wrong = |why: String| Error::new(ErrorKind::Usage, why).hint(Hint::RestoreLock { file: None });
        let Some(text) = self.disk.read_at_most(path, MOST_BYTES).map_err(|error| wrong(error.to_string()))? else {
            return match self.disk.find(path)? {
                Some(stat) if stat.kind == Kind::Symlink => Err(wrong(format!("{} is a link that leads nowhere", path.display()))),
                // Another process has made it meanwhile.
                Some(_) => self.read_lock(),
                None => Ok(None),
            };
        };
        let text = String::from_utf8(text).map_err(|error| wrong(format!("{} is not UTF-8 text: {error}", path.display())))?;
        let lock = LockFile::parse(&text, &path.display().to_string())?;
        self.require_views(&lock)?;
        Ok(Some(lock))
    }

    /// Refuses files that no view can hold, as those that have a name of ours.
    fn require_views(&self, lock: &LockFile) -> Result<()> {
        let views = self.views(None);
        for locked in lock.views() {
            let file = |file: &LockedFile| ViewFile { path: file.path.clone(), sha256: file.sha256, size: file.size };
            let files: Vec<ViewFile> = locked.files.iter().map(file).collect();
            views.require_fit(&view_of(locked), &files).map_err(|error| {
                Error::new(ErrorKind::Usage, format!("{}: {error}", self.settings.lock_file.display()))
                    .hint(Hint::RestoreLock { file: None })
            })?;
        }
        Ok(())
    }

    /// What is locked, for a command that cannot do without.
    pub(in crate::manager) fn require_lock(&self) -> Result<LockFile> {
        self.read_lock()?.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("there is no lock file at {}", self.settings.lock_file.display()))
                .hint(Hint::MakeLock)
        })
    }

    /// Changes the lock file as it is now, not as the caller read it: what another process locked meanwhile stays. Gives
    /// what is locked then, and whether anything was written.
    ///
    /// Processes take turns by a lock on a file beside it, for the lock file itself is replaced. That file is removed by
    /// its holder; a process that waited for it detects that, as at every lock of the store.
    pub(in crate::manager) fn change_lock(&self, change: impl FnOnce(&mut LockFile)) -> Result<(LockFile, bool)> {
        let path = self.lock_file_itself()?;
        let dir = path.parent().unwrap_or(&path).to_owned();
        self.disk.create_dirs(&dir, DIR_MODE)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let turn = dir.join(format!(".{name}.busy"));
        let mode = lock::mode_in(&*self.disk, &dir)?;
        let held = lock::acquire(&*self.disk, &turn, LockKind::Exclusive, mode, "the lock file", &self.wait())?;
        let written = (|| -> Result<(LockFile, bool)> {
            let old = self.read_lock()?;
            let mut new = old.clone().unwrap_or_default();
            change(&mut new);
            if old.as_ref() == Some(&new) {
                // The process that wrote it may have died before the name was durable.
                self.disk.sync_dir(&dir)?;
                return Ok((new, false));
            }
            let text = new.to_text();
            // What this program would refuse to read is not written: two views may come into each other's way.
            self.require_views(&LockFile::parse(&text, "the new lock file")?)?;
            let mode = self.disk.find(&path)?.map_or(FILE_MODE, |stat| stat.mode & 0o777);
            self.disk.replace_small(&path, text.as_bytes(), mode, &dir)?;
            Ok((new, true))
        })();
        // Still locked: nobody else is between opening it and looking at its name.
        let removed = self.disk.remove_if_there(&turn);
        drop(held);
        let written = written?;
        removed?;
        Ok(written)
    }

    /// The real path of the lock file, which may be a link within the project.
    fn lock_file_itself(&self) -> Result<PathBuf> {
        let path = &self.settings.lock_file;
        self.require_shared_within(path)?;
        match self.disk.find(path)? {
            Some(stat) if stat.kind == Kind::Symlink => Ok(self.disk.canonical(path)?),
            _ => Ok(path.clone()),
        }
    }
}
