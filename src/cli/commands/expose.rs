//! `expose` and `unexpose`: shows models to other applications, and takes that back.

use crate::{
    cli::{
        context::Context,
        output::{Answer, Output, printable},
    },
    error::Result,
    foreign::CONFIG_FOLDER,
    manager::{ExposeReport, ExposeTarget, ExposedModel, Selector, UnexposeReport},
    names::App,
};
use serde_json::{Value, json};
use std::path::Path;

/// Show models to another application, without a copy
///
/// The application sees them as its own. Each file is a further name of that in the store; what is made is recorded, stays in
/// the store until it is taken back with `unexpose`, and is removed only where it still is what was made.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Models of this project
    #[arg(value_name = "MODEL", required = true)]
    models: Vec<String>,
    /// hf, llama-cpp, ollama, lm-studio, jan, gpt4all, textgen, comfyui, git-lfs, or a folder
    #[arg(long, value_name = "APP|DIR")]
    to: String,
}

/// Take back what `expose` showed
#[derive(Debug, clap::Args)]
pub struct UndoArgs {
    /// Models of this project; all without one
    #[arg(value_name = "MODEL")]
    models: Vec<String>,
    /// Only from this application or folder
    #[arg(long, value_name = "APP|DIR")]
    from: Option<String>,
}

/// A word of the command line: an application, else a folder.
fn target(context: &Context<'_>, word: &str) -> ExposeTarget {
    match word.parse::<App>() {
        Ok(app) => ExposeTarget::App(app),
        Err(_) => ExposeTarget::Folder(context.cwd().join(Path::new(word))),
    }
}

fn selectors(models: &[String]) -> Result<Vec<Selector>> {
    models.iter().map(|model| Selector::new(model.as_str())).collect()
}

impl Args {
    pub fn run(&self, context: &Context<'_>) -> Result<Exposed> {
        Ok(Exposed(context.worker()?.expose(&selectors(&self.models)?, &target(context, &self.to))?))
    }
}

impl UndoArgs {
    pub fn run(&self, context: &Context<'_>) -> Result<Unexposed> {
        let from = self.from.as_deref().map(|word| target(context, word));
        Ok(Unexposed(context.worker()?.unexpose(&selectors(&self.models)?, from.as_ref())?))
    }
}

/// What was shown.
pub struct Exposed(ExposeReport);

/// What was taken back.
pub struct Unexposed(UnexposeReport);

fn write_model(model: &ExposedModel, output: &mut Output) {
    match output.people {
        true => output.line(format!("{}  {}  {}", model.view.name(), model.app, printable(&model.name))),
        false => output.fields([&*model.view.name(), &*model.app, &*model.name]),
    }
}

impl Answer for Exposed {
    fn json(&self) -> Value {
        json!(self.0)
    }

    fn write(&self, output: &mut Output) {
        for model in &self.0.models {
            write_model(model, output);
            if !model.changed {
                output.note(format!("{} was shown there already.", model.view.name()));
            }
        }
        // ComfyUI reads these files only if it is started with this option.
        if let Some(shown) = self.0.models.iter().find(|model| model.app == App::ComfyUi.as_str()) {
            let files = output.path(&shown.path.join(CONFIG_FOLDER));
            output.note(format!("Start ComfyUI with `--extra-model-paths-config {files}/*.yaml`."));
        }
    }
}

impl Answer for Unexposed {
    fn json(&self) -> Value {
        json!(self.0)
    }

    fn write(&self, output: &mut Output) {
        self.0.models.iter().for_each(|model| write_model(model, output));
        for left in &self.0.left {
            output.note(format!("left as it is: {}: {}", output.path(&left.path), printable(&left.problem)));
        }
    }

    fn exit_code(&self) -> u8 {
        self.0.failure.map_or(0, |kind| kind.exit_code())
    }
}
