//! Lists what stands in the models directory.

use super::{ListedModel, ListedState, ModelManager};
use crate::{
    error::Result,
    names::{Format, RelPath},
    view::{FileState, Found},
};
use std::mem::take;

impl ModelManager {
    /// Every model in the models directory, one entry for each folder that holds files.
    pub fn list(&self, format: Option<&Format>) -> Result<Vec<ListedModel>> {
        let store = self.existing_store()?;
        Ok(self.views(store).scan_models(format, |found| self.listed_of(found))?)
    }

    fn listed_of(&self, found: Vec<Found>) -> Vec<ListedModel> {
        let mut found = found.into_iter().peekable();
        let mut listed = Vec::new();
        // They come in order, so that the files of a folder follow each other.
        while let Some(first) = found.next() {
            let mut files = vec![first];
            while let Some(next) = found.next_if(|next| is_beside(next, &files[0])) {
                files.push(next);
            }
            listed.push(self.listed(files));
        }
        listed
    }

    /// What these files, which stand in one folder, come to.
    fn listed(&self, mut files: Vec<Found>) -> ListedModel {
        let state = if files.iter().any(|file| matches!(file.state, FileState::Dangling { .. })) {
            ListedState::Broken
        } else if files.iter().any(|file| file.state == FileState::Foreign) {
            ListedState::Foreign
        } else {
            ListedState::Stored
        };
        let size = files.iter().map(|file| file.size).sum();
        let first = &mut files[0];
        let (model, format, quant) = (take(&mut first.model), take(&mut first.format), first.quant.take());
        let mut path = self.settings.models_dir.join(&model).join(&format);
        path.extend(&quant);
        if format.parse::<Format>().is_ok_and(|format| format.is_single_file()) {
            let paths: Vec<RelPath> = files.iter().filter_map(|file| file.file.parse().ok()).collect();
            let model = self.model_among(&path, &paths);
            let is_model = |file: &Found| model.is_some_and(|model| file.file == model.as_str());
            let first = files.iter().position(is_model).unwrap_or(0);
            path = take(&mut files[first].path);
        }
        ListedModel { model, format, quant, path, size, files: files.into_iter().map(|file| file.file).collect(), state }
    }
}

fn is_beside(a: &Found, b: &Found) -> bool {
    (&a.model, &a.format, &a.quant) == (&b.model, &b.format, &b.quant)
}
