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
    borrow::Borrow,
    collections::{HashMap, HashSet},
    hash::Hash,
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

/// What exposures made, to find it without reading all of them for each.
#[derive(Debug, Default)]
pub struct MadeItems {
    items: HashMap<PlacedItem, usize>,
    paths: HashMap<PathBuf, usize>,
}

impl MadeItems {
    /// That of these exposures.
    pub fn of(exposures: &[Exposure]) -> Self {
        let mut made = Self::default();
        exposures.iter().for_each(|exposure| made.add(exposure));
        made
    }

    /// Adds what an exposure made.
    pub fn add(&mut self, exposure: &Exposure) {
        for item in &exposure.items {
            *self.items.entry(item.clone()).or_default() += 1;
            *self.paths.entry(item.path().to_owned()).or_default() += 1;
        }
    }

    /// Takes it out again.
    pub fn remove(&mut self, exposure: &Exposure) {
        for item in &exposure.items {
            take_one(&mut self.items, item);
            take_one(&mut self.paths, item.path());
        }
    }

    /// Whether one of the exposures made this.
    pub fn has(&self, item: &PlacedItem) -> bool {
        self.items.contains_key(item)
    }

    fn has_path(&self, path: &Path) -> bool {
        self.paths.contains_key(path)
    }
}

impl Project {
    /// The exposures of the project, of any application.
    ///
    /// # Errors
    /// Where a record cannot be read.
    pub fn exposures(store: &Store, project: &Uuid) -> Result<Vec<Exposure>> {
        let path_of = |exposure: &Exposure| store.layout().exposure_record(project, &exposure.id);
        Self::records(store, project, Layout::is_exposure, Exposure::from_json, path_of)
    }

    /// Makes an exposure: its record first, then each item in its order, and the record again once all of it is there. What
    /// fails leaves the record, by which it is undone.
    ///
    /// # Errors
    /// Where something stands in a place already, or cannot be made.
    ///
    /// The folder of the application is entered by handle: a link in it leads nothing elsewhere. `others` is what other
    /// exposures of the project made.
    pub fn expose(
        &self,
        disk: &Arc<dyn Disk>,
        mut exposure: Exposure,
        making: &[(PlacedItem, Making)],
        others: &MadeItems,
    ) -> Result<Exposure> {
        let store = self.store();
        let disk = &*disk.clone().confined(store.layout().root()).confined(&exposure.dir);
        let mut known = HashSet::new();
        for (item, _) in making {
            for (folder, is_missing) in folders_above(disk, item.path(), &exposure.dir)? {
                let folder = PlacedItem::Folder { path: folder };
                if (is_missing || others.has(&folder)) && known.insert(folder.clone()) {
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
        let how: HashMap<&PlacedItem, &Making> = making.iter().map(|(item, how)| (item, how)).collect();
        let is_there = |item: &PlacedItem| matches!(how.get(item), Some(Making::There));
        for item in exposure.items.iter().filter(|item| !is_there(item)) {
            match item {
                PlacedItem::Folder { path } if absent_is_none(disk.stat(path))?.is_some_and(|stat| stat.kind == Kind::Dir) => {}
                PlacedItem::Folder { path } => disk.create_dir(path, 0o755)?,
                PlacedItem::File { path, sha256 } => disk.hard_link(&store.layout().blob(sha256), path)?,
                PlacedItem::Link { path, target } => disk.symlink(target, path)?,
                PlacedItem::Text { path, .. } => {
                    let text = how.get(item).and_then(|how| if let Making::Text(text) = how { Some(text) } else { None });
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

    /// Undoes exposures: texts and links first, then files and folders, of each exposure the last item first. What is no longer
    /// what was made stays, and is returned. What another exposure of the project made too (`others`) stays for that, and a file
    /// that the application has by itself by now (`still_used`, asked when the texts and links of all are gone) stays its own.
    /// The result is in the order of `exposures`.
    pub fn unexpose(
        &self,
        disk: &Arc<dyn Disk>,
        exposures: Vec<Exposure>,
        others: &MadeItems,
        still_used: &mut dyn FnMut(&Exposure, &Path) -> bool,
    ) -> Vec<Result<Vec<PathBuf>>> {
        // A text beside files is a file of the application as these are.
        let is_first = |exposure: &Exposure, item: &PlacedItem| {
            let is_beside =
                |other: &PlacedItem| matches!(other, PlacedItem::File { .. }) && other.path().parent() == item.path().parent();
            match item {
                PlacedItem::Link { .. } => true,
                PlacedItem::Text { .. } => !exposure.items.iter().any(is_beside),
                PlacedItem::File { .. } | PlacedItem::Folder { .. } => false,
            }
        };
        let begun: Vec<_> = exposures
            .into_iter()
            .map(|mut exposure| {
                let disk = self.begin_undo(disk, &mut exposure)?;
                let mut left = Vec::new();
                for item in exposure.items.iter().rev().filter(|item| is_first(&exposure, item) && !others.has_path(item.path())) {
                    self.take_back(&*disk, item, &mut left)?;
                }
                Ok((exposure, disk, left))
            })
            .collect();
        let end = |begun: Result<(Exposure, Arc<dyn Disk>, Vec<PathBuf>)>| {
            let (exposure, disk, mut left) = begun?;
            for item in exposure.items.iter().rev().filter(|item| !is_first(&exposure, item) && !others.has_path(item.path())) {
                if !matches!(item, PlacedItem::Folder { .. }) && still_used(&exposure, item.path()) {
                    continue;
                }
                self.take_back(&*disk, item, &mut left)?;
            }
            let _shared = self.store().shared()?;
            self.store().disk().remove_if_there(&self.record(&exposure.id))?;
            self.store().disk().sync_dir(&self.store().layout().project(self.uuid()))?;
            left.reverse();
            Ok(left)
        };
        begun.into_iter().map(end).collect()
    }

    /// Records that an exposure is being undone. Returns the disk, with its folder entered by handle.
    fn begin_undo(&self, disk: &Arc<dyn Disk>, exposure: &mut Exposure) -> Result<Arc<dyn Disk>> {
        require_inside(exposure)?;
        // Where its volume is not there, nothing can be told.
        disk.stat_follow(&exposure.dir)?;
        if exposure.state != ExposureState::Undoing {
            exposure.state = ExposureState::Undoing;
            self.write(exposure)?;
        }
        Ok(disk.clone().confined(&exposure.dir))
    }

    /// Removes an item, where it still is what was made.
    fn take_back(&self, disk: &dyn Disk, item: &PlacedItem, left: &mut Vec<PathBuf>) -> Result<()> {
        let path = item.path();
        let Some(stat) = absent_is_none(disk.stat(path))? else { return Ok(()) };
        if !self.is_as_made(disk, item, stat.kind)? {
            left.push(path.to_owned());
            return Ok(());
        }
        let removed = match item {
            PlacedItem::Folder { .. } => disk.remove_dir(path),
            _ => disk.remove_file(path),
        };
        match removed {
            // The application has put something of its own into it.
            Err(error) if error.kind() == std::io::ErrorKind::DirectoryNotEmpty || error.is_not_found() => Ok(()),
            other => Ok(other?),
        }
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

fn take_one<K: Hash + Eq + ?Sized, O: Borrow<K> + Hash + Eq>(counts: &mut HashMap<O, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
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
