//! Holds the lock file against what the project uses and against the registry.

use crate::manager::{
    LockCheck, LockCheckTotals, LockProblem, LockProblemKind, ModelManager, Selector,
    lock::entry::view_of,
    lock::{find, shows},
    plan::view_path,
};
use crate::{
    error::{Error, ErrorKind, Result},
    hint::{Action, Hint, Invocation, Verb},
    names::{RelPath, Role},
    registry::{LockFile, LockedFile, LockedView},
    store::{RootRecord, Store, UpstreamFile, ViewKey},
    text::list,
};
use std::collections::BTreeSet;

impl ModelManager {
    /// Whether the lock file holds what the project uses and agrees with the registry. No request, and nothing is written.
    pub fn check_lock(&self, what: &[Selector]) -> Result<LockCheck> {
        let lock = self.require_lock()?;
        let store = self.existing_store()?;
        let roots = self.own_roots(store.as_ref())?;
        let mut problems = Vec::new();
        let mut note = |view: &ViewKey, kind, message: String| problems.push(LockProblem { view: view.clone(), kind, message });
        let mut contradicts = BTreeSet::new();
        for locked in lock.views() {
            let view = view_of(locked);
            if let Some(why) = self.contradiction(locked, roots.get(&view), store.as_ref())? {
                note(&view, LockProblemKind::Contradicts, why);
                contradicts.insert(view.clone());
            }
            if let Some(why) = self.disagreement(locked)? {
                note(&view, LockProblemKind::Disagrees, why);
            }
        }
        for (view, root) in &roots {
            match find(&lock, view) {
                None => note(view, LockProblemKind::NotLocked, "it is used here and not locked".into()),
                Some(locked) if !shows(root, locked) && !contradicts.contains(view) => {
                    note(view, LockProblemKind::NotShown, "what is here is not what is locked".into());
                }
                Some(_) => {}
            }
        }
        if !what.is_empty() {
            let mut chosen = BTreeSet::new();
            for selector in what {
                let command = Invocation::new(Verb::Lock);
                let named = self.form_of(&self.named(selector, command)?, command)?;
                let is_meant = |view: &ViewKey| named.fits_view(view);
                let views: Vec<ViewKey> = lock.views().iter().map(view_of).chain(roots.keys().cloned()).filter(is_meant).collect();
                if views.is_empty() {
                    return Err(Error::new(ErrorKind::NotFound, format!("`{}` is neither locked nor here", selector.model))
                        .hint(Hint::LockIt(command.of(&selector.model.to_string()))));
                }
                chosen.extend(views);
            }
            problems.retain(|problem| chosen.contains(&problem.view));
        }
        problems.sort_by(|a, b| a.view.cmp(&b.view));
        Ok(LockCheck {
            lock_file: self.settings.lock_file.clone(),
            problems,
            totals: LockCheckTotals { models: lock.views().len() },
        })
    }

    /// Refuses a lock that cannot be right, by what is known here of the same commits.
    pub(in crate::manager) fn require_no_contradiction(&self, lock: &LockFile, store: Option<&Store>) -> Result<()> {
        let roots = self.own_roots(store)?;
        let mut wrong = Vec::new();
        for locked in lock.views() {
            let view = view_of(locked);
            wrong.extend(self.contradiction(locked, roots.get(&view), store)?.map(|why| (view, why)));
        }
        let Some((view, _)) = wrong.first() else { return Ok(()) };
        let remove = Action::new(Verb::Remove).name(view.name());
        let all: Vec<String> = wrong.iter().map(|(view, why)| format!("{view}: {why}")).collect();
        let text = format!("{} contradicts what is here: {}", self.settings.lock_file.display(), list(&all));
        Err(Error::new(ErrorKind::Damaged, text).hint(Hint::NothingChanged).hint(Hint::ContradictingLock { remove }))
    }

    /// In what a locked view cannot be right. A digest has one length and one git id, and a commit has one content under each
    /// path: what is here of the same commit says both. `None` where nothing here contradicts it.
    pub(in crate::manager) fn contradiction(
        &self,
        locked: &LockedView,
        root: Option<&RootRecord>,
        store: Option<&Store>,
    ) -> Result<Option<String>> {
        let Some(store) = store else { return Ok(None) };
        let view = view_of(locked);
        for file in &locked.files {
            let Some(meta) = store.meta(&file.sha256)? else { continue };
            if meta.size != file.size {
                return Ok(Some(format!("{} is {} bytes long here, and locked with {}", file.path, meta.size, file.size)));
            }
            let noted = meta.sources.iter().find_map(|source| source.upstream()?.git_sha1);
            if let (Some(noted), Some(git_sha1)) = (noted, file.git_sha1)
                && noted != git_sha1
            {
                return Ok(Some(format!("{} has the git id {noted} here, and is locked with {git_sha1}", file.path)));
            }
        }
        // Without commits, other content of the same path is no contradiction.
        let Some(commit) = &locked.commit else { return Ok(None) };
        for file in root.map_or(&[][..], |root| &root.files) {
            let sources = store.upstream_files(&file.sha256)?;
            let of_commit = |source: &&UpstreamFile| {
                let repo = source.repo.as_deref().is_some_and(|repo| locked.origin.is_named(repo));
                repo && source.commit.as_deref() == Some(commit.as_str())
            };
            let paths: Vec<RelPath> =
                sources.iter().filter(of_commit).filter_map(|source| source.path.as_deref()?.parse().ok()).collect();
            if paths.is_empty() {
                continue;
            }
            let same_path = locked.files.iter().find(|locked| paths.contains(&locked.repo_path));
            if let Some(same_path) = same_path.filter(|locked| locked.sha256 != file.sha256) {
                let text = format!("{} of this commit has the sha256 {} here", same_path.repo_path, file.sha256);
                return Ok(Some(format!("{text}, and is locked with {}", same_path.sha256)));
            }
            let is_placed = |locked: &&LockedFile| {
                paths.contains(&locked.repo_path) && view_path(&view, &locked.repo_path).is_ok_and(|path| path == locked.path)
            };
            let same_content: Vec<&LockedFile> = locked.files.iter().filter(|locked| locked.sha256 == file.sha256).collect();
            let is_locked = locked.files.iter().any(|locked| locked.path == file.path);
            if let Some(other) = same_content.iter().find(|locked| !is_placed(locked)).filter(|_| !is_locked) {
                return Ok(Some(format!("{} is locked as {}", file.path, other.path)));
            }
            let is_model = view.format.is_single_file() && Role::of_gguf_name(file.path.file_name()) != Role::Projector;
            let has_other = locked.files.iter().any(|locked| {
                root.is_some_and(|root| root.files.iter().any(|file| (&file.path, file.sha256) == (&locked.path, locked.sha256)))
            });
            if is_model && same_content.is_empty() && has_other {
                return Ok(Some(format!("{} belongs to it, and is not locked", file.path)));
            }
        }
        Ok(None)
    }
}
