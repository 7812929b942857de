//! When the view of a root was last used. The modification time of the root's record says so: it costs no lock, no record and
//! no sync to set that. What counts as use is in `store-layout.md`, section 6.

use super::{
    Provenance, Result, Store,
    format::{self, RootRecord, ViewKey},
    gc,
    layout::Layout,
};
use crate::{
    digest::Sha256Digest,
    disk::{Kind, Open, parallel},
};
use std::{
    path::Path,
    time::{Duration, SystemTime},
};
use uuid::Uuid;

/// A use or a check that follows another by less is not noted, so that commands that only look write nothing.
const GRAIN: Duration = Duration::from_secs(3600);
/// So many records are worth a thread.
const LEAST_ROOTS: usize = 64;

impl Store {
    /// Notes that a view of a project is used now. That it cannot be noted is no failure of what uses it.
    pub fn note_use(&self, project: &Uuid, view: &ViewKey) {
        let path = self.layout().root_record(project, view);
        if let Ok(Some(used_ns)) = self.noted_use(project, view)
            && self.is_writable()
            && gc::age(SystemTime::now(), used_ns) >= GRAIN
        {
            let _ = self.touch(&path);
        }
    }

    /// When the use of a view was last noted, in nanoseconds since 1970; `None` where it has no root.
    pub fn noted_use(&self, project: &Uuid, view: &ViewKey) -> Result<Option<i64>> {
        Ok(self.disk().find(&self.layout().root_record(project, view))?.map(|stat| stat.mtime_ns))
    }

    /// What `each` makes of the roots of a project's views that can be read, and of the times their uses were last noted. It is
    /// called from several threads.
    pub fn map_roots<T: Send>(&self, project: &Uuid, each: impl Fn(RootRecord, i64) -> Result<Option<T>> + Sync) -> Result<Vec<T>> {
        let dir = self.layout().project(project);
        let names: Vec<String> = match self.disk().list_sorted(&dir) {
            Err(error) if error.is_read_only() || error.is_wrong_kind() => return Ok(Vec::new()),
            entries => entries?.into_iter().map(|entry| entry.name).filter(|name| Layout::is_root(name)).collect(),
        };
        let read = |names: &[String]| -> Result<Vec<T>> {
            let mut made = Vec::with_capacity(names.len());
            for path in names.iter().map(|name| dir.join(name)) {
                let Ok(Some(root)) = self.read_root(&path) else { continue };
                let used_ns = self.disk().find(&path)?.map_or(0, |stat| stat.mtime_ns);
                if let Some(root) = root.into_view() {
                    made.extend(each(root, used_ns)?);
                }
            }
            Ok(made)
        };
        let workers = parallel::workers(names.len(), LEAST_ROOTS);
        Ok(parallel::map(names.chunks(LEAST_ROOTS), workers, read)?.into_iter().flatten().collect())
    }

    /// When a blob was last published or found whole, in nanoseconds since 1970; `None` where nothing is recorded of it.
    pub fn verified_ns(&self, digest: &Sha256Digest) -> Result<Option<i64>> {
        Ok(self.disk().find(&self.layout().meta(digest))?.map(|stat| stat.mtime_ns))
    }

    /// Notes that a blob was found whole now, unless that was noted less than an hour ago: its record's own time says it.
    pub(super) fn note_verified(&self, digest: &Sha256Digest) -> Result<()> {
        match self.verified_ns(digest)? {
            Some(noted) if self.is_writable() && gc::age(SystemTime::now(), noted) >= GRAIN => {
                self.touch(&self.layout().meta(digest))
            }
            _ => Ok(()),
        }
    }

    /// When a blob was last verified, and where it came from, the first first, by one look at its record. What cannot be read is
    /// left out: this is for showing.
    pub fn history(&self, digest: &Sha256Digest) -> (Option<i64>, Vec<Provenance>) {
        #[derive(serde::Deserialize)]
        struct Sources {
            #[serde(default)]
            sources: Vec<Provenance>,
        }
        let Ok(file) = self.disk().open(&self.layout().meta(digest), Open::Read) else { return Default::default() };
        let Ok(stat) = file.stat() else { return Default::default() };
        let mut text = vec![0; usize::try_from(stat.len.min(format::LONGEST_META)).unwrap_or(0)];
        let read = if stat.kind == Kind::File { file.read_at(&mut text, 0).unwrap_or(0) } else { 0 };
        let sources = serde_json::from_slice::<Sources>(&text[..read]).ok();
        (Some(stat.mtime_ns), sources.map(|record| record.sources).unwrap_or_default())
    }

    /// The blobs of a project's roots that are of other owners than views. What cannot be read is left out: this is for showing.
    pub fn blobs_of_other_owners(&self, project: &Uuid) -> Result<Vec<Sha256Digest>> {
        let dir = self.layout().project(project);
        let names = self.disk().list(&dir)?.into_iter().map(|entry| entry.name);
        let others = names.filter(|name| Layout::is_root(name) && name.starts_with('~'));
        let roots = others.filter_map(|name| self.read_root(&dir.join(name)).ok().flatten());
        Ok(roots.flat_map(|root| root.files).map(|file| file.sha256).collect())
    }

    /// Sets the times of a record to now.
    pub(super) fn touch(&self, path: &Path) -> Result<()> {
        Ok(self.disk().open(path, Open::Write)?.touch()?)
    }
}
