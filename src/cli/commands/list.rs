//! `list`: the models that are here.

use crate::{
    cli::{
        context::Context,
        output::{Answer, Output, WARNING, printable},
        table::Table,
        units,
    },
    error::Result,
    manager::{ListDetails, ListFilter, ListOrder, ListQuery, ListedModel, ListedState, StoreList, Timestamp, UnshownBlob},
    names::Format,
    text,
};
use clap::ValueEnum;
use serde_json::{Value, json};

/// The width of the guide's table.
const RULE: usize = 80;

/// List the models that are here, and what they take
///
/// Into a pipe it writes one line per model with tabs between model, format, quantization, bytes, state, path, when it was
/// added, last used and last verified (RFC 3339), source, and project. What is not known is `-`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this format, such as gguf or safetensors
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<Format>,
    /// The models of all projects of the store, and content that no project shows
    #[arg(long)]
    pub all: bool,
    /// In this order: by name, or the largest, last used or last added first
    #[arg(long, value_name = "ORDER", value_enum, default_value_t)]
    sort: Sort,
    /// Only models whose id, format or quantization fits all of these words: parts, or patterns such as `q4_*`
    #[arg(long, value_name = "WORDS")]
    pub filter: Vec<String>,
}

/// The order of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Sort {
    /// By name
    #[default]
    Name,
    /// The largest first
    Size,
    /// The last used first
    Used,
    /// The last added first
    Added,
}

impl From<Sort> for ListOrder {
    fn from(sort: Sort) -> Self {
        match sort {
            Sort::Name => Self::Name,
            Sort::Size => Self::Size,
            Sort::Used => Self::Used,
            Sort::Added => Self::Added,
        }
    }
}

/// The models that are here.
pub struct List {
    list: StoreList,
    all: bool,
    /// Whether only some of them are wanted.
    filtered: bool,
    now: Timestamp,
}

impl Args {
    pub fn run(&self, context: &Context<'_>) -> Result<List> {
        let (format, filter) = (self.format.clone(), ListFilter::new(&self.filter));
        let query = ListQuery { format, filter, order: self.sort.into(), all: self.all, ..ListQuery::default() };
        let (style, now) = (context.progress().style(), Timestamp::now());
        let list = context.manager()?.list_of(&query, |list| match style.json {
            true => ListDetails::ALL,
            false => details(list, self.all, &style.output()),
        })?;
        let filtered = self.format.is_some() || !self.filter.is_empty();
        Ok(List { list, all: self.all, filtered, now })
    }
}

impl Answer for List {
    fn json(&self) -> Value {
        let StoreList { models, unshown, .. } = &self.list;
        json!({ "models": models, "unshown": unshown, "totals": { "models": models.len(), "total_bytes": self.total() } })
    }

    fn write(&self, output: &mut Output) {
        let StoreList { models, unshown, .. } = &self.list;
        if output.quiet {
            return self.names(output);
        }
        if models.is_empty() && unshown.is_empty() {
            output.note(match self.filtered {
                true => "No model fits. `model-manager list` shows all.",
                false => {
                    "No models here yet. See what there is with `model-manager info`, then run `model-manager download <model>`."
                }
            });
        } else if output.people {
            self.table(output);
        } else {
            models.iter().for_each(|model| fields(output, model));
            unshown.iter().for_each(|blob| blob_fields(output, blob));
        }
    }
}

impl List {
    /// Bytes of all models; of a whole store those of its content, each once.
    fn total(&self) -> u64 {
        match self.all && !self.filtered {
            true => self.list.stored_bytes,
            false => self.list.models.iter().map(|model| model.total_bytes).sum(),
        }
    }

    /// One name a line, as every command takes it, each once.
    fn names(&self, output: &mut Output) {
        let mut seen = std::collections::HashSet::new();
        for name in self.list.models.iter().map(plain_name) {
            if seen.insert(name.clone()) {
                output.line(name);
            }
        }
    }

    fn table(&self, output: &mut Output) {
        let table = table_of(&self.list, self.all, Some(self.now), output);
        let lines = table.lines(output.width);
        let longest = lines.iter().map(|line| anstream::adapter::strip_str(line).to_string().chars().count()).max().unwrap_or(0);
        let rule = "=".repeat(output.width.unwrap_or(RULE.max(longest)).min(RULE.max(longest)));
        output.line("Cached Models:");
        output.line(&rule);
        lines.iter().for_each(|line| output.line(line));
        output.line(&rule);
        output.line(format!("Total storage: {}", units::size(self.total())));
        self.notes(output);
    }

