//! The manager as Python's classes use it: plain values in, dicts out.

use crate::{
    convert,
    errors::raise,
    run::{Watch, run},
    settings::{self, Arguments},
};
use model_manager::{
    digest::Sha256Digest,
    disk::{Disk, RealDisk},
    error::{Error, ErrorKind, Result},
    event::Silent,
    manager::{DownloadOptions, ModelManager, Selector},
    registry::{BUILT_IN, BUILT_IN_ORIGIN, Registry},
    settings::Settings,
    store::{CheckMode, Progress, hash_file},
};
use pyo3::prelude::*;
use std::{path::PathBuf, sync::Arc};

/// Settings and a registry, both fixed; see `run` for why it holds nothing else.
#[pyclass(frozen, module = "model_manager")]
pub struct Native {
    settings: Settings,
    root: PathBuf,
    registry: Registry,
    /// For looks at the disk that are too short to be watched.
    quick: ModelManager,
}

/// Which model, and which of its forms, as text.
#[derive(FromPyObject)]
pub struct Which(String, Option<String>, Option<String>);

impl Which {
    fn selector(&self) -> Result<Selector> {
        let Self(model, format, quant) = self;
        Ok(Selector {
            model: model.clone(),
            format: format.as_deref().map(str::parse).transpose()?,
            quant: quant.as_deref().map(str::parse).transpose()?,
        })
    }
}

impl Native {
    fn with(settings: Settings, root: PathBuf, registry: Registry) -> Self {
        let quick = ModelManager::with_registry(settings.clone(), registry.clone(), Arc::new(Silent));
        Self { settings, root, registry, quick }
    }

    fn run<'py, T: serde::Serialize + Send + 'static>(
        &self,
        py: Python<'py>,
        watch: Watch,
        work: impl FnOnce(&ModelManager) -> Result<T> + Send + 'static,
    ) -> PyResult<Bound<'py, PyAny>> {
        let report = run(py, &self.settings, &self.registry, watch, work)?;
        convert::report(py, &report)
    }
}

#[pymethods]
impl Native {
    #[new]
    fn new(py: Python<'_>, arguments: Arguments) -> PyResult<Self> {
        let resolved = settings::resolve(arguments).map_err(|error| raise(py, &error))?;
        let registry = Registry::parse("models: {}", "(empty)").map_err(|error| raise(py, &error.into()))?;
        Ok(Self::with(resolved.settings, resolved.root, registry))
    }

    /// The same settings with the registry that a text is.
    fn with_registry(&self, py: Python<'_>, text: &str, origin: &str) -> PyResult<Self> {
        let registry = Registry::parse(text, origin).map_err(|error| raise(py, &error.into()))?;
        Ok(Self::with(self.settings.clone(), self.root.clone(), registry))
    }

    /// The registry's text and what messages call it; `None` if there is no such file.
    fn registry_text(&self, py: Python<'_>) -> PyResult<Option<(String, String)>> {
        let Some(path) = &self.settings.config else { return Ok(Some((BUILT_IN.to_owned(), BUILT_IN_ORIGIN.to_owned()))) };
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
        self.settings.models_dir.clone()
    }

    #[getter]
    fn store_dir(&self) -> PathBuf {
        self.quick.store_dir()
    }

    #[getter]
    fn project_root(&self) -> PathBuf {
        self.root.clone()
    }

    #[getter]
    fn config_path(&self) -> Option<PathBuf> {
        self.settings.config.clone()
    }

    fn path(&self, py: Python<'_>, which: Which) -> PyResult<PathBuf> {
        py.detach(|| self.quick.path(&which.selector()?)).map_err(|error| raise(py, &error))
    }

    fn list<'py>(&self, py: Python<'py>, watch: Watch, format: Option<String>) -> PyResult<Bound<'py, PyAny>> {
        self.run(py, watch, move |manager| manager.list(format.as_deref().map(str::parse).transpose()?.as_ref()))
    }

    fn info<'py>(&self, py: Python<'py>, watch: Watch, model: Option<String>) -> PyResult<Bound<'py, PyAny>> {
        self.run(py, watch, move |manager| manager.info(model.as_deref()))
    }

    fn plan<'py>(
        &self,
        py: Python<'py>,
        watch: Watch,
        which: Which,
        revision: Option<String>,
        force: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.run(py, watch, move |manager| manager.plan_download(&which.selector()?, &download_options(revision, force)?))
    }

    fn download<'py>(
        &self,
        py: Python<'py>,
        watch: Watch,
        which: Which,
        revision: Option<String>,
        force: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.run(py, watch, move |manager| manager.download(&which.selector()?, &download_options(revision, force)?))
    }

    fn verify<'py>(&self, py: Python<'py>, watch: Watch, which: Vec<Which>, mode: &str) -> PyResult<Bound<'py, PyAny>> {
        let mode = match mode {
            "quick" => CheckMode::Quick,
            "full" => CheckMode::Full,
            "rehash" => CheckMode::Rehash,
            other => {
                let error = Error::new(ErrorKind::Usage, format!("`{other}` is no way to verify"));
                return Err(raise(py, &error.hint("Choose quick, full or rehash.")));
            }
        };
        self.run(py, watch, move |manager| manager.verify(&which.iter().map(Which::selector).collect::<Result<Vec<_>>>()?, mode))
    }

    fn remove<'py>(
        &self,
        py: Python<'py>,
        watch: Watch,
        which: Which,
        keep_blobs: bool,
        dry_run: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.run(py, watch, move |manager| manager.remove(&which.selector()?, keep_blobs, dry_run))
    }

    /// The SHA-256 of any file.
    fn sha256(&self, py: Python<'_>, watch: Watch, path: PathBuf) -> PyResult<String> {
        let digest: Sha256Digest = run(py, &self.settings, &self.registry, watch, move |manager| {
            let hashing = |_| {};
            let cancel = manager.cancel_token();
            Ok(hash_file(&RealDisk, &path, Progress { bytes: &hashing, cancel: &cancel })?)
        })?;
        Ok(digest.to_string())
    }
}

fn download_options(revision: Option<String>, force: bool) -> Result<DownloadOptions> {
    Ok(DownloadOptions { force, revision: revision.as_deref().map(str::parse).transpose()? })
}
