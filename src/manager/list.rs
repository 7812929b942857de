//! Lists the models that are here.

use super::{ListedFile, ListedFileState, ListedModel, ListedState, ModelManager};
use crate::{
    error::Result,
    names::{Format, RelPath},
    view::{Found, Health},
};

impl ModelManager {
    /// Every model in the models directory, one entry for each view.
    pub fn list(&self, format: Option<&Format>) -> Result<Vec<ListedModel>> {
        self.list_only(None, format)
    }

    /// The views of one model.
    pub(super) fn list_model(&self, model: &str, format: Option<&Format>) -> Result<Vec<ListedModel>> {
        self.list_only(Some(model), format)
    }

    fn list_only(&self, model: Option<&str>, format: Option<&Format>) -> Result<Vec<ListedModel>> {
        let store = self.existing_store()?;
        Ok(self.views(store).scan_models(model, format, |found| self.listed_of(found))?)
    }

    fn listed_of(&self, mut found: Vec<Found>) -> Vec<ListedModel> {
        found.retain(|file| file.belongs);
        // They come in order, so that the files of a view follow each other.
        found.chunk_by(is_beside).map(|files| self.listed(files)).collect()
    }

    /// The list entry for the files of one view.
    fn listed(&self, files: &[Found]) -> ListedModel {
        let Found { model, format, quant, .. } = files[0].clone();
        let view = files[0].view();
        let mut path = self.settings.models_dir.join(&model).join(&format);
        path.extend(&quant);
        if format.parse::<Format>().is_ok_and(|format| format.is_single_file()) {
            let paths: Vec<RelPath> = files.iter().filter_map(|file| file.file.parse().ok()).collect();
            let model = self.model_among(&path, &paths);
            let is_model = |file: &&Found| model.is_some_and(|model| file.file == model.as_str());
            path = files.iter().find(is_model).unwrap_or(&files[0]).path.clone();
        }
        let total_bytes = files.iter().map(|file| file.size).sum();
        let files: Vec<ListedFile> = files.iter().map(listed_file).collect();
        ListedModel { model, format, quant, view, path, state: state_of(&files), total_bytes, files }
    }
}

fn listed_file(found: &Found) -> ListedFile {
    let state = match found.health() {
        Health::Whole => ListedFileState::Stored,
        Health::Foreign | Health::Replaced => ListedFileState::Foreign,
        Health::Missing => ListedFileState::Missing,
        Health::Damaged => ListedFileState::Damaged,
    };
    ListedFile { file: found.file.clone(), path: found.path.clone(), size: found.size, state }
}

/// How a model is, of which these are the files: the worst of them decides.
fn state_of(files: &[ListedFile]) -> ListedState {
    let any = |state| files.iter().any(|file| file.state == state);
    match () {
        () if any(ListedFileState::Missing) => ListedState::Broken,
        () if any(ListedFileState::Damaged) => ListedState::Damaged,
        () if any(ListedFileState::Foreign) => ListedState::Foreign,
        () => ListedState::Stored,
    }
}

fn is_beside(a: &Found, b: &Found) -> bool {
    (&a.model, &a.format, &a.quant) == (&b.model, &b.format, &b.quant)
}
