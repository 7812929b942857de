//! Exposures: what was placed in the folders of other applications. The record is a root, so the blobs stay; and it is the
//! journal by which all of it is undone. It is written before anything is made.

use super::{
    Project, Result, Store, StoreError,
    format::{Exposure, ExposureState, PlacedItem},
    layout::{Dir, Layout},
};
use crate::{
    digest::sha256_of,
    disk::{Disk, DiskError, Kind, absent_is_none},
};
use std::{
    path::{Component, Path, PathBuf},
    sync::Arc,
};
use uuid::Uuid;

/// The longest small file that is compared before it is removed, in bytes.
const LONGEST_TEXT: u64 = 1 << 20;

/// What is made of an item.
#[derive(Debug, Clone)]
pub enum Making {
    /// A further name of this blob.
    Blob,
    /// A symbolic link, as the item says.
    Link,
    /// A small file with this content.
    Text(Vec<u8>),
    /// Another exposure made it, and it is there.
    There,
}

impl Project {
    /// The exposures of the project, of any application.
    ///
    /// # Errors
    /// Where a record cannot be read.
    pub fn exposures(store: &Store, project: &Uuid) -> Result<Vec<Exposure>> {
        let dir = store.layout().project(project);
        let mut exposures = Vec::new();
        for entry in store.disk().list_sorted(&dir)?.into_iter().filter(|entry| Layout::is_exposure(&entry.name)) {
            let path = dir.join(&entry.name);
            if let Some(text) = store.disk().read_record(&path).map_err(StoreError::of_record)? {
                // A record under another name would never be removed.
                let is_own = |exposure: &Exposure| path == store.layout().exposure_record(project, &exposure.id);
                exposures.extend(Exposure::from_json(&path, &text)?.filter(is_own));
            }
        }
        Ok(exposures)
    }

    /// Makes an exposure: its record first, then each item in its order, and the record again once all of it is there. What
    /// fails leaves the record, by which it is undone.
    ///
    /// # Errors
    /// Where something stands in a place already, or cannot be made.
    ///
    /// The folder of the application is entered by handle: a link in it leads nothing elsewhere.
    pub fn expose(&self, disk: &Arc<dyn Disk>, mut exposure: Exposure, making: &[(PlacedItem, Making)]) -> Result<Exposure> {
        let store = self.store();
        let disk = &*disk.clone().confined(store.layout().root()).confined(&exposure.dir);
        let others = Self::exposures(store, self.uuid())?;
        let is_of_others = |folder: &PlacedItem| others.iter().any(|other| other.items.contains(folder));
        for (item, _) in making {
            for (folder, is_missing) in folders_above(disk, item.path(), &exposure.dir)? {
                let folder = PlacedItem::Folder { path: folder };
                if !is_missing && !is_of_others(&folder) {
                    continue;
                }
                if !exposure.items.contains(&folder) {
                    exposure.items.push(folder);
                }
            }
            exposure.items.push(item.clone());
        }
        require_inside(&exposure)?;
        exposure.state = ExposureState::Making;
        self.write(&exposure)?;
        for file in &exposure.files {
            if store.find(&file.sha256)?.is_none() {
                return Err(StoreError::Vanished(file.sha256));
            }
        }
        let is_there = |item: &PlacedItem| making.iter().any(|(of, how)| matches!(how, Making::There) && of == item);
        for item in exposure.items.iter().filter(|item| !is_there(item)) {
            match item {
                PlacedItem::Folder { path } if absent_is_none(disk.stat(path))?.is_some_and(|stat| stat.kind == Kind::Dir) => {}
                PlacedItem::Folder { path } => disk.create_dir(path, 0o755)?,
                PlacedItem::File { path, sha256 } => disk.hard_link(&store.layout().blob(sha256), path)?,
                PlacedItem::Link { path, target } => disk.symlink(target, path)?,
                PlacedItem::Text { path, .. } => {
                    let text = making.iter().find_map(|(of, how)| match how {
                        Making::Text(text) if of == item => Some(text),
                        _ => None,
                    });
                    // It gets its name when it is whole: a part of it would be taken for a file of the application.
                    let mut file = disk.write_unnamed(text.map_or(&[][..], Vec::as_slice), 0o644, &self.scratch(disk, path)?)?;
                    file.sync()?;
                    file.name_new(path)?;
                }
            }
            if let Some(parent) = item.path().parent() {
                disk.sync_dir(parent)?;
            }
        }
        exposure.state = ExposureState::Made;
        self.write(&exposure)?;
        Ok(exposure)
    }

