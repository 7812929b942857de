//! Models that other applications have on this machine: which they are, taken over into the store, and used in place of a
//! download.

mod adopt;
mod expose;
mod naming;
pub(super) mod supply;

pub use adopt::AdoptOptions;
pub use expose::ExposeTarget;

use super::{AppModelReport, AppProblem, AppReport, ModelManager};
use crate::{
    digest::Sha256Digest,
    error::Result,
    foreign::{self, AppFile, AppModel, Scan},
    names::App,
    settings::AppPlace,
    store::Store,
};
use std::collections::{HashMap, HashSet};

impl ModelManager {
    /// The applications that have models here, in the places that the settings name.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn apps(&self) -> Result<Vec<AppReport>> {
        let store = self.existing_store()?;
        let scans: Vec<(AppPlace, Scan)> = self.scan_apps(&[]);
        let mut times: HashMap<Sha256Digest, usize> = HashMap::new();
        for file in scans.iter().flat_map(|(_, scan)| distinct(scan)) {
            if let Some(digest) = file.claim.sha256 {
                *times.entry(digest).or_default() += 1;
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
                if file.claim.sha256.is_some_and(|digest| times.get(&digest).is_some_and(|times| *times > 1)) {
                    report.double_bytes += file.size;
                }
            }
            Ok(report)
        };
        scans.iter().map(report).collect()
    }

    /// Reads the places of these applications, or of all of them; those where nothing is are left out.
    fn scan_apps(&self, wanted: &[App]) -> Vec<(AppPlace, Scan)> {
        let is_wanted = |place: &&AppPlace| wanted.is_empty() || wanted.contains(&place.app);
        let is_there = |place: &&AppPlace| self.disk.stat_follow(&place.dir).is_ok();
        let places = self.settings.apps.iter().filter(is_wanted).filter(is_there);
        places.map(|place| (place.clone(), foreign::scan(&*self.disk, place.app, &place.dir))).collect()
    }
}

/// The files of a place, each once whatever names it has.
fn distinct(scan: &Scan) -> Vec<&AppFile> {
    let mut seen = HashSet::new();
    let mut names = HashSet::new();
    let files = scan.models.iter().flat_map(|model| &model.files);
    files.filter(|file| if file.id.1 == 0 { names.insert(&file.path) } else { seen.insert(file.id) }).collect()
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
