//! What the registry knows, and which of it is here.

use super::{InfoForm, InfoModel, ModelManager};
use crate::{
    error::Result,
    hub::Reference,
    names::{Format, Quant},
    registry::{Artifact, Model},
};
use std::collections::HashSet;

impl ModelManager {
    /// What the registry knows, about one model or all.
    pub fn info(&self, model: Option<&str>) -> Result<Vec<InfoModel>> {
        let here: HashSet<(String, String, Option<String>)> =
            self.list(None)?.into_iter().map(|listed| (listed.model, listed.format, listed.quant)).collect();
        let describe = |model: &Model| describe(model, &here);
        match model {
            None => Ok(self.registry.models().map(describe).collect()),
            Some(text) => {
                let id = match self.reference(text)? {
                    Reference::Registry { id, .. } => id.to_string(),
                    Reference::Hub { .. } => text.to_owned(),
                };
                Ok(vec![describe(self.registry.model(&id)?)])
            }
        }
    }
}

fn describe(model: &Model, here: &HashSet<(String, String, Option<String>)>) -> InfoModel {
    let present = |format: &Format, quant: Option<&Quant>| {
        here.contains(&(model.id.to_string(), format.to_string(), quant.map(ToString::to_string)))
    };
    let mut forms = Vec::new();
    for entry in &model.formats {
        let quants = entry.quants.iter().map(|quant| (Some(&quant.quant), &quant.artifact));
        for (quant, artifact) in quants.chain(entry.whole.iter().map(|artifact| (None, artifact))) {
            forms.push(form(&entry.format, quant, artifact, present(&entry.format, quant)));
        }
    }
    InfoModel {
        model: model.id.to_string(),
        description: model.description.clone(),
        size_class: model.size_class.clone(),
        params: model.params.clone(),
        ram: model.ram.clone(),
        use_case: model.use_case.clone(),
        repo: model.huggingface_id.as_ref().map(ToString::to_string),
        license: model.license.clone(),
        forms,
    }
}

fn form(format: &Format, quant: Option<&Quant>, artifact: &Artifact, present: bool) -> InfoForm {
    InfoForm {
        format: format.clone(),
        quant: quant.cloned(),
        repo: artifact.repo.to_string(),
        revision: artifact.revision.as_ref().map(ToString::to_string),
        files: artifact.files.iter().map(|file| file.path.to_string()).collect(),
        size: artifact.total_size(),
        pinned: artifact.is_pinned(),
        verified: !artifact.files.is_empty() && artifact.files.iter().all(|file| file.sha256.is_some()),
        present,
        status: artifact.status.word(),
        superseded_by: artifact.superseded_by.clone(),
        gated: artifact.gated,
        license: artifact.license.clone(),
        note: artifact.note.clone(),
    }
}
