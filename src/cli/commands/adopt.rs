//! `adopt`: takes models of other applications over.

use super::dedupe;
use crate::{
    cli::{
        context::Context,
        output::{Answer, Output, printable},
        units::{count, size},
    },
    error::{ErrorKind, Result},
    manager::{AdoptOptions, AdoptReport, DedupeOptions},
    names::App,
};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Take models over that other applications have, without a copy
///
/// Or let equal files of theirs share their bytes, with `--dedupe`.
///
/// Each file is hashed once, and becomes one of the store by a reflink or a hard link, so that it takes no room again. The
/// application keeps its own. A model is named by what the application calls it, or by a path.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Models as `apps` lists them, files, or folders
    #[arg(value_name = "MODEL|PATH", required_unless_present_any = ["from", "scan", "dedupe", "undo"])]
    what: Vec<String>,
    /// Look for GGUF and safetensors files in this folder and below, by their content; may be repeated
    ///
    /// Other volumes are not entered, links are not followed, and what applications and stores of this program have there is
    /// left out.
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    scan: Vec<PathBuf>,
    /// Take from this application; alone, all that it has; may be repeated
    #[arg(long, value_name = "APP")]
    from: Vec<App>,
    /// Replace files of applications that are equal to one of another application, or of the store: they share their bytes then
    ///
    /// By a reflink, else by a hard link where the application does with one. What has the length of another file is hashed first.
    #[arg(long, conflicts_with_all = ["what", "scan", "copy", "undo"])]
    dedupe: bool,
    /// Make files that were replaced by `--dedupe` own copies again: of these paths, with `--from` of an application, or all
    #[arg(long, conflicts_with_all = ["scan", "copy", "protect", "dry_run"])]
    undo: bool,
    /// With `--dedupe`: replace without asking
    #[arg(long, requires = "dedupe")]
    yes: bool,
    /// Show what would be done
    #[arg(long)]
    dry_run: bool,
    /// Copy what cannot be shared: a file on another volume, or of another user
    #[arg(long)]
    copy: bool,
    /// Make files read-only that are shared by a hard link: the application sees that too
    #[arg(long)]
    protect: bool,
}

impl Args {
    pub fn run(&self, context: &Context<'_>) -> Result<Box<dyn Answer>> {
        if self.dedupe || self.undo {
            let mut options = DedupeOptions::default();
            options.from.clone_from(&self.from);
            options.protect = self.protect;
            return Ok(match self.undo {
                true => Box::new(dedupe::undo(context, &options, &self.what)?),
                false => Box::new(dedupe::dedupe(context, &options, self.dry_run, self.yes)?),
            });
        }
        let mut options = AdoptOptions::default();
        options.what.clone_from(&self.what);
        options.from.clone_from(&self.from);
        options.scan = self.scan.iter().map(|dir| context.cwd().join(dir)).collect();
        (options.dry_run, options.copy, options.protect) = (self.dry_run, self.copy, self.protect);
        Ok(Box::new(Adopted(context.worker()?.adopt(&options)?)))
    }
}

/// What was taken over.
pub struct Adopted(AdoptReport);

impl Answer for Adopted {
    fn json(&self) -> Value {
        json!(self.0)
    }

    fn write(&self, output: &mut Output) {
        let AdoptReport { dry_run, models, problems, totals, .. } = &self.0;
        for model in models {
            match output.people {
                true => output.line(format!("{}  {}", model.view.name(), output.path(&model.path))),
                false => output.line(output.path(&model.path)),
            }
        }
        let what = if *dry_run { "Would take" } else { "Took" };
        let mut line = format!("{what} {} ({})", count(models.len(), "model"), size(totals.total_bytes));
        if totals.copied_bytes > 0 {
            line += &format!("; {} are copies", size(totals.copied_bytes));
        } else if totals.shared_bytes > 0 {
            line += ", which takes no room";
        }
        output.note(format!("{line}."));
        for problem in problems {
            output.note(format!("left out: {}: {}", output.path(&problem.path), printable(&problem.problem)));
        }
    }

    fn exit_code(&self) -> u8 {
        let is_nothing = self.0.models.is_empty() && !self.0.problems.is_empty();
        match self.0.failure {
            Some(kind) => kind.exit_code(),
            None if is_nothing => ErrorKind::Failed.exit_code(),
            None => 0,
        }
    }
}
