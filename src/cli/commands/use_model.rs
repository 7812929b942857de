//! `use`: a model for a backend.

use crate::{
    cli::{
        args::Form,
        context::Context,
        output::{Answer, Output, printable},
    },
    error::Result,
    manager::{UseOptions, UsePlan},
    registry::Backend,
};
use clap::builder::ValueParser;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Write the path of a model that is here into a backend's settings
///
/// The path goes into `backend.model_path` of configs/backend/<backend>.yaml, which is made if it is missing. Nothing else in the
/// file changes. The path is relative to the project where the model lies in it. Nothing is downloaded.
#[allow(rustdoc::invalid_html_tags, reason = "shown as plain text by `--help`")]
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The model by its name: an id, a repository such as owner/repo:Q4_K_M, a path or a digest
    pub model: String,
    /// The program that is to load it: llama_cpp takes a GGUF, vllm a folder such as that of safetensors
    #[arg(long, value_name = "BACKEND", value_parser = backend())]
    pub backend: Backend,
    #[command(flatten)]
    pub form: Form,
    /// The settings [default: configs/backend/<backend>.yaml in the project]
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Only print the settings as they would be
    #[arg(long)]
    pub print: bool,
}

fn backend() -> ValueParser {
    use clap::builder::{PossibleValuesParser, TypedValueParser};
    PossibleValuesParser::new(Backend::ALL.map(Backend::as_str)).try_map(|word| word.parse::<Backend>()).into()
}

/// The settings with the model, and whether they were only to be shown.
pub struct Used {
    plan: UsePlan,
    print: bool,
}

impl Args {
    pub fn run(&self, context: &Context<'_>) -> Result<Used> {
        let file = self.file.as_ref().map(|file| context.cwd().join(file));
        let options = UseOptions { backend: self.backend, file, root: context.root()?.to_owned() };
        let manager = context.manager()?;
        let plan = manager.plan_use(&self.form.of(&self.model)?, &options)?;
        if !self.print {
            manager.apply_use(&plan)?;
        }
        Ok(Used { plan, print: self.print })
    }
}

impl Answer for Used {
    fn json(&self) -> Value {
        let mut value = json!(self.plan.report);
        value["written"] = json!(!self.print && self.plan.report.changed);
        value["text"] = json!(self.print.then_some(&self.plan.text));
        value
    }

    fn write(&self, output: &mut Output) {
        let report = &self.plan.report;
        let place = format!("{}:{}", output.path(&report.settings_file), report.line);
        if self.print {
            output.out.push_str(&self.plan.text);
            output.note(format!("{place} would be:  {}", printable(report.line_text.trim())));
            return;
        }
        output.line(format!("{place}: {}", printable(report.line_text.trim())));
        output.note(match (&report.before, report.changed) {
            (_, false) => "It was so already.".to_owned(),
            (Some(before), true) => format!("It was {}.", printable(before)),
            (None, true) if report.created => "The file was made; look through its other settings.".to_owned(),
            (None, true) => "There was none before.".to_owned(),
        });
    }
}
