//! `download`: from a name to a path a backend can open.

use super::{choose, name_of};
use crate::{
    cli::{
        args::Form,
        context::Context,
        exit, notices,
        output::{Answer, Output, STRONG, printable, styled},
        table::Table,
        units,
    },
    digest::Sha256Digest,
    error::{Error, ErrorKind, Result},
    manager::{
        BorrowSource, DownloadOptions, DownloadReport, FileReport, FileSupply, MemoryReport, MemoryVerdict, ModelOrigin,
        PlanReport, Selector,
    },
    names::Revision,
    settings::LinkMode,
    source::hub::Companion,
};
use serde_json::{Value, json};
use std::time::Duration;

/// Download models and print their paths
///
/// Files that are here, for whatever model or project of the same store, are not fetched again; an interrupted download resumes
/// where it stopped. The last line printed is the path to give to a backend.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Models by their names: an id, a repository such as owner/repo:Q4_K_M, a path or a digest,
    /// a pasted address of the Hub, or the address of a .gguf or .safetensors file on any web server
    #[arg(required = true, value_name = "MODEL")]
    pub models: Vec<String>,
    #[command(flatten)]
    pub form: Form,
    /// Fetch again even what is here, and replace what was edited through a hard link
    #[arg(long)]
    pub force: bool,
    /// Another branch, tag or commit than the registry's
    #[arg(long, value_name = "REVISION")]
    pub revision: Option<Revision>,
    /// The projector (mmproj) of a multimodal GGUF model too: f16, else bf16, f32 or q8_0, or the one with this name or quantization
    #[arg(long, value_name = "NAME", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub mmproj: Option<String>,
    /// What else of the repository stands beside a GGUF model: draft, tokenizer, encoder or vae; the best choice, or
    /// the one with this name, label or quantization
    #[arg(long, value_name = "ROLE[=NAME]", value_parser = Companion::parse)]
    pub with: Vec<Companion>,
    /// The SHA-256 that the publisher of a file gives, which is named by its address on any web server
    #[arg(long, value_name = "HEX")]
    pub sha256: Option<Sha256Digest>,
    /// Show the formats and quantizations that there are, and ask which one to take
    #[arg(long, conflicts_with_all = ["quant", "sha256"])]
    pub choose: bool,
    /// Only show what would be fetched
    #[arg(long)]
    pub dry_run: bool,
}

/// What was downloaded, or would be.
#[derive(Default)]
pub struct Downloads {
    plans: Vec<PlanReport>,
    done: Vec<(DownloadReport, Duration)>,
    failures: Vec<Error>,
    dry_run: bool,
}

impl Args {
    pub fn run(&self, context: &Context<'_>) -> Result<Downloads> {
        let manager = context.worker()?;
        let projector = self.mmproj.as_deref().map(|name| Companion::projector(Some(name)));
        let with = projector.into_iter().chain(self.with.iter().cloned()).collect();
        let mut options = DownloadOptions::default();
        (options.force, options.revision, options.with, options.sha256) = (self.force, self.revision.clone(), with, self.sha256);
        let mut downloads = Downloads { dry_run: self.dry_run, ..Downloads::default() };
        let mut stopped = None;
        let mut fail = |downloads: &mut Downloads, error: Error| {
            if error.kind() == ErrorKind::Interrupted || context.was_interrupted() {
                stopped.get_or_insert(error);
            } else {
                // One that cannot be had does not keep the others back.
                downloads.failures.push(error);
            }
        };
        let named = |model: &String| {
            let what = self.form.of(model)?;
            if self.choose { choose::choose(context, what) } else { Ok(what) }
        };
        let what: Vec<Result<Selector>> = self.models.iter().map(named).collect();
        if self.dry_run {
            for what in what {
                match what.and_then(|what| manager.plan_download(&what, &options)) {
                    Ok(plan) => downloads.plans.push(plan),
                    Err(error) => fail(&mut downloads, error),
                }
            }
        } else {
            let named: Vec<Selector> = what.iter().filter_map(|what| what.as_ref().ok().cloned()).collect();
            let mut ends = manager.download_all(&named, &options).into_iter();
            for what in what {
                let (result, took) = match what {
                    Ok(_) => ends.next().unwrap_or_else(|| (Err(exit::interrupted(true, None)), Duration::ZERO)),
                    Err(error) => (Err(error), Duration::ZERO),
                };
                match result {
                    Ok(report) => {
                        report.notices.iter().for_each(|notice| context.progress().notice(&notices::words(notice)));
                        downloads.done.push((report, took));
                    }
                    Err(error) => fail(&mut downloads, error),
                }
            }
        }
        if let Some(error) = stopped {
            if downloads.is_empty() {
                return Err(error);
            }
            // What was done before is still told, and the exit code is that of the interruption.
            downloads.failures.insert(0, exit::interrupted(true, None));
        }
        match (self.models.len(), downloads.failures.pop()) {
            (1, Some(error)) => Err(error),
            (_, last) => {
                downloads.failures.extend(last);
                Ok(downloads)
            }
        }
    }
}

