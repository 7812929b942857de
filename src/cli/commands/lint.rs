//! `lint`: what is odd in the registry, with its place and what to do.

use crate::{
    cli::{
        context::Context,
        hints,
        output::{Answer, FAILURE, FAINT, Output, SUCCESS, WARNING, printable, styled},
        units,
    },
    error::{ErrorKind, Result},
    manager::{LintReport, LintTotals},
    registry::Level,
};
use serde_json::{Value, json};
use std::path::Path;

/// Look through the registry for what is wrong, missing or odd
///
/// Ends with exit code 1 when something is wrong, with 4 when the Hub publishes another size or hash than the registry
/// has, else with 0.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Also hold every entry against what the Hub says now; one question per repository, one list of files per commit
    #[arg(long)]
    pub online: bool,
    /// Fail for warnings too
    #[arg(long)]
    pub strict: bool,
}

/// What was found.
pub struct Looked {
    report: LintReport,
    strict: bool,
}

impl Args {
    pub fn run(&self, context: &Context<'_>) -> Result<Looked> {
        let manager = if self.online { context.worker()? } else { context.manager()? };
        let report = manager.lint(self.online)?;
        Ok(Looked { report, strict: self.strict })
    }
}

impl Looked {
    fn fails(&self) -> bool {
        self.report.totals.errors > 0 || (self.strict && self.report.totals.warnings > 0)
    }
}

impl Answer for Looked {
    fn json(&self) -> Value {
        let mut value = json!(self.report);
        let next = self.report.findings.iter().map(|finding| hints::words(&finding.hint));
        hints::word_entries(&mut value["findings"], "hint", next);
        value["ok"] = json!(!self.fails());
        value
    }

    fn write(&self, output: &mut Output) {
        let report = &self.report;
        let origin = output.path(Path::new(&report.registry));
        for finding in &report.findings {
            let style = match finding.level {
                Level::Error => FAILURE,
                Level::Warning => WARNING,
                Level::Note => FAINT,
            };
            let line =
                format!("{origin}:{}:{}: {}", finding.line, finding.column, styled(style, format!("{}:", finding.level.as_str())));
            let text = format!("{line} {} [{}]", printable(&finding.message), finding.rule);
            match finding.level {
                Level::Note => output.detail(text),
                _ => output.line(text),
            }
            output.detail(format!("    {}", output.advice(&hints::words(&finding.hint))));
        }
        let LintTotals { entries, errors, warnings, notes } = report.totals;
        let counts = [units::count(errors, "error"), units::count(warnings, "warning"), units::count(notes, "note")].join(", ");
        let asked = if report.online { "; the Hub was asked" } else { "" };
        let verdict = if self.fails() { styled(FAILURE, "failed") } else { styled(SUCCESS, "ok") };
        let entries = if entries == 1 { "1 entry".to_owned() } else { format!("{entries} entries") };
        output.line(format!("{verdict}: {origin}, {entries}: {counts}{asked}"));
    }

    fn exit_code(&self) -> u8 {
        match self.fails() {
            _ if self.report.differs() => ErrorKind::Damaged.exit_code(),
            true => ErrorKind::Failed.exit_code(),
            false => 0,
        }
    }
}
