//! What is odd in the registry: in its text, and against what the Hub says now.

use super::{ModelManager, registry_file};
use crate::{
    error::{Error, ErrorKind, Result},
    facts::FileFacts,
    hint::Hint,
    http::{AuthCause, HttpError, NotFoundKind},
    names::{RepoId, Revision},
    registry::{BUILT_IN, BUILT_IN_ORIGIN, EntryRef, Finding, Level, Lint, Registry, repin_action, update_action},
    source::{FileList, Gate, Pinned, Source, SourceError},
};
use serde::Serialize;

/// What a look through the registry found.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct LintReport {
    /// The registry file.
    pub registry: String,
    /// Whether the Hub was asked.
    pub online: bool,
    /// What is odd, in file order.
    pub findings: Vec<Finding>,
    /// How much was looked at, and found.
    pub totals: LintTotals,
}

/// How much was looked at in a registry, and found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LintTotals {
    /// Entries that were looked at; 0 where the text is no registry.
    pub entries: usize,
    /// Findings that are errors.
    pub errors: usize,
    /// Findings that are warnings.
    pub warnings: usize,
    /// Findings that are notes.
    pub notes: usize,
}

impl LintReport {
    /// Whether a size or hash of the registry is not what the Hub publishes.
    pub fn differs(&self) -> bool {
        self.findings.iter().any(|finding| finding.rule == DIFFERS)
    }
}

/// The rule of sizes and hashes that the Hub gives otherwise.
const DIFFERS: &str = "differs";

impl ModelManager {
    /// Looks through the registry's text; `online` also holds every entry against what the Hub says now: one question for
    /// each repository, and one list of files for each of its commits, one after the other. A text that is no registry is a
    /// finding, not an error, and the Hub is not asked about it.
    ///
    /// # Errors
    /// Where the file cannot be read, or the Hub is to be asked and cannot be.
    pub fn lint(&self, online: bool) -> Result<LintReport> {
        let (text, origin) = match &self.settings.config {
            Some(path) => (registry_file::read_named(&*self.disk, path)?, path.display().to_string()),
            None => (BUILT_IN.to_owned(), BUILT_IN_ORIGIN.to_owned()),
        };
        let mut lint = Lint::offline(&text, &origin);
        let registry = lint.registry().cloned();
        if let (true, Some(registry)) = (online, &registry) {
            self.lint_online(registry, &mut lint)?;
        }
        let entries = registry.as_ref().map_or(0, |registry| registry.entries().count());
        let findings = lint.findings();
        let count = |level| findings.iter().filter(|finding| finding.level == level).count();
        let totals =
            LintTotals { entries, errors: count(Level::Error), warnings: count(Level::Warning), notes: count(Level::Note) };
        Ok(LintReport { registry: origin, online: online && registry.is_some(), findings, totals })
    }

    fn lint_online(&self, registry: &Registry, lint: &mut Lint) -> Result<()> {
        if self.settings.network.offline {
            return Err(Error::new(ErrorKind::Usage, "the Hub is to be asked, and this run is offline").hint(Hint::OmitOnline));
        }
        self.ask(async {
            for repo in repositories(registry) {
                let entries: Vec<_> = registry.entries().filter(|entry| entry.artifact.source == repo).collect();
                let source = self.source_of(&repo.clone().into())?;
                Asked { source: &**source, lint, entries }.all(&repo).await?;
            }
            Ok(())
        })
    }
}

/// The repositories of a registry, each once, in file order.
fn repositories(registry: &Registry) -> Vec<RepoId> {
    let mut repos: Vec<RepoId> = Vec::new();
    for entry in registry.entries() {
        // Other sources publish nothing that entries could be held against.
        if let Some(repo) = entry.artifact.source.repo().filter(|repo| !repos.contains(repo)) {
            repos.push(repo.clone());
        }
    }
    repos
}

/// A line that an entry should have.
fn write(line: String) -> Hint {
    Hint::WriteKeys { lines: vec![line], update: None, is_doubtful: false }
}

