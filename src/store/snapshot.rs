//! What all roots need, kept by the collector, so that it can look at all of them again in every section.

use super::{Result, Store, format::Stamp, roots};
use crate::digest::Sha256Digest;
use std::{
    collections::{HashMap, HashSet},
    time::{SystemTime, UNIX_EPOCH},
};
use uuid::Uuid;

/// A folder whose modification time is closer to the moment it was read than this may change again without showing it.
const CLOCK_GRAIN_NS: i64 = 2_000_000_000;

/// All roots, kept so that reading them again costs only a look at each folder that did not change.
#[derive(Debug, Default)]
pub(super) struct RootSnapshot {
    projects: HashMap<Uuid, ProjectRoots>,
    needed: HashSet<Sha256Digest>,
}

#[derive(Debug, Default)]
struct ProjectRoots {
    dir: Option<Stamp>,
    files: HashMap<String, (Stamp, Vec<Sha256Digest>)>,
}

impl RootSnapshot {
    /// Whether a root lists it.
    pub(super) fn needs(&self, digest: &Sha256Digest) -> bool {
        self.needed.contains(digest)
    }

    /// Reads what changed.
    pub(super) fn refresh(&mut self, store: &Store) -> Result<()> {
        let mut old = std::mem::take(&mut self.projects);
        let mut changed = false;
        for project in store.projects()? {
            let known = old.remove(&project).unwrap_or_default();
            let (roots, project_changed) = refresh_project(store, &project, known)?;
            changed |= project_changed;
            self.projects.insert(project, roots);
        }
        if changed || !old.is_empty() {
            self.needed = self
                .projects
                .values()
                .flat_map(|roots| roots.files.values())
                .flat_map(|(_, files)| files.iter().copied())
                .collect();
        }
        Ok(())
    }
}

fn refresh_project(store: &Store, project: &Uuid, mut known: ProjectRoots) -> Result<(ProjectRoots, bool)> {
    let dir = store.layout().project(project);
    let Some(stat) = store.disk().find(&dir)? else { return Ok((ProjectRoots::default(), !known.files.is_empty())) };
    let stamp = Stamp::from(&stat);
    if known.dir == Some(stamp) {
        return Ok((known, false));
    }
    let settled = now_ns().saturating_sub(stat.mtime_ns) > CLOCK_GRAIN_NS;
    let mut roots = ProjectRoots { dir: settled.then_some(stamp), files: HashMap::new() };
    for entry in store.disk().list(&dir)? {
        if !roots::is_root_name(&entry.name) {
            continue;
        }
        let path = dir.join(&entry.name);
        let Some(stat) = store.disk().find(&path)? else { continue };
        let stamp = Stamp::from(&stat);
        // A record is never rewritten in place: another content is another inode.
        match known.files.remove(&entry.name) {
            Some((old, files)) if old == stamp => {
                roots.files.insert(entry.name, (stamp, files));
            }
            _ => {
                if let Some(record) = store.read_root(&path)? {
                    roots.files.insert(entry.name, (stamp, record.files.iter().map(|file| file.sha256).collect()));
                }
            }
        }
    }
    Ok((roots, true))
}

fn now_ns() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_nanos() as i64)
}
