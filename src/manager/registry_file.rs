//! The registry's file: read whole, and replaced so that a reader sees the old text or the new one.

use super::ModelManager;
use crate::{
    disk::{Disk, Kind, LockKind, TEMP_PREFIX, lock},
    error::{Error, ErrorKind, Result},
    hint::{Hint, Replacement},
    registry::{BUILT_IN, Edited, MOST_BYTES, Registry},
    store::Stamp,
};
use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// The text of a registry file, or `None` where there is none.
pub(super) fn read(disk: &dyn Disk, path: &Path) -> Result<Option<String>> {
    let bytes = disk.read_at_most(path, MOST_BYTES).map_err(|error| {
        if error.is_too_many_files() {
            return error.into();
        }
        Error::new(ErrorKind::Usage, error.to_string()).hint(Hint::MakeReadable(Replacement::OtherRegistry))
    })?;
    let Some(bytes) = bytes else { return Ok(None) };
    let text = String::from_utf8(bytes).map_err(|error| {
        Error::new(ErrorKind::Usage, format!("{} is not UTF-8 text: {error}", path.display()))
            .hint(Hint::SaveAsUtf8 { is_registry: true })
    })?;
    Ok(Some(text))
}

/// The text of the registry file that is named by the settings.
pub(super) fn read_named(disk: &dyn Disk, path: &Path) -> Result<String> {
    if let Some(text) = read(disk, path)? {
        return Ok(text);
    }
    Err(if disk.find(path)?.is_some_and(|stat| stat.kind == Kind::Symlink) {
        Error::new(ErrorKind::Usage, format!("{} is a link that leads nowhere", path.display())).hint(Hint::RestoreRegistryLink)
    } else {
        Error::new(ErrorKind::Usage, format!("there is no registry at {}", path.display())).hint(Hint::NameRegistry)
    })
}

/// Refuses where the settings name a registry file that is not there: they then mean another project.
pub(super) fn require_named(disk: &dyn Disk, path: &Path) -> Result<()> {
    match disk.stat_follow(path) {
        // A pipe or device is reported by commands that need the registry, like an error in it; `list` and `gc` do not.
        Ok(stat) if matches!(stat.kind, Kind::File | Kind::Other) => Ok(()),
        // It has the words for what is wrong.
        _ => read_named(disk, path).map(drop),
    }
}

/// How long a file must have stood unchanged before its stamp tells of every later change: a second one within the
/// precision of its time would leave the stamp as it is.
const SETTLED: Duration = Duration::from_secs(2);

/// Where a session has its registry from, and what was read there last.
pub(super) struct RegistryFile {
    origin: RegistryOrigin,
    /// The file that the session wrote in the place of the built-in registry. It is read without a lock, so that a forked
    /// child can ask for it.
    made: OnceLock<PathBuf>,
    last: Mutex<Option<(Stamp, Arc<Registry>)>>,
}

#[derive(Clone)]
enum RegistryOrigin {
    BuiltIn,
    File(PathBuf),
    Given(Arc<Registry>),
}

impl RegistryFile {
    /// The registry at a path, or the built-in one.
    pub(super) fn named(path: Option<PathBuf>) -> Self {
        Self::of(path.map_or(RegistryOrigin::BuiltIn, RegistryOrigin::File))
    }

    /// A registry that is read already.
    pub(super) fn given(registry: Registry) -> Self {
        Self::of(RegistryOrigin::Given(Arc::new(registry)))
    }

    fn of(origin: RegistryOrigin) -> Self {
        Self { origin, made: OnceLock::new(), last: Mutex::default() }
    }

    /// The same, to be read again.
    pub(super) fn again(&self) -> Self {
        Self { made: self.made.clone(), ..Self::of(self.origin.clone()) }
    }

    /// Reads from this file from now on, where the built-in registry was in use: it was made from that.
    fn made_at(&self, path: &Path) {
        if matches!(self.origin, RegistryOrigin::BuiltIn) {
            // The first one stays: it is the project's.
            let _ = self.made.set(path.to_owned());
        }
    }

    /// Holds up every reader.
    #[cfg(test)]
    pub(super) fn hold(&self) -> impl Sized + '_ {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it was given.
    pub(super) fn is_given(&self) -> bool {
        matches!(self.origin, RegistryOrigin::Given(_))
    }

    /// The registry as it is now. A file that did not change since it was read is not read again.
    pub(super) fn read(&self, disk: &dyn Disk) -> Result<Arc<Registry>> {
        let path = match &self.origin {
            RegistryOrigin::Given(registry) => return Ok(registry.clone()),
            RegistryOrigin::File(path) => Some(path),
            RegistryOrigin::BuiltIn => self.made.get(),
        };
        let stamp_now = || match path {
            // The built-in one has no file and never changes.
            None => Some(Stamp { size: 0, mtime_ns: 0, ino: 0 }),
            Some(path) => disk.stat_follow(path).ok().filter(|stat| stat.kind == Kind::File).as_ref().map(Stamp::from),
        };
        let stamp = stamp_now();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, registry)) = &*last
            && Some(*known) == stamp
        {
            return Ok(registry.clone());
        }
        let registry = Arc::new(match path {
            None => Registry::built_in(),
            Some(path) => Registry::parse(&read_named(disk, path)?, &path.display().to_string())?,
        });
        // What was written while it was read has another stamp than the text.
        let is_same = |stamp: &Stamp| is_settled(stamp.mtime_ns) && stamp_now() == Some(*stamp);
        *last = stamp.filter(is_same).map(|stamp| (stamp, registry.clone()));
        Ok(registry)
    }
}

