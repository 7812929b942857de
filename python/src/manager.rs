//! The manager as Python's classes use it: plain values in, dicts out.

use crate::{
    convert,
    errors::raise,
    hints,
    run::{Watch, run},
    settings::{self, Arguments, time},
};
use model_manager::{
    config::store_for_user,
    digest::Sha256Digest,
    disk::{Disk, RealDisk},
    error::{Error, ErrorKind, Result},
    hint::Hint,
    manager::{
        AddRequest, Call, Companions, DownloadOptions, LockEntryReport, LockOptions, ModelManager, Selector, Session, SyncOptions,
        UseOptions, UseReport,
    },
    registry::{BUILT_IN, BUILT_IN_ORIGIN, Backend, Registry},
    source::hub::Companion,
    store::{CheckMode, GcOptions, Progress, hash_file},
};
use pyo3::prelude::*;
use serde::Serialize;
use std::path::{PathBuf, absolute};

/// A session with a registry that was given to it, and the project's folder.
#[pyclass(frozen, module = "model_manager")]
pub struct Native {
    session: Session,
    root: PathBuf,
    /// What was odd about the settings.
    #[pyo3(get)]
    warnings: Vec<String>,
}

/// Which model, and which of its forms, as text.
#[derive(FromPyObject)]
pub struct Which(String, Option<String>, Option<String>);

impl Which {
    fn selector(&self) -> Result<Selector> {
        let Self(model, format, quant) = self;
        let mut selector = Selector::new(model)?;
        selector.format = format.as_deref().map(str::parse).transpose()?;
        selector.quant = quant.as_deref().map(str::parse).transpose()?;
        Ok(selector)
    }
}

/// What else is said of a download.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct Wanted {
    revision: Option<String>,
    sha256: Option<String>,
    force: bool,
    /// Each as `ROLE` or `ROLE=NAME`.
    companions: Vec<String>,
    include: Vec<String>,
    exclude: Vec<String>,
}

impl Wanted {
    fn options(self) -> Result<DownloadOptions> {
        let mut options = DownloadOptions::default();
        options.sha256 = self.sha256.as_deref().map(digest).transpose()?;
        options.force = self.force;
        options.revision = self.revision.as_deref().map(str::parse).transpose()?;
        options.with = parsed(&self.companions)?;
        (options.include, options.exclude) = (self.include, self.exclude);
        Ok(options)
    }
}

/// What else is said of an entry that is to be added to the registry.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct Addition {
    id: Option<String>,
    revision: Option<String>,
    sha256: Option<String>,
    description: Option<String>,
    mmproj: Option<Mmproj>,
    companions: Vec<String>,
    update: bool,
    dry_run: bool,
}

/// Whether an entry gets a projector, or the name of the one.
#[derive(FromPyObject)]
enum Mmproj {
    Flag(bool),
    Name(String),
}

impl Mmproj {
    fn wanted(&self) -> Option<Companion> {
        match self {
            Self::Flag(false) => None,
            Self::Flag(true) => Some(Companion::projector(None)),
            Self::Name(name) => Some(Companion::projector(Some(name))),
        }
    }
}

impl Addition {
    fn request(self, which: &Which, new_registry: PathBuf) -> Result<AddRequest> {
        let which = which.selector()?;
        let projector_if_any = !matches!(self.mmproj, Some(Mmproj::Flag(false)));
        let projector = self.mmproj.as_ref().and_then(Mmproj::wanted);
        let wanted = projector.into_iter().chain(parsed(&self.companions)?).collect();
        let mut request = AddRequest::new(which.model, new_registry);
        request.id = self.id.as_deref().map(str::parse).transpose()?;
        (request.format, request.quant) = (which.format, which.quant);
        request.revision = self.revision.as_deref().map(str::parse).transpose()?;
        request.sha256 = self.sha256.as_deref().map(digest).transpose()?;
        request.description = self.description;
        request.companions = Companions { wanted, projector_if_any };
        (request.update, request.dry_run) = (self.update, self.dry_run);
        Ok(request)
    }
}

/// A backend's settings with a model in them.
#[derive(Serialize)]
struct Used {
    #[serde(flatten)]
    report: UseReport,
    /// As they are now or, in a dry run, would be.
    text: String,
    dry_run: bool,
}

impl Native {
    fn with(&self, session: Session) -> Self {
        Self { session, root: self.root.clone(), warnings: Vec::new() }
    }

    /// For looks at the disk that are too short to be watched.
    fn quick(&self) -> ModelManager {
        self.session.blocking(Call::default())
    }

