//! The records of projects and their roots.

use super::{Findings, Severity};
use crate::{
    digest::Sha256Digest,
    disk::Kind,
    hint::{Action, Hint, Verb},
    store::{
        Result, RootOwner, StoreError,
        layout::{Dir, Layout},
    },
};
use std::{collections::HashSet, path::PathBuf};
use uuid::Uuid;

impl Findings<'_> {
    pub(super) fn roots(&mut self, blobs: &HashSet<Sha256Digest>) -> Result<()> {
        let dir = self.store.layout().dir(Dir::Roots);
        let (projects, foreign) = self.projects()?;
        for path in foreign {
            let what = "not the folder of a project; it may protect something, so nothing is collected while it is here";
            if self.shut.contains(&path) {
                continue;
            }
            let is_link = matches!(self.store.disk().find(&path), Ok(Some(stat)) if stat.kind == Kind::Symlink);
            self.add(Severity::Repairable, path, what, if is_link { Hint::ReplaceLink } else { Hint::MoveElsewhere });
        }
        for project in projects {
            let dir = dir.join(project.to_string());
            match self.store.project_record(&project) {
                Ok(Some(_)) => {}
                Err(_) if self.is_shut(&dir) => {}
                Ok(None) => self.add(
                    Severity::Repairable,
                    dir.clone(),
                    "a project without a record",
                    Hint::RegisterOrForget { project: project.to_string() },
                ),
                Err(error) => {
                    let path = self.store.layout().project_record(&project);
                    let repair = Hint::RestoreOrForget { path: path.clone(), project: project.to_string() };
                    self.add(Severity::Repairable, path, error.to_string(), repair);
                }
            }
            for entry in self.names(&dir)?.into_iter().filter(|entry| Layout::is_root(&entry.name)) {
                let path = dir.join(&entry.name);
                self.record_mode(path.clone())?;
                match self.store.read_root(&path) {
                    Ok(Some(root)) => {
                        for file in root.files.iter().filter(|file| !blobs.contains(&file.sha256)) {
                            // Where blobs cannot be seen, none is known to be gone.
                            if self.is_shut(&self.store.layout().blob(&file.sha256)) {
                                continue;
                            }
                            let what = format!("{} needs the blob {}, which is gone", root.owner, file.sha256);
                            let repair = match root.owner.view() {
                                Some(view) => Hint::DownloadInProject(Action::new(Verb::Download).name(view.name())),
                                None => Hint::ShowUsers(file.sha256.to_string()),
                            };
                            self.add(Severity::Loss, path.clone(), what, repair);
                        }
                        if let RootOwner::Unknown(_) = root.owner {
                            let what = format!("{} keeps {} of the blobs", root.owner, root.files.len());
                            self.add(Severity::Leftover, path, what, Hint::LeaveToVersion);
                        }
                    }
                    Ok(None) => {}
                    Err(error) => self.unreadable(error, path),
                }
            }
        }
        Ok(())
    }

    pub(super) fn projects(&mut self) -> Result<(Vec<Uuid>, Vec<PathBuf>)> {
        match self.store.names_in_roots() {
            // A missing folder is reported with the other folders.
            Err(StoreError::Disk(error)) if error.is_not_found() => Ok(Default::default()),
            other => Ok(self.reported(other)?.unwrap_or_default()),
        }
    }

    fn unreadable(&mut self, error: StoreError, path: PathBuf) {
        self.add(Severity::Loss, path, error.to_string(), Hint::RestoreRoot);
    }
}
