//! `lock`: pins what the project uses, and shows what moved upstream.

use super::name_of;
use crate::{
    cli::{
        args::Form,
        context::Context,
        hints,
        output::{Answer, FAILURE, FAINT, Output, STRONG, SUCCESS, WARNING, printable, styled},
        units,
    },
    error::{Error, ErrorKind, Result},
    hint::Hint,
    manager::{
        ChangeKind, FileChange, LockCheck, LockEntryReport, LockOptions, LockProblem, LockProblemKind, LockReport, LockState,
        ModelOrigin, Selector,
    },
};
use anstyle::Style;
use serde_json::{Value, json};

/// Pin the exact files of what this project uses in configs/models.lock
///
/// Without a model: all models that are here, and what is locked already. What is locked stays at its commit; `--update`
/// shows what its branch stands for now and locks that. Keep the file under version control: `model-manager sync --locked`
/// makes the same models from it elsewhere, from any mirror.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Models by their names: an id, a repository such as owner/repo:Q4_K_M, a path or a digest [default: what is here and what is locked]
    #[arg(value_name = "MODEL")]
    pub models: Vec<String>,
    #[command(flatten)]
    pub form: Form,
    /// Ask the Hub what is new on the branches of locked models, and lock that
    #[arg(long)]
    pub update: bool,
    /// Only check that the lock file holds what is used, and agrees with what is here and with the registry; sends no request
    #[arg(long, conflicts_with_all = ["update", "dry_run"])]
    pub check: bool,
    /// Only show what would be locked
    #[arg(long)]
    pub dry_run: bool,
}

/// What was locked.
pub struct Locked(LockReport);

/// What a check found.
pub struct Checked(LockCheck);

impl Args {
    pub fn run(&self, context: &Context<'_>) -> Result<Box<dyn Answer>> {
        let what: Vec<Selector> = self.models.iter().map(|model| self.form.of(model)).collect::<Result<_>>()?;
        if what.is_empty() && (self.form.format.is_some() || self.form.quant.is_some()) {
            return Err(Error::new(ErrorKind::Usage, "`--format` and `--quant` choose a form of a model, and no model is named")
                .hint(Hint::NameModelToLock));
        }
        let manager = context.worker()?;
        if self.check {
            return Ok(Box::new(Checked(manager.check_lock(&what)?)));
        }
        let options = LockOptions { update: self.update, dry_run: self.dry_run };
        Ok(Box::new(Locked(manager.lock(&what, options)?)))
    }
}

fn style_of(state: LockState) -> Style {
    match state {
        LockState::Added => SUCCESS,
        LockState::Kept | LockState::Pinned => FAINT,
        LockState::Moved | LockState::Changed | LockState::Removed => WARNING,
        LockState::Unknown => FAILURE,
    }
}

/// A commit as people compare it.
fn short_commit(origin: &ModelOrigin) -> String {
    origin.commit.iter().flat_map(|commit| commit.as_str().chars()).take(12).collect()
}

/// What became of a view, and of each file that is another now.
pub(super) fn write_line(output: &mut Output, line: &LockEntryReport) {
    let (word, style) = (line.state.as_str(), style_of(line.state));
    let from = line.origin.as_ref().map(|origin| {
        let branch = origin.revision.as_ref().map(|branch| format!(" {branch}")).unwrap_or_default();
        let commit = short_commit(origin);
        let moved = line.old_origin.as_ref().map(short_commit).filter(|old| *old != commit);
        let old = moved.map(|old| format!("{old} -> ")).unwrap_or_default();
        format!("  {}{branch} at {old}{commit}, {}", origin.repo, units::size(line.total_bytes))
    });
    output.detail(format!(
        "{}  {}{}",
        styled(style, format!("{word:<7}")),
        styled(STRONG, name_of(&line.view)),
        printable(&from.unwrap_or_default())
    ));
    if let Some(note) = note_of(line) {
        output.detail(format!("         {}", output.advice(&note)));
    }
    if line.unpublished > 0 {
        let files = units::count(line.unpublished, "file");
        output.detail(format!("         unverified: the source of {files} published no hash; locked is what came first"));
    }
    // Of what is new every file is.
    for file in line.files.iter().filter(|_| line.state != LockState::Added) {
        output.detail(format!("         {}", file_text(file)));
    }
    if let Some(cost) = line.download_bytes.filter(|bytes| *bytes > 0) {
        let borrowed = line
            .borrow_bytes
            .filter(|bytes| *bytes > 0)
            .map(|bytes| format!(", of which about {} may be taken from similar files in the store", units::size(bytes)));
        output.detail(format!("         {} to download{}", units::size(cost), borrowed.unwrap_or_default()));
    }
    if line.state == LockState::Moved && line.files.is_empty() {
        output.detail("         all files are the same");
    }
}

