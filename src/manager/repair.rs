//! Repairs what verification found: only damaged ranges are fetched.

use super::{ModelManager, RepairReport, RepairedFile, VerifiedFile, VerifyState};
use crate::{
    digest::Sha256Digest,
    disk::Kind,
    error::{Error, ErrorKind, Result},
    event::Event,
    hint::Hint,
    names::{Revision, SourceId},
    settings::LinkMode,
    source,
    store::{BlobState, CheckMode, Progress, Project, RootRecord, Stamp, Store, UpstreamFile, ViewFile, ViewKey},
    transfer::{self, Job, TransferOptions},
    view::{FileState, States, VerifiedExisting, ViewError},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

/// One blob to repair, and where it is shown.
struct DamagedFile {
    view: ViewKey,
    file: ViewFile,
    shown: VerifiedFile,
}

/// The files of one view that are to be repaired.
struct DamagedView {
    root: RootRecord,
    files: Vec<DamagedFile>,
}

impl ModelManager {
    /// Repairs the damaged and missing files among `found`, and imports regular files in place of links that have the
    /// same content. One with other content is kept in the store before it is replaced; anything else in the way is
    /// moved aside. A blob without a source is moved to the store's `bad/`. If nothing is wrong nothing is created, not
    /// even a store.
    pub fn repair(&self, found: &[VerifiedFile]) -> Result<RepairReport> {
        let mut report = RepairReport::default();
        let is_damaged = |file: &VerifiedFile| file.state.is_damage();
        let Some(store) = self.existing_store()? else {
            let note = format!("there is no store at {}", self.store_dir().display());
            let damaged = found.iter().filter(|file| is_damaged(file));
            return Ok(RepairReport { repairs: damaged.map(|file| not_repaired(file, note.clone())).collect(), download_bytes: 0 });
        };
        let roots: Vec<RootRecord> = self.own_roots(Some(&store))?.into_values().collect();
        let views = self.views(Some(store.clone()));
        let mut states = views.states();
        let mut views_to_repair: BTreeMap<ViewKey, DamagedView> = BTreeMap::new();
        for shown in found {
            let damaged = damaged(&self.settings.models_dir, &roots, shown);
            let is_known = matches!(shown.state, VerifyState::Ok | VerifyState::Unverified);
            match damaged {
                Some((root, damaged)) if is_damaged(shown) || (is_known && self.is_replaced(&mut states, shown)?) => {
                    let view = DamagedView { root, files: Vec::new() };
                    views_to_repair.entry(damaged.view.clone()).or_insert(view).files.push(damaged);
                }
                None if is_damaged(shown) => {
                    report.repairs.push(not_repaired(shown, "not a file of this store, and left alone".into()));
                }
                _ => {}
            }
        }
        if views_to_repair.is_empty() {
            return Ok(report);
        }
        let project = Project::register(&store, &self.settings.models_dir)?;
        let mut repaired = BTreeSet::new();
        for view in views_to_repair.into_values() {
            self.repair_view(&store, &project, &view, &mut repaired, &mut report)?;
        }
        Ok(report)
    }

    fn repair_view(
        &self,
        store: &Store,
        project: &Project,
        view: &DamagedView,
        repaired: &mut BTreeSet<Sha256Digest>,
        report: &mut RepairReport,
    ) -> Result<()> {
        let views = self.views(Some(store.clone()));
        let mut states = views.states();
        let mut replaced = Vec::new();
        let mut shown_again = Vec::new();
        for damaged in &view.files {
            let path = &damaged.shown.path;
            // Before its blob is replaced: the state needs it to distinguish a hard link from a regular file.
            let state = states.at(path)?;
            let stat = match self.is_behind_link(path) {
                true => None,
                false => self.disk.find(path)?.filter(|stat| stat.kind == Kind::File),
            };
            let outcome = match repaired.contains(&damaged.file.sha256) || self.has_whole(store, damaged, state.as_ref())? {
                true => Ok(0),
                false => self.repair_blob(store, &damaged.file, &|| self.sources_of(store, damaged)),
            };
            match outcome {
                Ok(fetched) => {
                    repaired.insert(damaged.file.sha256);
                    report.download_bytes += fetched;
                    if let Some(stat) = stat {
                        if state == Some(FileState::Foreign) && damaged.shown.state == VerifyState::Modified {
                            self.keep_content(store, path, &store.lease()?)?;
                        }
                        let stamp = self.disk.find(path)?.as_ref().map_or(Stamp::from(&stat), Stamp::from);
                        replaced.push(VerifiedExisting { path: damaged.file.path.clone(), stamp });
                    }
                    shown_again.push(RepairedFile {
                        path: path.clone(),
                        sha256: Some(damaged.file.sha256),
                        repaired: true,
                        download_bytes: fetched,
                        note: None,
                    });
                }
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Damaged) => {
                    let aside = store.quarantine(&damaged.file.sha256, store.wait())?;
                    let note = match aside {
                        Some(aside) => format!("{error}; what was left of it is now {}", aside.display()),
                        None => error.to_string(),
                    };
                    report.repairs.push(not_repaired(&damaged.shown, note));
                }
                Err(error) => return Err(error),
            }
        }
        match self.show_again(store, project, &view.root, &replaced) {
            Ok(set_aside) => {
                for (path, aside) in set_aside {
                    for file in shown_again.iter_mut().filter(|file| file.path.starts_with(&path)) {
                        file.note = Some(format!("what stood in the way was kept as {}", aside.display()));
                    }
                }
            }
            // The content of another file of the view is gone, or something is in the way that may not be replaced. That holds
            // for this view, and others are repaired all the same.
            Err(error) if matches!(error.kind(), ErrorKind::Damaged | ErrorKind::Failed) => {
                for file in &mut shown_again {
                    (file.repaired, file.note) = (false, Some(error.to_string()));
                }
            }
            Err(error) => return Err(error),
        }
        report.repairs.extend(shown_again);
        Ok(())
    }

    /// Whether the blob is whole and only the view's entry is wrong; then nothing has to be read.
    fn has_whole(&self, store: &Store, damaged: &DamagedFile, state: Option<&FileState>) -> Result<bool> {
        if matches!(state, Some(FileState::Blob { digest, .. }) if *digest == damaged.file.sha256) {
            return Ok(false);
        }
        let progress = Progress { bytes: &|_| (), cancel: &self.cancel };
        let mode = if matches!(state, Some(FileState::Copy { .. })) { CheckMode::Full } else { CheckMode::Quick };
        Ok(matches!(store.check(&damaged.file.sha256, mode, progress)?, BlobState::Ok { .. }))
    }

    /// Makes a blob whole again; returns the bytes that travelled. Where something is missing,
    /// `sources` says where it can be had.
    pub(super) fn repair_blob(
        &self,
        store: &Store,
        file: &ViewFile,
        sources: &dyn Fn() -> Result<Vec<(Place, UpstreamFile)>>,
    ) -> Result<u64> {
        let lease = Arc::new(store.lease()?);
        lease.protect(&[file.sha256])?;
        let hashing = |done| self.report(&Event::Hashing { file: file.path.to_string(), done, size: file.size });
        let progress = Progress { bytes: &hashing, cancel: &self.cancel };
        let writer =
            store.begin_repair(&file.sha256, file.size, &store.layout().blob(&file.sha256), &lease, store.wait(), progress)?;
        self.mend(store, &file.path, &writer, &lease)?;
        let missing: u64 = writer.missing().iter().map(|range| range.end - range.start).sum();
        let locations = match missing {
            0 => Vec::new(),
            _ => sources()?,
        };
        // Where nothing travels, the record says where it came from.
        let source = locations.first().map(|(_, source)| source.clone().into());
        let sources = self.sources()?;
        let mut places = Vec::new();
        for ((id, revision, path), _) in &locations {
            // What only a newer version knows is no place for this one.
            let Ok(source) = sources.of(id) else { continue };
            places.extend(source::locations(source.locate(id, revision.as_ref(), path, None)));
        }
        let job = Job {
            file: file.path.to_string(),
            writer,
            locations: places,
            expected: Some(file.sha256),
            source,
            check_head: None,
            as_whole: false,
            borrow: None,
        };
        let effort = TransferOptions { connections: self.settings.network.connections, tries: self.settings.network.tries };
        let arrived = self.block_on(async {
            Ok::<_, Error>(transfer::run(sources.http(), vec![job], effort, self.reporter.clone(), &self.cancel).await?)
        })?;
        Ok(arrived.iter().map(|arrived| arrived.fetched).sum())
    }

    /// Where a blob can be had again: the places it came from, then the registry's.
    fn sources_of(&self, store: &Store, damaged: &DamagedFile) -> Result<Vec<(Place, UpstreamFile)>> {
        let mut places = Vec::new();
        for source in store.upstream_files(&damaged.file.sha256)? {
            let (Some(id), Some(path)) = (&source.repo, &source.path) else { continue };
            let commit = source.commit.as_ref().map(|commit| commit.parse()).transpose();
            if let (Ok(id), Ok(commit), Ok(path)) = (id.parse::<SourceId>(), commit, path.parse())
                && (commit.is_some() || id.repo().is_none())
            {
                places.push(((self.with_registered_query(&damaged.view, id), commit, path), source));
            }
        }
        let view = &damaged.view;
        if let Ok(selection) = self.registry()?.select(view.model.as_str(), Some(&view.format), view.quant.as_ref()) {
            let artifact = selection.artifact;
            let named = artifact.files.iter().find(|file| file.path.file_name() == damaged.file.path.file_name());
            if let Some(named) = named.filter(|_| places.is_empty()) {
                let revision = artifact.revision.clone().or_else(|| artifact.source.repo().map(|_| Revision::main()));
                let source = UpstreamFile {
                    endpoint: self.endpoint_of(&artifact.source),
                    repo: Some(artifact.source.to_string()),
                    commit: revision.as_ref().map(ToString::to_string),
                    path: Some(named.path.to_string()),
                    git_sha1: None,
                    xet_hash: None,
                };
                places.push(((artifact.source.clone(), revision, named.path.clone()), source));
            }
        }
        match places.is_empty() {
            true => Err(Error::new(ErrorKind::NotFound, format!("no source is recorded for {}", damaged.file.path))
                .hint(Hint::DownloadFromRepository)),
            false => Ok(places),
        }
    }

    /// Whether a file that was found right is not ours: a plain one, or a link to one elsewhere.
    fn is_replaced(&self, states: &mut States<'_>, shown: &VerifiedFile) -> Result<bool> {
        let is_foreign = states.at(&shown.path)? == Some(FileState::Foreign);
        Ok(self.disk.find(&shown.path)?.is_some() && (is_foreign || self.is_behind_link(&shown.path)))
    }

    /// Whether the way to a file of a view leads through a link to a folder: then it is not ours.
    fn is_behind_link(&self, path: &Path) -> bool {
        let folders = path.ancestors().skip(1).take_while(|folder| *folder != self.settings.models_dir);
        let is_link = |folder: &Path| matches!(self.disk.find(folder), Ok(Some(stat)) if stat.kind == Kind::Symlink);
        folders.into_iter().any(is_link)
    }

    /// Rebuilds a view from its root. `replaced` are regular files in it that may be overwritten: hard links or copies
    /// with the old bytes. What else stands in the way, such as a folder or another link, is moved aside: returns from
    /// where to where.
    fn show_again(
        &self,
        store: &Store,
        project: &Project,
        root: &RootRecord,
        replaced: &[VerifiedExisting],
    ) -> Result<Vec<(PathBuf, PathBuf)>> {
        let _views_lock = project.lock_views(store.wait())?;
        let views = self.views(Some(store.clone()));
        let mode = match views.manifest(&root.view)? {
            Some(manifest) if self.settings.link == LinkMode::Auto => manifest.link,
            _ => self.settings.link,
        };
        // Only where the view can then be shown, and only as often as it has places.
        let mut is_complete = true;
        for file in &root.files {
            is_complete &= store.find(&file.sha256)?.is_some();
        }
        let places = root.view.dir().components().count() + root.files.iter().map(|file| 1 + file.path.depth()).sum::<usize>();
        let mut set_aside = Vec::new();
        loop {
            match views.build_adopting(&root.view, &root.files, mode, project.uuid(), replaced) {
                Err(ViewError::Foreign { path, .. }) if is_complete && set_aside.len() <= places => {
                    let aside = views.set_aside(&path)?;
                    set_aside.push((path, aside));
                }
                built => return Ok(built.map(|_| set_aside)?),
            }
        }
    }
}

fn not_repaired(file: &VerifiedFile, note: String) -> RepairedFile {
    RepairedFile { path: file.path.clone(), sha256: file.sha256, repaired: false, download_bytes: 0, note: Some(note) }
}

/// Source, commit and path of a file.
pub(super) type Place = (SourceId, Option<Revision>, crate::names::RelPath);

/// The root and the file in it that a verified file is.
fn damaged(models_dir: &Path, roots: &[RootRecord], shown: &VerifiedFile) -> Option<(RootRecord, DamagedFile)> {
    let view = shown.view.as_ref()?;
    let root = roots.iter().find(|root| root.view == *view)?;
    let dir = models_dir.join(root.view.dir());
    let file = root.files.iter().find(|file| dir.join(file.path.to_path()) == shown.path)?;
    let damaged = DamagedFile { view: root.view.clone(), file: file.clone(), shown: shown.clone() };
    Some((root.clone(), damaged))
}
