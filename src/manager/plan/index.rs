//! Holds a set of shards against its index, before the shards travel.

use crate::manager::{
    ModelManager,
    plan::choose::left_out_notices,
    plan::target::Wanted,
    plan::{Plan, PlannedFile},
};
use crate::{
    error::{Error, ErrorKind, Result},
    event::Event,
    facts::FileFacts,
    hint::Hint,
    names::RelPath,
    notice::Notice,
    source::{
        SourceError,
        hub::{ANOTHER_COPY, is_cut_otherwise, missing_from_index},
    },
    store::Store,
    weights::is_weights,
};
use std::collections::BTreeSet;

const INDEX_END: &str = ".index.json";

impl Plan {
    /// Whether a file is small and must be looked at before the big ones travel: anything but weights, in a set with an index.
    pub(in crate::manager) fn comes_first(&self, file: &PlannedFile) -> bool {
        !is_weights(&file.repo_path) && self.indexes().next().is_some()
    }

    /// Indexes whose weights are part of the plan, and where those stand: folder and extension. The index of a set's root
    /// may name weights in any folder.
    fn indexes(&self) -> impl Iterator<Item = (&PlannedFile, &str, &str)> {
        self.indexes_of(|folder, end| self.files.iter().any(|file| is_of_or_below(&file.repo_path, folder, end)))
    }

    /// The same while weights that an index names may still be among what is left out.
    fn indexes_to_follow(&self) -> impl Iterator<Item = (&PlannedFile, &str, &str)> {
        self.indexes_of(|folder, end| {
            let mut spare = self.target.left_out.iter().filter(|(_, why)| *why == ANOTHER_COPY).map(|(file, _)| &file.path);
            let mut planned = self.files.iter().map(|file| &file.repo_path);
            planned.any(|path| is_of_or_below(path, folder, end)) || spare.any(|path| is_of_or_below(path, folder, end))
        })
    }

    fn indexes_of(&self, has_weights_below: impl Fn(&str, &str) -> bool) -> impl Iterator<Item = (&PlannedFile, &str, &str)> {
        let is_chosen = matches!(&self.target.wanted, Wanted::Set { include, .. } if include.is_empty());
        self.files.iter().filter_map(move |index| {
            let (folder, name) = split(&index.repo_path);
            let end = name.strip_suffix(INDEX_END)?.rsplit_once('.')?.1;
            let has_weights = self.files.iter().any(|file| is_of(&file.repo_path, folder, end));
            let leads = is_chosen && folder.is_empty() && has_weights_below(folder, end);
            (has_weights || leads).then_some((index, folder, end))
        })
    }

    /// Makes the weights those that these indexes name.
    fn follow(&mut self, texts: &[(PlannedFile, Vec<u8>)]) -> Result<()> {
        let mut named = BTreeSet::new();
        for (index, text) in texts {
            let folder = split(&index.repo_path).0;
            let names = missing_from_index(text, &[]).map_err(|error| no_index(index, error))?;
            named.extend(names.into_iter().map(|name| format!("{folder}{name}")));
        }
        self.take_named(&named)?;
        let mut notices = Vec::new();
        for (index, folder, end) in self.indexes_to_follow() {
            let Some((_, text)) = texts.iter().find(|(known, _)| known.path == index.path) else { continue };
            notices.extend(self.check_index(index, folder, end, text)?);
        }
        if notices.is_empty() && !texts.is_empty() {
            self.leave_unnamed(&named);
        }
        self.notices.extend(notices);
        Ok(())
    }

    /// Adds weights that the indexes name and that the choice by file names left out.
    fn take_named(&mut self, named: &BTreeSet<String>) -> Result<()> {
        let left_out = std::mem::take(&mut self.target.left_out);
        let is_spare = |(file, why): &(FileFacts, &str)| *why == ANOTHER_COPY && named.contains(file.path.as_str());
        let (found, rest): (Vec<_>, Vec<_>) = left_out.into_iter().partition(is_spare);
        self.target.left_out = rest;
        for (file, _) in &found {
            let planned = self.planned(file)?;
            self.files.push(planned);
        }
        if !found.is_empty() {
            self.files.sort_by(|a, b| a.path.cmp(&b.path));
        }
        Ok(())
    }

    /// Leaves out weights beside an index that no index names: another split of the same, or something else.
    fn leave_unnamed(&mut self, named: &BTreeSet<String>) {
        if !matches!(&self.target.wanted, Wanted::Set { include, .. } if include.is_empty()) {
            return;
        }
        let expected = |file: &PlannedFile| match &self.target.wanted {
            Wanted::Set { expect, .. } => expect.iter().any(|known| known.path == file.repo_path),
            _ => false,
        };
        let places: Vec<(String, String)> = self.indexes().map(|(_, folder, end)| (folder.to_owned(), end.to_owned())).collect();
        let is_unnamed = |file: &PlannedFile| {
            let is_indexed = places.iter().any(|(folder, end)| is_of(&file.repo_path, folder, end));
            is_indexed && !is_adapter(&file.repo_path) && !named.contains(file.repo_path.as_str()) && !expected(file)
        };
        let (unnamed, kept): (Vec<PlannedFile>, Vec<PlannedFile>) = self.files.iter().cloned().partition(is_unnamed);
        self.files = kept;
        let left_out = |file: PlannedFile| FileFacts {
            size: file.size,
            sha256: file.sha256,
            git_sha1: file.git_sha1,
            ..FileFacts::named(file.repo_path)
        };
        let unnamed = unnamed.into_iter().map(|file| (left_out(file), "not named by the index of the weights"));
        self.target.left_out.extend(unnamed);
        self.target.left_out.sort_by(|(a, _), (b, _)| a.path.cmp(&b.path));
    }