impl Downloads {
    fn is_empty(&self) -> bool {
        self.plans.is_empty() && self.done.is_empty() && self.failures.is_empty()
    }
}

impl Answer for Downloads {
    fn json(&self) -> Value {
        let models: Vec<Value> = self.done.iter().map(|(report, took)| with_time(report, *took)).collect();
        let amounts = self.plans.iter().map(|plan| (plan.total_bytes, plan.download_bytes));
        let amounts = amounts.chain(self.done.iter().map(|(report, _)| (report.total_bytes, report.download_bytes)));
        let (total, download) = amounts.fold((0, 0), |(total, download), (a, b)| (total + a, download + b));
        json!({
            "plans": self.plans,
            "models": models,
            "totals": { "total_bytes": total, "download_bytes": download },
            "dry_run": self.dry_run,
        })
    }

    fn write(&self, output: &mut Output) {
        for plan in &self.plans {
            write_plan(output, plan);
        }
        for (report, took) in &self.done {
            output.note(summary(report, *took));
        }
        // The paths are for a program: nothing else stands on stdout.
        for (report, _) in &self.done {
            output.line(output.plain_path(&report.path));
        }
    }

    fn failures(&self) -> &[Error] {
        &self.failures
    }
}

fn with_time(report: &DownloadReport, took: Duration) -> Value {
    let mut value = json!(report);
    value["took_seconds"] = json!((took.as_secs_f64() * 1000.0).round() / 1000.0);
    value
}

/// One file by its name, several by their number.
fn files_text(files: &[FileReport]) -> String {
    match files {
        [only] => printable(only.file.as_str()),
        many => units::count(many.len(), "file"),
    }
}

/// Where the files of a view come from that needed no network.
pub(super) fn nothing_fetched(files: &[FileReport]) -> &'static str {
    let is_any = |state| files.iter().any(|file| file.state == state);
    match () {
        () if is_any(FileSupply::Adopt) => "taken into the store, nothing fetched",
        () if is_any(FileSupply::Local) => "taken from your other store, nothing fetched",
        () => "already present",
    }
}

/// What happened, in one line.
fn summary(report: &DownloadReport, took: Duration) -> String {
    let mut parts = vec![files_text(&report.files), units::size(report.total_bytes)];
    if report.download_bytes == 0 {
        parts.push(nothing_fetched(&report.files).to_owned());
    } else {
        let all = report.download_bytes >= report.total_bytes;
        let amount = if all { "fetched".into() } else { format!("{} of it fetched", units::size(report.download_bytes)) };
        parts.push(format!("{amount} in {}", units::time(took)));
        parts.extend(units::rate_of(report.download_bytes, took));
        if report.borrowed_bytes > 0 {
            parts.push(format!("{} from other files of the store", units::size(report.borrowed_bytes)));
        }
    }
    parts.push(if report.link == LinkMode::Copy { "copied".to_owned() } else { format!("shown by {}", report.link) });
    format!("{}: {}", styled(STRONG, name_of(&report.view)), parts.join(", "))
}

