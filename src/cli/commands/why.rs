//! `why`: who keeps a blob.

use crate::{
    cli::{
        context::Context,
        output::{Answer, Page, printable},
        units,
    },
    error::Result,
    manager::WhyReport,
    store::Trust,
};
use serde_json::{Value, json};

/// Tell who keeps something in the store
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A model or a file by its name: an id, a repository such as owner/repo:Q4_K_M, a path or a digest
    pub what: String,
}

/// Who keeps it.
pub struct Why(Vec<WhyReport>);

impl Args {
    pub fn run(&self, context: &Context<'_>) -> Result<Why> {
        context.manager()?.why(&self.what).map(Why)
    }
}

/// Who vouches for a blob's content.
fn words(trust: Trust) -> &'static str {
    match trust {
        Trust::Sha256Upstream => "compared with its published SHA-256",
        Trust::GitSha1Upstream => "compared with its published git hash",
        Trust::Tofu => "unverified: no published hash was compared with it",
    }
}

impl Answer for Why {
    fn json(&self) -> Value {
        json!({ "blobs": self.0 })
    }

    fn write(&self, page: &mut Page) {
        for blob in &self.0 {
            let size = blob.size.map_or_else(|| "not in the store".to_owned(), units::size);
            page.line(format!("{}  {size}", blob.sha256));
            if blob.damaged {
                page.line("  damaged; `model-manager doctor` names the model and what repairs it");
            }
            for user in &blob.users {
                page.line(format!("  used by {}", printable(user)));
            }
            if blob.leased {
                page.line("  relied on by a running process");
            }
            if blob.users.is_empty() && !blob.leased {
                page.line(page.advice("  nothing needs it; `model-manager gc` removes it"));
            }
            if let Some(trust) = blob.trust {
                page.line(format!("  {}", words(trust)));
            }
            for source in &blob.sources {
                let from = [source.repo.as_deref(), source.commit.as_deref(), source.path.as_deref()];
                let from: Vec<&str> = from.into_iter().flatten().collect();
                page.line(format!("  from {} {}", printable(&source.endpoint), printable(&from.join(" "))));
            }
        }
    }
}
