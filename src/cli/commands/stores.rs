//! `stores`: the stores that commands of this user opened.

use crate::{
    cli::{
        context::Context,
        output::{Answer, Output, printable},
        table::Table,
    },
    error::Result,
    manager::StoreReport,
};
use serde_json::{Value, json};

/// Show your stores, or forget one: what one of them has is not downloaded for another
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List them all
    List,
    /// Take nothing from a store any more, until a command opens it again; its files stay
    Forget {
        /// Its path, or the beginning of its uuid
        #[arg(value_name = "STORE")]
        which: String,
    },
}

/// Stores, and whether they were forgotten.
pub struct Stores {
    lines: Vec<StoreReport>,
    forgotten: bool,
}

impl Args {
    pub fn run(&self, context: &Context<'_>) -> Result<Stores> {
        let manager = context.manager()?;
        Ok(match &self.action {
            None | Some(Action::List) => Stores { lines: manager.known_stores()?, forgotten: false },
            Some(Action::Forget { which }) => Stores { lines: vec![manager.forget_store(which)?], forgotten: true },
        })
    }
}

impl Answer for Stores {
    fn json(&self) -> Value {
        json!({ "stores": self.lines, "forgotten": self.forgotten })
    }

    fn write(&self, output: &mut Output) {
        if self.forgotten {
            for line in &self.lines {
                output.detail(format!("Forgot {}; its files stay.", printable(&line.path.to_string_lossy())));
            }
        } else if self.lines.is_empty() {
            output.note("None.");
        } else if output.people {
            let mut table = Table::new(&["store", "state", "since", "uuid"]).elastic(0, 30).keep(&[1]);
            for line in &self.lines {
                table.row([
                    printable(&line.path.to_string_lossy()),
                    line.state.as_str().into(),
                    line.noted_at.clone(),
                    line.uuid.to_string(),
                ]);
            }
            table.write(output, "");
            for line in &self.lines {
                if let Some(problem) = &line.problem {
                    output.note(format!("{}: {}", printable(&line.path.to_string_lossy()), printable(problem)));
                }
            }
        } else {
            for line in &self.lines {
                let (path, uuid, problem) = (line.path.to_string_lossy(), line.uuid.to_string(), line.problem.as_deref());
                output.fields([&*path, line.state.as_str(), &line.noted_at, &uuid, problem.unwrap_or_default()]);
            }
        }
    }
}
