//! `verify`: whether files are what their sources published.

use crate::{
    cli::{
        args::Form,
        context::Context,
        hints,
        output::{Answer, FAILURE, FAINT, Output, SUCCESS, WARNING, printable, styled},
        units,
    },
    error::{ErrorKind, Result},
    manager::{ListDetails, ListQuery, ModelManager, RepairReport, Selector, VerifiedFile, VerifyState},
    store::CheckMode,
    text,
};
use anstyle::Style;
use serde_json::{Map, Value, json};

/// Check files against the hashes their sources published
///
/// Ends with exit code 4 if a file is modified or missing. Files nobody published a hash of are `unverified`: they are as
/// they were recorded when they came, and were never compared with a published hash.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Models by their names: an id, a repository such as owner/repo:Q4_K_M, a path or a digest [default: everything that is here]
    #[arg(value_name = "MODEL")]
    pub models: Vec<String>,
    #[command(flatten)]
    pub form: Form,
    /// Trust size and modification time; reads no content
    #[arg(long, conflicts_with = "rehash")]
    pub quick: bool,
    /// Compute every SHA-256 anew and renew the records
    #[arg(long)]
    pub rehash: bool,
    /// Repair what is damaged or missing: only the damaged ranges are fetched again
    #[arg(long)]
    pub repair: bool,
}

/// What was found, after a repair where that was asked for.
pub struct Verified(Vec<VerifiedFile>, Option<RepairReport>);

impl Args {
    pub fn run(&self, context: &Context<'_>) -> Result<Verified> {
        let manager = context.worker()?;
        let mode = match (self.quick, self.rehash) {
            (true, _) => CheckMode::Quick,
            (_, true) => CheckMode::Rehash,
            _ => CheckMode::Full,
        };
        let filtered = self.form.format.is_some() || self.form.quant.is_some();
        let what: Vec<Selector> = match (self.models.is_empty(), filtered) {
            (true, true) => self.everything_of_this_form(manager)?,
            _ => self.models.iter().map(|model| self.form.of(model)).collect::<Result<_>>()?,
        };
        // To the manager, no selector means everything.
        if what.is_empty() && filtered {
            return Ok(Verified(Vec::new(), None));
        }
        let found = manager.verify(&what, mode)?;
        if !self.repair {
            return Ok(Verified(found, None));
        }
        let report = manager.repair(&found)?;
        if report.repairs.is_empty() {
            return Ok(Verified(found, None));
        }
        Ok(Verified(manager.verify(&what, mode)?, Some(report)))
    }

    fn everything_of_this_form(&self, manager: &ModelManager) -> Result<Vec<Selector>> {
        let query = ListQuery { format: self.form.format.clone(), ..ListQuery::default() };
        let listed = manager.list_of(&query, |_| ListDetails::NONE)?;
        // A folder whose name is no name cannot be ours.
        let views = listed.models.into_iter().filter_map(|model| model.view);
        let wanted = views.filter(|view| self.form.quant.is_none() || view.quant == self.form.quant);
        Ok(wanted.map(Selector::from).collect())
    }
}

fn style_of(state: VerifyState) -> Style {
    match state {
        VerifyState::Ok => SUCCESS,
        VerifyState::Unverified => FAINT,
        VerifyState::Foreign => WARNING,
        VerifyState::Modified | VerifyState::Missing => FAILURE,
    }
}

/// Explanation of a state, and what to do.
fn note_of(file: &VerifiedFile) -> Option<String> {
    hints::with_note(file.note.as_deref(), &file.hints)
}

impl Verified {
    fn total_bytes(&self) -> u64 {
        self.0.iter().map(|file| file.size).sum()
    }

    fn number(&self, state: VerifyState) -> usize {
        self.0.iter().filter(|file| file.state == state).count()
    }
}

impl Answer for Verified {
    fn json(&self) -> Value {
        let by_state = VerifyState::ALL.map(|state| (state.as_str().to_owned(), json!(self.number(state))));
        let mut totals: Map<String, Value> = by_state.into_iter().collect();
        totals.insert("total_bytes".into(), json!(self.total_bytes()));
        totals.insert("download_bytes".into(), json!(self.1.as_ref().map_or(0, |report| report.download_bytes)));
        let repairs = self.1.as_ref().map_or(&[][..], |report| &report.repairs);
        let mut files = json!(self.0);
        hints::word_entries(&mut files, "note", self.0.iter().map(note_of));
        json!({ "ok": self.exit_code() == 0, "files": files, "repairs": repairs, "totals": totals })
    }

