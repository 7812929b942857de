//! Takes models of applications over into the store: hashed once while they are read, shared and not copied, shown in a view.
//!
//! Nothing of an application is moved, removed or written, but for the mode of a file with `protect`.

use super::super::{AdoptReport, AdoptedFile, AdoptedModel, AppProblem, ModelManager, Views};
use super::{AppFile, AppModel, naming::ViewOfFiles};
use crate::{
    digest::Sha256Digest,
    disk::Kind,
    error::{Error, ErrorKind, Result},
    event::Event,
    foreign::{self, Claim, LeftOut, Patience, Place, Watch, scan_all},
    hint::Hint,
    names::{App, RelPath, Revision},
    settings::DEFAULT_ENDPOINT,
    store::{
        FileToImport, ImportMode, Imported, Lease, Project, Provenance, Sharing, Store, Trust, UpstreamFile, ViewFile, ViewKey,
    },
};
use std::path::{Path, PathBuf};

/// How models of applications are taken over.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct AdoptOptions {
    /// Models by the name that an application gives them, and paths of files and folders.
    pub what: Vec<String>,
    /// The applications whose models are taken; where nothing else is named, all that they have.
    pub from: Vec<App>,
    /// Folders of a disk full of files: GGUF and safetensors files below them are found by their content. What applications
    /// and stores of this program have there is left out.
    pub scan: Vec<PathBuf>,
    /// Only say what would be done.
    pub dry_run: bool,
    /// Copy what cannot be shared.
    pub copy: bool,
    /// Make files read-only that the store and the application share as one file.
    pub protect: bool,
}

/// A model that was chosen, and where it is.
struct ChosenModel {
    app: Option<App>,
    model: AppModel,
}

impl ModelManager {
    /// Takes models over. What cannot be taken is a problem of the report; the others are taken all the same.
    ///
    /// # Errors
    /// Where nothing of what was asked for is there, or the store cannot be written.
    pub fn adopt(&self, options: &AdoptOptions) -> Result<AdoptReport> {
        let mut report = AdoptReport { dry_run: options.dry_run, ..AdoptReport::default() };
        let chosen = self.choose_models(options, &mut report)?;
        if options.dry_run {
            for ChosenModel { app, model } in &chosen {
                let views = self.views_of(model);
                if views.is_empty() {
                    report.problems.push(no_model(model));
                }
                for view in views {
                    let files = view.files.iter().map(|(file, path)| adopted_file(file, path, None)).collect();
                    self.add_model(&mut report, *app, model, &view.view, files);
                }
            }
            return Ok(report);
        }
        let store = self.store()?;
        let lease = store.lease()?;
        let project = Project::register(&store, &self.settings.models_dir)?;
        self.settle_earlier_replacements(&store, &project, &mut report.problems)?;
        for ChosenModel { app, model } in &chosen {
            let views = self.views_of(model);
            if views.is_empty() {
                report.problems.push(no_model(model));
            }
            for view in views {
                self.adopt_view(*app, model, view, options, (&store, &lease, &project), &mut report)?;
            }
        }
        Ok(report)
    }

