//! Says in words what is wrong with project and store, and which command repairs it.

use super::{DoctorReport, ModelManager, ProjectState};
use crate::{
    digest::Sha256Digest,
    disk::{self, Open},
    error::{Error, ErrorKind, Result},
    event::Event,
    hint::{self, Action, Hint, Verb},
    store::{
        PROJECT_FILE, Progress, Project, Severity, ShutOut, Store, StoreError, StoreFinding, ViewKey, WhyReadOnly,
        require_folder_or_nothing,
    },
    text,
    view::{FileState, MANIFEST_FILE},
};
use std::{collections::BTreeSet, path::Path};

impl ModelManager {
    /// Looks at everything; with `full`, reads every byte of every blob.
    pub fn doctor(&self, full: bool) -> Result<DoctorReport> {
        let (dir, models) = (self.store_dir(), self.models_disk());
        let mut report = DoctorReport { store: dir.clone(), ..DoctorReport::default() };
        let mut add = |severity, path: std::path::PathBuf, message: String, repair: &[Hint]| {
            report.findings.push(StoreFinding { severity, path, message, repair: repair.to_vec() });
        };
        match self.read_registry() {
            Ok(registry) => {
                for bad in registry.bad_entries() {
                    add(Severity::Repairable, registry.origin().into(), bad.error.in_short(), &[Hint::CorrectEntry]);
                }
                for key in registry.unknown_keys() {
                    let nearest = key.suggestion.as_ref().map_or_else(String::new, |key| format!("; did you mean `{key}`?"));
                    let what = format!("line {}: unknown key `{}` in {}{nearest}", key.line, key.key, key.within);
                    add(Severity::Leftover, registry.origin().into(), what, &[Hint::CorrectKey]);
                }
            }
            Err(error) => {
                let path = self.settings.config.clone().unwrap_or_default();
                // Its first line says it all; the others show the place.
                let what = error.message().lines().next().unwrap_or_default().to_owned();
                add(Severity::Repairable, path, what, error.hints());
            }
        }
        let store = match Store::open(self.models_disk(), &dir) {
            Ok(store) => store.waiting(self.wait()),
            Err(error @ (StoreError::Absent { .. } | StoreError::NotAStore { .. })) => {
                require_folder_or_nothing(&*self.disk, &self.settings.models_dir)?;
                let is_unfinished = matches!(error, StoreError::Absent { .. }) || Store::is_unfinished(&*self.disk, &dir)?;
                if Project::identify(&*models, &self.settings.models_dir)?.is_some() {
                    let what = format!("{error}, and this project has used one");
                    add(Severity::Loss, dir, what, &[Hint::FindStore { can_be_made: is_unfinished }]);
                } else if is_unfinished {
                    add(Severity::Leftover, dir, error.to_string(), &[Hint::StoreIsMade]);
                } else {
                    return Err(error.into());
                }
                return Ok(report);
            }
            Err(error @ (StoreError::BadRecord { .. } | StoreError::Disk(_))) => {
                let repair = error.hint().filter(|_| matches!(error, StoreError::Disk(_))).unwrap_or(Hint::RestoreMarker);
                add(Severity::Loss, dir, error.to_string(), &[repair]);
                return Ok(report);
            }
            Err(error) => return Err(error.into()),
        };
        self.note_place(&store);
        if let Some(why) = store.read_only() {
            let what = "this user can list, verify and use it, but not download into it or remove from it";
            add(Severity::Leftover, dir.clone(), what.into(), &[self.who_may_let_write(&store, why)?]);
        } else if !store.locks_work() {
            let what = "file locks do nothing here: downloads are not shared between processes, nothing is resumed or collected";
            add(Severity::Repairable, dir.clone(), what.into(), &[Hint::MoveToLocalDisk]);
        }
        if disk::is_network_file_system(&dir) {
            let what = "the store is on a network file system: locks of other hosts may not be seen";
            add(Severity::Leftover, dir.clone(), what.into(), &[Hint::OnlyThisHost]);
        }
        let hashing = |done| self.report(&Event::Hashing { file: "the store".into(), done, size: 0 });
        let progress = Progress { bytes: &hashing, cancel: &self.cancel };
        let findings = store.examine(full, progress)?;
        report.totals.blobs = findings.blobs;
        let mut unreadable = None;
        let project = match Project::identify(&*models, &self.settings.models_dir) {
            Err(StoreError::BadRecord { path, why }) => {
                unreadable = Some((path, format!("it cannot be read: {why}")));
                None
            }
            Err(StoreError::Disk(error)) => {
                unreadable = Some((error.path.clone(), error.to_string()));
                None
            }
            other => other?,
        };
        let rooted = match &project {
            // What cannot be read of them is among the findings already.
            Some(project) => store.roots_of(project).map(Some).or_else(tell_once)?,
            None => Some(Vec::new()),
        };
        let is_unrooted = |view: &ViewKey| rooted.as_ref().is_some_and(|rooted| !rooted.iter().any(|root| root.view == *view));
        let mut add = |severity, path: std::path::PathBuf, message: String, repair: Hint| {
            report.findings.push(StoreFinding { severity, path, message, repair: vec![repair] });
        };
        if let Some((path, what)) = unreadable {
            let mut views: Vec<ViewKey> = self.list_here()?.into_iter().filter_map(|listed| listed.view).collect();
            views.sort();
            let downloads = views.iter().map(|view| Action::new(Verb::Download).name(view.name())).collect();
            let repair = Hint::RestartProject { path: path.clone(), downloads };
            add(Severity::Repairable, path, what, repair);
        }
        let mut told = BTreeSet::new();
        for file in self.views(Some(store.clone())).scan(None)? {
            let Some(view) = file.view() else { continue };
            let repair = Hint::Run(hint::repair(&file.model, &file.format, file.quant.as_deref()));
            let is_in_store = |digest: &Sha256Digest| matches!(store.find(digest), Ok(Some(_)));
            let again = Hint::Run(Action::new(Verb::Download).name(view.name()));
            match &file.state {
                FileState::Dangling { target, digest: None } if file.recorded.is_some() => {
                    let what = format!("a link to {}, where nothing is, stands where its view has a file", target.display());
                    add(Severity::Repairable, file.path.clone(), what, repair);
                }
                FileState::Dangling { target, digest: None } => {
                    let what = format!("a link that is not of this program leads to {}, where nothing is", target.display());
                    add(Severity::Leftover, file.path.clone(), what, Hint::RestoreLinkTarget);
                }
                _ if file.is_damaged => {
                    told.extend(file.digest());
                    add(Severity::Loss, file.path.clone(), "its content in the store is damaged".into(), repair);
                }
                FileState::Dangling { target, digest: Some(digest) } if file.recorded.is_some() && is_in_store(digest) => {
                    let what = format!("its link leads to {}, where nothing is; its content is in this store", target.display());
                    add(Severity::Repairable, file.path.clone(), what, repair);
                }
                FileState::Absent if file.recorded.is_some_and(|recorded| is_in_store(&recorded.sha256)) => {
                    add(Severity::Repairable, file.path.clone(), "the store holds it, but its link is missing".into(), repair);
                }
                FileState::Copy { .. } if file.is_mismatch => {
                    add(Severity::Repairable, file.path.clone(), "its content is damaged".into(), repair);
                }
                FileState::Foreign | FileState::LinkText { .. } if file.recorded.is_some() => {
                    let what = format!("{} stands where its view has a file of this program", self.what_stands_at(&file)?);
                    add(Severity::Repairable, file.path.clone(), what, repair);
                }
                _ if file.shows_another() => {
                    add(Severity::Repairable, file.path.clone(), "it shows another file than its view has".into(), repair);
                }
                FileState::Dangling { target, .. } => {
                    add(
                        Severity::Loss,
                        file.path.clone(),
                        format!("its link leads to {}, where nothing is", target.display()),
                        again,
                    );
                }
                FileState::Blob { .. } | FileState::Copy { .. } if is_unrooted(&view) => {
                    add(Severity::Repairable, file.path.clone(), "the store does not know that this project uses it".into(), again);
                }
                _ => {}
            }
        }
        let hidden: Vec<Sha256Digest> = store.damaged()?.difference(&told).copied().collect();
        // If the roots cannot be read, the blobs may be in use.
        let users = if hidden.is_empty() { None } else { store.users().ok() };
        for digest in hidden {
            let path = store.layout().blob(&digest);
            if users.as_ref().is_some_and(|users| !users.contains_key(&digest)) {
                add(Severity::Leftover, path, "it is damaged, and no project uses it".into(), Hint::CollectNow);
            } else {
                let repair = Hint::FindAndRepair { digest: digest.to_string() };
                add(Severity::Loss, path, "it is damaged, and this project does not show it".into(), repair);
            }
        }
        let mut lines = Vec::new();
        for uuid in store.projects().or_else(tell_once)? {
            // What cannot be read of it is among the findings already.
            lines.extend(self.project_line(&store, uuid).ok());
        }
        // That a project has no record is among the findings already.
        for line in lines.into_iter().filter(|line| line.state != ProjectState::Live && !line.path.is_empty()) {
            let what = match line.state {
                ProjectState::Missing => format!("the project is gone, and {} views of it keep their blobs", line.views.len()),
                _ => format!("the project on {} cannot be seen from here; its blobs are kept", line.host),
            };
            add(Severity::Leftover, line.path.into(), what, Hint::ForgetProject { project: line.uuid.to_string() });
        }
        report.findings.extend(findings.list);
        report.findings.extend(self.left_by_root()?);
        report.findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        report.full = full;
        Ok(report)
    }

