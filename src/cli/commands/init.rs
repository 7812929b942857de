//! `init`: makes a store before it is needed, or makes it one for a group.

use crate::{
    cli::{
        context::Context,
        exit,
        output::{Answer, Page},
    },
    error::Result,
    text,
};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Make the store, or complete it
///
/// A download makes it as well; this is for a place that several people or projects share. A store that is named with `--store`
/// or MODEL_MANAGER_STORE becomes a place that projects may name from then on.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Let the group of its folder write it, whatever anybody's umask says
    #[arg(long)]
    pub shared: bool,
    /// Give it to this group
    #[arg(long, value_name = "GROUP", requires = "shared")]
    pub group: Option<String>,
}

/// The store that was made.
pub struct Made {
    store: PathBuf,
    shared: bool,
    /// The user's file that allows it from now on, or why it does not.
    allowed: Result<Option<PathBuf>>,
}

impl Args {
    pub fn run(&self, context: &Context<'_>) -> Result<Made> {
        let store = context.manager()?.init(self.shared, self.group.as_deref())?;
        Ok(Made { store, shared: self.shared, allowed: context.allow_named_store() })
    }
}

impl Answer for Made {
    fn json(&self) -> Value {
        json!({ "store": self.store, "shared": self.shared })
    }

    fn write(&self, page: &mut Page) {
        page.line(page.path(&self.store));
        if self.shared {
            page.note("Its users name it with `--store`, MODEL_MANAGER_STORE, or `store:` in configs/manager.yaml.");
        }
        match &self.allowed {
            Ok(None) => {}
            Ok(Some(file)) => page.note(format!("Projects of yours may name it from now on: {} allows it.", page.path(file))),
            Err(error) => {
                let store = text::shell_path(&self.store);
                let first = exit::hint(error).map_or_else(String::new, |hint| format!("{hint} "));
                page.note(format!("Projects may not name it yet: {error}."));
                page.note(format!("hint: {first}To allow it then, run `model-manager config set --user allowed_places {store}`."));
            }
        }
    }
}
