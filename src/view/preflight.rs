//! The check before anything is fetched: whether the view that it is fetched for can be made at all. Building checks again.

use super::{
    Result, ViewError, Views,
    link::{LinkSource, ProbeSources, Targets},
    state::States,
};
use crate::{
    digest::Sha256Digest,
    disk::{Kind, TEMP_PREFIX},
    names::RelPath,
    settings::LinkMode,
    store::{Dir, Store, ViewKey},
};
use std::path::{Path, PathBuf};

/// A file that a view is going to have.
#[derive(Debug, Clone, Copy)]
pub struct ExpectedFile<'a> {
    /// Its path below the view's folder.
    pub path: &'a RelPath,
    /// Its content, where that is known before it is here.
    pub sha256: Option<Sha256Digest>,
    /// Its length in bytes, as far as that is known.
    pub size: u64,
}

impl Views {
    /// Refuses where no file of this view could be made: no link of the asked kind is possible in its place, or this user
    /// may not write there, or copies do not fit beside the `required_space` of the blobs. For callers that would
    /// else fetch gigabytes first. Uses the same fallbacks as building.
    ///
    /// It tries with one link, in the lowest of the view's folders that is there. In doubt it refuses nothing.
    pub fn require_possible(
        &self,
        key: &ViewKey,
        files: &[ExpectedFile<'_>],
        mode: LinkMode,
        required_space: impl FnOnce() -> u64,
    ) -> Result<()> {
        let store = self.store()?;
        let targets = Targets::find(&*self.disk, &self.models_dir, store)?;
        let (place, depth) = self.lowest_folder(key)?;
        let kept = self.manifest(key)?.map(|manifest| manifest.link);
        let link = match mode {
            LinkMode::Auto => kept.unwrap_or(LinkMode::Symlink),
            mode => mode,
        };
        let mut states = self.states();
        let mut lacks = |file: &ExpectedFile<'_>| self.is_lacking(key, file, link, (store, &targets), &mut states);
        let tried = if link == LinkMode::Copy {
            let mut need = 0;
            for file in files {
                need += if lacks(file)? { file.size } else { 0 };
            }
            self.require_space_for_copies(key, &place, need, required_space)
        } else {
            let first = files.iter().find_map(|file| lacks(file).map(|lacks| lacks.then_some(file)).transpose());
            match first.transpose()? {
                Some(file) => self.try_out(key, file, mode, kept, ProbePlace { place: &place, depth, store, targets: &targets }),
                None => Ok(()),
            }
        };
        match tried {
            // The process that removed the folder meanwhile had a reason; building makes it again.
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
        file: &ExpectedFile<'_>,
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

    fn require_space_for_copies(&self, key: &ViewKey, place: &Path, need: u64, required_space: impl FnOnce() -> u64) -> Result<()> {
        if need == 0 {
            return Ok(());
        }
        self.require_writable(place)?;
        let store = self.store()?;
        let mut free = Some(self.disk.space(place)?.available);
        if self.disk.stat_follow(store.layout().root())?.dev == self.disk.stat_follow(place)?.dev {
            // Whether the blobs themselves fit, the store checks.
            free = free.and_then(|free| free.checked_sub(required_space()));
        }
        match free.filter(|free| *free < need) {
            None => Ok(()),
            Some(free) => Err(ViewError::NoSpace { path: self.dir(key), need, free }),
        }
    }

    /// Tries a mode, or whatever works, with the blob of this file if it is there.
    fn try_out(
        &self,
        key: &ViewKey,
        file: &ExpectedFile<'_>,
        mode: LinkMode,
        kept: Option<LinkMode>,
        probe_place: ProbePlace<'_>,
    ) -> Result<()> {
        let ProbePlace { place, depth, store, targets } = probe_place;
        let source = |blob: PathBuf| LinkSource { target: targets.to(depth, store, &blob), blob };
        let blob = match file.sha256 {
            Some(digest) => store.find(&digest)?.map(|blob| store.layout().blob(&blob.digest)),
            None => None,
        };
        // Not to the blob, although that may be there: in the models directory only links to a marker are known to be ours.
        let shown = source(store.layout().marker());
        let mut probe_sources = ProbeSources { shown: Some(shown), solid: blob.filter(|_| file.size > 0).map(source) };
        // A probe link that a process left when it died; what cannot be removed says nothing of what can be made. The models
        // directory itself is swept where it is registered.
        if place != self.models_dir {
            let _ = self.sweep(place);
        }
        let first_is_symlink = matches!((mode, kept), (LinkMode::Symlink, _) | (LinkMode::Auto, None | Some(LinkMode::Symlink)));
        if first_is_symlink && self.probe(LinkMode::Symlink, place, &probe_sources).is_ok() {
            return Ok(());
        }
        // A blob that is yet to come will be this user's own, as this file is, which counts where hard links are allowed to
        // the owner only.
        let stand_in = match mode != LinkMode::Symlink && probe_sources.solid.is_none() {
            true => Some(store.disk().create_temp(&store.layout().dir(Dir::Temp), TEMP_PREFIX, 0o600)?),
            false => None,
        };
        let chosen = match &stand_in {
            None => self.choose(mode, kept, place, &probe_sources),
            Some((path, file)) => file.write_at(b"\n", 0).map_err(ViewError::from).and_then(|()| {
                probe_sources.solid = Some(source(path.clone()));
                self.choose(mode, kept, place, &probe_sources)
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

/// Where a link is tried.
struct ProbePlace<'a> {
    place: &'a Path,
    depth: usize,
    store: &'a Store,
    targets: &'a Targets,
}