    /// The result is a `class` of `model_manager.results`, or a list of them.
    fn run<'py, T: Serialize + Send + 'static>(
        &self,
        py: Python<'py>,
        watch: Watch,
        class: &str,
        work: impl FnOnce(&ModelManager) -> Result<T> + Send + 'static,
    ) -> PyResult<Bound<'py, PyAny>> {
        let report = run(py, &self.session, watch, work)?;
        convert::report(py, class, &report)
    }

    /// What using a model needs to know. Settings name models from the project's folder, wherever the caller is, so the
    /// models directory is reported in full.
    fn use_options(&self, backend: &str, file: Option<PathBuf>) -> Result<(Session, UseOptions)> {
        let backend: Backend = backend.parse().map_err(|_| {
            Error::new(ErrorKind::Usage, format!("`{backend}` is no backend")).hint(Hint::ChooseOne(vec!["llama_cpp", "vllm"]))
        })?;
        let models_dir = absolute(&self.session.settings().models_dir)
            .map_err(|error| Error::new(ErrorKind::Failed, "the current directory cannot be told").caused_by(error))?;
        let mut settings = self.session.settings().clone();
        settings.models_dir = models_dir;
        Ok((self.session.with_settings(settings), UseOptions::new(backend, file, self.root.clone())))
    }
}

#[pymethods]
impl Native {
    #[new]
    fn new(py: Python<'_>, arguments: Arguments) -> PyResult<Self> {
        let resolved = settings::resolve(arguments).map_err(|error| raise(py, &error))?;
        let registry = Registry::parse("models: {}", "(empty)").map_err(|error| raise(py, &error.into()))?;
        let session = Session::for_registry(resolved.settings, registry);
        Ok(Self { session, root: resolved.root, warnings: resolved.warnings.iter().map(hints::with_message).collect() })
    }

    /// The same settings with the registry that a text is.
    fn with_registry(&self, py: Python<'_>, text: &str, origin: &str) -> PyResult<Self> {
        let registry = Registry::parse(text, origin).map_err(|error| raise(py, &error.into()))?;
        Ok(self.with(self.session.with_registry(registry)))
    }

    /// The same settings with this registry as it was changed in memory: `text` says how it is now, `file` what was read.
    fn with_changed(&self, py: Python<'_>, text: &str, file: &str, origin: &str) -> PyResult<Self> {
        let file = Registry::parse(file, origin).or_else(|_| Registry::parse("models: {}", origin));
        let registry = file.and_then(|file| Registry::parse_changed(text, &file)).map_err(|error| raise(py, &error.into()))?;
        Ok(self.with(self.session.with_registry(registry)))
    }

    /// The same settings with another registry file. What the registry knows stays, until that is read.
    fn with_config(&self, path: PathBuf) -> Self {
        let mut settings = self.session.settings().clone();
        settings.config = Some(path);
        self.with(self.session.with_settings(settings))
    }

