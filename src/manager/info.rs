//! What the registry knows, and which of it is here.

use super::{
    DownloadOptions, InfoForm, InfoModel, LabelInfo, ListedFileState, ListedModel, MemoryReport, ModelManager, ModelOrigin,
    RepoFile, Selector,
    inspect::Inspection,
    name::Subject,
    plan::choose::Companions,
    plan::target::{Target, Wanted},
    plan::{Plan, PlannedFile},
};
use crate::{
    disk::total_memory,
    error::{ErrorKind, Result},
    event::Event,
    facts::FileFacts,
    hint::{Invocation, Verb},
    names::{Format, ModelId, Quant, Revision, Role, SourceId},
    registry::{Artifact, Model, Registry},
    source::hub::{GgufUnit, gguf_units},
    store::{Trust, ViewKey},
    weights::is_weights,
};
use std::collections::HashMap;

/// What is here with all its files.
struct Here(HashMap<ViewKey, ListedModel>);

impl Here {
    fn find(&self, model: &ModelId, format: &Format, quant: Option<&Quant>) -> Option<&ListedModel> {
        self.0.get(&ViewKey { model: model.clone(), format: format.clone(), quant: quant.cloned() })
    }
}

impl ModelManager {
    /// What the registry knows about all its models.
    pub fn info(&self) -> Result<Vec<InfoModel>> {
        let here = self.here()?;
        let registry = self.registry()?;
        Ok(registry.models().map(|model| describe(registry, model, &here)).collect())
    }

    /// All about one model: of the registry or, by a reference, of the Hub. What its files say is read from the disk; with
    /// `remote`, and for a reference, the headers of files that are not here are fetched, and nothing else of them.
    pub fn info_of(&self, what: &Selector, remote: bool) -> Result<InfoModel> {
        let here = self.here()?;
        let command = Invocation::new(Verb::Info);
        let named = self.named(what, command)?;
        let id = match &named.subject {
            Subject::Entry(id) => id,
            _ => return self.info_of_hub(self.target_of(&named, None, command)?.0, &here),
        };
        let registry = self.registry()?;
        let mut model = describe(registry, registry.model(id.as_str())?, &here);
        let (format, quant) = (named.format.as_ref(), &named.quant);
        if format.is_some() || quant.is_some() {
            let fits =
                |form: &InfoForm| format.is_none_or(|format| form.format == *format) && (quant.is_none() || form.quant == *quant);
            if !model.forms.iter().any(fits) {
                // It has the words for what is not there.
                self.registry()?.select(id.as_str(), format, quant.as_ref())?;
            }
            model.forms.retain(fits);
        }
        for form in &mut model.forms {
            let inspected = match here.find(id, &form.format, form.quant.as_ref()) {
                Some(listed) => self.inspect_view(listed),
                None if remote => {
                    let format = Some(form.format.clone());
                    let what = Selector { model: id.clone().into(), format, quant: form.quant.clone() };
                    let plan = self.plan_to_look(self.target(&what, None, command)?)?;
                    self.inspect_plan(&plan, self.existing_store()?.as_ref())?
                }
                None => continue,
            };
            let parameters = inspected.info.as_ref().and_then(|info| info.parameters);
            form.bits_per_weight = bits_per_weight(form.memory.weights_bytes.filter(|_| !form.memory.is_estimate), parameters);
            (form.weights, form.weights_note) = (inspected.info, inspected.note);
        }
        Ok(model)
    }

