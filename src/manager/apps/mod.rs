//! Models that other applications have on this machine: which they are, taken over into the store, and used in place of a
//! download.

mod adopt;
mod dedupe;
mod expose;
mod naming;
pub(super) mod supply;

pub use adopt::AdoptOptions;
pub use dedupe::{DedupeOptions, DedupePlan};
pub use expose::ExposeTarget;

use super::{AppModelReport, AppProblem, AppReport, ModelManager};
use crate::{
    digest::Sha256Digest,
    error::Result,
    foreign::{self, AppFile, AppModel, Patience, Place, Scan, scan_all},
    names::App,
    settings::AppPlace,
    store::Store,
};
use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

impl ModelManager {
    /// The applications that have models here, in the places that the settings name.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn apps(&self) -> Result<Vec<AppReport>> {
        let store = self.existing_store()?;
        let scans: Vec<(AppPlace, Scan)> = self.scan_apps(&[], Patience::ASKED);
        // Names of one file are no second copy.
        let mut copies: HashMap<Sha256Digest, HashSet<FileIdentity<'_>>> = HashMap::new();
        for file in scans.iter().flat_map(|(_, scan)| distinct(scan)) {
            if let Some(digest) = file.claim.sha256 {
                copies.entry(digest).or_default().insert(identity(file));
            }
        }
        let report = |(place, scan): &(AppPlace, Scan)| -> Result<AppReport> {
            let files = distinct(scan);
            let mut report = AppReport {
                app: place.app.to_string(),
                path: place.dir.clone(),
                named_by: place.named_by.clone(),
                layout: scan.layout.clone(),
                models: scan.models.iter().map(of_model).collect(),
                problems: scan.problems.iter().map(of_problem).collect(),
                unfinished: scan.unfinished,
                total_bytes: files.iter().map(|file| file.size).sum(),
                stored_bytes: 0,
                double_bytes: 0,
            };
            for file in &files {
                if let Some(store) = &store
                    && is_stored(store, file)?
                {
                    report.stored_bytes += file.size;
                }
                if file.claim.sha256.is_some_and(|digest| copies.get(&digest).is_some_and(|copies| copies.len() > 1)) {
                    report.double_bytes += file.size;
                }
            }
            Ok(report)
        };
        scans.iter().map(report).collect()
    }

    /// Reads the places of these applications, or of all of them, side by side; those where nothing is are left out.
    fn scan_apps(&self, wanted: &[App], patience: Patience) -> Vec<(AppPlace, Scan)> {
        let is_wanted = |place: &&AppPlace| wanted.is_empty() || wanted.contains(&place.app);
        let places: Vec<&AppPlace> = self.settings.apps.iter().filter(is_wanted).collect();
        let to_read = places.iter().map(|place| Place::App(place.app, place.dir.clone())).collect();
        let scans = scan_all(&self.disk, to_read, patience, &|| self.cancel.is_cancelled());
        places.into_iter().zip(scans).filter_map(|(place, scan)| Some((place.clone(), scan?))).collect()
    }
}

/// Device and inode, else the path where there are none.
type FileIdentity<'f> = ((u64, u64), Option<&'f Path>);

fn identity(file: &AppFile) -> FileIdentity<'_> {
    (file.id, (file.id.1 == 0).then_some(file.path.as_path()))
}

/// The files of a place, each once whatever names it has.
fn distinct(scan: &Scan) -> Vec<&AppFile> {
    let mut seen = HashSet::new();
    let files = scan.models.iter().flat_map(|model| &model.files);
    files.filter(|file| seen.insert(identity(file))).collect()
}

/// Whether the store has a file: by the same inode, or by the digest that is claimed.
fn is_stored(store: &Store, file: &AppFile) -> Result<bool> {
    let Some(digest) = &file.claim.sha256 else { return Ok(false) };
    Ok(store.stat(digest)?.is_some_and(|stat| stat.len == file.size))
}

fn of_model(model: &AppModel) -> AppModelReport {
    AppModelReport {
        name: model.name.clone(),
        files: model.files.len(),
        total_bytes: model.files.iter().map(|file| file.size).sum(),
    }
}

fn of_problem(problem: &foreign::Problem) -> AppProblem {
    AppProblem { path: problem.path.clone(), problem: problem.why.clone() }
}
