//! `adopt --dedupe` and `adopt --undo`: equal files of applications share their bytes, or have copies of their own again.

use crate::{
    cli::{
        context::Context,
        output::{Answer, Output, printable},
        prompt,
        table::Table,
        units::{count, size},
    },
    error::Result,
    manager::{AppProblem, DedupeOptions, DedupePlan, DedupeReport, DedupeUndoReport, ReplacedFile},
};
use serde_json::{Value, json};
use std::path::PathBuf;

/// What was replaced, or would be.
pub struct Deduped {
    report: DedupeReport,
    /// Whether there are files that would be replaced after a yes.
    is_unconfirmed: bool,
    /// Whether the person who was asked saw them.
    is_shown: bool,
}

/// What has a copy of its own again.
pub struct Undone(DedupeUndoReport);

/// Plans, shows the plan, and acts on it after a yes.
pub fn dedupe(context: &Context<'_>, options: &DedupeOptions, dry_run: bool, yes: bool) -> Result<Deduped> {
    let manager = context.worker()?;
    let plan = manager.plan_dedupe(options)?;
    let is_open = !dry_run && !yes && !plan.report.files.is_empty();
    let answer = if is_open { ask(context, &plan)? } else { None };
    let is_unconfirmed = is_open && answer != Some(true);
    let report = if dry_run || is_unconfirmed { plan.report } else { manager.dedupe(&plan)? };
    Ok(Deduped { report, is_unconfirmed, is_shown: answer == Some(false) })
}

/// Makes own copies again.
pub fn undo(context: &Context<'_>, options: &DedupeOptions, paths: &[String]) -> Result<Undone> {
    let paths: Vec<PathBuf> = paths.iter().map(|path| context.cwd().join(path)).collect();
    Ok(Undone(context.worker()?.undo_dedupe(&options.from, &paths)?))
}

/// Shows a plan to the person at the terminal, if there is one, and asks.
fn ask(context: &Context<'_>, plan: &DedupePlan) -> Result<Option<bool>> {
    let (files, freed) = (count(plan.report.files.len(), "file"), size(plan.report.totals.freed_bytes));
    let question = format!("Replace {files}, which frees {freed}?");
    prompt::confirm_plan(context, |output| write_files(&plan.report.files, output), &question)
}

fn write_files(files: &[ReplacedFile], output: &mut Output) {
    let sharing = |file: &ReplacedFile| file.sharing.map_or("", |sharing| sharing.as_str());
    if !output.people {
        for file in files {
            let (path, same_as, bytes) = (output.path(&file.path), output.path(&file.same_as), file.size.to_string());
            output.fields([&*file.app, &*path, &*bytes, sharing(file), &*same_as]);
        }
        return;
    }
    if files.is_empty() {
        return;
    }
    let mut table = Table::new(&["app", "size", "by", "file", "same as"]).right(1).elastic(3, 20).elastic(4, 20).keep(&[1, 3]);
    for file in files {
        let by = sharing(file).to_owned();
        table.row([file.app.clone(), size(file.size), by, output.path(&file.path), output.path(&file.same_as)]);
    }
    table.write(output, "");
}

fn write_problems(what: &str, problems: &[AppProblem], output: &mut Output) {
    for problem in problems {
        output.note(format!("{what}: {}: {}", output.path(&problem.path), printable(&problem.problem)));
    }
}

impl Answer for Deduped {
    fn json(&self) -> Value {
        json!(self.report)
    }

    fn write(&self, output: &mut Output) {
        let DedupeReport { dry_run, files, problems, totals, .. } = &self.report;
        if !self.is_shown {
            write_files(files, output);
        }
        let what = if *dry_run { "Would replace" } else { "Replaced" };
        output.note(format!("{what} {}, which frees {}.", count(files.len(), "file"), size(totals.freed_bytes)));
        if self.is_unconfirmed {
            output.note("Nothing was replaced. Add `--yes` to do so.");
        }
        write_problems("left as it is", problems, output);
    }

    fn exit_code(&self) -> u8 {
        self.report.failure.map_or(0, |kind| kind.exit_code())
    }
}

impl Answer for Undone {
    fn json(&self) -> Value {
        json!(self.0)
    }

    fn write(&self, output: &mut Output) {
        for file in &self.0.files {
            output.line(output.path(&file.path));
        }
        let (files, bytes) = (count(self.0.files.len(), "file"), size(self.0.copied_bytes));
        output.note(format!("{files} ({bytes}) with a copy of its own again."));
        write_problems("left as it is", &self.0.left, output);
    }

    fn exit_code(&self) -> u8 {
        self.0.failure.map_or(0, |kind| kind.exit_code())
    }
}