    fn info_of_hub(&self, target: Target, here: &Here) -> Result<InfoModel> {
        let store = self.existing_store()?;
        let repo = target.source.clone();
        let (plan, labels) = match target.wanted {
            Wanted::Gguf { quant: None, folder: None } => self.plan_with_labels(target, here)?,
            _ => (Some(self.plan_to_look(target)?), Vec::new()),
        };
        let mut model = InfoModel {
            model: repo.to_string(),
            description: None,
            size_class: None,
            params: None,
            ram: None,
            use_case: None,
            repo: Some(repo),
            license: None,
            forms: Vec::new(),
            labels,
        };
        let Some(plan) = plan else { return Ok(model) };
        let ViewKey { model: id, format, quant } = &plan.target.view;
        let listed = here.find(id, format, quant.as_ref());
        let Inspection { info: weights, note: weights_note } = match listed {
            Some(listed) => self.inspect_view(listed),
            None => self.inspect_plan(&plan, store.as_ref())?,
        };
        let parameters = weights.as_ref().and_then(|weights| weights.parameters);
        let is_it = |label: &LabelInfo| {
            plan.files.iter().any(|file| label.files.iter().any(|of_label| of_label.repo_path == file.repo_path))
        };
        for label in &mut model.labels {
            if is_it(label) && label.role == Role::Model {
                label.is_default = true;
                label.role = weights.as_ref().and_then(|weights| weights.role).unwrap_or(label.role);
            }
            // All models of a repository are one model in several quantizations.
            if label.role == Role::Model {
                label.bits_per_weight = bits_per_weight(Some(label.total_bytes), parameters);
            }
        }
        let all = |known: fn(&PlannedFile) -> bool| plan.files.iter().all(known);
        // A digest that is known only from the local file is not published.
        let is_published = |file: &PlannedFile| file.published || file.trust_here(store.as_ref()) == Some(Trust::Sha256Upstream);
        let verified = plan.files.iter().all(is_published);
        let total_bytes = plan.files.iter().map(|file| file.size).sum();
        let weights_bytes = plan.files.iter().filter(|file| is_weights(&file.path)).map(|file| file.size).sum();
        let form = InfoForm {
            format: format.clone(),
            quant: quant.clone(),
            origin: ModelOrigin::at(&plan.target.source, plan.revision.as_ref()),
            files: plan.files.iter().map(repo_file).collect(),
            total_bytes,
            is_default: true,
            bits_per_weight: bits_per_weight(weights_bytes, parameters),
            memory: MemoryReport::of(weights_bytes, None, total_memory()),
            pinned: plan.revision.as_ref().is_none_or(Revision::is_commit) && verified && all(|file| file.size.is_some()),
            verified,
            present: listed.is_some(),
            status: "active",
            superseded_by: None,
            gated: plan.target.gated,
            license: plan.target.license.clone(),
            note: plan.notices().first().map(ToString::to_string),
            weights,
            weights_note,
        };
        model.repo = Some(plan.target.source.clone());
        model.license.clone_from(&plan.target.license);
        model.forms.push(form);
        Ok(model)
    }

    /// What a repository has, and what is meant by it alone; of several models that could be, none is.
    fn plan_with_labels(&self, target: Target, here: &Here) -> Result<(Option<Plan>, Vec<LabelInfo>)> {
        let source = self.source_of(&target.source)?;
        let (pinned, tree) = self.ask(async {
            let pinned = self.pin(&**source, &target).await?.0;
            let tree = source.list(&pinned, &[]).await?;
            Ok((pinned, tree))
        })?;
        let units = gguf_units(&tree.files);
        let is_here = |unit: &GgufUnit<'_>| {
            let first = unit.parts.first().map_or("", |part| part.path.file_name());
            // A view that was made under another name shows the same file, and a companion stands with its model.
            let is_other = |listed: &ListedModel| {
                let is_label = units.iter().any(|unit| listed.quant.as_deref() == Some(unit.label.as_str()));
                let may_be_other = unit.role != Role::Model || !is_label;
                listed.model == target.view.model.as_str() && may_be_other && listed.files.iter().any(|file| file.file == first)
            };
            here.find(&target.view.model, &target.view.format, Some(&unit.label)).is_some() || here.0.values().any(is_other)
        };
        let store = self.existing_store()?;
        // If the name has no role, the header of a local file may.
        let role = |unit: &GgufUnit<'_>| {
            let digest = unit.parts.first().and_then(|part| part.sha256).filter(|_| unit.role == Role::Model);
            let blob = digest.zip(store.as_ref()).map(|(digest, store)| store.layout().blob(&digest));
            blob.and_then(|blob| self.role_by_header(&blob)).unwrap_or(unit.role)
        };
        let memory = total_memory();
        let label = |unit: &GgufUnit<'_>| LabelInfo {
            label: unit.label.clone(),
            role: role(unit),
            is_default: false,
            bits_per_weight: None,
            memory: (role(unit) == Role::Model).then(|| MemoryReport::of(Some(unit.size()), None, memory)),
            total_bytes: unit.size(),
            files: unit.parts.iter().map(|part| part_file(part)).collect(),
            present: is_here(unit),
        };
        let mut labels: Vec<(Role, LabelInfo)> = units.iter().map(|unit| (role(unit), label(unit))).collect();
        labels.sort_by(|(a, x), (b, y)| (a, x.total_bytes, &x.label).cmp(&(b, y.total_bytes, &y.label)));
        let labels: Vec<LabelInfo> = labels.into_iter().map(|(_, label)| label).collect();
        let mut plan = match self.plan_of_list(target, &tree, pinned, 2, &Companions::default()) {
            Ok(plan) => plan,
            Err(error) if error.kind() == ErrorKind::Usage && labels.len() > 1 => return Ok((None, labels)),
            Err(error) => return Err(error),
        };
        self.keep_place(&mut plan, store.as_ref())?;
        let view = plan.target.view.clone();
        self.supply(&view, &mut plan.files, false, store.as_ref())?;
        Ok((Some(plan), labels))
    }

    fn plan_to_look(&self, target: Target) -> Result<Plan> {
        let store = self.existing_store()?;
        self.ask(self.plan(target, &DownloadOptions::default(), store.as_ref()))
    }

    fn here(&self) -> Result<Here> {
        // The registry can be read whatever became of the store.
        let listed = self.list_here().or_else(|error| match error.kind() {
            ErrorKind::Failed => {
                self.report(&Event::Warning(format!("the local models cannot be listed: {error}").into()));
                Ok(Vec::new())
            }
            _ => Err(error),
        })?;
        let complete = listed.into_iter().filter(|listed| listed.files_that_are(ListedFileState::Missing).is_empty());
        Ok(Here(complete.filter_map(|listed| Some((listed.view.clone()?, listed))).collect()))
    }
}

