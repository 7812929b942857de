//! Makes a model that is here the one that a backend's settings name.

use super::{ModelManager, Selector, name::Subject};
use crate::{
    disk::{Kind, absent_is_none},
    error::{Error, ErrorKind, Result},
    hint::{Action, Argument, Hint, Invocation, Operand, Parameter, Replacement, Verb},
    names::Role,
    registry::{Backend, CannotEdit, MODEL_PATH_KEY, MOST_BYTES, model_path_line, set_model_path},
    weights::format_of,
};
use serde::Serialize;
use std::path::{Component, Path, PathBuf};

/// Where a model is to be used.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct UseOptions {
    /// The program.
    pub backend: Backend,
    /// Its settings; `None` is `configs/backend/<backend>.yaml` in the project.
    pub file: Option<PathBuf>,
    /// The project's folder, from which relative paths in settings start.
    pub root: PathBuf,
}

impl UseOptions {
    /// The settings of a program, in the project at `root`.
    pub fn new(backend: Backend, file: Option<PathBuf>, root: PathBuf) -> Self {
        Self { backend, file, root }
    }
}

/// What using a model changes, decided.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct UsePlan {
    /// For people and programs.
    pub report: UseReport,
    /// The settings as they will be.
    pub text: String,
    /// As they are; `None` where there are none.
    old: Option<Vec<u8>>,
    /// The file itself, behind all links.
    target: PathBuf,
}

/// What using a model changed, or would change.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct UseReport {
    /// The model's file or folder.
    pub path: PathBuf,
    /// `llama_cpp` or `vllm`.
    pub backend: &'static str,
    /// The backend's settings.
    pub settings_file: PathBuf,
    /// The key in them.
    pub key: &'static str,
    /// What stands there, relative to the project where the model lies in it.
    pub value: String,
    /// What stood there.
    pub before: Option<String>,
    /// The line, from one.
    pub line: usize,
    /// That line.
    pub line_text: String,
    /// Whether the file was not there.
    pub created: bool,
    /// Whether anything differs from before.
    pub changed: bool,
}

impl ModelManager {
    /// Decides what using a model changes. Reads the disk, changes nothing.
    pub fn plan_use(&self, what: &Selector, options: &UseOptions) -> Result<UsePlan> {
        let backend = options.backend;
        let path = self.path_for(what, backend)?;
        let value = value_of(&path, &options.root)?;
        let file =
            options.file.clone().unwrap_or_else(|| options.root.join("configs/backend").join(format!("{}.yaml", backend.as_str())));
        self.require_settings_within(&file, what, backend)?;
        let old = self.disk.read_at_most(&file, MOST_BYTES).map_err(|error| {
            Error::new(ErrorKind::Usage, error.to_string()).hint(Hint::MakeReadable(Replacement::OtherBackendFile))
        })?;
        if old.is_none() && self.disk.find(&file)?.is_some_and(|stat| stat.kind == Kind::Symlink) {
            return Err(Error::new(ErrorKind::NotFound, format!("{} is a link that leads nowhere", file.display()))
                .hint(Hint::RemoveSettingsLink));
        }
        let target = match old {
            Some(_) => self.disk.canonical(&file)?,
            None => file.clone(),
        };
        let place = Some(format!("below `backend:` in {}", file.display()));
        let by_hand = Hint::WriteLine { place, line: model_path_line(&value) };
        let text = match &old {
            None => backend.shipped(),
            Some(bytes) => std::str::from_utf8(bytes).map_err(|error| {
                Error::new(ErrorKind::Usage, format!("{} is not UTF-8 text: {error}", file.display())).hint(by_hand.clone())
            })?,
        };
        let edited = set_model_path(text, &value).map_err(|CannotEdit { line, why }| {
            let place = line.map_or_else(String::new, |line| format!(":{line}"));
            Error::new(ErrorKind::Usage, format!("{}{place}: {why}", file.display())).hint(by_hand)
        })?;
        if let Some(other) =
            edited.declared.as_deref().and_then(|word| word.parse::<Backend>().ok()).filter(|other| *other != backend)
        {
            let text = format!("{} has the settings of {}, not of {}", file.display(), other.as_str(), backend.as_str());
            return Err(
                Error::new(ErrorKind::Usage, text).hint(Hint::OtherBackend(Argument::with(Parameter::Backend, other.as_str())))
            );
        }
        let changed = old.as_deref() != Some(edited.text.as_bytes());
        let report = UseReport {
            path,
            backend: backend.as_str(),
            settings_file: file,
            key: MODEL_PATH_KEY,
            value,
            before: edited.before.filter(|_| old.is_some()),
            line: edited.line,
            line_text: edited.line_text,
            created: old.is_none(),
            changed,
        };
        Ok(UsePlan { report, text: edited.text, old, target })
    }

    /// Refuses settings that are a link out of the project.
    fn require_settings_within(&self, file: &Path, what: &Selector, backend: Backend) -> Result<()> {
        self.require_within(file, |real| {
            let mut again = Action::new(Verb::Use).name(what.model.to_string());
            if let Some(format) = &what.format {
                again = again.value(Parameter::Format, format.to_string());
            }
            if let Some(quant) = &what.quant {
                again = again.value(Parameter::Quant, quant.to_string());
            }
            let again = again.value(Parameter::Backend, backend.as_str());
            Hint::UseThatFile(again.with(Argument { parameter: Parameter::File, value: Some(Operand::Path(real.to_owned())) }))
        })
    }

