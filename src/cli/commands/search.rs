//! `search`: repositories of the Hub by words.

use crate::{
    cli::{
        context::Context,
        output::{Answer, Output},
        table::Table,
        units,
    },
    error::Result,
    manager::{FoundRepo, SearchLimit, SearchOrder, SearchQuery},
    names::Format,
};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use serde_json::{Value, json};

/// Search the Hub for models
///
/// Into a pipe it writes one line per repository with tabs between name, parameters, downloads, likes, date and licence. To
/// see which quantizations a repository has and which of them fit this machine, ask `info` for it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Words of the name: an owner, a model, a quantization
    #[arg(required = true, value_name = "WORD")]
    pub words: Vec<String>,
    /// Only repositories with files of this format, such as gguf or safetensors
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<Format>,
    /// The most that are shown, 1 to 100
    #[arg(long, value_name = "N", default_value = "20")]
    pub limit: SearchLimit,
    /// What comes first
    #[arg(long, value_name = "ORDER", default_value = "downloads", value_parser = order())]
    pub sort: SearchOrder,
}

fn order() -> impl TypedValueParser<Value = SearchOrder> {
    let words = SearchOrder::ALL.map(|order| PossibleValue::new(order.as_str()));
    PossibleValuesParser::new(words)
        .map(|word| SearchOrder::ALL.into_iter().find(|order| order.as_str() == word).unwrap_or_default())
}

/// What was found.
pub struct Found {
    words: String,
    repos: Vec<FoundRepo>,
}

impl Args {
    pub fn run(&self, context: &Context<'_>) -> Result<Found> {
        let mut query = SearchQuery::new(self.words.join(" "));
        query.format.clone_from(&self.format);
        query.limit = self.limit;
        query.order = self.sort;
        let repos = context.worker()?.search(&query)?;
        Ok(Found { words: query.words, repos })
    }
}

impl Answer for Found {
    fn json(&self) -> Value {
        json!({ "repositories": self.repos })
    }

    fn write(&self, output: &mut Output) {
        if self.repos.is_empty() {
            output.note(format!("The Hub has nothing that is called `{}`.", self.words));
            return;
        }
        if output.people {
            let mut table = Table::new(&["repository", "params", "downloads", "likes", "updated", "licence"]).keep(&[1, 2]);
            for number in 1..=3 {
                table = table.right(number);
            }
            self.repos.iter().for_each(|found| table.row(cells(found)));
            table.write(output, "");
        } else {
            self.repos.iter().for_each(|found| output.fields(cells(found)));
        }
        if let Some(first) = self.repos.first() {
            output.note(format!("`model-manager info {}` shows its quantizations and which of them fit this machine.", first.repo));
        }
    }
}

fn cells(found: &FoundRepo) -> [String; 6] {
    let count = |count: Option<u64>| count.map(units::short_count).unwrap_or_default();
    let day = found.updated.as_deref().map(|time| time.chars().take(10).collect()).unwrap_or_default();
    let gate = if found.gated { " (gated)" } else { "" };
    let license = format!("{}{gate}", found.license.as_deref().unwrap_or_default());
    [found.repo.to_string(), count(found.parameters), count(found.downloads), count(found.likes), day, license.trim().to_owned()]
}