    /// Imports the files of one view, and shows it.
    fn adopt_view(
        &self,
        app: Option<App>,
        model: &AppModel,
        ViewOfFiles { mut view, files }: ViewOfFiles<'_>,
        options: &AdoptOptions,
        (store, lease, project): (&Store, &Lease, &Project),
        report: &mut AdoptReport,
    ) -> Result<()> {
        let mut taken: Vec<(&AppFile, RelPath, Imported)> = Vec::new();
        for (file, path) in &files {
            match self.import_of_app(app, file, options, None, store, lease) {
                Ok(imported) => taken.push((file, path.clone(), imported)),
                Err(error) if error.kind() == ErrorKind::Interrupted => return Err(error),
                Err(error) => {
                    // A set that lacks a file is none.
                    report.fail(file.path.clone(), &error);
                    return Ok(());
                }
            }
            if options.protect && self.stays_writable(file, taken.last()) {
                let problem = "it was not made read-only: the store has this content in a file of its own".to_owned();
                report.problems.push(AppProblem { path: file.path.clone(), problem });
            }
        }
        // The registry knows the content of a single file by another name.
        if let [(_, path, imported)] = taken.as_mut_slice()
            && let Some((known, known_path)) = self.in_registry(&imported.blob.digest)
        {
            (view, *path) = (known, known_path);
        }
        let shown: Vec<ViewFile> = taken
            .iter()
            .map(|(_, path, imported)| ViewFile { path: path.clone(), sha256: imported.blob.digest, size: imported.blob.size })
            .collect();
        // Files of a disk have the names that somebody gave them: those of two folders may be equal.
        let apart =
            taken.first().filter(|_| app.is_none() && !options.scan.is_empty()).and_then(|(file, ..)| apart(&view, &file.path));
        let mut is_shown = self.show_adopted(store, project, &view, &shown);
        if let (Ok(false), Some(apart)) = (&is_shown, apart) {
            view = apart;
            is_shown = self.show_adopted(store, project, &view, &shown);
        }
        let error = match is_shown {
            Ok(true) => None,
            Ok(false) => Some(Error::new(ErrorKind::Failed, format!("{view} is here with other files")).hint(Hint::NothingChanged)),
            Err(error) => Some(error),
        };
        if let Some(error) = error {
            report.fail(self.settings.models_dir.join(view.dir()), &error);
            return Ok(());
        }
        let files = taken.iter().map(|(file, path, imported)| adopted_file(file, path, Some(imported))).collect();
        self.add_model(report, app, model, &view, files);
        Ok(())
    }

    /// Whether a file that was to become read-only can be written all the same, because it is not the blob.
    fn stays_writable(&self, file: &AppFile, taken: Option<&(&AppFile, RelPath, Imported)>) -> bool {
        taken.is_some_and(|(.., imported)| imported.sharing == Sharing::Present)
            && self.disk.stat(&file.path).is_ok_and(|stat| stat.mode & 0o222 != 0)
    }

    /// Roots and shows a view; `false` where one of its name is there with other files.
    fn show_adopted(&self, store: &Store, project: &Project, view: &ViewKey, files: &[ViewFile]) -> Result<bool> {
        let _views_lock = project.lock_views(store.wait())?;
        if let Some(root) = store.root_of(project.uuid(), view)?
            && root.files != files
        {
            return Ok(false);
        }
        let views: Views = self.views(Some(store.clone()));
        views.require_free(view, files.iter().map(|file| &file.path))?;
        views.require_fit(view, files)?;
        project.put_root(view, files)?;
        views.build_adopting(view, files, self.settings.link, project.uuid(), &[])?;
        Ok(true)
    }

    /// Imports one file of an application.
    pub(super) fn import_of_app(
        &self,
        app: Option<App>,
        file: &AppFile,
        options: &AdoptOptions,
        expected: Option<(Sha256Digest, Trust)>,
        store: &Store,
        lease: &Lease,
    ) -> Result<Imported> {
        let name = file.path.display().to_string();
        let progress = |done| self.report(&Event::Hashing { file: name.clone(), done, size: file.size });
        let path = Some(name.clone());
        let from = app.map_or(Provenance::Local { path: path.clone() }, |app| Provenance::App { app: app.to_string(), path });
        let wanted = FileToImport {
            path: &file.path,
            how: ImportMode::Share { protect: options.protect, or_copy: options.copy },
            expected,
            git_sha1: None,
            sources: [from].into_iter().chain(claimed(&file.claim)).collect(),
        };
        let imported = store.import_file(wanted, lease, &progress, &self.cancel)?;
        if expected.is_none() && self.in_registry(&imported.blob.digest).is_some() {
            // A hash of the registry counts as published.
            store.raise_trust(&imported.blob.digest, Trust::Sha256Upstream)?;
        }
        Ok(imported)
    }

    fn add_model(&self, report: &mut AdoptReport, app: Option<App>, model: &AppModel, view: &ViewKey, files: Vec<AdoptedFile>) {
        for file in &files {
            report.totals.total_bytes += file.size;
            match file.sharing {
                Some(Sharing::Copy) => report.totals.copied_bytes += file.size,
                Some(_) => report.totals.shared_bytes += file.size,
                None => {}
            }
        }
        let paths: Vec<RelPath> = files.iter().filter_map(|file| file.file.parse().ok()).collect();
        report.models.push(AdoptedModel {
            app: app.map(|app| app.to_string()),
            name: model.name.clone(),
            view: view.clone(),
            path: self.shown_path(view, &paths.iter().collect::<Vec<_>>()),
            files,
        });
    }