    /// The registry's text and what messages call it; `None` if there is no such file.
    fn registry_text(&self, py: Python<'_>) -> PyResult<Option<(String, String)>> {
        let Some(path) = &self.session.settings().config else {
            return Ok(Some((BUILT_IN.to_owned(), BUILT_IN_ORIGIN.to_owned())));
        };
        let bytes = (&RealDisk as &dyn Disk).read_small(path).map_err(|error| raise(py, &error.into()))?;
        let Some(bytes) = bytes else { return Ok(None) };
        let origin = path.display().to_string();
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Some((text, origin))),
            Err(error) => Err(raise(py, &Error::new(ErrorKind::Usage, format!("{origin} is not UTF-8 text: {error}")))),
        }
    }

    #[getter]
    fn models_dir(&self) -> PathBuf {
        self.session.settings().models_dir.clone()
    }

    #[getter]
    fn store_dir(&self) -> PathBuf {
        self.quick().store_dir()
    }

    #[getter]
    fn project_root(&self) -> PathBuf {
        self.root.clone()
    }

    #[getter]
    fn config_path(&self) -> Option<PathBuf> {
        self.session.settings().config.clone()
    }

    /// Whether there is a token for the Hub.
    #[getter]
    fn has_token(&self) -> bool {
        self.session.settings().network.token.is_some()
    }

    #[getter]
    fn lock_file(&self) -> PathBuf {
        self.session.settings().lock_file.clone()
    }

    fn path(&self, py: Python<'_>, which: Which) -> PyResult<PathBuf> {
        py.detach(|| self.quick().path(&which.selector()?)).map_err(|error| raise(py, &error))
    }

    fn list<'py>(&self, py: Python<'py>, watch: Watch, format: Option<String>) -> PyResult<Bound<'py, PyAny>> {
        self.run(py, watch, "Listed", move |manager| manager.list(format.as_deref().map(str::parse).transpose()?.as_ref()))
    }

    fn info<'py>(&self, py: Python<'py>, watch: Watch, which: Option<Which>, remote: bool) -> PyResult<Bound<'py, PyAny>> {
        self.run(py, watch, "ModelInfo", move |manager| match which {
            None => manager.info(),
            Some(which) => Ok(vec![manager.info_of(&which.selector()?, remote)?]),
        })
    }

    fn plan<'py>(&self, py: Python<'py>, watch: Watch, which: Which, wanted: Wanted) -> PyResult<Bound<'py, PyAny>> {
        let options = wanted.options().map_err(|error| raise(py, &error))?;
        self.run(py, watch, "Plan", move |manager| manager.plan_download(&which.selector()?, &options))
    }

    fn download<'py>(&self, py: Python<'py>, watch: Watch, which: Which, wanted: Wanted) -> PyResult<Bound<'py, PyAny>> {
        let options = wanted.options().map_err(|error| raise(py, &error))?;
        self.run(py, watch, "Download", move |manager| manager.download(&which.selector()?, &options))
    }

    fn verify<'py>(&self, py: Python<'py>, watch: Watch, which: Vec<Which>, mode: &str) -> PyResult<Bound<'py, PyAny>> {
        let mode = check_mode(mode).map_err(|error| raise(py, &error))?;
        self.run(py, watch, "Verified", move |manager| {
            let verified = manager.verify(&selectors(&which)?, mode)?;
            let notes = verified.iter().map(|file| hints::with_note(file.note.as_deref(), &file.hints));
            hints::with_words(&verified, "", "note", notes)
        })
    }

    fn repair<'py>(&self, py: Python<'py>, watch: Watch, which: Vec<Which>, mode: &str) -> PyResult<Bound<'py, PyAny>> {
        let mode = check_mode(mode).map_err(|error| raise(py, &error))?;
        self.run(py, watch, "Repair", move |manager| manager.repair(&manager.verify(&selectors(&which)?, mode)?))
    }

    fn remove<'py>(
        &self,
        py: Python<'py>,
        watch: Watch,
        which: Which,
        keep_blobs: bool,
        dry_run: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.run(py, watch, "Removal", move |manager| manager.remove(&which.selector()?, keep_blobs, dry_run))
    }

    fn lock<'py>(
        &self,
        py: Python<'py>,
        watch: Watch,
        which: Vec<Which>,
        update: bool,
        dry_run: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let mut options = LockOptions::default();
        (options.update, options.dry_run) = (update, dry_run);
        self.run(py, watch, "Lock", move |manager| {
            let report = manager.lock(&selectors(&which)?, options)?;
            hints::with_words(&report, "models", "note", report.entries.iter().map(note_of))
        })
    }

    fn check_lock<'py>(&self, py: Python<'py>, watch: Watch, which: Vec<Which>) -> PyResult<Bound<'py, PyAny>> {
        self.run(py, watch, "LockCheck", move |manager| manager.check_lock(&selectors(&which)?))
    }

    fn sync<'py>(
        &self,
        py: Python<'py>,
        watch: Watch,
        locked: bool,
        prune: bool,
        quick: bool,
        dry_run: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let mut options = SyncOptions::default();
        (options.locked, options.prune, options.quick, options.dry_run) = (locked, prune, quick, dry_run);
        self.run(py, watch, "Sync", move |manager| {
            let report = manager.sync(options)?;
            hints::with_words(&report, "relocked", "note", report.relocked.iter().map(note_of))
        })
    }

    fn add<'py>(&self, py: Python<'py>, watch: Watch, which: Which, addition: Addition) -> PyResult<Bound<'py, PyAny>> {
        let new_registry = self.root.join("configs").join("models.yaml");
        self.run(py, watch, "Addition", move |manager| manager.add(&addition.request(&which, new_registry)?))
    }

    /// Looks through the file, not through what was changed of it in memory.
    fn lint<'py>(&self, py: Python<'py>, watch: Watch, online: bool) -> PyResult<Bound<'py, PyAny>> {
        self.run(py, watch, "Lint", move |manager| {
            let report = manager.lint(online)?;
            let words = report.findings.iter().map(|finding| hints::text(&finding.hint).unwrap_or_default());
            hints::with_words(&report, "findings", "hint", words)
        })
    }

    fn use_model<'py>(
        &self,
        py: Python<'py>,
        watch: Watch,
        which: Which,
        backend: &str,
        file: Option<PathBuf>,
        dry_run: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (session, options) = self.use_options(backend, file).map_err(|error| raise(py, &error))?;
        let used = run(py, &session, watch, move |manager| {
            let plan = manager.plan_use(&which.selector()?, &options)?;
            if !dry_run {
                manager.apply_use(&plan)?;
            }
            Ok(Used { report: plan.report, text: plan.text, dry_run })
        })?;
        convert::report(py, "Use", &used)
    }

    /// Makes the store, or completes it.
    fn init(&self, py: Python<'_>, watch: Watch, shared: bool, group: Option<String>) -> PyResult<PathBuf> {
        run(py, &self.session, watch, move |manager| manager.init(shared, group.as_deref()))
    }

    /// Makes one store for all projects of the user, in this folder or in the usual one, and names it in the user's settings
    /// file.
    fn init_for_user(&self, py: Python<'_>, watch: Watch, dir: Option<PathBuf>) -> PyResult<PathBuf> {
        let session = self.session.clone();
        run(py, &self.session, watch, move |manager| {
            let made = store_for_user(dir.as_deref(), |place| {
                let mut settings = session.settings().clone();
                settings.store = Some(place.to_owned());
                let call = Call::default().stopped_by(manager.cancel_token());
                session.with_settings(settings).blocking(call).init(false, None)
            })?;
            Ok(made.store)
        })
    }

    fn gc<'py>(
        &self,
        py: Python<'py>,
        watch: Watch,
        grace: f64,
        partials: f64,
        only_this_host: bool,
        dry_run: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.run(py, watch, "Collection", move |manager| {
            let options = GcOptions { grace: time("grace", grace)?, partial_age: time("partials", partials)? };
            manager.gc(options, dry_run, only_this_host)
        })
    }

    fn why<'py>(&self, py: Python<'py>, watch: Watch, what: String) -> PyResult<Bound<'py, PyAny>> {
        self.run(py, watch, "Why", move |manager| manager.why(&what.parse()?))
    }

    fn df<'py>(&self, py: Python<'py>, watch: Watch) -> PyResult<Bound<'py, PyAny>> {
        self.run(py, watch, "Space", ModelManager::df)
    }

    fn doctor<'py>(&self, py: Python<'py>, watch: Watch, full: bool) -> PyResult<Bound<'py, PyAny>> {
        self.run(py, watch, "Diagnosis", move |manager| {
            let report = manager.doctor(full)?;
            let words = report.findings.iter().map(|finding| hints::phrase(&finding.repair));
            hints::with_words(&report, "findings", "repair", words)
        })
    }

    fn projects<'py>(&self, py: Python<'py>, watch: Watch) -> PyResult<Bound<'py, PyAny>> {
        self.run(py, watch, "Project", ModelManager::projects)
    }

    fn forget_project<'py>(&self, py: Python<'py>, watch: Watch, project: String, force: bool) -> PyResult<Bound<'py, PyAny>> {
        self.run(py, watch, "Project", move |manager| manager.forget_project(&project, force))
    }

    fn stores<'py>(&self, py: Python<'py>, watch: Watch) -> PyResult<Bound<'py, PyAny>> {
        self.run(py, watch, "KnownStore", ModelManager::known_stores)
    }

    fn forget_store<'py>(&self, py: Python<'py>, watch: Watch, store: String) -> PyResult<Bound<'py, PyAny>> {
        self.run(py, watch, "KnownStore", move |manager| manager.forget_store(&store))
    }

    /// The SHA-256 of any file.
    fn sha256(&self, py: Python<'_>, watch: Watch, path: PathBuf) -> PyResult<String> {
        let digest: Sha256Digest = run(py, &self.session, watch, move |manager| {
            let hashing = |_| {};
            let cancel = manager.cancel_token();
            Ok(hash_file(&RealDisk, &path, Progress { bytes: &hashing, cancel: &cancel })?)
        })?;
        Ok(digest.to_string())
    }
}

