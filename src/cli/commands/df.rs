//! `df`: where the store's bytes are.

use crate::{
    cli::{
        context::Context,
        output::{Answer, Page, Table},
        units,
    },
    error::Result,
    manager::DfReport,
};
use serde_json::{Value, json};

/// Show what the store takes, shares and could give back
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Where the bytes are.
pub struct Usage(DfReport);

impl Args {
    pub fn run(&self, context: &Context<'_>) -> Result<Usage> {
        context.manager()?.df().map(Usage)
    }
}

impl Answer for Usage {
    fn json(&self) -> Value {
        json!(self.0)
    }

    fn write(&self, page: &mut Page) {
        let DfReport { store, totals } = &self.0;
        let rows = [
            ("shown", totals.shown_bytes, "all views of all projects together"),
            ("stored", totals.stored_bytes, "what their content takes on the disk"),
            ("shared", totals.shared_bytes, "what sharing saves"),
            ("reclaimable", totals.reclaimable_bytes, "content nothing needs: `model-manager gc`"),
            ("partial", totals.partial_bytes, "interrupted downloads"),
            ("free", totals.free_bytes, "on this volume"),
        ];
        if !page.people {
            for (name, bytes, _) in rows {
                page.fields([name, &bytes.to_string()]);
            }
            page.fields(["damaged", &totals.damaged_blobs.to_string()]);
            return;
        }
        page.line(format!(
            "{}: {}, {}",
            page.path(store),
            units::count(totals.blobs, "blob"),
            units::count(totals.projects, "project")
        ));
        if totals.damaged_blobs > 0 {
            let text = "of them damaged: `model-manager doctor` names the models and what repairs them";
            page.line(format!("{} {text}", totals.damaged_blobs));
        }
        let mut table = Table::new(&["", "", ""]).right(1);
        for (name, bytes, meaning) in rows {
            table.row([name.to_owned(), units::size(bytes), page.advice(meaning)]);
        }
        table.write(page, "");
    }
}
