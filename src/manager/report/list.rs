//! What is listed.

use super::time::Timestamp;
use crate::{digest::Sha256Digest, names::Format, source::hub::pattern, store::ViewKey};
use serde::Serialize;
use std::{cmp::Reverse, path::PathBuf};

/// What a whole store has.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct StoreList {
    /// The models of all its projects.
    pub models: Vec<ListedModel>,
    /// Blobs that no project shows.
    pub unshown: Vec<UnshownBlob>,
    /// Bytes of all its blobs, each counted once; 0 where only the models were asked for.
    #[serde(skip)]
    pub stored_bytes: u64,
}

/// One line of `list`.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct ListedModel {
    /// The model's folder name.
    pub model: String,
    /// The format's folder name.
    pub format: String,
    /// The quantization's folder name, where there is one.
    pub quant: Option<String>,
    /// Its view; none where a folder has a name that none of ours has.
    #[serde(skip)]
    pub view: Option<ViewKey>,
    /// The models directory that it is in, or the identity of its project where that is not known.
    pub project: String,
    /// What a backend is given: the file of a GGUF, the folder of a set.
    pub path: PathBuf,
    /// How its files are. Of another project's model only the store is looked at.
    pub state: ListedState,
    /// Bytes of all files.
    pub total_bytes: u64,
    /// When the last of its files was written.
    pub added_at: Option<Timestamp>,
    /// When it was last used: section 6 of `store-layout.md` says what counts.
    pub used_at: Option<Timestamp>,
    /// When the content of all its files was last found right; `None` where that is not recorded of one.
    pub verified_at: Option<Timestamp>,
    /// The repository, the address, or the place on this machine, that its largest file came from.
    pub source: Option<String>,
    /// Its files: what its record says it has. What else lies in its folder is not among them.
    pub files: Vec<ListedFile>,
}

impl ListedModel {
    /// Its files in this state, by their paths below the view's folder.
    pub(in crate::manager) fn files_that_are(&self, state: ListedFileState) -> Vec<&str> {
        self.files.iter().filter(|file| file.state == state).map(|file| file.file.as_str()).collect()
    }
}

#[cfg(test)]
impl ListedModel {
    /// A model of which nothing else is known, in `/srv/models`.
    pub(crate) fn example(model: &str, format: &str, path: &str) -> Self {
        Self {
            model: model.into(),
            format: format.into(),
            quant: None,
            view: None,
            project: "/srv/models".into(),
            path: path.into(),
            state: ListedState::Stored,
            total_bytes: 0,
            added_at: None,
            used_at: None,
            verified_at: None,
            source: None,
            files: Vec::new(),
        }
    }
}

#[cfg(test)]
impl UnshownBlob {
    /// A blob of which nothing else is known.
    pub(crate) fn example(sha256: &str, size: u64) -> Self {
        let sha256 = sha256.parse().expect("a digest");
        Self { sha256, size, added_at: None, used_at: None, verified_at: None, source: None, repo_path: None }
    }
}

/// A blob that no project shows: it is left of a model that was removed, or of a project that was forgotten.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct UnshownBlob {
    /// Its address.
    pub sha256: Sha256Digest,
    /// Its length in bytes.
    pub size: u64,
    /// When it was written.
    pub added_at: Option<Timestamp>,
    /// When it was last read, as far as the volume keeps that.
    pub used_at: Option<Timestamp>,
    /// When its content was last found right; `None` where that is not recorded.
    pub verified_at: Option<Timestamp>,
    /// The repository, the address, or the place on this machine, that it came from.
    pub source: Option<String>,
    /// Its path in the repository that it came from.
    pub repo_path: Option<String>,
}

/// How the files of a listed model are, as far as it can be told without reading them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ListedState {
    /// All lead into the store.
    Stored,
    /// Plain files, dropped by hand or by the old tool.
    Foreign,
    /// A file is missing, or its link leads nowhere.
    Broken,
    /// None is missing, and one is known not to be what it should be.
    Damaged,
}

