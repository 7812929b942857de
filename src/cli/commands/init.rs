//! `init`: makes a store before it is needed, or makes it one for a group.

use crate::{
    cli::{
        context::Context,
        exit,
        output::{Answer, Output},
    },
    config::UserStore,
    error::Result,
    text,
};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Make the store, or complete it
///
/// A download makes it as well; this is for a place that several people or projects share. A store that is named with `--store`
/// or MODEL_MANAGER_STORE becomes a place that projects may name from then on. With `--user` it is one for all projects of this
/// user.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Let the group of its folder write it, whatever anybody's umask says
    #[arg(long)]
    pub shared: bool,
    /// Give it to this group
    #[arg(long, value_name = "GROUP", requires = "shared")]
    pub group: Option<String>,
    /// Make one store for all of your projects, and write it into your config.yaml [default: the folder `store` in the place
    /// of the system for data of this program]
    #[arg(long, value_name = "DIR", num_args = 0..=1, conflicts_with_all = ["shared", "group"])]
    pub user: Option<Option<PathBuf>>,
}

/// The store that was made.
pub struct Made {
    store: PathBuf,
    shared: bool,
    /// The user's file that allows it from now on, or why it does not.
    allowed: Result<Option<PathBuf>>,
    /// Of a store for all projects, the user's file, and whether that was changed.
    for_user: Option<(PathBuf, bool)>,
}

impl Args {
    pub fn run(&self, context: &Context<'_>) -> Result<Made> {
        if let Some(dir) = &self.user {
            let UserStore { store, settings_file, is_new } = context.init_for_user(dir.as_deref())?;
            return Ok(Made { store, shared: false, allowed: Ok(None), for_user: Some((settings_file, is_new)) });
        }
        let store = context.manager()?.init(self.shared, self.group.as_deref())?;
        Ok(Made { store, shared: self.shared, allowed: context.allow_named_store(), for_user: None })
    }
}

impl Answer for Made {
    fn json(&self) -> Value {
        let settings_file = self.for_user.as_ref().map(|(path, _)| path);
        json!({ "store": self.store, "shared": self.shared, "settings_file": settings_file })
    }

    fn write(&self, output: &mut Output) {
        output.line(output.path(&self.store));
        if self.shared {
            output.note("Its users name it with `--store`, MODEL_MANAGER_STORE, or `store:` in configs/manager.yaml.");
        }
        if let Some((file, changed)) = &self.for_user {
            let file = output.path(file);
            match changed {
                true => output.note(format!("New projects of yours use it from now on: {file} names it.")),
                false => output.note(format!("Projects of yours use it already: {file} names it.")),
            }
            output.note(format!(
                "A project that has a store already keeps it, and what that has is not downloaded again; `model-manager stores` lists \
                 them. To move one into the new store, run `model-manager store move {}` in its project.",
                text::shell_path(&self.store)
            ));
        }
        match &self.allowed {
            Ok(None) => {}
            Ok(Some(file)) => output.note(format!("Projects of yours may name it from now on: {} allows it.", output.path(file))),
            Err(error) => {
                let store = text::shell_path(&self.store);
                let first = exit::hint(error).map_or_else(String::new, |hint| format!("{hint} "));
                output.note(format!("Projects may not name it yet: {error}."));
                output
                    .note(format!("hint: {first}To allow it then, run `model-manager config set --user allowed_places {store}`."));
            }
        }
    }
}