pub(super) fn write_plan(output: &mut Output, plan: &PlanReport) {
    output.line(styled(STRONG, name_of(&plan.view)));
    output.line(format!("  from     {}", origin(&plan.origin)));
    let license = plan.license.as_deref().unwrap_or("not known");
    let gate = if plan.gated { "; access must be asked for on the Hub, and a token is needed" } else { "" };
    output.line(format!("  licence  {}{gate}", printable(license)));
    output.line(format!("  path     {}", output.path(&plan.path)));
    output.line("");
    let mut table = Table::new(&["file", "size", "sha256", "state", "to fetch"]).right(1).right(4).elastic(0, 24).keep(&[4, 1, 3]);
    for file in &plan.files {
        let short = |digest: &dyn std::fmt::Display| digest.to_string().chars().take(12).collect::<String>();
        let digest = match (&file.sha256, &file.git_sha1) {
            (Some(digest), _) => short(digest),
            (None, Some(digest)) => format!("git {}", short(digest)),
            (None, None) => "not known".into(),
        };
        let size = file.size.map_or("not known".into(), units::size);
        table.row([file.file.to_string(), size, digest, file.state.as_str().into(), units::size(file.download_bytes)]);
    }
    table.write(output, "  ");
    output.line("");
    let unknown = plan.files.iter().filter(|file| file.size.is_none()).count();
    let more = if unknown > 0 { format!(", and {} of unknown size", units::count(unknown, "file")) } else { String::new() };
    output.line(format!(
        "  {} of {} to fetch{more}; {} to plan, {} to download",
        units::size(plan.download_bytes),
        units::size(plan.total_bytes),
        requests(plan.api_requests),
        if plan.requests == 0 { "none".into() } else { format!("at least {}", plan.requests) }
    ));
    if plan.borrow_bytes > 0 {
        let bytes = units::size(plan.borrow_bytes);
        output.line(format!("  about {bytes} of it may be taken from similar files in the store, which are compared first:"));
        for source in &plan.borrow_from {
            output.line(format!("    {} from {}", units::size(source.borrow_bytes), printable(&borrowed_from(source))));
        }
    }
    if let Some(free) = plan.free_bytes {
        let volume = format!("on the volume of {}", output.path(&plan.store));
        match plan.free_bytes_after {
            Some(left) => output.line(format!("  {} free {volume} now, {} after", units::size(free), units::size(left))),
            None => {
                output.line(format!("  {} free {volume} now", units::size(free)));
                let missing = units::size(plan.disk_bytes.saturating_sub(free));
                output.warn(format!(
                    "{} does not fit: {missing} more is needed. `model-manager list` shows what models take, `model-manager remove <model>` frees it.",
                    name_of(&plan.view)
                ));
            }
        }
    }
    output.line(format!("  memory: {}", memory(&plan.memory)));
    for notice in &plan.notices {
        output.line(format!("  {}", printable(&notices::words(notice))));
    }
}

/// A file of the store, by where it came from.
fn borrowed_from(source: &BorrowSource) -> String {
    let commit = source.commit.iter().flat_map(|commit| commit.chars()).take(12).collect::<String>();
    match (&source.repo, &source.repo_path) {
        (Some(repo), Some(path)) if commit.is_empty() => format!("{repo}: {path}"),
        (Some(repo), Some(path)) => format!("{repo} at {commit}: {path}"),
        _ => format!("the blob {}", source.sha256),
    }
}

/// Whether it fits the memory, with the numbers.
fn memory(report: &MemoryReport) -> String {
    let mut parts = Vec::new();
    parts.extend(report.required_bytes.map(|need| format!("running it takes about {}", units::size(need))));
    parts.extend(report.ram.as_ref().map(|ram| format!("the registry says {}", printable(ram))));
    parts.extend(report.recommended_bytes.map(|wanted| format!("with ease from {}", units::size(wanted))));
    parts.push(
        report
            .memory_bytes
            .map_or("this machine's is not known".into(), |total| format!("this machine has {}", units::size(total))),
    );
    let verdict = match report.verdict {
        MemoryVerdict::Fits => "fits",
        MemoryVerdict::Tight => "tight",
        MemoryVerdict::DoesNotFit => "does not fit",
        MemoryVerdict::Unknown => "not known whether it fits",
    };
    format!("{verdict}: {}", parts.join(", "))
}

fn requests(number: u32) -> String {
    match number {
        0 => "no request".into(),
        other => units::count(other as usize, "request"),
    }
}

