//! `sync`: makes the models folder what the lock file says.

use super::{download, lock, name_of, remove};
use crate::{
    cli::{
        context::Context,
        hints,
        output::{Answer, Output, STRONG, printable, styled},
        units,
    },
    error::Result,
    manager::{DownloadReport, SyncOptions, SyncReport},
};
use serde_json::{Value, json};

/// Make the models exactly what configs/models.lock says
///
/// What is in the store is checked and used; what is missing is fetched from the endpoints in their order, and held against
/// the locked hashes, whichever server sends it. Nothing outside of the locked models is touched.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Never change the lock file; one that the registry disagrees with is an error
    #[arg(long)]
    pub locked: bool,
    /// Also remove models of this project that are not locked
    #[arg(long)]
    pub prune: bool,
    /// Trust size and modification time of what is here; reads no content
    #[arg(long)]
    pub quick: bool,
    /// Only show what would be done
    #[arg(long)]
    pub dry_run: bool,
}

/// What was done.
pub struct Synced(SyncReport);

impl Args {
    pub fn run(&self, context: &Context<'_>) -> Result<Synced> {
        let Self { locked, prune, quick, dry_run } = *self;
        context.worker()?.sync(SyncOptions { locked, prune, quick, dry_run }).map(Synced)
    }
}

impl Answer for Synced {
    fn json(&self) -> Value {
        let mut value = json!(self.0);
        hints::word_entries(&mut value["relocked"], "note", self.0.relocked.iter().map(lock::note_of));
        value
    }

    fn write(&self, output: &mut Output) {
        let report = &self.0;
        report.relocked.iter().for_each(|line| lock::write_line(output, line));
        report.plans.iter().for_each(|plan| download::write_plan(output, plan));
        for file in &report.repairs {
            output.detail(format!("Repaired {}", output.path(&file.path)));
        }
        for view in &report.models {
            output.detail(line_of(view));
        }
        let removed = if report.dry_run { "Would remove" } else { "Removed" };
        for path in &report.removed {
            output.detail(format!("{removed} {}: ours, and not locked", output.path(path)));
        }
        for file in &report.kept {
            output.detail(format!("Kept {}: {}", output.path(&file.path), printable(&file.reason)));
        }
        if let Some(pruned) = report.pruned.as_ref().filter(|pruned| !pruned.views.is_empty()) {
            remove::write_report(output, pruned);
        }
        let file = output.path(&report.lock_file);
        if !report.dry_run {
            let views = units::count(report.models.len(), "view");
            output.note(format!("{views} as in {file}, {} fetched", units::size(report.totals.download_bytes)));
        }
    }
}

fn line_of(view: &DownloadReport) -> String {
    let how = match view.download_bytes {
        0 => download::nothing_fetched(&view.files).to_owned(),
        some if view.borrowed_bytes == 0 => format!("{} fetched", units::size(some)),
        some => format!("{} fetched, {} from other files of the store", units::size(some), units::size(view.borrowed_bytes)),
    };
    let files = units::count(view.files.len(), "file");
    format!("{}: {files}, {}, {how}", styled(STRONG, name_of(&view.view)), units::size(view.total_bytes))
}