    /// Writes what was decided, unless the file is another one by now.
    pub fn apply_use(&self, plan: &UsePlan) -> Result<()> {
        if !plan.report.changed {
            return Ok(());
        }
        let file = &plan.target;
        let folder = file.parent().unwrap_or(Path::new("."));
        // Between the look and now a folder on the way may have become a link.
        self.require_shared_within(&plan.report.settings_file)?;
        if self.disk.read_at_most(file, MOST_BYTES)? != plan.old {
            return Err(
                Error::new(ErrorKind::Failed, format!("{} was changed by another process", file.display())).hint(Hint::RunAgain)
            );
        }
        let mode = match &plan.old {
            Some(_) => self.disk.stat(file)?.mode,
            None => {
                self.disk.create_dirs(folder, 0o755)?;
                0o644
            }
        };
        Ok(self.disk.replace_small(file, plan.text.as_bytes(), mode, folder)?)
    }

    /// The path of a model in a form that the backend can load.
    fn path_for(&self, what: &Selector, backend: Backend) -> Result<PathBuf> {
        let arguments = [Argument::with(Parameter::Backend, backend.as_str())];
        let command = Invocation::new(Verb::Use).with(&arguments);
        let named = self.named(what, command)?;
        let of_path = match &named.subject {
            Subject::Repository { path: Some(path), .. } => format_of(path),
            _ => None,
        };
        let format = named.format.or(of_path).unwrap_or_else(|| backend.format());
        let refuse = |what: String| {
            let other = match backend {
                Backend::LlamaCpp => Backend::Vllm,
                Backend::Vllm => Backend::LlamaCpp,
            };
            Err(Error::new(ErrorKind::Usage, what).hint(Hint::FormatOrBackend {
                format: Argument::with(Parameter::Format, backend.format().as_str()),
                backend: Argument::with(Parameter::Backend, other.as_str()),
            }))
        };
        let takes = match backend {
            Backend::LlamaCpp => "llama.cpp loads a GGUF file",
            Backend::Vllm => "vLLM loads a folder such as that of safetensors",
        };
        if !backend.takes(&format) {
            return refuse(format!("{takes}, and not {format}"));
        }
        let path = self.path_asked_by(&Selector { format: Some(format), ..what.clone() }, command)?;
        let Some(stat) = absent_is_none(self.disk.stat_follow(&path))? else {
            return Err(Error::new(ErrorKind::NotFound, format!("there is nothing at {}", path.display()))
                .hint(Hint::Run(Action::new(Verb::Download).name(what.model.to_string()))));
        };
        match (stat.kind, backend) {
            (Kind::File, Backend::LlamaCpp) => match self.role_here(&path).filter(|role| !can_run(*role)) {
                None => Ok(path),
                Some(role) => {
                    let is_none = format!("{} is a companion ({}), and no model that llama.cpp runs", path.display(), role.noun());
                    let model = match &named.subject {
                        Subject::Repository { repo, .. } => repo.to_string(),
                        Subject::Entry(id) => id.to_string(),
                        Subject::Folder | Subject::Web { .. } => named.folder.clone(),
                    };
                    Err(Error::new(ErrorKind::Usage, is_none).hint(Hint::NameModel(model)))
                }
            },
            (Kind::Dir, Backend::Vllm) => Ok(path),
            (kind, _) => {
                let is = if kind == Kind::Dir { "a folder" } else { "no folder" };
                refuse(format!("{takes}, and {} is {is}", path.display()))
            }
        }
    }
}

/// Whether llama.cpp runs a file of this role by itself: drafts, encoders and tokenizers may be models of their own.
fn can_run(role: Role) -> bool {
    !matches!(role, Role::Projector | Role::Adapter | Role::Imatrix | Role::Vae)
}

/// A path as it stands in settings: from the project's folder where it lies in it, with `/`; else absolute.
fn value_of(path: &Path, root: &Path) -> Result<String> {
    let below = path.strip_prefix(root).ok().and_then(|below| {
        let parts: Option<Vec<&str>> = below
            .components()
            .map(|part| match part {
                Component::Normal(part) => part.to_str(),
                _ => None,
            })
            .collect();
        parts.filter(|parts| !parts.is_empty()).map(|parts| parts.join("/"))
    });
    below.or_else(|| path.to_str().map(str::to_owned)).ok_or_else(|| {
        Error::new(ErrorKind::Failed, format!("{} cannot be written as text: it is not UTF-8", path.display()))
            .hint(Hint::RenameFolder)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_in_the_project_is_relative_and_any_other_absolute() {
        let value = |path: &str| value_of(Path::new(path), Path::new("/srv/my project")).unwrap();
        assert_eq!(value("/srv/my project/models/a/gguf/q8_0/a b.gguf"), "models/a/gguf/q8_0/a b.gguf");
        assert_eq!(value("/srv/models/a.gguf"), "/srv/models/a.gguf");
        assert_eq!(value("/srv/my project/../x"), "/srv/my project/../x");
        assert_eq!(value("/srv/my project"), "/srv/my project");
    }
}
