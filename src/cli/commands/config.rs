//! `config`: the user's own settings.

use crate::{
    cli::{
        context::Context,
        output::{Answer, Page, printable},
    },
    error::Result,
};
use clap::Subcommand;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Write settings that hold for all projects of this user
///
/// They stand in config.yaml in the user's configuration folder. A project's configs/manager.yaml wins over them, variables and
/// options over both; but only they can say whom to trust: which servers may see the token (trusted_endpoints), where a project
/// may place files outside of its folder (allowed_places), which projects of other users to work in (safe_projects).
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Set(Set),
}

/// Set one setting
///
/// trusted_endpoints, allowed_places and safe_projects are added to; any other setting is replaced. To take something back,
/// delete its line in the file.
#[derive(Debug, clap::Args)]
struct Set {
    /// For this user, in all projects
    #[arg(long, required = true)]
    user: bool,
    /// The setting, named as in a settings file
    #[arg(value_name = "KEY")]
    key: String,
    /// Its value; of a list, several
    #[arg(value_name = "VALUE", required = true, num_args = 1..)]
    values: Vec<String>,
}

/// What was written.
pub struct Written {
    key: String,
    path: PathBuf,
    values: Vec<String>,
    changed: bool,
    clear_text: Vec<String>,
}

impl Args {
    pub fn run(&self, context: &Context<'_>) -> Result<Written> {
        let Command::Set(Set { key, values, .. }) = &self.command;
        let set = context.set_for_user(key, values)?;
        let is_clear = |address: &&String| key == "trusted_endpoints" && address.starts_with("http:");
        Ok(Written {
            key: key.clone(),
            clear_text: values.iter().filter(is_clear).cloned().collect(),
            path: set.path,
            values: set.values,
            changed: set.changed,
        })
    }
}

impl Answer for Written {
    fn json(&self) -> Value {
        let values: Vec<Value> = self.values.iter().map(|value| json!({ "value": value })).collect();
        json!({ "key": self.key, "values": values, "settings_file": self.path, "changed": self.changed })
    }

    fn write(&self, page: &mut Page) {
        page.line(format!("{}: {}", self.key, printable(&self.values.join(", "))));
        page.note(format!("In {}{}.", page.path(&self.path), if self.changed { "" } else { ", as before" }));
        for address in &self.clear_text {
            page.note(format!("The token travels to {} in clear text: whoever is on the way can read it.", printable(address)));
        }
    }
}
