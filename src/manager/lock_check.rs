//! Holds the lock file against what the project uses and against the registry.

use super::{
    LockCheck, LockProblem, ModelManager, Selector,
    lock::{find, shows},
    lock_entry::view_of,
};
use crate::{
    error::{Error, ErrorKind, Result},
    store::ViewKey,
};
use std::collections::BTreeSet;

impl ModelManager {
    /// Whether the lock file holds what the project uses and agrees with the registry. No request, and nothing is written.
    pub fn check_lock(&self, what: &[Selector]) -> Result<LockCheck> {
        let lock = self.require_lock()?;
        let store = self.existing_store()?;
        let roots = self.own_roots(store.as_ref())?;
        let mut problems = Vec::new();
        let mut note = |view: &ViewKey, what: String| problems.push(LockProblem { view: view.clone(), what });
        for locked in lock.views() {
            if let Some(why) = self.disagreement(locked)? {
                note(&view_of(locked), why);
            }
        }
        for (view, root) in &roots {
            match find(&lock, view) {
                None => note(view, "it is used here and not locked".into()),
                Some(locked) if !shows(root, locked) => note(view, "what is here is not what is locked".into()),
                Some(_) => {}
            }
        }
        if !what.is_empty() {
            let mut chosen = BTreeSet::new();
            for selector in what {
                let (model, quant) = self.folder_of(selector)?;
                let is_meant = |view: &ViewKey| {
                    view.model.as_str() == model
                        && selector.format.as_ref().is_none_or(|format| *format == view.format)
                        && quant.as_ref().is_none_or(|quant| view.quant.as_ref() == Some(quant))
                };
                let views: Vec<ViewKey> = lock.views().iter().map(view_of).chain(roots.keys().cloned()).filter(is_meant).collect();
                if views.is_empty() {
                    return Err(Error::new(ErrorKind::NotFound, format!("`{}` is neither locked nor here", selector.model))
                        .hint(format!("Run `model-manager lock {}` to lock it.", selector.model)));
                }
                chosen.extend(views);
            }
            problems.retain(|problem| chosen.contains(&problem.view));
        }
        problems.sort_by(|a, b| a.view.cmp(&b.view));
        Ok(LockCheck { lock_file: self.settings.lock_file.clone(), views: lock.views().len(), problems })
    }
}