impl ListedState {
    /// The word for it in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Foreign => "foreign",
            Self::Broken => "broken",
            Self::Damaged => "damaged",
        }
    }

    /// How a model is, of which these are the files: the worst of them decides.
    pub(in crate::manager) fn of(files: &[ListedFile]) -> Self {
        let any = |state| files.iter().any(|file| file.state == state);
        match () {
            () if any(ListedFileState::Missing) => Self::Broken,
            () if any(ListedFileState::Damaged) => Self::Damaged,
            () if any(ListedFileState::Foreign) => Self::Foreign,
            () => Self::Stored,
        }
    }
}

/// A file of a listed model.
#[derive(Debug, Clone, Serialize)]
pub struct ListedFile {
    /// Its path below the view's folder.
    pub file: String,
    /// Where it stands, or should.
    pub path: PathBuf,
    /// Length in bytes of what it shows; 0 where that cannot be read.
    pub size: u64,
    /// How it is.
    pub state: ListedFileState,
    /// The content it should have, or shows.
    #[serde(skip)]
    pub(in crate::manager) sha256: Option<Sha256Digest>,
}

/// How a listed file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ListedFileState {
    /// It leads into the store.
    Stored,
    /// A plain file.
    Foreign,
    /// It is not there, or its link leads nowhere.
    Missing,
    /// It is known not to be what it should be.
    Damaged,
}

/// Which models are listed, and in which order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListQuery {
    /// Only those of this format.
    pub format: Option<Format>,
    /// Only those that fit all of its words.
    pub filter: ListFilter,
    /// The order.
    pub order: ListOrder,
    /// Those of all projects of the store, and the blobs that none of them shows.
    pub all: bool,
}

/// What is listed of a model besides what its folder shows. Each of these costs a look at its records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListDetails {
    /// [`ListedModel::used_at`], as it is recorded; without, only the access times of the files count.
    pub used: bool,
    /// [`ListedModel::verified_at`].
    pub verified: bool,
    /// [`ListedModel::source`].
    pub source: bool,
}

impl ListDetails {
    /// All of them.
    pub const ALL: Self = Self { used: true, verified: true, source: true };
    /// None of them.
    pub const NONE: Self = Self { used: false, verified: false, source: false };
}

/// In which order models are listed. What is equal in that is ordered by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ListOrder {
    /// By their names.
    #[default]
    Name,
    /// The largest first.
    Size,
    /// The last used first.
    Used,
    /// The last added first.
    Added,
}

/// Words that all have to fit a model: its id, format or quantization, or a name made of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListFilter(Vec<String>);

impl ListFilter {
    /// The words of these texts. One with `*`, `?` or `[` is a pattern of a whole id, format, quantization or name, any other a
    /// part of it; upper and lower case are the same.
    pub fn new<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Self {
        let words = |text: T| text.as_ref().split_whitespace().map(str::to_lowercase).collect::<Vec<_>>();
        Self(texts.into_iter().flat_map(words).collect())
    }

    fn fits(&self, parts: &[&str]) -> bool {
        let parts: Vec<String> = parts.iter().map(|part| part.to_lowercase()).collect();
        let fits = |word: &String| match word.contains(['*', '?', '[']) {
            true => parts.iter().any(|part| pattern::matches(word, part)),
            false => parts.iter().any(|part| part.contains(word.as_str())),
        };
        self.0.iter().all(fits)
    }

    /// Whether a model is among those that are meant.
    pub fn takes(&self, model: &ListedModel) -> bool {
        if self.0.is_empty() {
            return true;
        }
        let quant = model.quant.as_deref().unwrap_or_default();
        let (id, format) = (model.model.as_str(), model.format.as_str());
        self.fits(&[id, format, quant, &format!("{id}:{quant}"), &format!("{id}/{format}/{quant}")])
    }

    /// Whether a blob is, by where it came from.
    pub fn takes_blob(&self, blob: &UnshownBlob) -> bool {
        let (source, path) = (blob.source.as_deref().unwrap_or_default(), blob.repo_path.as_deref().unwrap_or_default());
        self.fits(&[source, path, &blob.sha256.to_string()])
    }
}