fn describe(registry: &Registry, model: &Model, here: &Here) -> InfoModel {
    let memory = total_memory();
    let chosen = registry.select(model.id.as_str(), None, None).ok();
    let present = |format: &Format, quant: Option<&Quant>| here.find(&model.id, format, quant).is_some();
    let mut forms = Vec::new();
    for entry in &model.formats {
        let quants = entry.quants.iter().map(|quant| (Some(&quant.quant), &quant.artifact));
        for (quant, artifact) in quants.chain(entry.whole.iter().map(|artifact| (None, artifact))) {
            let is_default = chosen.as_ref().is_some_and(|chosen| std::ptr::eq(chosen.artifact, artifact));
            let present = present(&entry.format, quant);
            let weights = artifact.total_size().filter(|_| entry.format.is_single_file());
            let (params, ram) = (model.params.as_deref(), model.ram.clone());
            let memory = MemoryReport::of_form(weights, params, quant, ram, memory);
            forms.push(InfoForm { is_default, memory, ..form(&entry.format, quant, artifact, present) });
        }
    }
    InfoModel {
        model: model.id.to_string(),
        description: model.description.clone(),
        size_class: model.size_class.clone(),
        params: model.params.clone(),
        ram: model.ram.clone(),
        use_case: model.use_case.clone(),
        repo: model.huggingface_id.clone().map(SourceId::from),
        license: model.license.clone(),
        forms,
        labels: Vec::new(),
    }
}

fn form(format: &Format, quant: Option<&Quant>, artifact: &Artifact, present: bool) -> InfoForm {
    InfoForm {
        format: format.clone(),
        quant: quant.cloned(),
        origin: ModelOrigin::at(&artifact.source, artifact.revision.as_ref()),
        files: artifact.files.iter().map(RepoFile::from).collect(),
        total_bytes: artifact.total_size(),
        pinned: artifact.is_pinned(),
        verified: !artifact.files.is_empty() && artifact.files.iter().all(|file| file.sha256.is_some()),
        present,
        is_default: false,
        bits_per_weight: None,
        memory: MemoryReport::of(None, None, None),
        status: artifact.status.as_str(),
        superseded_by: artifact.superseded_by.clone(),
        gated: artifact.gated,
        license: artifact.license.clone(),
        note: artifact.note.clone(),
        weights: None,
        weights_note: None,
    }
}

/// To the hundredth.
fn bits_per_weight(bytes: Option<u64>, parameters: Option<u64>) -> Option<f64> {
    let (bytes, parameters) = (bytes?, parameters.filter(|parameters| *parameters > 0)?);
    Some((bytes as f64 * 800.0 / parameters as f64).round() / 100.0)
}

fn repo_file(file: &PlannedFile) -> RepoFile {
    RepoFile { repo_path: file.repo_path.clone(), size: file.size, sha256: file.sha256 }
}

fn part_file(file: &FileFacts) -> RepoFile {
    RepoFile { repo_path: file.path.clone(), size: file.size, sha256: file.sha256 }
}