    fn notes(&self, output: &mut Output) {
        let StoreList { models, unshown, .. } = &self.list;
        if !unshown.is_empty() {
            let bytes = units::size(unshown.iter().map(|blob| blob.size).sum());
            output.note(format!(
                "not shown: {} of {bytes} that no project shows. `model-manager gc` removes them.",
                units::count(unshown.len(), "blob")
            ));
        }
        // What is wrong in other projects is for a command there.
        let own = |state| models.iter().find(|model| model.state == state && !self.all).map(name);
        if let Some(name) = own(ListedState::Foreign) {
            output.note(format!(
                "foreign: files that were put there by hand. `model-manager verify {name}` says what is known of them."
            ));
        }
        if let Some(name) = own(ListedState::Broken) {
            output.note(format!("broken: a file is missing. `model-manager verify {name} --repair` brings it back."));
        }
        if let Some(name) = own(ListedState::Damaged) {
            output.note(format!("damaged: a file is not what it should be. `model-manager verify {name} --repair` repairs it."));
        }
    }
}

/// What is shown of the models that only their records tell. Columns for which there is no room are not worth reading it.
fn details(list: &StoreList, all: bool, output: &Output) -> ListDetails {
    match (output.quiet, output.people) {
        (true, _) => ListDetails::NONE,
        (false, false) => ListDetails::ALL,
        (false, true) => {
            // Without the details, columns are as narrow as they can be: what has no room then has none with them.
            let table = table_of(list, all, None, output);
            let shown = table.columns(output.width);
            let is_shown = |heading| shown.contains(&heading);
            ListDetails { used: is_shown("USED"), verified: is_shown("VERIFIED"), source: is_shown("SOURCE") }
        }
    }
}

/// The guide's table, with more columns where there is room; where it is not said when now is, without times.
fn table_of(list: &StoreList, all: bool, now: Option<Timestamp>, output: &Output) -> Table {
    let StoreList { models, unshown, .. } = list;
    let mut headings = vec!["model", "format", "quant", "size", "state", "verified", "used", "source"];
    if all {
        headings.insert(5, "project");
    }
    // Of the guide's columns the format says least. Only a state that is not as it should be matters more.
    let is_odd = models.iter().any(|model| model.state != ListedState::Stored);
    let important: &[usize] = if is_odd { &[3, 2, 4, 1] } else { &[3, 2, 1, 4] };
    let last = headings.len() - 1;
    let mut table = Table::new(&headings).right(3).padded(0, 24).padded(1, 9).padded(2, 15).elastic(last, 16);
    table = if all { table.elastic(5, 16).keep(&[3, 2, 5, 4, 1]) } else { table.keep(important) };
    let ago = |time: Option<Timestamp>, unknown: &str| match (now, time) {
        (None, _) => String::new(),
        (_, None) => unknown.to_owned(),
        (Some(now), Some(time)) => units::ago(now.seconds() - time.seconds()),
    };
    for model in models {
        let mut row = vec![
            model.model.clone(),
            model.format.clone(),
            quant(model),
            units::size(model.total_bytes),
            model.state.as_str().to_owned(),
            ago(model.verified_at, "never"),
            ago(model.used_at, "?"),
            model.source.clone().unwrap_or_default(),
        ];
        if all {
            row.insert(5, output.path(model.project.as_ref()));
        }
        table.row(row);
        if model.state != ListedState::Stored {
            table.style_last(4, WARNING);
        }
    }
    for blob in unshown {
        let name = blob.repo_path.clone().unwrap_or_else(|| blob.sha256.short().to_string());
        let (size, source) = (units::size(blob.size), blob.source.clone().unwrap_or_default());
        let (verified, used) = (ago(blob.verified_at, "never"), ago(blob.used_at, "?"));
        table.row([name, "-".into(), "-".into(), size, "not shown".into(), "-".into(), verified, used, source]);
    }
    table
}

fn fields(output: &mut Output, model: &ListedModel) {
    let (size, path) = (model.total_bytes.to_string(), output.plain_path(&model.path));
    let time = |time: Option<Timestamp>| time.map(|time| time.to_string()).unwrap_or_default();
    output.fields([
        &model.model,
        &model.format,
        model.quant.as_deref().unwrap_or_default(),
        &size,
        model.state.as_str(),
        &path,
        &time(model.added_at),
        &time(model.used_at),
        &time(model.verified_at),
        model.source.as_deref().unwrap_or_default(),
        &model.project,
    ]);
}

