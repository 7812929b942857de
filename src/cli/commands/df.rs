//! `df`: where the store's bytes are.

use super::df_tree::Tree;
use crate::{
    cli::{
        context::Context,
        output::{Answer, Output},
        table::Table,
        units,
    },
    error::Result,
    manager::DfReport,
};
use serde_json::{Value, json};

/// Show what the store takes, shares and could give back
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What takes the room, by project and model, as a picture; content that several share stands once
    ///
    /// Into a pipe it writes a line for the blobs that have the same users: their bytes, how many there are, and the users.
    #[arg(long)]
    pub tree: bool,
}

/// Where the bytes are.
pub struct Usage(DfReport);

impl Args {
    pub fn run(&self, context: &Context<'_>) -> Result<Box<dyn Answer>> {
        let manager = context.manager()?;
        Ok(match self.tree {
            true => Box::new(Tree(manager.usage()?)),
            false => Box::new(Usage(manager.df()?)),
        })
    }
}

impl Answer for Usage {
    fn json(&self) -> Value {
        json!(self.0)
    }

    fn write(&self, output: &mut Output) {
        let DfReport { store, totals } = &self.0;
        let rows = [
            ("shown", totals.shown_bytes, "all views of all projects together"),
            ("stored", totals.stored_bytes, "what their content takes on the disk"),
            ("shared", totals.shared_bytes, "what sharing saves"),
            ("reclaimable", totals.reclaimable_bytes, "content nothing needs: `model-manager gc`"),
            ("partial", totals.partial_bytes, "interrupted downloads"),
            ("free", totals.free_bytes, "on this volume"),
        ];
        if !output.people {
            for (name, bytes, _) in rows {
                output.fields([name, &bytes.to_string()]);
            }
            output.fields(["damaged", &totals.damaged_blobs.to_string()]);
            return;
        }
        output.line(format!(
            "{}: {}, {}",
            output.path(store),
            units::count(totals.blobs, "blob"),
            units::count(totals.projects, "project")
        ));
        if totals.damaged_blobs > 0 {
            let text = "of them damaged: `model-manager doctor` names the models and what repairs them";
            output.line(format!("{} {text}", totals.damaged_blobs));
        }
        let mut table = Table::new(&["", "", ""]).right(1);
        for (name, bytes, meaning) in rows {
            table.row([name.to_owned(), units::size(bytes), output.advice(meaning)]);
        }
        table.write(output, "");
    }
}
