//! Actions and settings that a hint names, as values. How they are written is the business of each interface ([`Terms`]).
//!
//! [`Verb`], [`Parameter`] and [`Setting`] are exhaustive: an interface that does not write a new one does not compile.
//!
//! [`Terms`]: super::Terms

use crate::{names::Format, settings::LinkMode};
use std::path::{Path, PathBuf};

/// A use-case of this crate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// List what other applications have.
    Apps,
    /// Write a model into the registry, or pin an entry again.
    Add,
    /// Grant a setting in the user's own settings file.
    Grant,
    /// Examine the store and the project.
    Doctor,
    /// Download a model.
    Download,
    /// Remove blobs that nothing needs.
    Gc,
    /// Show the help.
    Help,
    /// Show what the registry or the Hub has of a model.
    Info,
    /// Make the store, or complete it.
    Init,
    /// Check the registry.
    Lint,
    /// List the models of the project.
    List,
    /// Write the lock file.
    Lock,
    /// Give the path of a model.
    Path,
    /// Forget a project and what it keeps.
    ForgetProject,
    /// List the projects of the store.
    Projects,
    /// Forget a store of this user.
    ForgetStore,
    /// List the stores of this user.
    Stores,
    /// Take back what is shown to applications.
    Unexpose,
    /// Take an entry out of the registry.
    Unregister,
    /// Remove a model from the project.
    Remove,
    /// Make the project as it is locked.
    Sync,
    /// Write a model's path into a backend's settings.
    Use,
    /// Check files against their hashes.
    Verify,
    /// Say what needs a model or blob.
    Why,
}

impl Verb {
    /// All of them.
    pub const ALL: [Self; 24] = [
        Self::Unexpose,
        Self::Apps,
        Self::Add,
        Self::Grant,
        Self::Doctor,
        Self::Download,
        Self::Gc,
        Self::Help,
        Self::Info,
        Self::Init,
        Self::Lint,
        Self::List,
        Self::Lock,
        Self::Path,
        Self::ForgetProject,
        Self::Projects,
        Self::ForgetStore,
        Self::Stores,
        Self::Unregister,
        Self::Remove,
        Self::Sync,
        Self::Use,
        Self::Verify,
        Self::Why,
    ];
}

/// What an action is applied to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operand {
    /// A name, digest, reference, key or uuid.
    Name(String),
    /// A path.
    Path(PathBuf),
    /// Any model: the user chooses.
    AnyModel,
    /// Any label of any repository: the user chooses.
    AnyRepository,
    /// Any group of the system: the user chooses.
    AnyGroup,
}

/// What an action takes besides its operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Parameter {
    /// The program that loads the model.
    Backend,
    /// A companion file, by role and name.
    Companion,
    /// Copy what cannot be shared.
    Copy,
    /// A line about a model.
    Description,
    /// A settings file of a backend.
    File,
    /// Replace what is in the way.
    Force,
    /// The format of a model.
    Format,
    /// The application that is meant.
    From,
    /// How long unused blobs stay.
    Grace,
    /// The group that shares a store.
    Group,
    /// The id of a registry entry.
    Id,
    /// Keep to the lock file.
    Locked,
    /// Ask the Hub.
    Online,
    /// State that no other host uses the store.
    OnlyThisHost,
    /// A projector, by name.
    Projector,
    /// No projector.
    NoProjector,
    /// The quantization of a model.
    Quant,
    /// Repair what is damaged.
    Repair,
    /// The revision of a repository.
    Revision,
    /// Let the group of the store's folder use it.
    Shared,
    /// Pin again at the present commit.
    Update,
}

/// A parameter with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// Which one.
    pub parameter: Parameter,
    /// Its value; `None` for a switch, and where any value is meant.
    pub value: Option<Operand>,
}

impl Argument {
    /// A switch, or a parameter with any value.
    pub const fn of(parameter: Parameter) -> Self {
        Self { parameter, value: None }
    }

    /// A parameter with this value.
    pub fn with(parameter: Parameter, value: impl Into<String>) -> Self {
        Self { parameter, value: Some(Operand::Name(value.into())) }
    }
}

