//! `gc`: collects what nothing needs.

use crate::{
    cli::{
        commands::name_of,
        context::Context,
        output::{Answer, Output, printable},
        prompt,
        table::Table,
        units,
    },
    config::{parse_size, parse_time},
    error::{Error, ErrorKind, Result},
    hint::Hint,
    manager::{EvictedModel, EvictionOptions, EvictionPlan, GcSummary, Timestamp},
    store::GcOptions,
};
use serde_json::{Value, json};
use std::{path::PathBuf, time::Duration};

/// Remove what no project needs from the store
///
/// What a view or a running process needs stays, and so does what a project that cannot be seen now needs. Of the rest it
/// removes content older than the grace period, and downloads that nobody went on with for a week.
///
/// With --older-than or --keep-bytes it also removes models of this project, or of those named with --project: the least
/// recently used first. What would go is shown, and goes only after a yes or with --yes; without a terminal and without --yes
/// it is only shown.
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
    /// Also remove models that were not used for this long, such as 30d
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub older_than: Option<Duration>,
    /// Also remove the least recently used models, until the store takes no more than this, such as 200GB; with --older-than
    /// only such models
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub keep_bytes: Option<u64>,
    /// The models of this project in place of this one's, by its folder; may be given several times
    #[arg(long, value_name = "DIR")]
    pub project: Vec<PathBuf>,
    /// Remove these models without asking
    #[arg(long)]
    pub yes: bool,
}

/// What was collected.
pub struct Collected {
    summary: GcSummary,
    /// What the store was to take at most, and what it would still take.
    missed: Option<(u64, u64)>,
    /// Whether there are models that would go after a yes.
    unconfirmed: bool,
    /// Whether the person who was asked saw them.
    is_shown: bool,
    now: Timestamp,
}

impl Args {
    pub fn run(&self, context: &Context<'_>) -> Result<Collected> {
        let options = GcOptions { grace: self.grace, partial_age: self.partials };
        let plan = self.plan(context, options)?;
        let missed = self.keep_bytes.map(|keep| (keep, plan.left_bytes)).filter(|(keep, left)| left > keep);
        let is_open = !plan.models.is_empty() && !self.yes && !self.dry_run;
        let answer = if is_open { ask(context, &plan)? } else { None };
        let unconfirmed = is_open && answer != Some(true);
        let dry_run = self.dry_run || unconfirmed;
        let summary = context.worker()?.gc_with(&plan, options, dry_run, self.only_this_host)?;
        Ok(Collected { summary, missed, unconfirmed, is_shown: answer == Some(false), now: Timestamp::now() })
    }

    fn plan(&self, context: &Context<'_>, gc: GcOptions) -> Result<EvictionPlan> {
        if self.older_than.is_none() && self.keep_bytes.is_none() {
            return match self.project.is_empty() {
                true => Ok(EvictionPlan::default()),
                false => {
                    Err(Error::new(ErrorKind::Usage, "`--project` needs `--older-than` or `--keep-bytes`").hint(Hint::SeeHelp))
                }
            };
        }
        let mut options = EvictionOptions::default();
        (options.unused_for, options.keep_bytes, options.projects) = (self.older_than, self.keep_bytes, self.project.clone());
        context.manager()?.plan_eviction(&options, gc)
    }
}

/// Shows a plan to the person at the terminal, if there is one, and asks.
fn ask(context: &Context<'_>, plan: &EvictionPlan) -> Result<Option<bool>> {
    let (models, freed) = (units::count(plan.models.len(), "model"), units::size(plan.freed_bytes));
    let question = format!("Remove {models}, which frees {freed}?");
    prompt::confirm_plan(context, |output| models_table(output, &plan.models, Timestamp::now()), &question)
}

fn models_table(output: &mut Output, models: &[EvictedModel], now: Timestamp) {
    let mut table = Table::new(&["model", "size", "frees", "used", "project"]).right(1).right(2).elastic(4, 16).keep(&[3, 2]);
    for model in models {
        let used = model.used_at.map_or("?".to_owned(), |used| units::ago(now.seconds() - used.seconds()));
        let (size, frees) = (units::size(model.total_bytes), units::size(model.freed_bytes));
        table.row([name_of(&model.view), size, frees, used, output.path(&model.project)]);
    }
    table.write(output, "");
}

impl Answer for Collected {
    fn json(&self) -> Value {
        json!(self.summary)
    }

    fn write(&self, output: &mut Output) {
        let summary = &self.summary;
        let (verb, freed) = if summary.dry_run { ("Would remove", "would be freed") } else { ("Removed", "freed") };
        if !summary.models.is_empty() && !output.quiet && !self.is_shown {
            output.line(format!("{verb} {}:", units::count(summary.models.len(), "model")));
            match output.people {
                true => models_table(output, &summary.models, self.now),
                false => {
                    for model in &summary.models {
                        let used = model.used_at.map(|used| used.to_string()).unwrap_or_default();
                        let (size, frees) = (model.total_bytes.to_string(), model.freed_bytes.to_string());
                        output.fields([&model.view.name(), &size, &frees, &used, &output.plain_path(&model.project)]);
                    }
                }
            }
        }
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
        if let Some((keep, left)) = self.missed {
            output.note(format!(
                "The store would still take {}, more than {}: other projects or younger models need it. `model-manager df --tree` \
                 shows what takes the room.",
                units::size(left),
                units::size(keep)
            ));
        }
        if self.unconfirmed {
            output.note("Nothing was removed. With `--yes` the same command removes what is listed.");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::testing;

    #[test]
    fn models_that_would_go_are_shown_with_their_last_use_and_what_they_give_back() {
        let now = Timestamp::now();
        let used_at = Timestamp::from(std::time::SystemTime::now() - Duration::from_secs(45 * 86_400));
        let view = crate::store::ViewKey { model: "phi-2".parse().unwrap(), format: "gguf".parse().unwrap(), quant: None };
        let models = vec![EvictedModel::example(view, "/srv/models", used_at, 4_000_000_000)];
        let summary = GcSummary::example(models);
        let (out, notes) = testing::seen(&Collected { summary, missed: Some((5, 9_000)), unconfirmed: true, is_shown: false, now });
        assert!(out.starts_with("Would remove 1 model:\nMODEL"), "{out}");
        assert!(out.contains("phi-2 gguf  4.00 GB  4.00 GB  45 d  models\n"), "{out}");
        assert!(notes.contains("still take 9.00 KB, more than 5 B") && notes.contains("Nothing was removed"), "{notes}");
    }
}