/// Explanation of a state, and what to do.
pub(super) fn note_of(line: &LockEntryReport) -> Option<String> {
    hints::with_note(line.note.as_deref(), &line.hints)
}

fn file_text(file: &FileChange) -> String {
    let size = |size: Option<u64>| size.map_or_else(|| "size not known".into(), units::size);
    let (word, sizes) = match file.change {
        ChangeKind::Added => ("added", size(file.size)),
        ChangeKind::Removed => ("removed", size(file.old_size)),
        ChangeKind::Changed if file.size == file.old_size => ("changed", size(file.size)),
        ChangeKind::Changed => ("changed", format!("{} -> {}", size(file.old_size), size(file.size))),
    };
    format!("{word:<7}  {}  {sizes}", printable(file.file.as_str()))
}

impl Answer for Locked {
    fn json(&self) -> Value {
        let mut value = json!(self.0);
        hints::word_entries(&mut value["models"], "note", self.0.entries.iter().map(note_of));
        value
    }

    fn write(&self, output: &mut Output) {
        let report = &self.0;
        report.entries.iter().for_each(|line| write_line(output, line));
        let file = output.path(&report.lock_file);
        let stays = |line: &LockEntryReport| matches!(line.state, LockState::Kept | LockState::Pinned | LockState::Unknown);
        if report.entries.is_empty() {
            output.note("Nothing to lock: no model is here. `model-manager lock <model>` locks one before it is downloaded.");
        } else if report.written {
            output.note(format!("{file} was written. Commit it; `model-manager sync --locked` applies it."));
        } else if report.dry_run && !report.entries.iter().all(stays) {
            output.note(format!("{file} was not written: this was a dry run."));
        } else {
            output.note(format!("{file} stays as it is."));
        }
        if let Some(line) = report.entries.iter().find(|line| line.state == LockState::Unknown) {
            let (name, id) = (line.view.name(), &line.view.model);
            output.note(format!(
                "hint: `model-manager remove {name}` removes it, `model-manager add owner/repo:LABEL --id {id}` adds it to the registry."
            ));
        }
    }

    fn exit_code(&self) -> u8 {
        let unknown = self.0.entries.iter().any(|line| line.state == LockState::Unknown);
        if unknown { ErrorKind::Failed.exit_code() } else { 0 }
    }
}

impl Answer for Checked {
    fn json(&self) -> Value {
        let mut value = json!(self.0);
        value["ok"] = json!(self.0.problems.is_empty());
        value
    }

    fn write(&self, output: &mut Output) {
        let file = output.path(&self.0.lock_file);
        for problem in &self.0.problems {
            output.line(format!("{}: {}", styled(STRONG, name_of(&problem.view)), printable(&problem.message)));
        }
        if self.0.problems.is_empty() {
            output.detail(format!("{file}: {}, as used here and as in the registry", units::count(self.0.totals.models, "view")));
        } else {
            let is_only_not_shown = self.0.problems.iter().all(|problem| problem.kind == LockProblemKind::NotShown);
            output.note(match is_only_not_shown {
                true => format!("hint: Run `model-manager sync --locked` to show what {file} holds."),
                false => format!("hint: Run `model-manager lock` to bring {file} up to date, and look at the difference."),
            });
        }
    }

