//! `store`: copies the store to another place, or moves it there.

use crate::{
    cli::{
        context::Context,
        output::{Answer, Output, printable},
        units::count,
    },
    error::Result,
    manager::{StoreCopyReport, StoreMoveReport, StoreSwitch},
    text::size,
};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Copy the store to another place, or move it there
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Copy all that is in it into the store at DIR, which is made if nothing is there
    ///
    /// Every byte is hashed on the way. Done again, it copies what is new. For a disk that travels: there, name the copy with
    /// `--store DIR`; what it has is taken from it, without a network.
    Copy {
        /// The folder of the other store
        #[arg(value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
        dir: PathBuf,
        /// Show what would be copied
        #[arg(long)]
        dry_run: bool,
    },
    /// Move it to DIR: copy and check all, make the links of its projects again, change the settings that name it, and only
    /// then free the old place
    ///
    /// Cut off anywhere, it resumes when it is done again. Where DIR is a store already, both become one.
    Move {
        /// The folder where it is to be
        #[arg(value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
        dir: PathBuf,
        /// Show what would be moved
        #[arg(long)]
        dry_run: bool,
        /// On a network file system: promise that no other host uses the store now
        #[arg(long)]
        alone: bool,
    },
}

impl Args {
    pub fn run(&self, context: &Context<'_>) -> Result<Box<dyn Answer>> {
        let manager = context.worker()?;
        Ok(match &self.action {
            Action::Copy { dir, dry_run } => Box::new(Copied(manager.copy_store(&context.cwd().join(dir), *dry_run)?)),
            Action::Move { dir, dry_run, alone } => {
                let switch = |moved: &StoreSwitch<'_>| context.name_moved_store(moved);
                let report = manager.move_store(&context.cwd().join(dir), *dry_run, *alone, &switch)?;
                Box::new(Moved { report, is_named_here: context.names_store_itself() })
            }
        })
    }
}

/// A copy of a store.
struct Copied(StoreCopyReport);

/// A store that was moved.
struct Moved {
    report: StoreMoveReport,
    /// Whether an option or a variable said where it was.
    is_named_here: bool,
}

/// What was copied, in lines.
fn write_copy(report: &StoreCopyReport, output: &mut Output) {
    let totals = &report.totals;
    let (would, files) = (if report.dry_run { "Would copy" } else { "Copied" }, count(report.copied.len(), "blob"));
    let mut line = format!("{would} {files} ({})", size(totals.copied_bytes));
    if totals.shared_bytes > 0 {
        line += &format!(", {} of them without taking room", size(totals.shared_bytes));
    }
    if totals.present_blobs > 0 {
        line += &format!("; {} ({}) were there", count(totals.present_blobs, "blob"), size(totals.present_bytes));
    }
    output.detail(format!("{line}."));
    if totals.partials > 0 {
        output.detail(format!("{would} {}.", count(totals.partials, "unfinished download")));
    }
    for blob in &report.failed {
        output.note(format!("not copied: {}: {}", blob.sha256, printable(&blob.problem)));
    }
}

impl Answer for Copied {
    fn json(&self) -> Value {
        json!(self.0)
    }

    fn write(&self, output: &mut Output) {
        write_copy(&self.0, output);
        output.line(output.path(&self.0.to));
    }

    fn exit_code(&self) -> u8 {
        if self.0.failed.is_empty() { 0 } else { crate::error::ErrorKind::Damaged.exit_code() }
    }
}

impl Answer for Moved {
    fn json(&self) -> Value {
        json!(self.report)
    }

    fn write(&self, output: &mut Output) {
        let StoreMoveReport { copy, projects, settings_files, freed_bytes, left, freed, .. } = &self.report;
        write_copy(copy, output);
        for project in projects {
            let (path, views) = (output.path(&project.path), count(project.views, "model"));
            let links = if copy.dry_run { "would be linked again" } else { "linked again" };
            output.detail(format!("{path}: {views} {links}"));
            if let Some(problem) = &project.problem {
                output.note(format!("{path}: not all models were linked again: {}", printable(problem)));
            }
        }
        for file in settings_files {
            output.detail(format!("{} names the new place.", output.path(file)));
        }
        if *freed {
            output.detail(format!("The old place gave back {}.", size(*freed_bytes)));
        }
        output.line(output.path(&copy.to));
        if copy.dry_run {
            return;
        }
        if !freed {
            let old = output.path(&copy.from);
            output.note(format!("The old place {old} was not freed. Correct what is named above, and run the command again."));
        }
        for path in left {
            output.note(format!("left where it is: {}", output.path(path)));
        }
        if self.is_named_here {
            output.note("An option or MODEL_MANAGER_STORE named the old place: name the new one from now on.");
        }
    }

    fn exit_code(&self) -> u8 {
        let is_done = self.report.copy.dry_run || self.report.freed;
        if is_done { 0 } else { crate::error::ErrorKind::Failed.exit_code() }
    }
}
