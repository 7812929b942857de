//! Under which name a file of an application is shown.
//!
//! The registry knows content by its hash. Else the repository that the application claims gives the name that a download from
//! there would have; else what the application calls it.

use super::super::ModelManager;
use crate::{
    digest::Sha256Digest,
    foreign::{AppFile, AppModel},
    names::{Format, ModelId, Quant, RelPath, Role, quant_in_stem, split_part_suffix},
    store::ViewKey,
    weights::{FileKind, format_of},
};

/// Files that become one view.
pub(super) struct ViewOfFiles<'f> {
    /// The view.
    pub view: ViewKey,
    /// Each file and its path below the view's folder.
    pub files: Vec<(&'f AppFile, RelPath)>,
}

/// The longest id that is made of a name.
const LONGEST_ID: usize = 96;

impl ModelManager {
    /// The views that the files of a model become. A GGUF file, or the parts of one, is a view of its own; all other files are
    /// one set. A projector goes with the one model that it is beside.
    pub(super) fn views_of<'f>(&self, model: &'f AppModel) -> Vec<ViewOfFiles<'f>> {
        let id = id_of(model);
        let (mut single, mut set): (Vec<&AppFile>, Vec<&AppFile>) = (Vec::new(), Vec::new());
        for file in &model.files {
            let is_gguf = format_of(name_of(file)).is_none_or(|format| format.is_single_file()) && !is_beside(file);
            if is_gguf { single.push(file) } else { set.push(file) }
        }
        let mut views: Vec<ViewOfFiles<'f>> = Vec::new();
        let (beside, models): (Vec<&AppFile>, Vec<&AppFile>) =
            single.into_iter().partition(|file| Role::of_gguf_name(&name_of(file)) != Role::Model);
        for file in models {
            // A blob that is named by its hash may be anything.
            if !name_of(file).ends_with(".gguf") && file.claim.sha256.is_none() && self.kind_by_header(&file.path).is_none() {
                continue;
            }
            let Ok(path) = gguf_name(file, &id).parse::<RelPath>() else { continue };
            let stem = path.as_str().trim_end_matches(".gguf");
            let (unit, _) = split_part_suffix(stem);
            let quant = self.quant_of(file, unit);
            let view = ViewKey { model: id.clone(), format: Format::gguf(), quant: Some(quant) };
            match views.iter_mut().find(|known| known.view == view) {
                // A further part, or another name of the same file.
                Some(known) if known.files.iter().any(|(_, other)| *other == path) => {}
                Some(known) => known.files.push((file, path)),
                None => views.push(ViewOfFiles { view, files: vec![(file, path)] }),
            }
        }
        if let [only] = views.as_mut_slice() {
            let named = beside.iter().filter_map(|file| Some((*file, gguf_name(file, &id).parse().ok()?)));
            only.files.extend(named);
        }
        // A set without weights is no model.
        let weights = set.iter().find_map(|file| format_of(name_of(file)));
        if let Some(format) = weights {
            let named = |file: &&'f AppFile| Some((*file, file.claim.path.clone().or_else(|| name_of(file).parse().ok())?));
            let view = ViewKey { model: id, format, quant: None };
            views.push(ViewOfFiles { view, files: set.iter().filter_map(named).collect() });
        }
        views
    }

    /// The entry of the registry that has content of this hash, as a view, and the path of the file in it.
    pub(super) fn in_registry(&self, digest: &Sha256Digest) -> Option<(ViewKey, RelPath)> {
        let registry = self.registry().ok()?;
        for model in registry.models() {
            for format in &model.formats {
                let quants = format.quants.iter().map(|entry| (Some(&entry.quant), &entry.artifact));
                let whole = format.whole.iter().map(|artifact| (None, artifact));
                for (quant, artifact) in quants.chain(whole) {
                    if let [file] = artifact.files.as_slice()
                        && file.sha256 == Some(*digest)
                    {
                        let view = ViewKey { model: model.id.clone(), format: format.format.clone(), quant: quant.cloned() };
                        let path =
                            if view.format.is_single_file() { file.path.file_name().parse().ok()? } else { file.path.clone() };
                        return Some((view, path));
                    }
                }
            }
        }
        None
    }

    /// The quantization of a GGUF file: by its name, else by its header.
    fn quant_of(&self, file: &AppFile, stem: &str) -> Quant {
        let by_name = quant_in_stem(stem).map(|(_, quant)| quant);
        let by_header = || self.quant_by_header(&file.path).and_then(|quant| quant.to_ascii_lowercase().parse().ok());
        by_name.or_else(by_header).unwrap_or_else(Quant::unknown)
    }
}

/// The id of a model: that of its repository, where it has one, else what the application calls it, as far as it can be one.
fn id_of(model: &AppModel) -> ModelId {
    let repo = model.files.iter().find_map(|file| file.claim.repo.as_ref());
    if let Some(id) = repo.and_then(|repo| repo.as_str().replacen('/', "--", 1).parse().ok()) {
        return id;
    }
    // Of `host/name:tag`, what names the model.
    let name = model.name.rsplit("://").next().unwrap_or(&model.name);
    let plain = |c: char| if c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '+') { c } else { '-' };
    let id: String = name.chars().map(plain).take(LONGEST_ID).collect();
    let id = id.trim_matches(['-', '.']);
    id.parse().unwrap_or_else(|_| ModelId::unnamed())
}

/// The name of a file where it is from: what is claimed, else its own.
fn name_of(file: &AppFile) -> String {
    let claimed = file.claim.path.as_ref().map(|path| path.file_name().to_owned());
    claimed.unwrap_or_else(|| file.path.file_name().unwrap_or_default().to_string_lossy().into_owned())
}

/// The name of a GGUF file in its view. A blob that is named by a hash alone gets that of its model.
fn gguf_name(file: &AppFile, id: &ModelId) -> String {
    let name = name_of(file);
    if name.ends_with(".gguf") { name } else { format!("{id}.gguf") }
}

/// Whether a file goes with weights and is none.
fn is_beside(file: &AppFile) -> bool {
    let name = name_of(file);
    name.contains('.') && FileKind::of(&name).is_none_or(|kind| !kind.holds_weights()) && file.claim.path.is_some()
}
