//! What a command line can name, found fast: for completions, which ask at each press of a key.

use super::ModelManager;
use crate::{
    disk::Kind,
    store::{Project, Store, ViewName},
};
use std::collections::{BTreeSet, HashMap};

/// A model in one form that a command line can name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NameableModel {
    /// Its id, or the name of its folder.
    pub model: String,
    /// Its format.
    pub format: String,
    /// Its quantization, where it has one.
    pub quant: Option<String>,
    /// Whether it is here.
    pub is_here: bool,
    /// What the registry says it is.
    pub about: Option<String>,
}

impl ModelManager {
    /// The models that are here, and with `of_registry` those of the registry, whose ids begin so, in upper or lower case. Nothing
    /// is locked, written, or read of a model, and what cannot be read is left out. The folders of other models are not opened.
    pub(crate) fn nameable(&self, of_registry: bool, beginning: &str) -> Vec<NameableModel> {
        let beginning = beginning.to_lowercase();
        let is_meant = |model: &str| model.to_lowercase().starts_with(&beginning);
        let here = self.names_here(&is_meant);
        let mut models: Vec<NameableModel> = Vec::new();
        if of_registry && let Ok(registry) = self.session.registry() {
            for model in registry.models().filter(|model| is_meant(model.id.as_str())) {
                for entry in &model.formats {
                    let quants = entry.quants.iter().map(|quant| Some(quant.quant.to_string()));
                    for quant in quants.chain(entry.whole.iter().map(|_| None)) {
                        models.push(NameableModel {
                            model: model.id.to_string(),
                            format: entry.format.to_string(),
                            quant,
                            is_here: false,
                            about: model.description.clone(),
                        });
                    }
                }
            }
        }
        let mut known: HashMap<ViewName, usize> = HashMap::new();
        for (at, NameableModel { model, format, quant, .. }) in models.iter().enumerate() {
            let name = ViewName { model: model.clone(), format: format.clone(), quant: quant.clone() };
            known.entry(name).or_insert(at);
        }
        for name in here {
            match known.get(&name) {
                Some(at) => models[*at].is_here = true,
                None => {
                    let ViewName { model, format, quant } = name;
                    models.push(NameableModel { model, format, quant, is_here: true, about: None });
                }
            }
        }
        models
    }

    /// The models directories of the projects of the store.
    pub(crate) fn nameable_projects(&self) -> Vec<String> {
        let Ok(store) = Store::open_for_reading(self.disk.clone(), &self.store_dir()) else { return Vec::new() };
        let projects = store.projects().unwrap_or_default();
        projects.iter().filter_map(|project| store.known_project(project)).map(|record| record.location.path).collect()
    }

    /// The names of roots say it in one look; a folder that has none is looked into.
    fn names_here(&self, is_meant: &dyn Fn(&str) -> bool) -> BTreeSet<ViewName> {
        let store = Store::open_for_reading(self.disk.clone(), &self.store_dir()).ok();
        let project = Project::identify(&*self.models_disk(), &self.settings.models_dir).ok().flatten();
        let mut names: BTreeSet<ViewName> = store
            .zip(project)
            .and_then(|(store, project)| store.names_of_roots(&project).ok())
            .unwrap_or_default()
            .into_iter()
            .filter(|name| is_meant(&name.model))
            .collect();
        let rooted: BTreeSet<String> = names.iter().map(|name| name.model.clone()).collect();
        let folders = |path: &std::path::Path| -> Vec<String> {
            let entries = self.disk.list_sorted(path).unwrap_or_default().into_iter();
            entries.filter(|entry| entry.kind == Kind::Dir && !entry.name.starts_with('.')).map(|entry| entry.name).collect()
        };
        let top = &self.settings.models_dir;
        for model in folders(top).into_iter().filter(|model| is_meant(model) && !rooted.contains(model)) {
            for format in folders(&top.join(&model)) {
                let quants = folders(&top.join(&model).join(&format));
                let name = |quant| ViewName { model: model.clone(), format: format.clone(), quant };
                match quants.is_empty() {
                    true => names.extend([name(None)]),
                    false => names.extend(quants.into_iter().map(|quant| name(Some(quant)))),
                }
            }
        }
        names
    }
}
