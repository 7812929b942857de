//! `registry`: changes of the registry's file.

use crate::{
    cli::{
        args::Form,
        context::Context,
        output::{Answer, Output, STRONG, printable, styled},
    },
    error::Result,
    manager::UnregisterReport,
};
use serde_json::{Value, json};

/// Take an entry out of the registry
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Take an entry out of the project's configs/models.yaml
    ///
    /// Comments, order and everything else in the file stay as they are, and so does what is here of the model: `model-manager
    /// remove` removes that. The last form of a model takes the model with it. `model-manager add` writes entries.
    Remove {
        /// An id, `id:quant`, or `id/format`
        model: String,
        #[command(flatten)]
        form: Form,
        /// Only show the change, as a unified diff
        #[arg(long)]
        dry_run: bool,
    },
}

/// What was taken out.
pub struct Changed(UnregisterReport);

impl Args {
    pub fn run(&self, context: &Context<'_>) -> Result<Changed> {
        let Action::Remove { model, form, dry_run } = &self.action;
        let new_registry = context.root()?.join("configs/models.yaml");
        context.worker()?.unregister(&form.of(model)?, &new_registry, *dry_run).map(Changed)
    }
}

impl Answer for Changed {
    fn json(&self) -> Value {
        json!(self.0)
    }

    fn write(&self, output: &mut Output) {
        let report = &self.0;
        if report.dry_run {
            // For `patch`, byte for byte.
            match output.people {
                true => report.diff.lines().for_each(|line| output.line(printable(line))),
                false => output.out.push_str(&report.diff),
            }
            return;
        }
        let forms = [report.format.as_ref().map(ToString::to_string), report.quant.as_ref().map(ToString::to_string)];
        let name = forms.into_iter().flatten().fold(report.model.to_string(), |name, part| format!("{name}/{part}"));
        output.line(format!("Took {} out of {}:{}", styled(STRONG, name), output.path(&report.registry), report.line));
        if let Some(here) = &report.here {
            output.note(format!("Its files stay: `model-manager remove {here}` removes them."));
        }
    }
}
