//! Files of applications in place of a download: where one may be the wanted file, its bytes are hashed, and only if they are
//! what was published they become a blob.

use super::super::{
    FileSupply, ModelManager,
    plan::{Plan, PlannedFile},
};
use super::{AdoptOptions, AppFile};
use crate::{
    error::{ErrorKind, Result},
    event::{Event, Warning},
    foreign::Patience,
    names::App,
    notice::Notice,
    store::{Lease, Sharing, Store},
};
use std::collections::HashMap;

/// A file of an application that may be a wanted one.
#[derive(Debug, Clone)]
pub(in crate::manager) struct FoundInApp {
    /// The application.
    pub(in crate::manager) app: App,
    /// The file.
    pub(in crate::manager) file: AppFile,
    /// Whether it is on the volume of the store.
    pub(in crate::manager) is_on_volume: bool,
}

/// The files of applications by their length in bytes.
pub(in crate::manager) type AppFiles = HashMap<u64, Vec<FoundInApp>>;

impl ModelManager {
    /// Looks in the applications of this user for what would have to be fetched: by the hash that they claim, else by size and
    /// name. Only what has a published SHA-256 is looked for, for that decides in the end.
    pub(in crate::manager) fn look_in_apps(&self, files: &mut [PlannedFile]) {
        let is_wanted = |file: &PlannedFile| {
            matches!(file.supply, FileSupply::Fetch | FileSupply::Partial)
                && !file.again
                && file.sha256.is_some()
                && file.size.is_some_and(|size| size > 0)
        };
        if self.settings.no_apps || !files.iter().any(is_wanted) {
            return;
        }
        // Once for all plans of the call.
        let by_size = self.app_files.get_or_init(|| self.files_of_apps());
        for file in files.iter_mut().filter(|file| is_wanted(file)) {
            let candidates = file.size.and_then(|size| by_size.get(&size)).map_or(&[][..], Vec::as_slice);
            let name = file.repo_path.file_name();
            let has_name = |found: &&FoundInApp| {
                let claimed = found.file.claim.path.as_ref().map(|path| path.file_name());
                found.file.claim.sha256.is_none() && claimed.is_some_and(|claimed| claimed.eq_ignore_ascii_case(name))
            };
            let by_hash = candidates.iter().find(|found| found.file.claim.sha256 == file.sha256);
            if let Some(found) = by_hash.or_else(|| candidates.iter().find(has_name)) {
                (file.supply, file.held, file.in_app) = (FileSupply::Local, 0, Some(found.clone()));
            }
        }
    }

    /// What applications have.
    fn files_of_apps(&self) -> AppFiles {
        let dir = self.store_dir();
        let volume = dir.ancestors().find_map(|dir| self.disk.stat_follow(dir).ok()).map(|stat| stat.dev);
        let mut by_size = AppFiles::new();
        for (place, scan) in self.scan_apps(&[], Patience::BY_THE_WAY) {
            for file in scan.models.into_iter().flat_map(|model| model.files) {
                by_size.entry(file.size).or_default().push(FoundInApp {
                    app: place.app,
                    is_on_volume: volume == Some(file.id.0) && file.id.0 != 0,
                    file,
                });
            }
        }
        by_size
    }

    /// Imports what was found in applications. What is not the wanted content after all, or cannot be had, is to be fetched.
    pub(in crate::manager) fn import_from_apps(&self, plan: &mut Plan, store: &Store, lease: &Lease) -> Result<()> {
        let options = AdoptOptions { copy: true, ..AdoptOptions::default() };
        let mut taken: Vec<(App, u64, bool)> = Vec::new();
        for file in plan.files.iter_mut().filter(|file| file.supply == FileSupply::Local) {
            let (Some(found), Some(digest)) = (file.in_app.take(), file.sha256) else { continue };
            if store.find_whole(&digest, file.size)?.is_some() {
                continue;
            }
            match self.import_of_app(Some(found.app), &found.file, &options, Some((digest, file.trust())), store, lease) {
                Ok(imported) => taken.push((found.app, imported.blob.size, imported.sharing == Sharing::Copy)),
                Err(error) if error.kind() == ErrorKind::Interrupted => return Err(error),
                Err(error) => {
                    let text = format!("not taken from {}: {error}", found.app.title());
                    self.report(&Event::Warning(Warning::from(text)));
                    file.supply = FileSupply::Fetch;
                }
            }
        }
        for app in App::ALL {
            let of_app: Vec<&(App, u64, bool)> = taken.iter().filter(|(from, ..)| *from == app).collect();
            if !of_app.is_empty() {
                self.report(&Event::Notice(Notice::TakenFromApp {
                    app: app.title().to_owned(),
                    files: of_app.len(),
                    bytes: of_app.iter().map(|(_, bytes, _)| bytes).sum(),
                    copied_bytes: of_app.iter().filter(|(.., copied)| *copied).map(|(_, bytes, _)| bytes).sum(),
                }));
            }
        }
        Ok(())
    }
}