    fn exit_code(&self) -> u8 {
        let contradicts = |problem: &LockProblem| problem.kind == LockProblemKind::Contradicts;
        match self.0.problems.is_empty() {
            true => 0,
            false if self.0.problems.iter().any(contradicts) => ErrorKind::Damaged.exit_code(),
            false => ErrorKind::Failed.exit_code(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::output::{document, testing},
        manager::LockCheckTotals,
        store::ViewKey,
    };

    fn view() -> ViewKey {
        ViewKey { model: "phi-2".parse().expect("an id"), format: "gguf".parse().expect("a format"), quant: None }
    }

    fn origin(digit: &str) -> Option<ModelOrigin> {
        let commit = Some(digit.repeat(40).parse().expect("a commit"));
        Some(ModelOrigin { repo: "o/r".parse().expect("a repository"), revision: Some("main".parse().expect("a branch")), commit })
    }

    fn line(state: LockState) -> LockEntryReport {
        LockEntryReport {
            view: view(),
            state,
            origin: origin("b"),
            old_origin: origin("a"),
            total_bytes: 2_000_000_000,
            download_bytes: Some(1_500_000_000),
            borrow_bytes: Some(1_400_000_000),
            unpublished: 0,
            files: vec![
                FileChange {
                    file: "a.gguf".parse().expect("a path"),
                    change: ChangeKind::Changed,
                    size: Some(5),
                    old_size: Some(4),
                },
                FileChange { file: "b.gguf".parse().expect("a path"), change: ChangeKind::Removed, size: None, old_size: Some(3) },
            ],
            note: None,
            hints: vec![],
        }
    }

    fn locked(state: LockState) -> Locked {
        let lock_file = "/srv/configs/models.lock".into();
        Locked(LockReport { lock_file, entries: vec![line(state)], written: true, dry_run: false })
    }

    #[test]
    fn what_moved_is_told_with_commits_files_and_sizes() {
        let expected = "\
moved    phi-2 gguf  o/r main at aaaaaaaaaaaa -> bbbbbbbbbbbb, 2.00 GB
         changed  a.gguf  4 B -> 5 B
         removed  b.gguf  3 B
         1.50 GB to download, of which about 1.40 GB may be taken from similar files in the store
";
        let (out, notes) = testing::seen(&locked(LockState::Moved));
        assert_eq!(out, expected);
        assert!(notes.starts_with("configs/models.lock was written."), "{notes}");
        let document = document(&locked(LockState::Moved));
        assert_eq!((&document["models"][0]["state"], &document["models"][0]["model"]), (&json!("moved"), &json!("phi-2")));
        assert_eq!(document["models"][0]["files"][1], json!({"file": "b.gguf", "change": "removed", "size": null, "old_size": 3}));
    }

    #[test]
    fn a_note_ends_with_the_command_that_its_hint_is() {
        let mut kept = locked(LockState::Kept);
        kept.0.entries[0].note = Some("what is here is not what is locked".to_owned());
        kept.0.entries[0].hints = vec![Hint::ShowLocked];
        let note = "what is here is not what is locked; `model-manager sync --locked` shows what is locked";
        assert_eq!(document(&kept)["models"][0]["note"], note);
        assert!(testing::seen(&kept).0.contains(note));
    }

    #[test]
    fn what_cannot_be_locked_and_what_is_not_locked_have_an_exit_code() {
        assert_eq!(locked(LockState::Unknown).exit_code(), 1);
        assert_eq!(locked(LockState::Kept).exit_code(), 0);
        let check = |problems| {
            Checked(LockCheck { lock_file: "/srv/configs/models.lock".into(), problems, totals: LockCheckTotals { models: 1 } })
        };
        let bad = check(vec![LockProblem {
            view: view(),
            kind: LockProblemKind::NotLocked,
            message: "it is used here and not locked".into(),
        }]);
        assert_eq!((bad.exit_code(), check(vec![]).exit_code()), (1, 0));
        let (out, notes) = testing::seen(&bad);
        assert_eq!(out, "phi-2 gguf: it is used here and not locked\n");
        assert!(notes.contains("model-manager lock"), "{notes}");
        assert_eq!(document(&bad)["ok"], json!(false));
    }
}
