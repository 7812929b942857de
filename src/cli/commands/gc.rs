//! `gc`: collects what nothing needs.

use crate::{
    cli::{
        context::Context,
        output::{Answer, Output, printable},
        units,
    },
    config::parse_time,
    error::Result,
    manager::GcSummary,
    store::GcOptions,
};
use serde_json::{Value, json};
use std::time::Duration;

/// Remove what no project needs from the store
///
/// What a view or a running process needs stays, and so does what a project that cannot be seen now needs. Of the rest it
/// removes content older than the grace period, and downloads that nobody went on with for a week.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only show what would be removed
    #[arg(long)]
    pub dry_run: bool,
    /// Keep unneeded content younger than this, such as 0, 30m or 2d
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = parse_time)]
    pub grace: Duration,
    /// Remove interrupted downloads that nobody touched for this long
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = parse_time)]
    pub partials: Duration,
    /// For a store on a network file system: no other host uses it now
    #[arg(long)]
    pub only_this_host: bool,
}

/// What was collected.
pub struct Collected(GcSummary);

impl Args {
    pub fn run(&self, context: &Context<'_>) -> Result<Collected> {
        let options = GcOptions { grace: self.grace, partial_age: self.partials };
        context.worker()?.gc(options, self.dry_run, self.only_this_host).map(Collected)
    }
}

impl Answer for Collected {
    fn json(&self) -> Value {
        json!(self.0)
    }

    fn write(&self, output: &mut Output) {
        let summary = &self.0;
        let (verb, freed) = if summary.dry_run { ("Would remove", "would be freed") } else { ("Removed", "freed") };
        for blob in &summary.blobs {
            output.detail(format!("{verb} {}  {}", blob.sha256.short(), units::size(blob.size)));
        }
        for partial in &summary.partials {
            output.detail(format!(
                "{verb} the interrupted download of {}  {}",
                printable(&partial.file),
                units::size(partial.disk_bytes)
            ));
        }
        if !summary.leftovers.is_empty() {
            output.detail(format!("{verb} {}", units::count(summary.leftovers.len(), "leftover")));
        }
        for blob in &summary.frees_nothing {
            output.note(format!("{} frees nothing: its file has further names (hard links).", blob.sha256.short()));
        }
        for blob in &summary.open {
            output.note(format!("{} stays, for a program has it open.", blob.sha256.short()));
        }
        if summary.totals.young_blobs > 0 {
            output.note(format!(
                "{} of {} stay, younger than the grace period; `--grace 0` takes them too.",
                units::count(summary.totals.young_blobs, "unneeded blob"),
                units::size(summary.totals.young_bytes)
            ));
        }
        output.detail(format!(
            "{} {freed}, {} in use",
            units::size(summary.totals.freed_bytes),
            units::count(summary.totals.kept_blobs, "blob")
        ));
    }
}
