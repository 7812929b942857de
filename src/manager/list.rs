//! Lists what stands in the models directory.

use super::{ListedModel, ListedState, ModelManager};
use crate::{
    error::Result,
    names::{Format, is_projector},
    view::{FileState, Found},
};
use std::collections::BTreeMap;

impl ModelManager {
    /// Every model in the models directory, one entry for each folder that holds files.
    pub fn list(&self, format: Option<&Format>) -> Result<Vec<ListedModel>> {
        let store = self.existing_store()?;
        let mut groups: BTreeMap<(String, String, Option<String>), Vec<Found>> = BTreeMap::new();
        for found in self.views(store).scan(format)? {
            groups.entry((found.model.clone(), found.format.clone(), found.quant.clone())).or_default().push(found);
        }
        Ok(groups.into_iter().map(|((model, format, quant), files)| self.listed(model, format, quant, files)).collect())
    }

    fn listed(&self, model: String, format: String, quant: Option<String>, mut files: Vec<Found>) -> ListedModel {
        files.sort_by(|a, b| a.file.cmp(&b.file));
        let mut dir = self.settings.models_dir.join(&model).join(&format);
        dir.extend(&quant);
        let state = if files.iter().any(|file| matches!(file.state, FileState::Dangling { .. })) {
            ListedState::Broken
        } else if files.iter().any(|file| file.state == FileState::Foreign) {
            ListedState::Foreign
        } else {
            ListedState::Stored
        };
        let single = format.parse::<Format>().is_ok_and(|format| format.is_single_file());
        let first = files.iter().find(|file| !is_projector(file.file.rsplit('/').next().unwrap_or_default()));
        let path = match first.or(files.first()) {
            Some(first) if single => first.path.clone(),
            _ => dir,
        };
        ListedModel {
            model,
            format,
            quant,
            path,
            size: files.iter().map(|file| file.size).sum(),
            files: files.into_iter().map(|file| file.file).collect(),
            state,
        }
    }
}