    /// The models that were asked for. What is not there is a failure of the report, unless nothing else is.
    fn choose_models(&self, options: &AdoptOptions, report: &mut AdoptReport) -> Result<Vec<ChosenModel>> {
        let (paths, names): (Vec<&String>, Vec<&String>) = options.what.iter().partition(|what| self.is_path(what));
        let (mut chosen, mut failures) = (Vec::new(), Vec::new());
        for name in paths {
            let path = std::path::absolute(Path::new(name)).unwrap_or_else(|_| name.into());
            match self.at_place(&path, &mut report.problems) {
                Ok(models) => chosen.extend(models),
                Err(error) => failures.push((path, error)),
            }
        }
        for dir in &options.scan {
            match self.on_disk(dir, &mut report.problems) {
                Ok(models) => chosen.extend(models),
                Err(error) => failures.push((dir.clone(), error)),
            }
        }
        let is_all_of_apps = options.what.is_empty() && (options.scan.is_empty() || !options.from.is_empty());
        if is_all_of_apps || !names.is_empty() {
            let scans = self.scan_apps(&options.from, Patience::ASKED);
            report.problems.extend(scans.iter().flat_map(|(_, scan)| &scan.problems).map(super::of_problem));
            let all = scans.iter().flat_map(|(place, scan)| scan.models.iter().map(|model| (place.app, model)));
            let all: Vec<(App, &AppModel)> = all.collect();
            if is_all_of_apps {
                chosen.extend(all.iter().map(|(app, model)| ChosenModel { app: Some(*app), model: (*model).clone() }));
            }
            for name in names {
                match model_called(name, &all) {
                    Ok((app, model)) => chosen.push(ChosenModel { app: Some(app), model: model.clone() }),
                    Err(error) => failures.push((name.into(), error)),
                }
            }
        }
        self.stop_if_cancelled()?;
        if chosen.is_empty() && !failures.is_empty() {
            return Err(failures.remove(0).1);
        }
        failures.iter().for_each(|(path, error)| report.fail(path.clone(), error));
        Ok(chosen)
    }

    fn is_path(&self, what: &str) -> bool {
        looks_like_a_path(what) && self.disk.stat_follow(Path::new(what)).is_ok()
    }

    /// The models on a disk full of files.
    fn on_disk(&self, dir: &Path, problems: &mut Vec<AppProblem>) -> Result<Vec<ChosenModel>> {
        let dir = self.disk.canonical(dir)?;
        if self.disk.stat(&dir)?.kind != Kind::Dir {
            let text = format!("{} is not a folder", dir.display());
            return Err(Error::new(ErrorKind::Usage, text).hint(Hint::NothingChanged));
        }
        let real = |dir: &Path| self.disk.canonical(dir).ok();
        let of_apps = self.settings.apps.iter().filter_map(|place| {
            let why = format!("it belongs to {}, and was left out of the scan", place.app.title());
            Some(LeftOut { dir: real(&place.dir)?, why: Some(why) })
        });
        let own = [self.store_dir(), self.settings.models_dir.clone()];
        let own = own.iter().filter_map(|dir| Some(LeftOut { dir: real(dir)?, why: None }));
        let place = Place::Disk(dir, of_apps.chain(own).collect());
        let mut scans = scan_all(&self.disk, vec![place], Patience::DISK, &|| self.cancel.is_cancelled());
        self.stop_if_cancelled()?;
        let scan = scans.pop().flatten().unwrap_or_default();
        problems.extend(scan.problems.iter().map(super::of_problem));
        Ok(scan.models.into_iter().map(|model| ChosenModel { app: None, model }).collect())
    }

    /// The models at a path: a file, or all weights below a folder.
    fn at_place(&self, path: &Path, problems: &mut Vec<AppProblem>) -> Result<Vec<ChosenModel>> {
        let stat = self.disk.stat_follow(path)?;
        if stat.kind == Kind::Dir {
            let scan = foreign::scan(&*self.disk, App::TextGen, path, &Watch::default());
            problems.extend(scan.problems.iter().map(super::of_problem));
            return Ok(scan.models.into_iter().map(|model| ChosenModel { app: None, model: without_claims(model) }).collect());
        }
        let real = self.disk.canonical(path)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let claim = Claim { path: name.parse().ok(), ..Claim::default() };
        let stat = self.disk.stat(&real)?;
        if stat.len == 0 {
            return Err(Error::new(ErrorKind::Usage, format!("{} is empty", path.display())).hint(Hint::NothingChanged));
        }
        let file = AppFile { path: real, size: stat.len, id: (stat.dev, stat.ino), claim };
        let stem = name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem).to_owned();
        Ok(vec![ChosenModel { app: None, model: AppModel { name: stem, files: vec![file] } }])
    }
}

