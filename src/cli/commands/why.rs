//! `why`: who keeps a blob.

use crate::{
    cli::{
        context::Context,
        output::{Answer, Output, printable},
        units,
    },
    error::Result,
    manager::WhyReport,
    store::{Provenance, Trust},
};
use serde_json::{Value, json};

/// Tell who keeps something in the store
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Models or files by their names: an id, a repository such as owner/repo:Q4_K_M, a path or a digest
    #[arg(value_name = "WHAT", required = true)]
    pub what: Vec<String>,
}

/// Who keeps it.
pub struct Why(Vec<WhyReport>);

impl Args {
    pub fn run(&self, context: &Context<'_>) -> Result<Why> {
        let why = |what: &String| context.manager()?.why(&what.parse()?);
        let all: Vec<Vec<WhyReport>> = self.what.iter().map(why).collect::<Result<_>>()?;
        Ok(Why(all.into_iter().flatten().collect()))
    }
}

/// Which published hash confirms a blob's content.
fn words(trust: Trust) -> String {
    match trust {
        Trust::Sha256Upstream => "compared with its published SHA-256".to_owned(),
        Trust::GitSha1Upstream => "compared with its published git hash".to_owned(),
        Trust::Tofu => "unverified: no published hash was compared with it".to_owned(),
        other => format!("unverified for this version, which does not know its trust `{other}`"),
    }
}

/// Where a blob came from.
fn origin(source: &Provenance) -> String {
    match source {
        Provenance::Source(file) => {
            let place = [Some(file.endpoint.as_str()), file.repo.as_deref(), file.commit.as_deref(), file.path.as_deref()];
            place.into_iter().flatten().collect::<Vec<_>>().join(" ")
        }
        Provenance::Local { path } => format!("local {}", path.as_deref().unwrap_or("file")),
        Provenance::App { app, path } => format!("{app} {}", path.as_deref().unwrap_or_default()),
        Provenance::Remote { name } => format!("the remote {name}"),
        Provenance::Unknown(entry) => format!("a source that this version does not know: {:.200}", entry.as_str()),
    }
}

impl Answer for Why {
    fn json(&self) -> Value {
        json!({ "blobs": self.0 })
    }

    fn write(&self, output: &mut Output) {
        for blob in &self.0 {
            let size = blob.size.map_or_else(|| "not in the store".to_owned(), units::size);
            output.line(format!("{}  {size}", blob.sha256));
            if blob.damaged {
                output.line("  damaged; `model-manager doctor` names the model and what repairs it");
            }
            for user in &blob.users {
                output.line(format!("  used by {}", printable(&user.to_string())));
            }
            if blob.leased {
                output.line("  relied on by a running process");
            }
            if blob.users.is_empty() && !blob.leased {
                output.line(output.advice("  nothing needs it; `model-manager gc` removes it"));
            }
            if let Some(trust) = blob.trust {
                output.line(format!("  {}", words(trust)));
            }
            for source in &blob.sources {
                output.line(format!("  from {}", printable(origin(source).trim_end())));
            }
        }
    }
}