    /// Files that earlier runs by root left in folders of other users: the models directory, its views, and the sidecar
    /// locks of registry and lock file. A registry that belongs to root may be intended.
    fn left_by_root(&self) -> Result<Vec<StoreFinding>> {
        let mut findings = Vec::new();
        if !cfg!(unix) {
            return Ok(findings);
        }
        let models = &self.settings.models_dir;
        let mut folders = BTreeSet::from([models.clone()]);
        for file in self.views(None).scan(None)? {
            folders.extend(file.path.ancestors().skip(1).take_while(|dir| *dir != models).map(Path::to_owned));
        }
        let mut files = Vec::new();
        for folder in &folders {
            files.extend([PROJECT_FILE, MANIFEST_FILE].map(|name| folder.join(name)));
        }
        let beside = [self.settings.config.as_ref(), Some(&self.settings.lock_file)].into_iter().flatten();
        for (file, extension) in beside.flat_map(|file| [(file, "lock"), (file, "busy")]) {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            files.push(file.with_file_name(format!(".{name}.{extension}")));
        }
        for path in folders.into_iter().chain(files) {
            let above = path.parent().and_then(|above| self.disk.stat_follow(above).ok());
            if let (Ok(Some(stat)), Some(above)) = (self.disk.find(&path), above)
                && stat.uid == 0
                && above.uid != 0
            {
                let shut_out = ShutOut::in_folder(&path, stat.uid, &above);
                let what = format!("it belongs to {} and not to {}", disk::user_name(0), disk::user_name(above.uid));
                findings.push(StoreFinding {
                    severity: Severity::Repairable,
                    path,
                    message: what,
                    repair: vec![Hint::SystemCommand(shut_out.command())],
                });
            }
        }
        Ok(findings)
    }