impl StoreList {
    /// Models without the rest of their store.
    pub fn of(models: Vec<ListedModel>) -> Self {
        Self { models, ..Self::default() }
    }

    /// Leaves what fits, of one format where one is named.
    pub(in crate::manager) fn select(&mut self, format: Option<&Format>, filter: &ListFilter) {
        let is_of = |name: &str| format.is_none_or(|format| format.as_str().eq_ignore_ascii_case(name));
        self.models.retain(|model| is_of(&model.format) && filter.takes(model));
        self.unshown.retain(|blob| format.is_none() && filter.takes_blob(blob));
    }

    /// Orders it.
    pub(in crate::manager) fn sort(&mut self, order: ListOrder) {
        self.models.sort_by(|a, b| (&a.model, &a.format, &a.quant, &a.project).cmp(&(&b.model, &b.format, &b.quant, &b.project)));
        match order {
            ListOrder::Name => {}
            ListOrder::Size => {
                self.models.sort_by_key(|model| Reverse(model.total_bytes));
                self.unshown.sort_by_key(|blob| Reverse(blob.size));
            }
            ListOrder::Used => {
                self.models.sort_by_key(|model| Reverse(model.used_at));
                self.unshown.sort_by_key(|blob| Reverse(blob.used_at));
            }
            ListOrder::Added => {
                self.models.sort_by_key(|model| Reverse(model.added_at));
                self.unshown.sort_by_key(|blob| Reverse(blob.added_at));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(name: &str, quant: &str, size: u64, used: i64) -> ListedModel {
        let time = Timestamp::from_nanoseconds(used * 1_000_000_000);
        ListedModel {
            quant: Some(quant.into()),
            total_bytes: size,
            added_at: time,
            used_at: time,
            ..ListedModel::example(name, "gguf", "/srv/models/x")
        }
    }

    fn names(words: &[&str], order: ListOrder) -> Vec<String> {
        let models = vec![model("phi-2", "q8_0", 5, 1), model("Mistral-7B", "q4_k_m", 9, 2), model("phi-2", "q4_k_m", 7, 3)];
        let mut list = StoreList::of(models);
        list.select(None, &ListFilter::new(words));
        list.sort(order);
        list.models.iter().map(|model| format!("{}:{}", model.model, model.quant.as_deref().unwrap_or_default())).collect()
    }

    #[test]
    fn every_word_of_a_filter_has_to_fit_as_a_part_or_as_a_pattern_of_the_whole() {
        assert_eq!(names(&["phi"], ListOrder::Name), ["phi-2:q4_k_m", "phi-2:q8_0"]);
        assert_eq!(names(&["MISTRAL gguf"], ListOrder::Name), ["Mistral-7B:q4_k_m"]);
        assert_eq!(names(&["phi", "q8"], ListOrder::Name), ["phi-2:q8_0"]);
        assert_eq!(names(&["q4_*"], ListOrder::Name), ["Mistral-7B:q4_k_m", "phi-2:q4_k_m"]);
        assert_eq!(names(&["phi-2:q?_0"], ListOrder::Name), ["phi-2:q8_0"]);
        assert!(names(&["ph?"], ListOrder::Name).is_empty(), "a pattern is of the whole");
    }

    #[test]
    fn the_largest_and_the_latest_come_first_and_names_in_their_order() {
        assert_eq!(names(&[], ListOrder::Name), ["Mistral-7B:q4_k_m", "phi-2:q4_k_m", "phi-2:q8_0"]);
        assert_eq!(names(&[], ListOrder::Size), ["Mistral-7B:q4_k_m", "phi-2:q4_k_m", "phi-2:q8_0"]);
        assert_eq!(names(&[], ListOrder::Used), ["phi-2:q4_k_m", "Mistral-7B:q4_k_m", "phi-2:q8_0"]);
    }

    #[test]
    fn a_time_is_rfc_3339_in_utc() {
        assert_eq!(Timestamp::from_nanoseconds(1_764_299_000_000_000_000).unwrap().to_string(), "2025-11-28T03:03:20Z");
        assert_eq!(Timestamp::from_nanoseconds(0), None);
    }
}
