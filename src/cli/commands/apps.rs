//! `apps`: what other applications have on this machine.

use crate::{
    cli::{
        context::Context,
        output::{Answer, Output, printable},
        table::Table,
        units::{count, size},
    },
    error::Result,
    manager::AppReport,
    names::App,
};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Show the models that other applications have on this machine
///
/// They are read and nothing else. `adopt` takes models of theirs over without a copy, and a download uses a file of theirs
/// that is the wanted one.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List them all
    List,
    /// Name a further folder of an application, in your own config.yaml
    Add {
        /// hf, llama-cpp, ollama, lm-studio, docker, ramalama, jan, gpt4all, textgen, comfyui or git-lfs
        #[arg(value_name = "NAME")]
        app: App,
        /// Its folder
        #[arg(value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
        dir: PathBuf,
    },
}

impl Args {
    pub fn run(&self, context: &Context<'_>) -> Result<Box<dyn Answer>> {
        Ok(match &self.action {
            None | Some(Action::List) => Box::new(Apps(context.manager()?.apps()?)),
            Some(Action::Add { app, dir }) => {
                let (settings_file, changed) = context.add_app(*app, dir)?;
                Box::new(Added { app: *app, settings_file, changed })
            }
        })
    }
}

/// The applications with something here.
struct Apps(Vec<AppReport>);

/// A folder that was named.
struct Added {
    app: App,
    settings_file: PathBuf,
    changed: bool,
}

impl Answer for Apps {
    fn json(&self) -> Value {
        json!({ "apps": self.0 })
    }

    fn write(&self, output: &mut Output) {
        if self.0.is_empty() {
            output.note("None has a folder here. `model-manager apps add NAME DIR` names one in another place.");
            return;
        }
        if !output.people {
            for app in &self.0 {
                let (path, models) = (app.path.to_string_lossy(), app.models.len().to_string());
                let bytes = [app.total_bytes, app.stored_bytes, app.double_bytes].map(|bytes| bytes.to_string());
                output.fields([&*app.app, &*path, &models, &bytes[0], &bytes[1], &bytes[2]]);
            }
            return;
        }
        let mut table = Table::new(&["app", "models", "size", "in store", "double", "folder"])
            .right(1)
            .right(2)
            .right(3)
            .right(4)
            .elastic(5, 20)
            .keep(&[2, 5]);
        for app in &self.0 {
            table.row([
                app.app.clone(),
                app.models.len().to_string(),
                size(app.total_bytes),
                size(app.stored_bytes),
                size(app.double_bytes),
                output.path(&app.path),
            ]);
        }
        table.write(output, "");
        for app in self.0.iter().filter(|app| app.unfinished > 0) {
            output.note(format!("{}: {} not finished", app.app, count(app.unfinished, "download")));
        }
        for app in &self.0 {
            for problem in &app.problems {
                output.note(format!("{}: {}: {}", app.app, output.path(&problem.path), printable(&problem.problem)));
            }
        }
    }
}

impl Answer for Added {
    fn json(&self) -> Value {
        json!({ "app": self.app.as_str(), "settings_file": self.settings_file, "changed": self.changed })
    }

    fn write(&self, output: &mut Output) {
        let file = output.path(&self.settings_file);
        match self.changed {
            true => output.line(format!("{file} names it.")),
            false => output.line(format!("{file} names it already.")),
        }
    }
}
