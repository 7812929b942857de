//! The look before anything is fetched: whether the view that it is fetched for can be made at all. Building looks again.

use super::{
    Result, ViewError, Views,
    link::{Sample, Source, Targets},
    state::States,
};
use crate::{
    digest::Sha256Digest,
    disk::Kind,
    names::RelPath,
    settings::LinkMode,
    store::{Store, ViewKey},
};
use std::path::{Path, PathBuf};

/// A file that a view is going to have.
#[derive(Debug, Clone, Copy)]
pub struct Awaited<'a> {
    /// Its path below the view's folder.
    pub path: &'a RelPath,
    /// Its content, where that is known before it is here.
    pub sha256: Option<Sha256Digest>,
    /// Its length in bytes, as far as that is known.
    pub size: u64,
}

impl Views {
    /// Refuses where no file of this view could be made: no link of the asked kind is possible in its place, or this user
    /// may not write there, or copies have no room beside the `room` that the blobs still take. For callers that would
    /// else fetch gigabytes first. What building falls back to by itself is fallen back to here.
    ///
    /// It tries with one link, in the lowest of the view's folders that is there. In doubt it refuses nothing.
    pub fn require_possible(&self, key: &ViewKey, files: &[Awaited<'_>], mode: LinkMode, room: impl FnOnce() -> u64) -> Result<()> {
        let store = self.store()?;
        let targets = Targets::find(&*self.disk, &self.models_dir, store)?;
        let (place, depth) = self.lowest_folder(key)?;
        let kept = self.manifest(key)?.map(|manifest| manifest.link);
        let link = match mode {
            LinkMode::Auto => kept.unwrap_or(LinkMode::Symlink),
            mode => mode,
        };
        let mut states = self.states();
        let mut lacks = |file: &Awaited<'_>| self.is_lacking(key, file, link, (store, &targets), &mut states);
        let tried = if link == LinkMode::Copy {
            let mut need = 0;
            for file in files {
                need += if lacks(file)? { file.size } else { 0 };
            }
            self.require_room_for_copies(key, &place, need, room)
        } else {
            let first = files.iter().find_map(|file| lacks(file).map(|lacks| lacks.then_some(file)).transpose());
            match first.transpose()? {
                Some(file) => self.try_out(key, file, mode, kept, Trial { place: &place, depth, store, targets: &targets }),
                None => Ok(()),
            }
        };
        match tried {
            // Whoever removed the folder meanwhile had a reason; building makes it again.
            Err(_) if self.disk.find(&place)?.is_none() => Ok(()),
            tried => tried,
        }
    }

    /// The view's folder or the nearest above it that is there, and how deep that is below the models directory.
    fn lowest_folder(&self, key: &ViewKey) -> Result<(PathBuf, usize)> {
        let (mut place, mut depth) = (self.models_dir.clone(), 0);
        for part in key.dir().components() {
            let next = place.join(part);
            if self.disk.find(&next)?.is_none() {
                break;
            }
            (place, depth) = (next, depth + 1);
        }
        Ok((place, depth))
    }

    /// Whether a file will certainly have to be made: nothing stands in its place, or what shows something else.
    fn is_lacking(
        &self,
        key: &ViewKey,
        file: &Awaited<'_>,
        link: LinkMode,
        to: (&Store, &Targets),
        states: &mut States<'_>,
    ) -> Result<bool> {
        let (store, targets) = to;
        let path = self.dir(key).join(file.path.to_path());
        let Some(stat) = self.disk.find(&path)? else { return Ok(true) };
        Ok(match (stat.kind, link) {
            (Kind::Symlink, LinkMode::Symlink) => {
                let depth = key.dir().components().count() + file.path.depth();
                let wanted = file.sha256.map(|digest| targets.of(depth, store, &digest));
                let held = crate::disk::absent_is_none(self.disk.read_link(&path))?;
                wanted.is_some_and(|wanted| held.is_none_or(|held| held != wanted))
            }
            (Kind::Symlink, _) | (Kind::File, LinkMode::Symlink) => true,
            (Kind::File, _) => {
                let shown = states.at(&path)?.and_then(|state| state.digest());
                matches!((shown, file.sha256), (Some(shown), Some(wanted)) if shown != wanted)
            }
            (Kind::Dir | Kind::Other, _) => false,
        })
    }

    fn require_room_for_copies(&self, key: &ViewKey, place: &Path, need: u64, room: impl FnOnce() -> u64) -> Result<()> {
        if need == 0 {
            return Ok(());
        }
        self.require_writable(place)?;
        let store = self.store()?;
        let mut free = Some(self.disk.space(place)?.available);
        if self.disk.stat_follow(store.layout().root())?.dev == self.disk.stat_follow(place)?.dev {
            // That not even the blobs have room, the store says.
            free = free.and_then(|free| free.checked_sub(room()));
        }
        match free.filter(|free| *free < need) {
            None => Ok(()),
            Some(free) => Err(ViewError::NoSpace { path: self.dir(key), need, free }),
        }
    }

    /// Tries a mode, or whatever works, with the blob of this file if it is there.
    fn try_out(&self, key: &ViewKey, file: &Awaited<'_>, mode: LinkMode, kept: Option<LinkMode>, trial: Trial<'_>) -> Result<()> {
        let Trial { place, depth, store, targets } = trial;
        let source = |blob: PathBuf| Source { target: targets.to(depth, store, &blob), blob };
        let blob = match file.sha256 {
            Some(digest) => store.find(&digest)?.map(|blob| store.layout().blob(&blob.digest)),
            None => None,
        };
        // Not to the blob, although that may be there: in the models directory only links to a marker are known to be ours.
        let shown = source(store.layout().marker());
        let mut sample = Sample { shown: Some(shown), solid: blob.filter(|_| file.size > 0).map(source) };
        // A trial of somebody who died in it; what cannot be removed says nothing of what can be made. The models directory
        // itself is swept where it is registered.
        if place != self.models_dir {
            let _ = self.sweep(place);
        }
        let first_is_symlink = matches!((mode, kept), (LinkMode::Symlink, _) | (LinkMode::Auto, None | Some(LinkMode::Symlink)));
        if first_is_symlink && self.probe(LinkMode::Symlink, place, &sample).is_ok() {
            return Ok(());
        }
        // A blob that is yet to come will be this user's own, as this file is, which counts where hard links are allowed to
        // the owner only.
        let stand_in = match mode != LinkMode::Symlink && sample.solid.is_none() {
            true => Some(store.disk().create_temp(&store.layout().dir("tmp"), ".tmp-", 0o600)?),
            false => None,
        };
        let chosen = match &stand_in {
            None => self.choose(mode, kept, place, &sample),
            Some((path, file)) => file.write_at(b"\n", 0).map_err(ViewError::from).and_then(|()| {
                sample.solid = Some(source(path.clone()));
                self.choose(mode, kept, place, &sample)
            }),
        };
        if let Some((path, file)) = stand_in {
            drop(file);
            store.disk().remove_if_there(&path)?;
        }
        match chosen {
            Ok(_) => Ok(()),
            Err(ViewError::Mode { mode, why, .. }) => Err(ViewError::Mode { mode, path: self.dir(key), why }),
            Err(ViewError::NoMode { why, .. }) => Err(ViewError::NoMode { path: self.dir(key), why }),
            Err(error) => Err(error),
        }
    }
}

/// Where something is tried out.
struct Trial<'a> {
    place: &'a Path,
    depth: usize,
    store: &'a Store,
    targets: &'a Targets,
}