/// The entries of one repository, in the light of what the Hub says about it.
struct Asked<'a, 'r> {
    source: &'a dyn Source,
    lint: &'a mut Lint,
    entries: Vec<EntryRef<'r>>,
}

impl Asked<'_, '_> {
    async fn all(mut self, repo: &RepoId) -> Result<()> {
        let head = match self.source.pin(&repo.clone().into(), Some(&Revision::main())).await {
            Ok(head) => Some(head),
            // Not every repository has that branch.
            Err(SourceError::Http(HttpError::NotFound { kind: NotFoundKind::Revision, .. })) => None,
            Err(error) => return self.refused(error, "repository", "huggingface_id"),
        };
        if let Some(head) = &head {
            self.repository(repo, head);
        }
        let mut revisions: Vec<Option<&Revision>> = Vec::new();
        for revision in self.entries.iter().map(|entry| entry.artifact.revision.as_ref()) {
            if !revisions.contains(&revision) {
                revisions.push(revision);
            }
        }
        let all = std::mem::take(&mut self.entries);
        for revision in revisions {
            self.entries = all.iter().filter(|entry| entry.artifact.revision.as_ref() == revision).cloned().collect();
            self.revision(repo, revision, head.as_ref()).await?;
        }
        Ok(())
    }

    /// What changed about the repository as a whole, told once.
    fn repository(&mut self, repo: &RepoId, head: &Pinned) {
        let Some(first) = self.entries.first().cloned() else { return };
        if head.id != *repo {
            let message = format!("the Hub now keeps `{repo}` as `{}`", head.id);
            let next = write(format!("huggingface_id: \"{}\"", head.id));
            self.lint.add(&first, (Level::Warning, "renamed"), "huggingface_id", None, (message, next));
        }
        if head.disabled {
            let message = format!("the Hub has disabled `{repo}`");
            self.lint.add(&first, (Level::Error, "repository"), "huggingface_id", None, (message, Hint::OtherRepository));
        }
        let gated = head.gated != Gate::Open;
        let Some(entry) = self.entries.iter().find(|entry| entry.artifact.gated != gated).cloned() else { return };
        let said = match gated {
            true => (format!("`{repo}` asks for accepted terms and a token now"), write("gated: true".to_owned())),
            false => (format!("`{repo}` is open to everyone now"), write("gated: false".to_owned())),
        };
        self.lint.add(&entry, (if gated { Level::Warning } else { Level::Note }, "gated"), "gated", None, said);
    }

    async fn revision(&mut self, repo: &RepoId, revision: Option<&Revision>, head: Option<&Pinned>) -> Result<()> {
        let present = head.map_or_else(|| repo.clone().into(), |head| head.id.clone());
        let pinned = match (revision, head) {
            (None, Some(head)) => Ok(head.clone()),
            (None, None) => self.source.pin(&present, Some(&Revision::main())).await,
            (Some(revision), _) => match present.repo().and_then(|present| Pinned::assumed(present, revision)) {
                Some(pinned) => Ok(pinned),
                None => self.source.pin(&present, Some(revision)).await,
            },
        };
        let tree = match &pinned {
            Ok(pinned) => self.source.list(pinned, &[]).await,
            Err(error) => Err(error.clone()),
        };
        let (pinned, tree) = match (pinned, tree) {
            (Ok(pinned), Ok(tree)) => (pinned, tree),
            (_, Err(error)) | (Err(error), _) => return self.refused(error, "commit", "revision"),
        };
        let is_commit = revision.is_some_and(Revision::is_commit);
        let commit = pinned.commit.as_ref().map_or_else(String::new, Revision::to_string);
        for entry in self.entries.clone() {
            if !is_commit {
                let held = revision.map_or("the main branch", Revision::as_str);
                let message = format!("`{}` is not pinned; {held} of {present} is at {commit} now", entry.name());
                let next = Hint::WriteKeys {
                    lines: vec![format!("revision: \"{commit}\"")],
                    update: Some(repin_action(&entry)),
                    is_doubtful: false,
                };
                self.lint.add(&entry, (Level::Warning, "revision"), "revision", None, (message, next));
            }
            for file in entry.artifact.files.iter().chain(&entry.artifact.expect) {
                self.file(&entry, file, &tree, &pinned);
            }
        }
        if let (true, Some(head), Some(first)) = (is_commit, head, self.entries.first().cloned())
            && let Some(newest) = head.commit.as_ref().filter(|newest| !newest.as_str().eq_ignore_ascii_case(&commit))
        {
            let message = format!("the main branch of {present} has moved on since, to {newest}");
            let next = Hint::FollowBranch { update: repin_action(&first) };
            self.lint.add(&first, (Level::Note, "moved"), "revision", None, (message, next));
        }
        Ok(())
    }

