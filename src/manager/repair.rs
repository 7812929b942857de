//! Mends what verification found: only damaged ranges travel.

use super::{ModelManager, RepairReport, RepairedFile, VerifiedFile, VerifyState};
use crate::{
    digest::Sha256Digest,
    error::{Error, ErrorKind, Result},
    event::Event,
    names::{RepoId, Revision},
    settings::LinkMode,
    store::{Progress, Project, RootRecord, Source, Stamp, Store, ViewFile, ViewKey},
    transfer::{self, Effort, Job},
    view::Adopted,
};
use std::{collections::BTreeMap, path::Path, sync::Arc};

/// One blob to mend, and where it is shown.
struct Patient {
    root: RootRecord,
    file: ViewFile,
    shown: VerifiedFile,
}

impl ModelManager {
    /// Mends the damaged and missing files among `found`. What no source can give is put aside into the store's `bad/`.
    pub fn repair(&self, found: &[VerifiedFile]) -> Result<RepairReport> {
        let store = self.store()?;
        let project = Project::register(&store, &self.settings.models_dir)?;
        let roots = project.roots()?;
        let mut report = RepairReport::default();
        let mut mended: BTreeMap<Sha256Digest, u64> = BTreeMap::new();
        for shown in found.iter().filter(|file| matches!(file.state, VerifyState::Modified | VerifyState::Missing)) {
            let Some(patient) = patient(&self.settings.models_dir, &roots, shown) else {
                let note = "not a file of this store; move it away and run the download again";
                report.files.push(RepairedFile { path: shown.path.clone(), mended: false, fetched: 0, note: Some(note.into()) });
                continue;
            };
            let outcome = match mended.get(&patient.file.sha256) {
                Some(_) => Ok(0),
                None => self.mend(&store, &patient.file, &patient.shown.path, &|| self.sources_of(&store, &patient)),
            };
            match outcome.and_then(|fetched| self.show_again(&store, &project, &patient).map(|()| fetched)) {
                Ok(fetched) => {
                    mended.insert(patient.file.sha256, fetched);
                    report.fetched += fetched;
                    report.files.push(RepairedFile { path: shown.path.clone(), mended: true, fetched, note: None });
                }
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Damaged) => {
                    let aside = store.quarantine(&patient.file.sha256, store.wait())?;
                    let note = match aside {
                        Some(aside) => format!("{error}; what was left of it is now {}", aside.display()),
                        None => error.to_string(),
                    };
                    report.files.push(RepairedFile { path: shown.path.clone(), mended: false, fetched: 0, note: Some(note) });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(report)
    }

    /// Makes a blob, which is shown at a path, whole again; returns the bytes that travelled. Where something is missing,
    /// `sources` says where it can be had.
    pub(super) fn mend(
        &self,
        store: &Store,
        file: &ViewFile,
        shown: &Path,
        sources: &dyn Fn() -> Result<Vec<(Place, Source)>>,
    ) -> Result<u64> {
        let lease = Arc::new(store.lease()?);
        lease.protect(&[file.sha256])?;
        let hashing = |done| self.report(&Event::Hashing { file: file.path.to_string(), done, size: file.size });
        let progress = Progress { bytes: &hashing, cancel: &self.cancel };
        let intake =
            store.admit_repair(&file.sha256, file.size, &store.layout().blob(&file.sha256), &lease, store.wait(), progress)?;
        let missing: u64 = intake.missing().iter().map(|range| range.end - range.start).sum();
        let locations = match missing {
            0 => Vec::new(),
            _ => sources()?,
        };
        // Where nothing travels, what is recorded says where it came from.
        let known = || Ok::<_, Error>(store.meta(&file.sha256)?.and_then(|meta| meta.sources.into_iter().next()));
        let source = match locations.first() {
            Some((_, source)) => Some(source.clone()),
            None => known()?,
        };
        let source = source.unwrap_or_else(|| Source {
            endpoint: "local".into(),
            repo: None,
            commit: None,
            path: Some(shown.display().to_string()),
            git_sha1: None,
        });
        let hub = self.hub()?;
        let mut places = Vec::new();
        for (place, _) in &locations {
            let (repo, revision, path) = place;
            places.extend(hub.locations(repo, revision, path));
        }
        let job = Job {
            file: file.path.to_string(),
            intake,
            locations: places,
            expected: Some(file.sha256),
            source,
            check_head: None,
            as_whole: false,
        };
        let effort = Effort { connections: self.settings.network.connections, tries: self.settings.network.tries };
        let arrived = self.block_on(async {
            Ok::<_, Error>(transfer::run(hub.http(), vec![job], effort, self.reporter.clone(), &self.cancel).await?)
        })?;
        Ok(arrived.iter().map(|arrived| arrived.fetched).sum())
    }

    /// Where a blob can be had again: the places it came from, then the registry's.
    fn sources_of(&self, store: &Store, patient: &Patient) -> Result<Vec<(Place, Source)>> {
        let mut places = Vec::new();
        for source in store.meta(&patient.file.sha256)?.map(|meta| meta.sources).unwrap_or_default() {
            let (Some(repo), Some(commit), Some(path)) = (&source.repo, &source.commit, &source.path) else { continue };
            if let (Ok(repo), Ok(commit), Ok(path)) = (repo.parse(), commit.parse(), path.parse()) {
                places.push(((repo, commit, path), source));
            }
        }
        let view = &patient.root.view;
        if let Ok(selection) = self.registry()?.select(view.model.as_str(), Some(&view.format), view.quant.as_ref()) {
            let artifact = selection.artifact;
            let named = artifact.files.iter().find(|file| file.path.file_name() == patient.file.path.file_name());
            if let Some(named) = named.filter(|_| places.is_empty()) {
                let revision = artifact.revision.clone().unwrap_or_else(Revision::main);
                let source = Source {
                    endpoint: self.settings.network.endpoints.first().cloned().unwrap_or_default(),
                    repo: Some(artifact.repo.to_string()),
                    commit: Some(revision.to_string()),
                    path: Some(named.path.to_string()),
                    git_sha1: None,
                };
                places.push(((artifact.repo.clone(), revision, named.path.clone()), source));
            }
        }
        match places.is_empty() {
            true => Err(Error::new(ErrorKind::NotFound, format!("nobody knows where {} came from", patient.file.path))
                .hint("Download the model again from where you had it.")),
            false => Ok(places),
        }
    }

    /// Shows the mended blob where the damaged content stood: a hard link or a copy still has the old bytes.
    fn show_again(&self, store: &Store, project: &Project, patient: &Patient) -> Result<()> {
        let _views_lock = project.lock_views(store.wait())?;
        let views = self.views(Some(store.clone()));
        let mut replaced = Vec::new();
        if let Some(stat) = self.disk.find(&patient.shown.path)?
            && stat.kind == crate::disk::Kind::File
        {
            replaced.push(Adopted { path: patient.file.path.clone(), stamp: Stamp::from(&stat) });
        }
        let mode = match views.manifest(&patient.root.view)? {
            Some(manifest) if self.settings.link == LinkMode::Auto => manifest.link,
            _ => self.settings.link,
        };
        views.build_adopting(&patient.root.view, &patient.root.files, mode, project.uuid(), &replaced)?;
        Ok(())
    }
}

/// Repository, commit and path of a file.
pub(super) type Place = (RepoId, Revision, crate::names::RelPath);

/// The root and the file in it that a verified file is.
fn patient(models_dir: &Path, roots: &[RootRecord], shown: &VerifiedFile) -> Option<Patient> {
    let is_shown = |view: &ViewKey| {
        view.model.as_str() == shown.model
            && view.format.as_str() == shown.format
            && view.quant.as_ref().map(|quant| quant.as_str()) == shown.quant.as_deref()
    };
    let root = roots.iter().find(|root| is_shown(&root.view))?;
    let dir = models_dir.join(root.view.dir());
    let file = root.files.iter().find(|file| dir.join(file.path.to_path()) == shown.path)?;
    Some(Patient { root: root.clone(), file: file.clone(), shown: shown.clone() })
}