fn blob_fields(output: &mut Output, blob: &UnshownBlob) {
    let time = |time: Option<Timestamp>| time.map(|time| time.to_string()).unwrap_or_default();
    let (name, size) = (format!("sha256:{}", blob.sha256), blob.size.to_string());
    let (added, used, verified) = (time(blob.added_at), time(blob.used_at), time(blob.verified_at));
    let source = blob.source.as_deref().unwrap_or_default();
    output.fields([&name, "", "", &size, "unshown", "", &added, &used, &verified, source, ""]);
}

/// The name that every command takes, for a shell.
fn name(model: &ListedModel) -> String {
    printable(&text::shell_word(&plain_name(model)))
}

fn plain_name(model: &ListedModel) -> String {
    match (model.quant.as_deref(), model.format.as_str()) {
        (Some(quant), "gguf") => format!("{}:{quant}", model.model),
        (Some(quant), format) => format!("{}/{format}/{quant}", model.model),
        (None, format) => format!("{}/{format}", model.model),
    }
}

/// The quantization as the last folder of the path.
fn quant(model: &ListedModel) -> String {
    model.quant.as_deref().map(|quant| format!("/{}", printable(quant))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::{OutputStyle, document, testing};
    use std::time::{Duration, SystemTime};

    /// The beginning of 2026-11-28.
    const NOW: u64 = 1_795_824_000;

    fn at(seconds: u64) -> Timestamp {
        (SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).into()
    }

    fn model(model: &str, quant: Option<&str>, size: u64, state: ListedState) -> ListedModel {
        let format = if quant.is_some() { "gguf" } else { "safetensors" };
        let dir = quant.map_or(format!("/srv/models/{model}/{format}"), |quant| format!("/srv/models/{model}/{format}/{quant}"));
        let day = |day: u64| Some(at(NOW - day * 86_400));
        ListedModel {
            quant: quant.map(Into::into),
            state,
            total_bytes: size,
            added_at: day(27),
            used_at: Some(at(NOW - 3 * 3600)),
            verified_at: day(4),
            source: Some(format!("acme/{model}-GGUF")),
            ..ListedModel::example(model, format, &format!("{dir}/x.gguf"))
        }
    }

    fn list(models: Vec<ListedModel>) -> List {
        List { list: StoreList::of(models), all: false, filtered: false, now: at(NOW) }
    }

    fn guide() -> List {
        list(vec![
            model("llama-2-7b-chat", Some("q4_k_m"), 3_830_000_000, ListedState::Stored),
            model("mistral-7b-instruct-v0.2", Some("q5_k_m"), 5_130_000_000, ListedState::Stored),
        ])
    }

    #[test]
    fn a_person_sees_the_guides_table_with_more_columns_where_there_is_room() {
        let at_80 = "\
Cached Models:
================================================================================
MODEL                     FORMAT  QUANT       SIZE  STATE   VERIFIED  USED
llama-2-7b-chat           gguf    /q4_k_m  3.83 GB  stored  4 d       3 h
mistral-7b-instruct-v0.2  gguf    /q5_k_m  5.13 GB  stored  4 d       3 h
================================================================================
Total storage: 8.96 GB
";
        assert_eq!(testing::seen_at(80, &guide()), at_80);
        let at_40 = "\
Cached Models:
========================================
MODEL                        SIZE
llama-2-7b-chat           3.83 GB
mistral-7b-instruct-v0.2  5.13 GB
========================================
Total storage: 8.96 GB
";
        assert_eq!(testing::seen_at(40, &guide()), at_40);
        let at_120 = testing::seen_at(120, &guide());
        assert!(
            at_120.contains(
                "llama-2-7b-chat           gguf    /q4_k_m  3.83 GB  stored  4 d       3 h   acme/llama-2-7b-chat-GGUF\n"
            )
        );
        let at_200 = testing::seen_at(200, &guide());
        assert!(
            at_200.contains("llama-2-7b-chat           gguf       /q4_k_m          3.83 GB  stored  4 d       3 h   acme/llama")
        );
    }

    #[test]
    fn quiet_leaves_the_names_that_every_command_takes() {
        let mut output = OutputStyle { quiet: true, ..testing::output_style() }.output();
        let odd = model("set", None, 5, ListedState::Broken);
        list(vec![model("phi-2", Some("q8_0"), 5, ListedState::Stored), odd]).write(&mut output);
        assert_eq!((output.out.as_str(), output.notes.as_str()), ("phi-2:q8_0\nset/safetensors\n", ""));
    }

    #[test]
    fn of_a_whole_store_the_project_stands_beside_the_state_and_what_no_project_shows_comes_last() {
        let mut all = guide();
        all.all = true;
        all.list.stored_bytes = 9_000_000_000;
        all.list.models[1].project = "/home/ada/game/models".into();
        all.list.unshown.push(UnshownBlob::example("324356668fa5ba9f4135de348447bb2bbe2467eaa1b8fcfb53719de62fbd2499", 40_000_000));
        let (out, notes) = testing::seen(&all);
        let rows: Vec<Vec<&str>> =
            out.lines().map(|line| line.split("  ").map(str::trim).filter(|w| !w.is_empty()).collect()).collect();
        assert_eq!(rows[2][4..6], ["STATE", "PROJECT"]);
        assert_eq!(rows[4][5], "/home/ada/game/models");
        assert_eq!(rows[5][..6], ["324356668fa5", "-", "-", "40.00 MB", "not shown", "-"]);
        assert!(out.ends_with("Total storage: 9.00 GB\n"), "{out}");
        assert!(notes.contains("1 blob of 40.00 MB") && notes.contains("model-manager gc"), "{notes}");
    }

    #[test]
    fn what_is_not_ours_or_incomplete_is_marked_and_explained() {
        let list = list(vec![
            model("a", Some("q4_k_m"), 12_340_000, ListedState::Foreign),
            model("b", None, 26_441_533_376, ListedState::Broken),
        ]);
        let (out, notes) = testing::seen(&list);
        let lines: Vec<&str> = out.lines().collect();
        assert!(lines[3].contains("12.34 MB  foreign") && lines[4].contains("26.44 GB  broken"), "{out}");
        assert!(notes.contains("foreign:") && notes.contains("broken:"), "{notes}");
        let narrow = testing::seen_at(40, &list);
        assert!(narrow.contains("12.34 MB  foreign") && narrow.lines().all(|line| line.chars().count() <= 40), "{narrow}");
    }

    #[test]
    fn a_pipe_gets_bare_fields_with_bytes() {
        let mut guide = guide();
        guide.list.models.push(model("b", None, 5, ListedState::Broken));
        guide.list.models[2].verified_at = None;
        let times = "2026-11-01T00:00:00Z\t2026-11-27T21:00:00Z\t2026-11-24T00:00:00Z";
        let expected = format!(
            "llama-2-7b-chat\tgguf\tq4_k_m\t3830000000\tstored\tmodels/llama-2-7b-chat/gguf/q4_k_m/x.gguf\t{times}\t\
             acme/llama-2-7b-chat-GGUF\t/srv/models\n\
             mistral-7b-instruct-v0.2\tgguf\tq5_k_m\t5130000000\tstored\tmodels/mistral-7b-instruct-v0.2/gguf/q5_k_m/x.gguf\t\
             {times}\tacme/mistral-7b-instruct-v0.2-GGUF\t/srv/models\n\
             b\tsafetensors\t-\t5\tbroken\tmodels/b/safetensors/x.gguf\t{}-\tacme/b-GGUF\t/srv/models\n",
            times.trim_end_matches("2026-11-24T00:00:00Z")
        );
        assert_eq!(testing::piped(&guide), (expected, String::new()));
    }

    #[test]
    fn json_has_bytes_and_absolute_paths() {
        let document = document(&guide());
        assert_eq!(document["version"], 1);
        assert_eq!(document["totals"]["total_bytes"], 8_960_000_000_u64);
        assert_eq!(document["models"][0]["path"], "/srv/models/llama-2-7b-chat/gguf/q4_k_m/x.gguf");
        assert_eq!(document["models"][0]["state"], "stored");
        assert_eq!(document["models"][0]["used_at"], "2026-11-27T21:00:00Z");
    }

    #[test]
    fn records_are_read_for_what_is_shown_and_for_nothing_else() {
        let list = guide().list;
        let at = |width| details(&list, false, &OutputStyle { width: Some(width), ..testing::output_style() }.output());
        assert_eq!(at(40), ListDetails::NONE);
        assert_eq!(at(80), ListDetails { source: false, ..ListDetails::ALL });
        assert_eq!(at(200), ListDetails::ALL);
        let style = |people, quiet| OutputStyle { people, quiet, ..testing::output_style() }.output();
        assert_eq!(details(&list, false, &style(true, true)), ListDetails::NONE);
        assert_eq!(details(&list, false, &style(false, false)), ListDetails::ALL);
    }

    #[test]
    fn an_empty_list_says_what_to_do_next_and_prints_nothing() {
        let (out, notes) = testing::seen(&list(Vec::new()));
        assert_eq!(out, "");
        assert!(notes.contains("model-manager download"), "{notes}");
    }
}