    fn file(&mut self, entry: &EntryRef<'_>, file: &FileFacts, tree: &FileList, pinned: &Pinned) {
        let path = &file.path;
        let Some(found) = tree.files.iter().find(|found| found.path == *path) else {
            let nearest = crate::names::nearest(path.as_str(), tree.files.iter().map(|found| found.path.as_str()));
            let next = match nearest {
                Some(nearest) => Hint::NearestFile(nearest.to_owned()),
                None => Hint::SeeFiles { page: tree.page.clone() },
            };
            let message = format!("there is no {path} in {}", pinned.describe());
            self.lint.add(entry, (Level::Error, "file"), "file", Some(path), (message, next));
            return;
        };
        let keys = |lines, is_doubtful| Hint::WriteKeys { lines, update: Some(update_action(entry)), is_doubtful };
        let mut differing = Vec::new();
        match (file.sha256, found.sha256) {
            (Some(own), Some(theirs)) if own != theirs => differing.push(("sha256", own.to_string(), format!("\"{theirs}\""))),
            (None, Some(theirs)) => {
                let said = (
                    format!("no `sha256` is written for {path}; the Hub publishes one"),
                    keys(vec![format!("sha256: \"{theirs}\"")], false),
                );
                self.lint.add(entry, (Level::Warning, "sha256"), "sha256", Some(path), said);
            }
            _ => {}
        }
        match file.size {
            Some(own) if found.size.is_some_and(|theirs| theirs != own) => {
                differing.push(("size", own.to_string(), found.size.unwrap_or_default().to_string()));
            }
            None => {
                let said = (
                    format!("no `size` is written for {path}; the Hub gives one"),
                    keys(vec![format!("size: {}", found.size.unwrap_or_default())], false),
                );
                self.lint.add(entry, (Level::Note, "size"), "size", Some(path), said);
            }
            Some(_) => {}
        }
        if differing.is_empty() {
            return;
        }
        let told: Vec<String> =
            differing.iter().map(|(what, own, theirs)| format!("{what} {own} here and {theirs} on the Hub")).collect();
        let write: Vec<String> = differing.iter().map(|(what, _, theirs)| format!("{what}: {theirs}")).collect();
        let message = format!("{path} of {} has {}", pinned.describe(), told.join(", and "));
        self.lint.add(entry, (Level::Error, DIFFERS), differing[0].0, Some(path), (message, keys(write, true)));
    }

    /// What the Hub refuses is a finding about the entries; that it cannot be asked, or refuses the token, is an error.
    fn refused(&mut self, error: SourceError, rule: &'static str, at: &str) -> Result<()> {
        let bad_token = matches!(error, SourceError::Http(HttpError::Unauthorized { cause: AuthCause::BadToken, .. }));
        if bad_token || !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Auth) {
            return Err(error.into());
        }
        let next = error.hint().unwrap_or(Hint::SeeRepository);
        for entry in std::mem::take(&mut self.entries) {
            let message = format!("`{}` cannot be had: {error}", entry.name());
            self.lint.add(&entry, (Level::Error, rule), at, None, (message, next.clone()));
        }
        Ok(())
    }
}
