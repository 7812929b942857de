//! The projects that share a store, and what became of them.

use super::{ModelManager, ProjectReport, ProjectState};
use crate::{
    disk::{self, Disk},
    error::{Error, ErrorKind, Result},
    hint::Hint,
    store::{Project, Store, StoreError, format::ProjectRecord},
};
use std::path::Path;
use uuid::Uuid;

impl ModelManager {
    /// Every project that the store knows.
    pub fn projects(&self) -> Result<Vec<ProjectReport>> {
        let store = self.existing_store()?.ok_or_else(|| StoreError::Absent { path: self.store_dir() })?;
        store.projects()?.into_iter().map(|project| self.project_line(&store, project)).collect()
    }

    pub(super) fn project_line(&self, store: &Store, uuid: Uuid) -> Result<ProjectReport> {
        let record = store.known_project(&uuid);
        let roots = store.all_roots_of(&uuid)?;
        let state = record.as_ref().map_or(ProjectState::Unreachable, |record| state_of(&*self.disk, record));
        Ok(ProjectReport {
            uuid,
            path: record.as_ref().map(|record| record.location.path.clone()).unwrap_or_default(),
            host: record.as_ref().map(|record| record.location.host.clone()).unwrap_or_default(),
            last_seen: record.map(|record| record.last_seen).unwrap_or_default(),
            state,
            views: roots.iter().filter_map(|root| root.owner.view().cloned()).collect(),
            other_owners: roots.iter().filter(|root| root.owner.view().is_none()).map(|root| root.owner.clone()).collect(),
            total_bytes: roots.iter().flat_map(|root| &root.files).map(|file| file.size).sum(),
        })
    }

    /// Drops the roots of a project, so that its blobs can be collected. `which` is its path or the beginning of its uuid.
    /// A project that is there is refused unless `force` is given: its models would break.
    pub fn forget_project(&self, which: &str, force: bool) -> Result<ProjectReport> {
        let store = self.existing_store()?.ok_or_else(|| StoreError::Absent { path: self.store_dir() })?;
        let path = std::path::absolute(Path::new(which)).unwrap_or_else(|_| which.into());
        let matches = |line: &ProjectReport| {
            let at = Path::new(&line.path);
            at == path || at == path.join("models") || (which.len() >= 8 && line.uuid.to_string().starts_with(which))
        };
        let found: Vec<ProjectReport> = self.projects()?.into_iter().filter(matches).collect();
        let [line] = found.as_slice() else {
            let message = match found.len() {
                0 => format!("the store knows no project `{which}`"),
                several => format!("`{which}` means {several} projects"),
            };
            return Err(Error::new(ErrorKind::NotFound, message).hint(Hint::NameProject));
        };
        if line.state == ProjectState::Live && !force {
            return Err(Error::new(ErrorKind::Usage, format!("{} is still there and uses {} views", line.path, line.views.len()))
                .hint(Hint::ForgetLiveProject { uuid: line.uuid.to_string() }));
        }
        store.forget(&line.uuid)?;
        Ok(line.clone())
    }
}

/// What became of a project. "Gone" is only said where the volume it was on is there; anything else may come back.
fn state_of(disk: &dyn Disk, record: &ProjectRecord) -> ProjectState {
    if record.location.host != disk::host_name() {
        return ProjectState::Unreachable;
    }
    let path = Path::new(&record.location.path);
    match disk.stat_follow(path) {
        Ok(_) => match Project::identify(disk, path) {
            Ok(Some(uuid)) if uuid == record.uuid => ProjectState::Live,
            Ok(_) => ProjectState::Missing,
            Err(_) => ProjectState::Unreachable,
        },
        Err(error) if error.is_not_found() => {
            let ancestor = path.ancestors().skip(1).find_map(|dir| disk.stat_follow(dir).ok());
            match ancestor {
                Some(stat) if stat.dev == record.location.dev => ProjectState::Missing,
                _ => ProjectState::Unreachable,
            }
        }
        Err(_) => ProjectState::Unreachable,
    }
}
