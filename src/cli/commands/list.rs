//! `list`: the models that are here.

use crate::{
    cli::{
        context::Context,
        output::{Answer, Output, WARNING, printable, styled},
        units,
    },
    error::Result,
    manager::{ListedModel, ListedState},
    names::Format,
    text,
};
use serde_json::{Value, json};

/// List the models that are here, and what they take
///
/// Into a pipe it writes one line per model with tabs between model, format, quantization, bytes, state and path.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this format, such as gguf or safetensors
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<Format>,
}

/// The models that are here.
pub struct List(Vec<ListedModel>);

impl Args {
    pub fn run(&self, context: &Context<'_>) -> Result<List> {
        context.manager()?.list(self.format.as_ref()).map(List)
    }
}

impl Answer for List {
    fn json(&self) -> Value {
        json!({ "models": self.0, "totals": { "models": self.0.len(), "total_bytes": self.total() } })
    }

    fn write(&self, output: &mut Output) {
        if self.0.is_empty() {
            output.note(
                "No models here yet. See what there is with `model-manager info`, then run `model-manager download <model>`.",
            );
        } else if output.people {
            self.table(output);
        } else {
            for model in &self.0 {
                let (size, path) = (model.total_bytes.to_string(), output.plain_path(&model.path));
                let quant = model.quant.as_deref().unwrap_or_default();
                output.fields([&model.model, &model.format, quant, &size, model.state.as_str(), &path]);
            }
        }
    }
}

impl List {
    fn total(&self) -> u64 {
        self.0.iter().map(|model| model.total_bytes).sum()
    }

    /// The guide's table; its columns grow only where a name does not fit.
    fn table(&self, output: &mut Output) {
        let widest = |least: usize, text: &dyn Fn(&ListedModel) -> usize| self.0.iter().map(text).max().unwrap_or(0).max(least);
        let model_width = widest(24, &|model| model.model.chars().count());
        let format_width = widest(9, &|model| model.format.chars().count());
        let quant_width = widest(16, &|model| quant(model).chars().count());
        let size_width = widest(0, &|model| units::size(model.total_bytes).len());
        let rule = "=".repeat(80);
        output.line("Cached Models:");
        output.line(&rule);
        for model in &self.0 {
            let state = match model.state {
                ListedState::Stored => String::new(),
                other => format!("  {}", styled(WARNING, other.as_str())),
            };
            output.line(format!(
                "{:<model_width$} {:<format_width$} {:<quant_width$} {:>size_width$}{state}",
                printable(&model.model),
                printable(&model.format),
                quant(model),
                units::size(model.total_bytes),
            ));
        }
        output.line(&rule);
        output.line(format!("Total storage: {}", units::size(self.total())));
        let first = |state| self.0.iter().find(|model| model.state == state).map(name);
        if let Some(name) = first(ListedState::Foreign) {
            output.note(format!(
                "foreign: files that were put there by hand. `model-manager verify {name}` says what is known of them."
            ));
        }
        if let Some(name) = first(ListedState::Broken) {
            output.note(format!("broken: a file is missing. `model-manager verify {name} --repair` brings it back."));
        }
        if let Some(name) = first(ListedState::Damaged) {
            output.note(format!("damaged: a file is not what it should be. `model-manager verify {name} --repair` repairs it."));
        }
    }
}

/// The name that every command takes.
fn name(model: &ListedModel) -> String {
    let name = match (model.quant.as_deref(), model.format.as_str()) {
        (Some(quant), "gguf") => format!("{}:{quant}", model.model),
        (Some(quant), format) => format!("{}/{format}/{quant}", model.model),
        (None, format) => format!("{}/{format}", model.model),
    };
    printable(&text::shell_word(&name))
}

/// The quantization as the last folder of the path.
fn quant(model: &ListedModel) -> String {
    model.quant.as_deref().map(|quant| format!("/{}", printable(quant))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::{document, testing};

    fn model(model: &str, quant: Option<&str>, size: u64, state: ListedState) -> ListedModel {
        let format = if quant.is_some() { "gguf" } else { "safetensors" };
        let dir = quant.map_or(format!("/srv/models/{model}/{format}"), |quant| format!("/srv/models/{model}/{format}/{quant}"));
        ListedModel {
            model: model.into(),
            format: format.into(),
            quant: quant.map(Into::into),
            view: None,
            path: format!("{dir}/x.gguf").into(),
            state,
            total_bytes: size,
            files: Vec::new(),
        }
    }

    fn guide() -> List {
        List(vec![
            model("llama-2-7b-chat", Some("q4_k_m"), 3_830_000_000, ListedState::Stored),
            model("mistral-7b-instruct-v0.2", Some("q5_k_m"), 5_130_000_000, ListedState::Stored),
        ])
    }

    #[test]
    fn a_person_sees_the_guides_table() {
        let expected = "\
Cached Models:
================================================================================
llama-2-7b-chat          gguf      /q4_k_m          3.83 GB
mistral-7b-instruct-v0.2 gguf      /q5_k_m          5.13 GB
================================================================================
Total storage: 8.96 GB
";
        assert_eq!(testing::seen(&guide()), (expected.to_owned(), String::new()));
    }

    #[test]
    fn what_is_not_ours_or_incomplete_is_marked_and_explained() {
        let list = List(vec![
            model("a", Some("q4_k_m"), 12_340_000, ListedState::Foreign),
            model("b", None, 26_441_533_376, ListedState::Broken),
        ]);
        let (out, notes) = testing::seen(&list);
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(
            lines[2],
            format!("{:<24} {:<9} {:<16} {}", "a", "gguf", "/q4_k_m", "12.34 MB  foreign").replace("gguf      /", "gguf        /")
        );
        assert_eq!(lines[3], "b                        safetensors                  26.44 GB  broken");
        assert!(notes.contains("foreign:") && notes.contains("broken:"), "{notes}");
    }

    #[test]
    fn a_pipe_gets_bare_fields_with_bytes() {
        let mut list = guide();
        list.0.push(model("b", None, 5, ListedState::Broken));
        let expected = "llama-2-7b-chat\tgguf\tq4_k_m\t3830000000\tstored\tmodels/llama-2-7b-chat/gguf/q4_k_m/x.gguf\n\
             mistral-7b-instruct-v0.2\tgguf\tq5_k_m\t5130000000\tstored\tmodels/mistral-7b-instruct-v0.2/gguf/q5_k_m/x.gguf\n\
             b\tsafetensors\t-\t5\tbroken\tmodels/b/safetensors/x.gguf\n";
        assert_eq!(testing::piped(&list), (expected.to_owned(), String::new()));
    }

    #[test]
    fn json_has_bytes_and_absolute_paths() {
        let document = document(&guide());
        assert_eq!(document["version"], 1);
        assert_eq!(document["totals"]["total_bytes"], 8_960_000_000_u64);
        assert_eq!(document["models"][0]["path"], "/srv/models/llama-2-7b-chat/gguf/q4_k_m/x.gguf");
        assert_eq!(document["models"][0]["state"], "stored");
    }

    #[test]
    fn an_empty_list_says_what_to_do_next_and_prints_nothing() {
        let (out, notes) = testing::seen(&List(Vec::new()));
        assert_eq!(out, "");
        assert!(notes.contains("model-manager download"), "{notes}");
    }
}
