//! `doctor`: what is wrong, in words, and the command that repairs it.

use crate::{
    cli::{
        context::Context,
        hints,
        output::{Answer, FAILURE, Output, SUCCESS, WARNING, printable, styled},
        units,
    },
    error::{ErrorKind, Result},
    manager::DoctorReport,
    store::Severity,
};
use serde_json::{Value, json};

/// Look for anything wrong with the models and the store, and say how to repair it
///
/// Ends with exit code 4 where something is lost or damaged, with 1 where something else has to be corrected, else with 0.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Also read every byte in the store
    #[arg(long)]
    pub full: bool,
}

/// What was found.
pub struct Visit(DoctorReport);

impl Args {
    pub fn run(&self, context: &Context<'_>) -> Result<Visit> {
        context.worker()?.doctor(self.full).map(Visit)
    }
}

impl Visit {
    fn has_loss(&self) -> bool {
        self.0.findings.iter().any(|finding| finding.severity == Severity::Loss)
    }
}

impl Answer for Visit {
    fn json(&self) -> Value {
        let mut value = json!(self.0);
        hints::word_entries(&mut value["findings"], "repair", self.0.findings.iter().map(|finding| hints::phrase(&finding.repair)));
        value["ok"] = json!(!self.has_loss());
        value
    }

    fn write(&self, output: &mut Output) {
        for finding in &self.0.findings {
            let (style, word) = match finding.severity {
                Severity::Loss => (FAILURE, "lost"),
                Severity::Repairable => (WARNING, "odd"),
                Severity::Leftover => (WARNING, "note"),
            };
            output.line(format!("{}  {}: {}", styled(style, word), output.path(&finding.path), printable(&finding.message)));
            output.line(format!("      {}", output.advice(&hints::phrase(&finding.repair))));
        }
        let depth = if self.0.full { "every byte was read" } else { "contents were not read: `--full` does that" };
        let verdict = match (self.has_loss(), self.0.findings.is_empty()) {
            (true, _) => styled(FAILURE, "something is lost"),
            (false, false) => styled(SUCCESS, "nothing is lost"),
            (false, true) => styled(SUCCESS, "all is well"),
        };
        output.line(format!("{verdict}: {} in {}; {depth}", units::count(self.0.totals.blobs, "blob"), output.path(&self.0.store)));
    }

    fn exit_code(&self) -> u8 {
        match self.0.findings.iter().map(|finding| finding.severity).max() {
            Some(Severity::Loss) => ErrorKind::Damaged.exit_code(),
            Some(Severity::Repairable) => ErrorKind::Failed.exit_code(),
            Some(Severity::Leftover) | None => 0,
        }
    }
}
