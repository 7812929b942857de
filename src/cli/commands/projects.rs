//! `projects`: who shares the store.

use crate::{
    cli::{
        context::Context,
        output::{Answer, Output, printable},
        table::Table,
        units,
    },
    error::{ErrorKind, Result},
    manager::{ProjectReport, ProjectState},
};
use serde_json::{Value, json};

/// Show the projects that share the store, or forget one that is gone
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List them all
    List,
    /// List those that are not where they were; exit code 1 if one is gone
    Check,
    /// Drop what the store keeps for a project
    ///
    /// Its content goes at the next `model-manager gc`, unless something else needs it.
    Forget {
        /// Its path, or the beginning of its uuid
        project: String,
        /// Even if it is still there; its models break
        #[arg(long)]
        force: bool,
    },
}

/// Projects, and what was done to them.
pub struct Projects {
    lines: Vec<ProjectReport>,
    forgotten: bool,
    /// Whether they were asked for as something to correct.
    checked: bool,
}

impl Args {
    pub fn run(&self, context: &Context<'_>) -> Result<Projects> {
        let manager = context.manager()?;
        Ok(match &self.action {
            None | Some(Action::List) => Projects { lines: manager.projects()?, forgotten: false, checked: false },
            Some(Action::Check) => {
                let gone = manager.projects()?.into_iter().filter(|line| line.state != ProjectState::Live);
                Projects { lines: gone.collect(), forgotten: false, checked: true }
            }
            Some(Action::Forget { project, force }) => {
                Projects { lines: vec![manager.forget_project(project, *force)?], forgotten: true, checked: false }
            }
        })
    }
}

impl Answer for Projects {
    fn json(&self) -> Value {
        json!({ "projects": self.lines, "forgotten": self.forgotten })
    }

    fn write(&self, output: &mut Output) {
        if self.forgotten {
            for line in &self.lines {
                output.detail(format!("Forgot {}: {}", printable(&line.path), units::count(line.views.len(), "view")));
            }
            output.note("Run `model-manager gc` to remove what nothing else needs.");
        } else if self.lines.is_empty() {
            output.note("None.");
        } else if output.people {
            let mut table = Table::new(&["project", "state", "views", "size", "last seen", "uuid"])
                .right(2)
                .right(3)
                .elastic(0, 30)
                .keep(&[1, 3, 2]);
            for line in &self.lines {
                let (views, size) = (line.views.len().to_string(), units::size(line.total_bytes));
                table.row([
                    printable(&line.path),
                    line.state.as_str().into(),
                    views,
                    size,
                    line.last_seen.clone(),
                    line.uuid.to_string(),
                ]);
            }
            table.write(output, "");
            for line in &self.lines {
                for owner in &line.other_owners {
                    output.line(format!("{}: blobs are kept for {}", printable(&line.path), printable(&owner.to_string())));
                }
            }
        } else {
            for line in &self.lines {
                let (views, size) = (line.views.len().to_string(), line.total_bytes.to_string());
                output.fields([line.path.as_str(), line.state.as_str(), &views, &size, &line.last_seen, &line.uuid.to_string()]);
            }
        }
    }

    /// A project that cannot be seen from here may be all right.
    fn exit_code(&self) -> u8 {
        let is_gone = self.lines.iter().any(|line| line.state == ProjectState::Missing);
        if self.checked && is_gone { ErrorKind::Failed.exit_code() } else { 0 }
    }
}
