//! The settings of a run: from flags (or the arguments of another program), environment, the project's
//! `configs/manager.yaml` and the user's `config.yaml`, in this order of strength, to typed settings.
//!
//! `table` has every setting, `value` their types, `environment`, `file` and `user_file` read the sources, `project` finds the
//! project and says where it may lead, `resolve` puts all together, `effective` says what comes from where; `write` changes
//! settings files, by the edits of their text in `edit`, and `moved_store` those that name a store which moved. No command line is parsed here.
#![expect(clippy::disallowed_methods, reason = "this is the room that reads the environment")]

mod current_user;
mod edit;
pub(crate) mod effective;
pub(crate) mod environment;
pub(crate) mod file;
pub(crate) mod moved_store;
mod project;
mod resolve;
pub(crate) mod table;
mod units;
mod user_file;
mod user_store;
mod value;
pub(crate) mod write;

pub use resolve::{Overrides, Resolved};
pub use table::Layer;
pub use user_store::UserStore;
pub use value::{Count, Endpoint, LockTimeout, RateLimit, Timeout};

pub(crate) use resolve::resolve;
pub(crate) use units::{parse_size, parse_time};

use crate::{
    disk::RealDisk,
    error::{Error, ErrorKind, Result},
    hint::Hint,
};
use environment::Environment;
use std::path::PathBuf;

#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing {
    use super::file::{self, Whose};
    pub use super::units::{parse_count, parse_endpoint, parse_patience, parse_rate, parse_time, parse_timeout};
    use crate::{config::Layer, error::Result};

    /// What a project's settings file says.
    pub fn parse_settings(text: &str, origin: &str) -> Result<Layer> {
        file::parse(text, origin, Whose::Project).map(|parsed| parsed.layer)
    }
}

/// The settings that a command line with these options would have here and now, for programs that use the manager directly.
pub fn settings_for(overrides: Overrides) -> Result<Resolved> {
    resolve(overrides, &Environment::new(&variable), &current_dir()?, &RealDisk)
}

/// Makes one store for all projects of the user, by `make`, and names it in the user's settings file, for programs that use the
/// manager directly.
#[cfg(feature = "unstable")]
pub fn store_for_user(dir: Option<&std::path::Path>, make: impl FnOnce(&std::path::Path) -> Result<PathBuf>) -> Result<UserStore> {
    let (environment, cwd) = (Environment::new(&variable), current_dir()?);
    let file = write::SettingsFile::find(write::Scope::User, None, &environment, &cwd, &RealDisk, &mut Vec::new())?;
    UserStore::init(&file, dir, &environment, &RealDisk, make)
}

/// Looks up a variable of this process.
pub(crate) fn variable(name: &str) -> Option<std::ffi::OsString> {
    std::env::var_os(name)
}

/// The current directory of this process.
pub(crate) fn current_dir() -> Result<PathBuf> {
    std::env::current_dir().map_err(|error| {
        Error::new(ErrorKind::Failed, "the current directory cannot be found").caused_by(error).hint(Hint::ChangeFolder)
    })
}