impl From<Parameter> for Argument {
    fn from(parameter: Parameter) -> Self {
        Self::of(parameter)
    }
}

/// A use-case with its operands and arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Action {
    /// What is done.
    pub verb: Verb,
    /// To what; several for a list of values.
    pub operands: Vec<Operand>,
    /// How.
    pub arguments: Vec<Argument>,
}

impl Action {
    /// The use-case without operands and arguments.
    pub const fn new(verb: Verb) -> Self {
        Self { verb, operands: Vec::new(), arguments: Vec::new() }
    }

    /// The same for a name, digest, reference or uuid.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.operands.push(Operand::Name(name.into()));
        self
    }

    /// The same for a path.
    #[must_use]
    pub fn path(mut self, path: impl AsRef<Path>) -> Self {
        self.operands.push(Operand::Path(path.as_ref().to_owned()));
        self
    }

    /// The same for a model that the user chooses.
    #[must_use]
    pub fn any_model(mut self) -> Self {
        self.operands.push(Operand::AnyModel);
        self
    }

    /// The same for a repository and label that the user chooses.
    #[must_use]
    pub fn any_repository(mut self) -> Self {
        self.operands.push(Operand::AnyRepository);
        self
    }

    /// The same with one more argument.
    #[must_use]
    pub fn with(mut self, argument: impl Into<Argument>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// The same with a value for a parameter.
    #[must_use]
    pub fn value(self, parameter: Parameter, value: impl Into<String>) -> Self {
        self.with(Argument::with(parameter, value))
    }

    /// The action that grants values of a setting of the user's own settings file.
    pub fn grant(key: &str) -> Self {
        Self::new(Verb::Grant).name(key)
    }
}

/// The use-case that a name was given to, so that a hint can name it with another name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Invocation<'a> {
    verb: Verb,
    arguments: &'a [Argument],
}

impl<'a> Invocation<'a> {
    pub(crate) const fn new(verb: Verb) -> Self {
        Self { verb, arguments: &[] }
    }

    /// The same with arguments that it cannot do without.
    pub(crate) const fn with(self, arguments: &'a [Argument]) -> Self {
        Self { arguments, ..self }
    }

    /// The whole action for a name.
    pub(crate) fn of(&self, name: &str) -> Action {
        Action { verb: self.verb, operands: vec![Operand::Name(name.to_owned())], arguments: self.arguments.to_vec() }
    }
}

/// The name of a view that every action takes.
pub(crate) fn view_name(model: &str, format: &str, quant: Option<&str>) -> String {
    match quant {
        Some(quant) if format == Format::gguf().as_str() => format!("{model}:{quant}"),
        Some(quant) => format!("{model}/{format}/{quant}"),
        None => format!("{model}/{format}"),
    }
}

/// The action that repairs a view.
pub(crate) fn repair(model: &str, format: &str, quant: Option<&str>) -> Action {
    Action::new(Verb::Verify).name(view_name(model, format, quant)).with(Parameter::Repair)
}

/// A setting that a hint names, with a value where one is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Setting {
    /// The file with certificates to trust.
    CaFile,
    /// The registry file.
    Config,
    /// The address of the Hub or a mirror.
    Endpoint,
    /// How files of the store are shown; a mode where a certain one is meant.
    Link(Option<LinkMode>),
    /// How long locks are waited for.
    LockTimeout,
    /// The models directory.
    ModelsDir,
    /// Send no request.
    Offline,
    /// The store.
    Store,
}

impl Setting {
    /// Its key in the table of settings, `registry file` for that of the registry.
    pub const fn key(self) -> &'static str {
        match self {
            Self::CaFile => "ca_file",
            Self::Config => "registry file",
            Self::Endpoint => "endpoints",
            Self::Link(_) => "link",
            Self::LockTimeout => "lock_timeout",
            Self::ModelsDir => "models_dir",
            Self::Offline => "offline",
            Self::Store => "store",
        }
    }
}