    fn write(&self, output: &mut Output) {
        if self.0.is_empty() {
            output.note("Nothing here to verify. `model-manager list` shows what is here.");
            return;
        }
        for file in self.1.iter().flat_map(|report| &report.repairs) {
            let (style, word) = if file.repaired { (SUCCESS, "repaired") } else { (FAILURE, "not repaired") };
            let fetched = if file.repaired { format!("  {} fetched", units::size(file.download_bytes)) } else { String::new() };
            let note = file.note.as_deref().map(|note| format!("  {}", output.advice(note))).unwrap_or_default();
            output.line(format!("{}  {}{fetched}{note}", styled(style, format!("{word:<10}")), output.path(&file.path)));
        }
        for file in &self.0 {
            let (word, style) = (file.state.as_str(), style_of(file.state));
            let note = note_of(file).map(|note| format!("  {}", output.advice(&note))).unwrap_or_default();
            let line = format!("{}  {}{note}", styled(style, format!("{word:<10}")), output.path(&file.path));
            if file.state.is_damage() { output.line(line) } else { output.detail(line) }
        }
        let totals =
            VerifyState::ALL.map(|state| (self.number(state), state.as_str())).into_iter().filter(|(number, _)| *number > 0);
        let totals: Vec<String> = totals.map(|(number, word)| format!("{number} {word}")).collect();
        let size = units::size(self.total_bytes());
        output.detail(format!("{}, {size}: {}", units::count(self.0.len(), "file"), totals.join(", ")));
        if self.number(VerifyState::Unverified) > 0 {
            output.note("unverified: as it was recorded when it came, but never compared with a published hash.");
        }
        if self.number(VerifyState::Foreign) > 0 {
            output.note("foreign: not downloaded by this program, and never touched by it.");
        }
        let damaged = |is_plain| self.0.iter().find(|file| file.state.is_damage() && file.is_plain == is_plain);
        if let Some(file) = damaged(false) {
            let form = file.quant.as_ref().map(|quant| format!(" --quant {quant}")).unwrap_or_default();
            let (verb, again) = match self.1 {
                None => ("Repair it", format!("model-manager verify {} --format {}{form} --repair", file.model, file.format)),
                Some(_) => {
                    ("Fetch it again", format!("model-manager download {} --format {}{form} --force", file.model, file.format))
                }
            };
            output.note(format!("hint: {verb}: `{}`.", printable(&again)));
        }
        if let Some(file) = damaged(true) {
            let form = file.quant.as_ref().map(|quant| format!(" --quant {quant}")).unwrap_or_default();
            let path = text::shell_path(&file.path);
            let aside = text::shell_word(&format!("{}.mine", file.path.display()));
            let again = format!("model-manager download {} --format {}{form}", file.model, file.format);
            output.note(format!(
                "hint: A plain file is left alone: move it away (`mv {}`), then fetch it: `{}`.",
                printable(&format!("{path} {aside}")),
                printable(&again)
            ));
        }
    }

    fn exit_code(&self) -> u8 {
        if self.0.iter().any(|file| file.state.is_damage()) { ErrorKind::Damaged.exit_code() } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::output::{document, testing},
        hint::{Action, Hint, Verb},
    };

    fn file(name: &str, state: VerifyState, note: Option<&str>) -> VerifiedFile {
        VerifiedFile {
            model: "phi-2".into(),
            format: "gguf".into(),
            quant: Some("q4_k_m".into()),
            view: None,
            path: format!("/srv/models/phi-2/gguf/q4_k_m/{name}").into(),
            size: 1_000_000_000,
            state,
            sha256: None,
            damaged_ranges: vec![],
            is_plain: false,
            note: note.map(Into::into),
            hints: vec![],
        }
    }

    #[test]
    fn a_note_ends_with_the_command_that_its_hint_is() {
        let mut plain = file("a.gguf", VerifyState::Ok, Some("a plain file"));
        plain.hints = vec![Hint::TakesIn(Action::new(Verb::Download).name("phi-2:q4_k_m"))];
        let verified = Verified(vec![plain], None);
        let note = "a plain file; `model-manager download phi-2:q4_k_m` takes it into the store";
        assert_eq!(document(&verified)["files"][0]["note"], note);
        assert!(testing::seen(&verified).0.contains(note));
    }

    #[test]
    fn every_file_has_a_line_and_damage_an_exit_code_and_a_next_step() {
        let verified = Verified(
            vec![
                file("a.gguf", VerifyState::Ok, None),
                file("b.gguf", VerifyState::Unverified, None),
                file("c.gguf", VerifyState::Modified, Some("1 of 954 segments differs")),
            ],
            None,
        );
        let (out, notes) = testing::seen(&verified);
        assert_eq!(
            out,
            "ok          models/phi-2/gguf/q4_k_m/a.gguf\n\
             unverified  models/phi-2/gguf/q4_k_m/b.gguf\n\
             modified    models/phi-2/gguf/q4_k_m/c.gguf  1 of 954 segments differs\n\
             3 files, 3.00 GB: 1 ok, 1 unverified, 1 modified\n"
        );
        assert!(
            notes.contains("unverified: as it was recorded")
                && notes.contains("verify phi-2 --format gguf --quant q4_k_m --repair"),
            "{notes}"
        );
        assert_eq!(verified.exit_code(), 4);
        let document = document(&verified);
        assert_eq!((&document["ok"], &document["totals"]["modified"]), (&json!(false), &json!(1)));
        assert_eq!(document["files"][2]["state"], "modified");
    }

    #[test]
    fn files_without_a_published_hash_are_no_failure_and_never_called_ok() {
        let verified = Verified(vec![file("b.gguf", VerifyState::Unverified, None), file("f", VerifyState::Foreign, None)], None);
        assert_eq!(verified.exit_code(), 0);
        assert!(!testing::seen(&verified).0.contains(" ok"));
        assert_eq!(document(&verified)["totals"]["ok"], 0);
    }

    #[test]
    fn a_missing_file_is_damage() {
        assert_eq!(Verified(vec![file("a", VerifyState::Missing, None)], None).exit_code(), 4);
    }
}