fn selectors(which: &[Which]) -> Result<Vec<Selector>> {
    which.iter().map(Which::selector).collect()
}

fn check_mode(word: &str) -> Result<CheckMode> {
    match word {
        "quick" => Ok(CheckMode::Quick),
        "full" => Ok(CheckMode::Full),
        "rehash" => Ok(CheckMode::Rehash),
        other => Err(Error::new(ErrorKind::Usage, format!("`{other}` is no way to verify"))
            .hint(Hint::ChooseOne(vec!["quick", "full", "rehash"]))),
    }
}

/// Explanation of what became of a locked view, and what to do.
fn note_of(entry: &LockEntryReport) -> Option<String> {
    hints::with_note(entry.note.as_deref(), &entry.hints)
}

/// A SHA-256 of a file, as its publisher gives it.
fn digest(text: &str) -> Result<Sha256Digest> {
    text.parse().map_err(|why| Error::new(ErrorKind::Usage, format!("`{}` is no SHA-256: {why}", text.escape_debug())))
}

fn parsed(companions: &[String]) -> Result<Vec<Companion>> {
    let parse = |text: &String| {
        Companion::parse(text).map_err(|why| {
            Error::new(ErrorKind::Usage, format!("`{}` is no companion: {why}", text.escape_debug())).hint(Hint::WriteCompanion)
        })
    };
    companions.iter().map(parse).collect()
}
