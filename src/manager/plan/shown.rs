//! Recognises what a view shows already, where a source publishes no SHA-256.

use super::Plan;
use crate::{
    error::Result,
    manager::{ModelManager, lock::entry::has_ids},
    store::{Project, Store},
};
use std::collections::BTreeMap;

impl ModelManager {
    /// Gives each file that the source knows by its git id alone the SHA-256 of what stands in its place, where that has the git
    /// id. What is shown is then not fetched again because its branch was looked up.
    pub(super) fn recognise_shown(&self, plan: &mut Plan, store: Option<&Store>) -> Result<()> {
        let (Some(store), true) = (store, plan.files.iter().any(|file| file.sha256.is_none() && file.git_sha1.is_some())) else {
            return Ok(());
        };
        let Some(project) = Project::identify(&*self.models_disk(), &self.settings.models_dir)? else { return Ok(()) };
        let Some(root) = store.root_of(&project, &plan.target.view)? else { return Ok(()) };
        let shown: BTreeMap<&str, _> = root.files.iter().map(|file| (file.path.as_str(), file)).collect();
        for file in plan.files.iter_mut().filter(|file| file.sha256.is_none()) {
            let (Some(git_sha1), Some(found)) = (file.git_sha1, shown.get(file.path.as_str())) else { continue };
            if file.size == Some(found.size) && has_ids(store, &found.sha256, &git_sha1, file.size)? {
                file.sha256 = Some(found.sha256);
            }
        }
        Ok(())
    }
}
