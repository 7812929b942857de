//! Modes and owners: whom a store shuts out, and whom it lets in that it should not.

use super::{Findings, IN_THE_WAY, Severity};
use crate::{
    disk::{self, Kind, Stat},
    hint::{Action, Hint, Verb},
    store::{Result, ShutOut, StoreError},
    text,
};
use std::path::{Path, PathBuf};

impl Findings<'_> {
    /// A folder that is to be there and to let in whom the store lets in.
    pub(super) fn folder(&mut self, dir: PathBuf) -> Result<()> {
        let mode = self.store.marker().folder_mode();
        let found = self.store.disk().find(&dir).map_err(StoreError::from);
        match self.reported(found)? {
            None => drop(self.shut.insert(dir)),
            Some(None) if self.is_shut(&dir) => {}
            Some(None) => self.add(Severity::Repairable, dir, "the folder is missing", Hint::Run(Action::new(Verb::Init))),
            Some(Some(stat)) if stat.kind != Kind::Dir => {
                let (what, repair) = match stat.kind {
                    Kind::Symlink => ("a symbolic link is in the place of a folder, and none is followed", Hint::ReplaceLink),
                    _ => ("something that is no folder is in the way", Hint::RestoreFolder),
                };
                self.shut.insert(dir.clone());
                self.add(Severity::Repairable, dir, what, repair);
            }
            Some(Some(stat)) => self.mode(dir, &stat, mode),
        }
        Ok(())
    }

    /// Records in a folder that are not replaced by renaming: everybody who uses the store opens them for writing.
    pub(super) fn written_in_place(&mut self, dir: &Path) -> Result<()> {
        for entry in self.names(dir)? {
            let path = dir.join(&entry.name);
            let is_ours = self.store.layout().is_record(&path) || self.store.layout().is_partial_data(&path);
            if entry.kind == Kind::File {
                self.record_mode(path)?;
            } else if self.store.layout().is_lock(&path) {
                let (what, repair) =
                    ("it is no lock file, and what needs this lock fails until then", self.way_out(&path, entry.kind));
                self.add(Severity::Repairable, path, what, repair);
            } else if is_ours || entry.name.starts_with(disk::TEMP_PREFIX) {
                self.add(Severity::Repairable, path, IN_THE_WAY, Hint::MoveElsewhere);
            }
        }
        Ok(())
    }

    /// The command that removes something in place of a lock file. A folder may have content.
    fn way_out(&self, path: &Path, kind: Kind) -> Hint {
        match kind {
            Kind::Symlink | Kind::Other if cfg!(unix) => Hint::SystemCommand(format!("rm {}", text::shell_path(path))),
            _ => Hint::MoveElsewhere,
        }
    }

    pub(super) fn record_mode(&mut self, path: PathBuf) -> Result<()> {
        let found = self.store.disk().find(&path).map_err(StoreError::from);
        let Some(Some(stat)) = self.reported(found)? else { return Ok(()) };
        let marker = self.store.marker();
        match self.store.layout().is_lock(&path) {
            true if stat.nlink > 1 => {
                let what = "it has further names, and would be written under all of them, so it is not used";
                self.add(Severity::Repairable, path, what, Hint::MoveElsewhere);
            }
            true => self.mode(path, &stat, marker.lock_mode()),
            false if self.store.layout().is_record(&path) => self.mode(path, &stat, marker.file_mode()),
            false => {}
        }
        Ok(())
    }

    pub(super) fn mode(&mut self, path: PathBuf, stat: &Stat, wanted: u32) {
        if !cfg!(unix) {
            return;
        }
        let (is_shared, is_lock) = (self.store.marker().is_shared(), self.store.layout().is_lock(&path));
        if !is_shared && stat.uid != self.root.uid {
            self.strangers.entry(stat.uid).or_insert((0, path.clone())).0 += 1;
        }
        let repair = match is_shared {
            true => Hint::ShareAsOwner,
            false => Hint::SystemCommand(format!("chmod {wanted:o} {}", text::shell_path(&path))),
        };
        let is_too_open = stat.mode & !wanted & if is_lock { 0o077 } else { 0o022 } != 0;
        if stat.mode & wanted != wanted {
            let what = format!("its mode is {:o} and should be {wanted:o}: it shuts other users of the store out", stat.mode);
            self.add(Severity::Repairable, path, what, repair);
        } else if is_shared && stat.gid != self.root.gid {
            let (is, should) = (disk::group_name(stat.gid), disk::group_name(self.root.gid));
            let what = format!("it belongs to the group {is} and not to {should}, whose members it shuts out");
            self.add(Severity::Repairable, path, what, repair);
        } else if is_too_open {
            let (is, who) = (stat.mode, if is_lock { "can hold it and make everybody wait" } else { "can change what is in it" });
            let what = format!("its mode is {is:o} and should be {wanted:o}: other users {who}");
            self.add(Severity::Repairable, path, what, repair);
        }
    }

    /// Reports entries of a private store that its user cannot use because they belong to another user.
    pub(super) fn owners(&mut self) {
        for (uid, (count, path)) in std::mem::take(&mut self.strangers) {
            let root = self.store.layout().root();
            let shut_out = ShutOut::in_store(root, &self.root, uid, false);
            let (by, owner) = (disk::user_name(uid), disk::user_name(self.root.uid));
            let what = format!("{count} of its files and folders belong to {by} and not to {owner}, such as {}", path.display());
            self.add(Severity::Repairable, root, what, Hint::SystemCommand(shut_out.command()));
        }
    }
}