    /// Undoes an exposure, the last item first. What is no longer what was made stays, and is returned. What another exposure of
    /// the project made too stays for that, and a file that the application has by itself by now (`still_used`) stays its own.
    ///
    /// # Errors
    /// Where something cannot be looked at or removed.
    pub fn unexpose(
        &self,
        disk: &Arc<dyn Disk>,
        mut exposure: Exposure,
        still_used: &dyn Fn(&Path) -> bool,
    ) -> Result<Vec<PathBuf>> {
        require_inside(&exposure)?;
        // Where its volume is not there, nothing can be told.
        disk.stat_follow(&exposure.dir)?;
        let disk = &*disk.clone().confined(&exposure.dir);
        let others: Vec<Exposure> =
            Self::exposures(self.store(), self.uuid())?.into_iter().filter(|other| other.id != exposure.id).collect();
        let is_shared =
            |item: &PlacedItem| others.iter().any(|other| other.items.iter().any(|theirs| theirs.path() == item.path()));
        if exposure.state != ExposureState::Undoing {
            exposure.state = ExposureState::Undoing;
            self.write(&exposure)?;
        }
        let mut left = Vec::new();
        for item in exposure.items.iter().rev() {
            let path = item.path();
            let Some(stat) = absent_is_none(disk.stat(path))? else { continue };
            if is_shared(item) || (matches!(item, PlacedItem::File { .. }) && still_used(path)) {
                continue;
            }
            if !self.is_as_made(disk, item, stat.kind)? {
                left.push(path.to_owned());
                continue;
            }
            let removed = match item {
                PlacedItem::Folder { .. } => disk.remove_dir(path),
                _ => disk.remove_file(path),
            };
            match removed {
                // The application has put something of its own into it.
                Err(error) if error.kind() == std::io::ErrorKind::DirectoryNotEmpty || error.is_not_found() => {}
                other => other?,
            }
        }
        let _shared = self.store().shared()?;
        let record = self.record(&exposure.id);
        self.store().disk().remove_if_there(&record)?;
        self.store().disk().sync_dir(&self.store().layout().project(self.uuid()))?;
        left.reverse();
        Ok(left)
    }

    /// Whether what stands at a place still is what was made there.
    fn is_as_made(&self, disk: &dyn Disk, item: &PlacedItem, kind: Kind) -> Result<bool> {
        Ok(match item {
            PlacedItem::Folder { .. } => kind == Kind::Dir,
            PlacedItem::Link { path, target } => kind == Kind::Symlink && disk.read_link(path)? == *target,
            PlacedItem::File { path, sha256 } => {
                let here = disk.stat(path)?;
                let blob = self.store().stat(sha256)?;
                kind == Kind::File && blob.is_some_and(|blob| blob.ino != 0 && (blob.dev, blob.ino) == (here.dev, here.ino))
            }
            PlacedItem::Text { path, sha256 } => {
                let text = if kind == Kind::File { disk.read_at_most(path, LONGEST_TEXT).ok().flatten() } else { None };
                text.is_some_and(|text| sha256_of(&text) == *sha256)
            }
        })
    }

    /// A folder on the volume of a place for a file that has no name yet: that of the store, where it is there.
    fn scratch(&self, disk: &dyn Disk, path: &Path) -> Result<PathBuf> {
        let (parent, tmp) = (path.parent().unwrap_or(path).to_owned(), self.store().layout().dir(Dir::Temp));
        let is_one_volume = disk.stat_follow(&parent)?.dev == disk.stat_follow(&tmp)?.dev;
        Ok(if is_one_volume { tmp } else { parent })
    }

    fn write(&self, exposure: &Exposure) -> Result<()> {
        let _shared = self.store().shared()?;
        self.store().replace_record(&self.record(&exposure.id), &exposure.to_json())
    }

    fn record(&self, id: &Uuid) -> PathBuf {
        self.store().layout().exposure_record(self.uuid(), id)
    }
}

/// Refuses an exposure with a place outside of its folder. A record is not trusted: it may come with a project, or from
/// another user who may write the store.
fn require_inside(exposure: &Exposure) -> Result<()> {
    let is_plain = |path: &Path| path.components().all(|part| !matches!(part, Component::ParentDir | Component::CurDir));
    let is_inside =
        |item: &PlacedItem| item.path() != exposure.dir && item.path().starts_with(&exposure.dir) && is_plain(item.path());
    match exposure.dir.is_absolute() && is_plain(&exposure.dir) && exposure.items.iter().all(is_inside) {
        true => Ok(()),
        false => Err(StoreError::BadRecord {
            path: exposure.dir.clone(),
            why: format!("the exposure {} has a place outside of that folder", exposure.id),
        }),
    }
}

/// The folders between a folder and a place in it, the highest first, and whether they are missing.
fn folders_above(disk: &dyn Disk, path: &Path, dir: &Path) -> Result<Vec<(PathBuf, bool)>, DiskError> {
    let mut folders = Vec::new();
    for folder in path.ancestors().skip(1).take_while(|folder| *folder != dir) {
        folders.push((folder.to_owned(), absent_is_none(disk.stat(folder))?.is_none()));
    }
    folders.reverse();
    Ok(folders)
}