/// The repository, and what of it.
pub(super) fn origin(origin: &ModelOrigin) -> String {
    match origin.commit.as_ref().or(origin.revision.as_ref()) {
        Some(at) => format!("{} at {at}", origin.repo),
        None => origin.repo.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::output::{document, testing},
        store::ViewKey,
    };

    fn view() -> ViewKey {
        ViewKey {
            model: "phi-2".parse().expect("an id"),
            format: "gguf".parse().expect("a format"),
            quant: Some("q4_k_m".parse().expect("a quantization")),
        }
    }

    fn file(state: FileSupply, download_bytes: u64) -> FileReport {
        let sha256 = Some("324356668fa5ba9f4135de348447bb2bbe2467eaa1b8fcfb53719de62fbd2499".parse().expect("a digest"));
        FileReport {
            file: "phi-2.Q4_K_M.gguf".parse().expect("a path"),
            path: "/srv/models/phi-2/gguf/q4_k_m/phi-2.Q4_K_M.gguf".into(),
            size: Some(1_789_239_136),
            sha256,
            git_sha1: None,
            trust: None,
            state,
            download_bytes,
            borrowed_bytes: 0,
        }
    }

    fn report(state: FileSupply, download_bytes: u64) -> DownloadReport {
        DownloadReport {
            view: view(),
            path: "/srv/models/phi-2/gguf/q4_k_m/phi-2.Q4_K_M.gguf".into(),
            files: vec![file(state, download_bytes)],
            total_bytes: 1_789_239_136,
            download_bytes,
            borrowed_bytes: 0,
            link: LinkMode::Symlink,
            notices: vec![],
        }
    }

    fn plan() -> PlanReport {
        PlanReport {
            view: view(),
            path: "/srv/models/phi-2/gguf/q4_k_m/phi-2.Q4_K_M.gguf".into(),
            origin: ModelOrigin {
                repo: "TheBloke/phi-2-GGUF".parse().expect("a repository"),
                revision: None,
                commit: Some("5a454d977c6438bb9fb2df233c8ca70f21c87420".parse().expect("a commit")),
            },
            license: Some("mit".into()),
            gated: false,
            files: vec![file(FileSupply::Partial, 789_239_136)],
            total_bytes: 1_789_239_136,
            download_bytes: 789_239_136,
            borrow_bytes: 0,
            borrow_from: vec![],
            disk_bytes: 789_239_136,
            store: "/srv/models/.blobs".into(),
            free_bytes: Some(2_000_000_000),
            free_bytes_after: Some(1_210_760_864),
            memory: MemoryReport {
                verdict: MemoryVerdict::Tight,
                weights_bytes: Some(1_789_239_136),
                required_bytes: Some(2_468_163_049),
                recommended_bytes: Some(4_468_163_049),
                ram: Some("4-8 GB".into()),
                memory_bytes: Some(4_000_000_000),
                is_estimate: false,
            },
            api_requests: 0,
            requests: 1,
            left_out: vec![],
            notices: vec![],
        }
    }

    fn done(report: DownloadReport) -> Downloads {
        Downloads { done: vec![(report, Duration::from_secs(20))], ..Downloads::default() }
    }

    #[test]
    fn stdout_is_the_path_and_stderr_what_happened() {
        let (out, notes) = testing::seen(&done(report(FileSupply::Fetch, 1_789_239_136)));
        assert_eq!(out, "models/phi-2/gguf/q4_k_m/phi-2.Q4_K_M.gguf\n");
        assert_eq!(notes, "phi-2 gguf/q4_k_m: phi-2.Q4_K_M.gguf, 1.79 GB, fetched in 20 s, 89.5 MB/s, shown by symlink\n");
        let (_, notes) = testing::seen(&done(report(FileSupply::Present, 0)));
        assert_eq!(notes, "phi-2 gguf/q4_k_m: phi-2.Q4_K_M.gguf, 1.79 GB, already present, shown by symlink\n");
        let (_, notes) = testing::seen(&done(report(FileSupply::Partial, 600_000_000)));
        assert!(notes.contains("1.79 GB, 0.60 GB of it fetched in 20 s, 30.0 MB/s"), "{notes}");
    }

    #[test]
    fn a_plan_shows_files_sources_and_room() {
        let downloads = Downloads { plans: vec![plan()], dry_run: true, ..Downloads::default() };
        let expected = "\
phi-2 gguf/q4_k_m
  from     TheBloke/phi-2-GGUF at 5a454d977c6438bb9fb2df233c8ca70f21c87420
  licence  mit
  path     models/phi-2/gguf/q4_k_m/phi-2.Q4_K_M.gguf

  FILE                  SIZE     SHA256        STATE    TO FETCH
  phi-2.Q4_K_M.gguf  1.79 GB  324356668fa5  partial   0.79 GB

  0.79 GB of 1.79 GB to fetch; no request to plan, at least 1 to download
  2.00 GB free on the volume of models/.blobs now, 1.21 GB after
  memory: tight: running it takes about 2.47 GB, the registry says 4-8 GB, with ease from 4.47 GB, this machine has 4.00 GB
";
        let (out, notes) = testing::seen(&downloads);
        assert_eq!(squeeze(&out), squeeze(expected));
        assert_eq!(notes, "");
        let plan = &document(&downloads)["plans"][0];
        assert_eq!(
            (&plan["download_bytes"], &plan["free_bytes_after"], &plan["requests"]),
            (&json!(789_239_136), &json!(1_210_760_864), &json!(1))
        );
        assert_eq!((&plan["memory"]["verdict"], &plan["memory"]["required_bytes"]), (&json!("tight"), &json!(2_468_163_049u64)));
    }

    #[test]
    fn a_plan_says_what_may_be_borrowed_and_from_where() {
        let sha256: crate::digest::Sha256Digest = "a".repeat(64).parse().expect("a digest");
        let known = BorrowSource {
            sha256,
            repo: Some("o/r".into()),
            commit: Some("b".repeat(40)),
            repo_path: Some("phi-2.Q4_K_S.gguf".into()),
            borrow_bytes: 600_000_000,
        };
        let unknown = BorrowSource { repo: None, commit: None, repo_path: None, borrow_bytes: 100_000_000, ..known.clone() };
        let plan = PlanReport { borrow_bytes: 700_000_000, borrow_from: vec![known, unknown], ..plan() };
        let downloads = Downloads { plans: vec![plan], dry_run: true, ..Downloads::default() };
        let (out, _) = testing::seen(&downloads);
        let expected = format!(
            "  about 0.70 GB of it may be taken from similar files in the store, which are compared first:
    0.60 GB from o/r at bbbbbbbbbbbb: phi-2.Q4_K_S.gguf
    0.10 GB from the blob {sha256}
"
        );
        assert!(out.contains(&expected), "{out}");
        assert_eq!(document(&downloads)["plans"][0]["borrow_from"][0]["borrow_bytes"], json!(600_000_000));
    }

    fn squeeze(text: &str) -> Vec<Vec<&str>> {
        text.lines().map(|line| line.split_whitespace().collect()).collect()
    }

    #[test]
    fn a_plan_that_does_not_fit_warns_and_is_no_failure() {
        let plan = PlanReport { free_bytes: Some(89_239_136), free_bytes_after: None, gated: true, ..plan() };
        let downloads = Downloads { plans: vec![plan], dry_run: true, ..Downloads::default() };
        let (out, notes) = testing::seen(&downloads);
        assert!(notes.starts_with("warning: phi-2 gguf/q4_k_m does not fit: 0.70 GB more is needed."), "{notes}");
        assert!(out.contains("licence  mit; access must be asked for"), "{out}");
        assert_eq!(downloads.exit_code(), 0);
    }

    #[test]
    fn json_tells_what_was_done_and_what_failed() {
        let mut downloads = done(report(FileSupply::Fetch, 5));
        downloads.failures.push(Error::new(ErrorKind::NotFound, "no such model"));
        let document = document(&downloads);
        assert_eq!(document["models"][0]["model"], "phi-2");
        assert_eq!(document["models"][0]["quant"], "q4_k_m");
        assert_eq!(document["models"][0]["took_seconds"], 20.0);
        assert_eq!(document["models"][0]["files"][0]["state"], "fetch");
        assert_eq!(document["error"]["kind"], "not_found");
        assert_eq!(document["error"]["exit_code"], 3);
    }
}
