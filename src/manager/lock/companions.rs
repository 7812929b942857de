//! Companions in locked views: one that was fetched beside the model stays locked, although only the view names it.

use crate::manager::{
    ModelManager,
    lock::{Locking, Outcome, Wish},
    plan::target::{Target, Wanted},
    plan::view_path,
};
use crate::{
    error::Result,
    names::{RelPath, companions},
    registry::LockedView,
    store::UpstreamFile,
};
use std::collections::BTreeSet;

impl ModelManager {
    /// Locks companions that the view got since it was locked, at the commit that is locked; `None` where there are
    /// none, or where that commit has none of them.
    pub(in crate::manager) fn lock_more_companions(
        &self,
        wish: &Wish,
        locked: &LockedView,
        run: Locking<'_>,
    ) -> Result<Option<Outcome>> {
        let Some((root, store)) = run.here(&wish.target.view) else { return Ok(None) };
        let is_locked = |path: &RelPath| locked.files.iter().any(|file| file.path == *path);
        let beside = companions(root.files.iter().map(|file| &file.path));
        let more = |path: &RelPath| beside.contains(path) && !is_locked(path);
        if !root.files.iter().any(|file| more(&file.path)) {
            return Ok(None);
        }
        let mut target = Target { revision: locked.commit.clone(), ..wish.target.clone() };
        target.beside = companions_beside(&target, Some(locked), run)?;
        let plan = match self.pin_by_store(&target, root, store)? {
            Some(plan) => plan,
            None => self.ask(self.plan_from_source(target, &[]))?,
        };
        if !plan.files.iter().any(|file| more(&file.path)) {
            return Ok(None);
        }
        self.finish(plan, wish.source, locked.revision.clone(), Some(locked), run).map(Some)
    }
}

/// Companions that a view has beside what is wanted, by their paths in the repository.
pub(in crate::manager) fn companions_beside(target: &Target, old: Option<&LockedView>, run: Locking<'_>) -> Result<Vec<RelPath>> {
    let mut beside = BTreeSet::new();
    if target.view.format.is_single_file() {
        let locked = old.filter(|old| old.origin == target.source).into_iter().flat_map(|old| &old.files);
        beside.extend(companions(locked.map(|file| &file.repo_path)).into_iter().cloned());
        let Some((root, store)) = run.here(&target.view) else { return Ok(unnamed(target, beside)) };
        let shown = companions(root.files.iter().map(|file| &file.path));
        for file in root.files.iter().filter(|file| shown.contains(&file.path)) {
            let sources = store.upstream_files(&file.sha256)?;
            let of_repo = |source: &&UpstreamFile| source.repo.as_deref().is_some_and(|repo| target.source.is_named(repo));
            let mut paths = sources.iter().rev().filter(of_repo).filter_map(|source| source.path.as_deref()?.parse().ok());
            beside.extend(paths.find(|path| view_path(&target.view, path).is_ok_and(|path| path == file.path)));
        }
    }
    Ok(unnamed(target, beside))
}

fn unnamed(target: &Target, mut paths: BTreeSet<RelPath>) -> Vec<RelPath> {
    if let Wanted::Files(named) = &target.wanted {
        paths.retain(|path| !named.iter().any(|file| file.path == *path));
    }
    paths.into_iter().collect()
}
