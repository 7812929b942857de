//! `remove`: gives space back, and says what stays and why.

use super::view_name;
use crate::{
    cli::{
        args::Form,
        context::Context,
        output::{Answer, Output, printable},
        units,
    },
    error::{Error, Result},
    manager::{RemoveReport, Selector},
};
use serde_json::{Value, json};

/// Remove models, and those of their files that nothing else uses
///
/// Without a quantization all of a model go, and each is listed. Files this program did not make are never touched, and what another model or project uses stays.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Models by their names: an id, a repository such as owner/repo:Q4_K_M, a path or a digest
    #[arg(value_name = "MODEL", required = true)]
    pub models: Vec<String>,
    #[command(flatten)]
    pub form: Form,
    /// Remove only the links and keep the content in the store
    #[arg(long)]
    pub keep_blobs: bool,
    /// Only show what would be removed
    #[arg(long)]
    pub dry_run: bool,
}

/// What was removed.
pub struct Removed {
    report: RemoveReport,
    kept_blobs: bool,
    /// Why some of several were not.
    failed: Vec<Error>,
}

impl Args {
    pub fn run(&self, context: &Context<'_>) -> Result<Removed> {
        // All names are read before anything goes.
        let selectors: Vec<Selector> = self.models.iter().map(|model| self.form.of(model)).collect::<Result<_>>()?;
        let (report, failed) = context.worker()?.remove_all(&selectors, self.keep_blobs, self.dry_run)?;
        Ok(Removed { report, kept_blobs: self.keep_blobs, failed })
    }
}

impl Answer for Removed {
    fn json(&self) -> Value {
        json!(self.report)
    }

    fn write(&self, output: &mut Output) {
        let report = &self.report;
        write_report(output, report);
        if self.kept_blobs && !report.dry_run {
            output.note("The content stays in the store, so a later download of it fetches nothing.");
        }
        if report.views.is_empty() && report.removed.is_empty() && self.failed.is_empty() {
            output.note("Nothing was there to remove. `model-manager list` shows what is here.");
        }
    }
    fn failures(&self) -> &[Error] {
        &self.failed
    }
}

/// A removal for people.
pub(super) fn write_report(output: &mut Output, report: &RemoveReport) {
    let (verb, freed) = if report.dry_run { ("Would remove", "would be freed") } else { ("Removed", "freed") };
    // Where everything was kept, nothing was removed.
    let all_kept =
        report.removed.is_empty() && report.shared.is_empty() && report.totals.freed_bytes == 0 && !report.kept.is_empty();
    for view in report.views.iter().filter(|_| !all_kept) {
        let name = view_name(view.model.as_str(), view.format.as_str(), view.quant.as_ref().map(|quant| quant.as_str()));
        output.detail(format!("{verb} {name}"));
    }
    for path in &report.removed {
        output.detail(format!("  {}", output.path(path)));
    }
    for file in &report.kept {
        output.detail(format!("Kept {}: {}", output.path(&file.path), printable(&file.reason)));
    }
    for blob in &report.shared {
        let digest: String = blob.sha256.to_string().chars().take(12).collect();
        output.detail(format!("Stays in the store: {digest}, {}, used by", units::size(blob.size)));
        for user in &blob.users {
            output.detail(format!("  {}", printable(&user.to_string())));
        }
    }
    output.detail(format!("{} {freed}", units::size(report.totals.freed_bytes)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::output::{document, testing},
        manager::{BlobReport, BlobUser, KeptFile, RemoveTotals, SharedBlob},
        store::{RootOwner, ViewKey},
    };

    fn removed(dry_run: bool) -> Removed {
        let digest = || "324356668fa5ba9f4135de348447bb2bbe2467eaa1b8fcfb53719de62fbd2499".parse().expect("a digest");
        let view = || ViewKey { model: "phi-2".parse().expect("an id"), format: "gguf".parse().expect("a format"), quant: None };
        let user = BlobUser { project: "/home/ada/game".into(), owner: RootOwner::View(view()) };
        let reason = "not made by this program".into();
        let report = RemoveReport {
            views: vec![view()],
            removed: vec!["/srv/models/phi-2/gguf/a.gguf".into()],
            kept: vec![KeptFile { path: "/srv/models/phi-2/gguf/mine.txt".into(), reason }],
            blobs: vec![BlobReport { sha256: digest(), size: 3_830_000_000 }],
            totals: RemoveTotals { freed_bytes: 3_830_000_000 },
            shared: vec![SharedBlob { sha256: digest(), size: 5, users: vec![user] }],
            dry_run,
        };
        Removed { report, kept_blobs: false, failed: Vec::new() }
    }

    #[test]
    fn it_tells_what_went_what_stays_and_who_uses_it() {
        let expected = "\
Removed phi-2 gguf
  models/phi-2/gguf/a.gguf
Kept models/phi-2/gguf/mine.txt: not made by this program
Stays in the store: 324356668fa5, 5 B, used by
  /home/ada/game: phi-2/gguf
3.83 GB freed
";
        assert_eq!(testing::seen(&removed(false)), (expected.to_owned(), String::new()));
    }

    #[test]
    fn a_dry_run_does_not_claim_to_have_done_it() {
        let (out, _) = testing::seen(&removed(true));
        assert!(out.starts_with("Would remove phi-2 gguf\n") && out.ends_with("3.83 GB would be freed\n"), "{out}");
    }

    #[test]
    fn json_names_its_fields() {
        let document = document(&removed(false));
        assert_eq!(document["totals"]["freed_bytes"], 3_830_000_000_u64);
        assert_eq!(document["kept"][0], json!({"path": "/srv/models/phi-2/gguf/mine.txt", "reason": "not made by this program"}));
        assert_eq!((&document["version"], &document["dry_run"]), (&json!(1), &json!(false)));
    }
}