fn looks_like_a_path(what: &str) -> bool {
    what.contains(['/', '\\']) || what.ends_with(".gguf") || what.ends_with(".safetensors") || what == "."
}

/// The one model of this name, or whose name begins so.
fn model_called<'m>(name: &str, all: &[(App, &'m AppModel)]) -> Result<(App, &'m AppModel)> {
    let mut found: Vec<(App, &AppModel)> = all.iter().copied().filter(|(_, model)| model.name.eq_ignore_ascii_case(name)).collect();
    if found.is_empty() {
        let plain = |text: &str| text.rsplit('/').next().unwrap_or(text).to_ascii_lowercase();
        let starts = |model: &AppModel| plain(&model.name).split(':').next() == Some(&plain(name));
        found = all.iter().copied().filter(|(_, model)| starts(model)).collect();
    }
    // The same model in two applications is one; its bytes are hashed once.
    found.dedup_by(|one, other| one.1.files.iter().map(|file| file.id).eq(other.1.files.iter().map(|file| file.id)));
    match found.as_slice() {
        [only] => Ok(*only),
        [] if Path::new(name).is_absolute() || name.starts_with(['.', '~']) => {
            let text = format!("there is no file or folder `{name}`");
            Err(Error::new(ErrorKind::NotFound, text).hint(Hint::NothingChanged))
        }
        [] => {
            let what = if looks_like_a_path(name) { "no file is there, and " } else { "" };
            let error = Error::new(ErrorKind::NotFound, format!("{what}no application here has a model `{name}`"));
            match crate::names::nearest(name, all.iter().map(|(_, model)| model.name.as_str())) {
                Some(near) => Err(error.hint(Hint::DidYouMean { names: vec![near.to_owned()], actions: Vec::new() })),
                None => Err(error.hint(Hint::ListApps)),
            }
        }
        several => {
            let names: Vec<String> = several.iter().map(|(app, model)| format!("{} of {app}", model.name)).collect();
            let text = format!("`{name}` means several models: {}", crate::text::list(&names));
            Err(Error::new(ErrorKind::Usage, text).hint(Hint::NameApp))
        }
    }
}

/// The view under a name that has that of the file's folder in it.
fn apart(view: &ViewKey, file: &Path) -> Option<ViewKey> {
    let folder = file.parent()?.file_name()?.to_string_lossy().into_owned();
    let model = format!("{folder}--{}", view.model).parse().ok()?;
    Some(ViewKey { model, ..view.clone() })
}

fn no_model(model: &AppModel) -> AppProblem {
    let path = model.files.first().map(|file| file.path.clone()).unwrap_or_default();
    AppProblem { path, problem: format!("nothing of `{}` is a model", model.name) }
}

/// A folder that a person named is no application, so its name claims no repository.
fn without_claims(mut model: AppModel) -> AppModel {
    model.files.iter_mut().for_each(|file| file.claim.repo = None);
    model
}

/// Where an application says that a file is from.
pub(super) fn claimed(claim: &Claim) -> Option<Provenance> {
    let (repo, path) = (claim.repo.as_ref()?, claim.path.as_ref()?);
    let commit = claim.commit.as_ref().filter(|commit| commit.parse::<Revision>().is_ok());
    Some(Provenance::Source(UpstreamFile {
        endpoint: DEFAULT_ENDPOINT.to_owned(),
        repo: Some(repo.to_string()),
        commit: commit.cloned(),
        path: Some(path.to_string()),
        git_sha1: claim.git_sha1,
        xet_hash: None,
    }))
}

fn adopted_file(file: &AppFile, path: &RelPath, imported: Option<&Imported>) -> AdoptedFile {
    AdoptedFile {
        file: path.to_string(),
        source_path: file.path.clone(),
        size: file.size,
        sha256: imported.map(|imported| imported.blob.digest),
        sharing: imported.map(|imported| imported.sharing),
    }
}