    /// What a user does who can only read the store and wants to write it.
    fn who_may_let_write(&self, store: &Store, why: WhyReadOnly) -> Result<Hint> {
        let root = self.disk.stat_follow(store.layout().root())?;
        if why == WhyReadOnly::Permission
            && let Some(shut_out) = ShutOut::from_store(&*self.disk, store.layout().root())
        {
            return Ok(shut_out.hint());
        }
        Ok(match why {
            WhyReadOnly::Volume => Hint::RunWhereWritable,
            WhyReadOnly::NewerLayout => Hint::UpdateProgram { is_readable: true },
            WhyReadOnly::NoLocks | WhyReadOnly::ForReading => Hint::RestoreLocks,
            WhyReadOnly::Permission if store.marker().is_shared() => Hint::JoinGroup { group: disk::group_name(root.gid) },
            WhyReadOnly::Permission => Hint::AskOwnerToShare,
        })
    }

    /// Makes the store, or completes it. `shared` lets the group of its folder write it; `group` names that group.
    pub fn init(&self, shared: bool, group: Option<&str>) -> Result<std::path::PathBuf> {
        let dir = self.store_dir();
        // Before anything is created: a store that is only partly shared would have to be repaired by hand.
        let gid = group.map(number_of_group).transpose()?;
        require_folder_or_nothing(&*self.disk, &dir)?;
        if self.settings.store.is_none() {
            require_folder_or_nothing(&*self.disk, &self.settings.models_dir)?;
            self.disk.create_dirs(&self.settings.models_dir, 0o755)?;
        }
        let store = Store::open_or_init(self.models_disk(), &dir, shared)?;
        if let Some(gid) = gid {
            let folder = store.disk().open(&dir, Open::Read)?;
            // Only its owner may, and need not where it is right.
            if folder.stat()?.gid != gid {
                folder.set_group(gid)?;
            }
        }
        match shared {
            true => drop(store.share()?),
            false => store.complete()?,
        }
        // A project that uses it already and whose record was lost is known again.
        let project = Project::identify(&*self.models_disk(), &self.settings.models_dir)?;
        if project.is_some_and(|project| store.projects().is_ok_and(|known| known.contains(&project))) {
            Project::register(&store.waiting(self.wait()), &self.settings.models_dir)?;
        }
        Ok(dir)
    }
}

/// The number of a group that the user named.
fn number_of_group(group: &str) -> Result<u32> {
    disk::group_number(group).map_err(|error| {
        let message = format!("the store cannot be given to the group `{}`: {error}", text::short(group, 80));
        Error::new(ErrorKind::Usage, message).hint(Hint::NameGroup)
    })
}

/// Nothing, where a record cannot be read: the examination of the store has told it.
fn tell_once<T: Default>(error: StoreError) -> Result<T, StoreError> {
    match error {
        StoreError::BadRecord { .. } | StoreError::Disk(_) => Ok(T::default()),
        error => Err(error),
    }
}
