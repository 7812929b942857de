//! Holds a set of shards against its index, before the shards travel.

use super::{
    ModelManager,
    plan::{Plan, PlannedFile},
};
use crate::{
    error::{Error, ErrorKind, Result},
    event::Event,
    hub::{HubError, is_cut_otherwise, missing_from_index},
    names::RelPath,
    store::Store,
};

const INDEX_END: &str = ".index.json";

impl Plan {
    /// Whether a file is small and must be looked at before the big ones travel: anything but weights, in a set with an index.
    pub(super) fn comes_first(&self, file: &PlannedFile) -> bool {
        !is_weights(&file.repo_path) && self.indexes().next().is_some()
    }

    /// Indexes whose weights are part of the plan, and where those stand: folder and extension.
    fn indexes(&self) -> impl Iterator<Item = (&PlannedFile, &str, &str)> {
        self.files.iter().filter_map(|index| {
            let (folder, name) = split(&index.repo_path);
            let end = name.strip_suffix(INDEX_END)?.rsplit_once('.')?.1;
            let weights = |file: &&PlannedFile| is_of(&file.repo_path, folder, end);
            self.files.iter().find(weights).map(|_| (index, folder, end))
        })
    }

    /// Holds the weights of a folder, those with this end, against their index. The notice is of an index of another cut.
    fn check_index(&self, index: &PlannedFile, folder: &str, end: &str, text: &[u8]) -> Result<Option<String>> {
        let there: Vec<&str> =
            self.files.iter().filter(|file| is_of(&file.repo_path, folder, end)).map(|file| split(&file.repo_path).1).collect();
        let missing = missing_from_index(text, &there).map_err(|error| {
            let why = if let HubError::Answer { why, .. } = error { why } else { error.to_string() };
            Error::new(ErrorKind::Damaged, format!("{} is no index of weights: {why}", index.repo_path))
                .hint("The upload may be broken: try another revision, or another repository.")
        })?;
        if missing.is_empty() {
            return Ok(None);
        }
        if is_cut_otherwise(&missing, &there) {
            let text = format!("{} names shards that are not there; those that are there make a whole set", index.repo_path);
            return Ok(Some(text));
        }
        Err(HubError::Incomplete { what: format!("set that {} describes", index.repo_path), missing }.into())
    }
}

impl ModelManager {
    /// Refuses a plan whose indexes name weights that are not part of it, before anything of it travels. The indexes are read
    /// from the store or from the Hub.
    pub(super) async fn check_indexes_ahead(&self, plan: &mut Plan, store: Option<&Store>) -> Result<()> {
        let mut notices = Vec::new();
        let mut fetched = 0;
        for (index, folder, end) in plan.indexes() {
            fetched += u32::from(index.is_missing());
            if let Some(text) = self.text_of(plan, index, store).await? {
                notices.extend(plan.check_index(index, folder, end, &text)?);
            }
        }
        plan.target.notices.extend(notices);
        plan.api_requests += fetched;
        Ok(())
    }

    /// The same of indexes that are in the store by now: what they say is verified.
    pub(super) fn check_indexes(&self, plan: &Plan, store: &Store) -> Result<()> {
        for (index, folder, end) in plan.indexes() {
            let Some(digest) = &index.sha256 else { continue };
            let Some(text) = store.disk().read_small(&store.layout().blob(digest))? else { continue };
            if let Some(notice) =
                plan.check_index(index, folder, end, &text)?.filter(|notice| !plan.target.notices.contains(notice))
            {
                self.report(&Event::Warning(notice));
            }
        }
        Ok(())
    }
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

pub(super) fn is_weights(path: &RelPath) -> bool {
    let end = path.file_name().rsplit_once('.').map(|(_, end)| end.to_ascii_lowercase());
    end.is_some_and(|end| ["safetensors", "bin", "pt", "pth", "gguf"].contains(&end.as_str()))
}
