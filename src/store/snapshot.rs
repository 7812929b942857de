//! What all roots need, kept by the collector, so that it can look at all of them again in every section.

use super::{Layout, Result, Store, format::Stamp};
use crate::{digest::Sha256Digest, disk};
use std::{
    collections::{HashMap, hash_map::Entry},
    time::{SystemTime, UNIX_EPOCH},
};
use uuid::Uuid;

/// A folder whose modification time is closer to the moment it was read than this may change again without showing it.
const CLOCK_GRAIN_NS: i64 = 2_000_000_000;
/// The same where times have parts of a second and come from the clock of this machine, which ticks every 10 ms at most.
const FINE_CLOCK_GRAIN_NS: i64 = 50_000_000;

/// All roots, kept so that reading them again costs only a look at each folder that did not change.
#[derive(Debug, Default)]
pub(super) struct RootSnapshot {
    projects: HashMap<Uuid, ProjectRoots>,
    /// For every rooted blob, in how many places of how many roots it stands.
    needed: HashMap<Sha256Digest, usize>,
}

#[derive(Debug, Default)]
struct ProjectRoots {
    dir: Option<Stamp>,
    files: HashMap<String, (Stamp, Vec<Sha256Digest>)>,
}

impl RootSnapshot {
    /// Whether a root lists it.
    pub(super) fn needs(&self, digest: &Sha256Digest) -> bool {
        self.needed.contains_key(digest)
    }

    /// Reads what changed. An error may leave blobs counted that nothing needs any more, never the other way round.
    pub(super) fn refresh(&mut self, store: &Store) -> Result<()> {
        let mut old = std::mem::take(&mut self.projects);
        for project in store.projects()? {
            let known = old.remove(&project).unwrap_or_default();
            let roots = self.refresh_project(store, &project, known)?;
            self.projects.insert(project, roots);
        }
        old.into_values().flat_map(|gone| gone.files.into_values()).for_each(|(_, files)| self.release(&files));
        Ok(())
    }

    fn refresh_project(&mut self, store: &Store, project: &Uuid, mut known: ProjectRoots) -> Result<ProjectRoots> {
        let dir = store.layout().project(project);
        let mut roots = ProjectRoots::default();
        if let Some(stat) = store.disk().find(&dir)? {
            let stamp = Stamp::from(&stat);
            if known.dir == Some(stamp) {
                return Ok(known);
            }
            roots.dir = is_settled(store, stat.mtime_ns).then_some(stamp);
            for entry in store.disk().list(&dir)?.into_iter().filter(|entry| Layout::is_root(&entry.name)) {
                let path = dir.join(&entry.name);
                let Some(stat) = store.disk().find(&path)? else { continue };
                let stamp = Stamp::from(&stat);
                // A record is never rewritten in place: another content is another inode.
                if known.files.get(&entry.name).is_some_and(|(old, _)| *old == stamp) {
                    roots.files.extend(known.files.remove_entry(&entry.name));
                } else if let Some(record) = store.read_root(&path)? {
                    let files: Vec<Sha256Digest> = record.files.iter().map(|file| file.sha256).collect();
                    files.iter().for_each(|digest| *self.needed.entry(*digest).or_default() += 1);
                    roots.files.insert(entry.name, (stamp, files));
                }
            }
        }
        known.files.into_values().for_each(|(_, files)| self.release(&files));
        Ok(roots)
    }

    fn release(&mut self, files: &[Sha256Digest]) {
        for digest in files {
            if let Entry::Occupied(mut places) = self.needed.entry(*digest) {
                *places.get_mut() -= 1;
                if *places.get() == 0 {
                    places.remove();
                }
            }
        }
    }
}

/// Whether a folder with this modification time cannot change any more without showing it.
fn is_settled(store: &Store, mtime_ns: i64) -> bool {
    let is_fine = mtime_ns % 1_000_000_000 != 0 && !disk::is_network_file_system(store.layout().root());
    let grain = if is_fine { FINE_CLOCK_GRAIN_NS } else { CLOCK_GRAIN_NS };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_nanos() as i64);
    now.saturating_sub(mtime_ns) > grain
}