    /// Holds the weights of a folder, those with this end, against their index. The notice is of an index of another
    /// cut.
    fn check_index(&self, index: &PlannedFile, folder: &str, end: &str, text: &[u8]) -> Result<Option<Notice>> {
        let below = |file: &'_ PlannedFile| file.repo_path.as_str().starts_with(folder);
        let all = self.files.iter().filter(|file| below(file)).map(|file| &file.repo_path.as_str()[folder.len()..]);
        let all: Vec<&str> = all.collect();
        let beside = self.files.iter().filter(|file| is_of(&file.repo_path, folder, end) && !is_adapter(&file.repo_path));
        let there: Vec<&str> = beside.map(|file| split(&file.repo_path).1).collect();
        let missing = missing_from_index(text, &all).map_err(|error| no_index(index, error))?;
        if missing.is_empty() {
            return Ok(None);
        }
        let names_none = missing_from_index(text, &[]).is_ok_and(|named| named.len() == missing.len());
        if names_none && is_cut_otherwise(&missing, &there) {
            return Ok(Some(Notice::OtherShards { index: index.repo_path.clone() }));
        }
        Err(SourceError::Incomplete { what: format!("set that {} describes", index.repo_path), missing }.into())
    }
}

impl ModelManager {
    /// Makes the weights of a plan those that its indexes name, which are read from the Hub, and refuses it where there
    /// are not all of them, before anything of it travels.
    pub(in crate::manager) async fn follow_indexes(&self, plan: &mut Plan) -> Result<()> {
        let indexes: Vec<PlannedFile> = plan.indexes_to_follow().map(|(index, ..)| index.clone()).collect();
        let mut texts = Vec::new();
        for index in indexes {
            plan.api_requests += 1;
            texts.extend(self.text_of(plan, &index).await?.map(|text| (index, text)));
        }
        plan.follow(&texts)?;
        plan.notices.extend(left_out_notices(&plan.target.left_out));
        Ok(())
    }

    /// The same of indexes that are in the store.
    pub(in crate::manager) fn follow_indexes_here(&self, plan: &mut Plan, store: &Store) -> Result<()> {
        let indexes: Vec<PlannedFile> = plan.indexes_to_follow().map(|(index, ..)| index.clone()).collect();
        let mut texts = Vec::new();
        for index in indexes {
            let Some(digest) = &index.sha256 else { continue };
            texts.extend(store.disk().read_small(&store.layout().blob(digest))?.map(|text| (index, text)));
        }
        plan.follow(&texts)
    }

    /// Refuses a plan whose indexes, now verified in the store, name weights that are not part of it.
    pub(in crate::manager) fn check_indexes(&self, plan: &Plan, store: &Store) -> Result<()> {
        for (index, folder, end) in plan.indexes() {
            let Some(digest) = &index.sha256 else { continue };
            let Some(text) = store.disk().read_small(&store.layout().blob(digest))? else { continue };
            if let Some(notice) = plan.check_index(index, folder, end, &text)?.filter(|notice| !plan.notices.contains(notice)) {
                self.report(&Event::Warning(notice.to_string().into()));
            }
        }
        Ok(())
    }
}

fn no_index(index: &PlannedFile, error: SourceError) -> Error {
    let why = if let SourceError::Answer { why, .. } = error { why } else { error.to_string() };
    Error::new(ErrorKind::Damaged, format!("{} is no index of weights: {why}", index.repo_path)).hint(Hint::TryOtherRevision)
}

/// The folder of a file, with its `/`, and its name.
fn split(path: &RelPath) -> (&str, &str) {
    let text = path.as_str();
    text.split_at(text.len() - path.file_name().len())
}

/// Whether a file stands in this folder and has this extension.
fn is_of(path: &RelPath, folder: &str, end: &str) -> bool {
    let (its, name) = split(path);
    its == folder && name.rsplit_once('.').is_some_and(|(_, its)| its == end)
}

fn is_of_or_below(path: &RelPath, folder: &str, end: &str) -> bool {
    path.as_str().starts_with(folder) && path.file_name().rsplit_once('.').is_some_and(|(_, its)| its == end)
}

/// Whether these are the weights of an adapter, which no index of a model names.
fn is_adapter(path: &RelPath) -> bool {
    path.file_name().starts_with("adapter_model.")
}
