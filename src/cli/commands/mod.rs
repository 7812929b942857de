//! One file per command: its `Args`, whose comments are its help, `run`, and the answer it returns.

mod add;
mod adopt;
mod apps;
mod choose;
pub(super) mod completions;
mod config;
mod dedupe;
mod df;
mod df_tree;
mod doctor;
mod download;
mod expose;
mod gc;
mod help;
mod info;
mod init;
mod lint;
mod list;
mod lock;
mod man;
mod path;
mod projects;
mod registry;
mod remove;
mod search;
mod store;
mod stores;
mod sync;
mod use_model;
mod verify;
mod why;

use super::{complete, context::Context, output::Answer};
use crate::{error::Result, store::ViewKey};
use clap::Subcommand;

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    #[command(visible_alias = "pull")]
    Download(download::Args),
    #[command(visible_alias = "ls")]
    List(list::Args),
    Info(info::Args),
    Search(search::Args),
    Verify(verify::Args),
    #[command(visible_alias = "rm")]
    Remove(remove::Args),
    Path(path::Args),
    Lock(lock::Args),
    Sync(sync::Args),
    Use(use_model::Args),
    Gc(gc::Args),
    Why(why::Args),
    Df(df::Args),
    Doctor(doctor::Args),
    Projects(projects::Args),
    Store(store::Args),
    Stores(stores::Args),
    Init(init::Args),
    Add(add::Args),
    Apps(apps::Args),
    Adopt(adopt::Args),
    Expose(expose::Args),
    Unexpose(expose::UndoArgs),
    Lint(lint::Args),
    Registry(registry::Args),
    Config(config::Args),
    Completions(completions::Args),
    Man(man::Args),
    Help(help::Args),
    #[command(hide = true)]
    Complete(complete::Args),
}

impl Command {
    /// Runs it to its answer.
    pub fn run(&self, context: &Context<'_>) -> Result<Box<dyn Answer>> {
        Ok(match self {
            Self::Download(args) => Box::new(args.run(context)?),
            Self::List(args) => Box::new(args.run(context)?),
            Self::Info(args) => Box::new(args.run(context)?),
            Self::Search(args) => Box::new(args.run(context)?),
            Self::Verify(args) => Box::new(args.run(context)?),
            Self::Remove(args) => Box::new(args.run(context)?),
            Self::Path(args) => Box::new(args.run(context)?),
            Self::Lock(args) => args.run(context)?,
            Self::Sync(args) => Box::new(args.run(context)?),
            Self::Use(args) => Box::new(args.run(context)?),
            Self::Gc(args) => Box::new(args.run(context)?),
            Self::Why(args) => Box::new(args.run(context)?),
            Self::Df(args) => args.run(context)?,
            Self::Doctor(args) => Box::new(args.run(context)?),
            Self::Projects(args) => Box::new(args.run(context)?),
            Self::Store(args) => args.run(context)?,
            Self::Stores(args) => Box::new(args.run(context)?),
            Self::Init(args) => Box::new(args.run(context)?),
            Self::Add(args) => Box::new(args.run(context)?),
            Self::Apps(args) => args.run(context)?,
            Self::Adopt(args) => args.run(context)?,
            Self::Expose(args) => Box::new(args.run(context)?),
            Self::Unexpose(args) => Box::new(args.run(context)?),
            Self::Lint(args) => Box::new(args.run(context)?),
            Self::Registry(args) => Box::new(args.run(context)?),
            Self::Config(args) => Box::new(args.run(context)?),
            Self::Completions(args) => Box::new(args.run()),
            Self::Man(args) => Box::new(args.run()?),
            Self::Help(args) => Box::new(args.run()?),
            Self::Complete(args) => Box::new(args.run(context)),
        })
    }
}

/// A view for people: `model format/quant`.
fn view_name(model: &str, format: &str, quant: Option<&str>) -> String {
    match quant {
        Some(quant) => format!("{model} {format}/{quant}"),
        None => format!("{model} {format}"),
    }
}

/// The same for a view's key.
fn name_of(view: &ViewKey) -> String {
    view_name(view.model.as_str(), view.format.as_str(), view.quant.as_ref().map(|quant| quant.as_str()))
}