fn is_settled(mtime_ns: i64) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i128::from(mtime_ns) + SETTLED.as_nanos() as i128 <= now.as_nanos() as i128
}

/// A registry file, edited.
pub(super) struct Change {
    /// The file, as it is named.
    pub path: PathBuf,
    /// Its text before; `None` where it is made.
    pub old: Option<String>,
    /// The new text, and the entry in it.
    pub edited: Edited,
}

impl ModelManager {
    /// Shows what an edit makes of the registry's file; writes nothing. Where the built-in registry is in use, `new` is the
    /// file that would be made.
    pub(super) fn preview_edit(&self, new: &Path, edit: impl Fn(&str) -> Result<Edited>) -> Result<Change> {
        let path = self.settings.config.as_deref();
        let old = match path {
            Some(path) => Some(read_named(&*self.disk, path)?),
            None => read(&*self.disk, new)?,
        };
        let edited = edit(old.as_deref().unwrap_or(BUILT_IN))?;
        Ok(Change { path: path.unwrap_or(new).to_owned(), old, edited })
    }

    /// Edits the registry's file. Two processes that do so at once take turns; what anybody else wrote meanwhile is not
    /// overwritten. A link is followed, so that it stays one, but not out of the project.
    pub(super) fn edit_registry(&self, new: &Path, edit: impl Fn(&str) -> Result<Edited>) -> Result<Change> {
        // What is refused leaves no trace, not even a folder.
        self.preview_edit(new, &edit)?;
        let disk = &*self.disk;
        let named = self.settings.config.as_deref().unwrap_or(new);
        self.require_shared_within(named)?;
        let file = match disk.canonical(named) {
            Ok(file) => file,
            Err(error) if error.is_not_found() => named.to_owned(),
            Err(error) => return Err(error.into()),
        };
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        disk.create_dirs(folder, 0o755)?;
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let lock_path = folder.join(format!(".{name}.lock"));
        let mode = lock::mode_in(disk, folder)?;
        let held = lock::acquire(disk, &lock_path, LockKind::Exclusive, mode, &named.display().to_string(), &self.wait())?;
        let result = self.preview_edit(new, edit).and_then(|change| {
            self.publish(&file, folder, &change)?;
            if self.settings.config.is_none() {
                self.session.registry_file().made_at(&change.path);
            }
            Ok(change)
        });
        // Under the lock: who waits for it sees that it lost its name, and makes a new one.
        disk.remove_if_there(held.path())?;
        drop(held);
        result
    }

    fn publish(&self, file: &Path, folder: &Path, change: &Change) -> Result<()> {
        let disk = &*self.disk;
        let content = change.edited.text.as_bytes();
        let meanwhile = || {
            Error::new(ErrorKind::Failed, format!("{} was changed by another process", change.path.display())).hint(Hint::RunAgain)
        };
        let Some(old) = &change.old else {
            let (temp, handle) = disk.create_temp(folder, TEMP_PREFIX, 0o644)?;
            let made = (|| {
                handle.write_at(content, 0)?;
                handle.sync_all()?;
                drop(handle);
                disk.rename_new(&temp, file)?;
                disk.sync_dir(folder)
            })();
            return match made {
                Ok(()) => Ok(()),
                Err(error) => {
                    disk.remove_if_there(&temp)?;
                    Err(if error.kind() == io::ErrorKind::AlreadyExists { meanwhile() } else { error.into() })
                }
            };
        };
        if change.edited.text == *old {
            // The process that wrote it may have died before the name was durable.
            return Ok(disk.sync_dir(folder)?);
        }
        let mode = disk.stat(file)?.mode;
        if read(disk, file)?.as_ref() != Some(old) {
            return Err(meanwhile());
        }
        Ok(disk.replace_small(file, content, mode, folder)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        disk::RealDisk,
        manager::{Call, Session},
        settings::Settings,
    };

    fn change(path: &Path, old: Option<&str>) -> Change {
        let edited = Edited { text: "new\n".into(), entry: String::new(), line: 1 };
        Change { path: path.to_owned(), old: old.map(str::to_owned), edited }
    }

    #[test]
    fn what_somebody_else_wrote_meanwhile_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("models.yaml");
        let disk: &dyn Disk = &RealDisk;
        let manager = Session::new(Settings::new("/m")).unwrap().blocking(Call::default());
        disk.replace_small(&file, b"theirs\n", 0o640, folder.path()).unwrap();
        for old in [None, Some("mine\n")] {
            let error = manager.publish(&file, folder.path(), &change(&file, old)).expect_err("refused");
            assert!(error.message().contains("was changed by another process"), "{error}");
            assert_eq!(read(disk, &file).unwrap().as_deref(), Some("theirs\n"));
        }
        manager.publish(&file, folder.path(), &change(&file, Some("theirs\n"))).unwrap();
        assert_eq!(read(disk, &file).unwrap().as_deref(), Some("new\n"));
        let names: Vec<String> = disk.list_sorted(folder.path()).unwrap().into_iter().map(|entry| entry.name).collect();
        assert_eq!(names, ["models.yaml"], "nothing unfinished stays");
    }
}
