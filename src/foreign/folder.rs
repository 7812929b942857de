//! A disk full of files: models are found by their content, whatever they are called.
//!
//! Links and other volumes are not entered. A GGUF file, or the parts of one, is a model. Safetensors files are one where a
//! configuration is beside them, or where they are parts; else each is a model of its own.

use super::{
    AppFile, AppModel, Claim, Scan, Watch,
    flat::is_beside_weights,
    reader::{Limits, Reader, is_unfinished},
};
use crate::{
    disk::{Disk, Entry, Kind, Stat},
    names::{Role, quant_in_stem, split_part_suffix},
    weights::{FileKind, Header, head_check, kind_by_content},
};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::{Path, PathBuf},
};

/// A folder that is not entered.
#[derive(Debug, Clone)]
pub struct LeftOut {
    /// Where; the path without links.
    pub dir: PathBuf,
    /// Why, where that is worth a word.
    pub why: Option<String>,
}

/// Names of folders in which nobody keeps models of their own.
const NOT_ENTERED: [&str; 7] = [".git", ".hg", ".svn", ".jj", "$RECYCLE.BIN", "System Volume Information", "lost+found"];
/// Files that make the folder in which they are one of this program's own: a store, and the views of a project.
const OWN: [&str; 2] = ["STORE.json", ".model-manager.json"];
/// Bytes of a file that are looked at first.
const HEAD: usize = 512;
/// Names that say nothing about the model.
const EMPTY_NAMES: [&str; 9] =
    ["model", "ggml-model", "weights", "consolidated", "pytorch_model", "diffusion_pytorch_model", "adapter_model", "gguf", "ggml"];

/// A file that is weights by its content.
struct Weights {
    name: String,
    path: PathBuf,
    stat: Stat,
    kind: FileKind,
    header: Header,
}

pub(super) fn scan(disk: &dyn Disk, dir: &Path, left_out: &[LeftOut], watch: &Watch) -> Scan {
    let mut reader = Reader::new(disk, watch, Limits::DISK);
    let Ok(top) = disk.canonical(dir) else {
        reader.problem(dir, "it cannot be resolved".to_owned());
        return reader.end();
    };
    let volume = reader.stat(&top).map_or(0, |stat| stat.dev);
    let left_out: HashMap<&Path, &LeftOut> = left_out.iter().map(|folder| (folder.dir.as_path(), folder)).collect();
    let mut walk = Walk { models: Vec::new(), seen: HashSet::new() };
    let mut folders = vec![(top, 0)];
    while let Some((folder, depth)) = folders.pop() {
        if let Some(left_out) = left_out.get(folder.as_path()) {
            if let Some(why) = &left_out.why {
                reader.problem(&folder, why.clone());
            }
            continue;
        }
        let entries = reader.list(&folder);
        if entries.iter().any(|entry| OWN.contains(&entry.name.as_str())) {
            continue;
        }
        let is_whole = entries.iter().any(|entry| entry.name == "model_index.json" && entry.kind == Kind::File);
        if is_whole {
            walk.add_pipeline(&mut reader, &folder);
            continue;
        }
        walk.add_folder(&mut reader, &folder, &entries);
        for entry in entries.into_iter().rev().filter(|entry| entry.kind == Kind::Dir) {
            if NOT_ENTERED.contains(&entry.name.as_str()) || entry.name.starts_with(".Trash") {
                continue;
            }
            let path = folder.join(&entry.name);
            match reader.stat(&path) {
                Some(stat) if stat.dev != volume => reader.problem(&path, "it is another volume".to_owned()),
                _ if depth >= Limits::DISK.depth => reader.problem(&path, "it is too deep below the folder of the scan".to_owned()),
                _ => folders.push((path, depth + 1)),
            }
        }
    }
    let models = walk.named_apart();
    reader.end_with(models)
}

/// What was found so far.
struct Walk {
    /// Each model with its folder.
    models: Vec<(PathBuf, AppModel)>,
    /// Files of which another name was found already.
    seen: HashSet<(u64, u64)>,
}

impl Walk {
    /// The models whose files are in this folder.
    fn add_folder(&mut self, reader: &mut Reader<'_>, folder: &Path, entries: &[Entry]) {
        let mut found: Vec<Weights> = Vec::new();
        for entry in entries {
            let path = folder.join(&entry.name);
            let is_cut = entry.kind == Kind::File && is_unfinished(&entry.name);
            if is_cut && head_check(entry.name.rsplit_once('.').map_or("", |(stem, _)| stem)).is_some() {
                reader.unfinished();
            }
            match entry.kind {
                Kind::File if is_cut => {}
                Kind::File => found.extend(self.weights(reader, &entry.name, path)),
                // A link is another name of something; only one to nothing is worth a word.
                Kind::Symlink if head_check(&entry.name).is_some() => drop(reader.file(&path)),
                _ => {}
            }
        }
        let (gguf, safetensors): (Vec<Weights>, Vec<Weights>) = found.into_iter().partition(|file| file.kind == FileKind::Gguf);
        self.add_gguf(reader, folder, gguf);
        let is_set = entries.iter().any(|entry| {
            entry.kind == Kind::File && matches!(FileKind::of(&entry.name), Some(FileKind::Config | FileKind::ShardIndex))
        });
        let is_part = |file: &Weights| split_part_suffix(stem_of(&file.name)).1.is_some();
        if is_set || (safetensors.len() > 1 && safetensors.iter().all(is_part)) {
            if !safetensors.is_empty() {
                let mut files: Vec<AppFile> = safetensors.iter().map(|file| file.as_safetensors()).collect();
                files.extend(entries.iter().filter(|entry| entry.kind == Kind::File && is_beside_weights(&entry.name)).filter_map(
                    |entry| {
                        let (path, stat) = reader.file(&folder.join(&entry.name)).filter(|(_, stat)| stat.len > 0)?;
                        Some(app_file(path, &stat, Some(&entry.name)))
                    },
                ));
                self.add(folder, name_of_folder(folder), files);
            }
            return;
        }
        for file in safetensors {
            let name = name_of(&file, folder);
            self.add(folder, name, vec![file.as_safetensors()]);
        }
    }

    /// A model of several folders, as the library diffusers writes it.
    fn add_pipeline(&mut self, reader: &mut Reader<'_>, folder: &Path) {
        let mut files = Vec::new();
        for (name, path) in reader.walk(folder) {
            if is_unfinished(&name) {
                reader.unfinished();
            } else if (crate::weights::is_weights(&name) || is_beside_weights(&name))
                && let Some((path, stat)) = reader.file(&path).filter(|(_, stat)| stat.len > 0)
            {
                files.push(app_file(path, &stat, Some(&name)));
            }
        }
        self.add(folder, name_of_folder(folder), files);
    }

    /// GGUF files by the model that their names mean; a projector goes with the one model beside it.
    fn add_gguf(&mut self, reader: &mut Reader<'_>, folder: &Path, files: Vec<Weights>) {
        let mut models: BTreeMap<String, Vec<AppFile>> = BTreeMap::new();
        let (models_of, beside): (Vec<Weights>, Vec<Weights>) = files.into_iter().partition(|file| file.role() == Role::Model);
        for file in models_of {
            models.entry(name_of(&file, folder)).or_default().push(file.as_gguf());
        }
        match models.len() {
            1 => models.values_mut().for_each(|files| files.extend(beside.iter().map(Weights::as_gguf))),
            _ => {
                for file in beside {
                    let why = format!(
                        "it is of the kind `{}` and goes with a model, but there is not one model beside it",
                        file.role().as_str()
                    );
                    reader.problem(&file.path, why);
                }
            }
        }
        for (name, files) in models {
            self.add(folder, name, files);
        }
    }

    /// The file, where it is weights by its content. What only its name says is a problem.
    fn weights(&mut self, reader: &mut Reader<'_>, name: &str, path: PathBuf) -> Option<Weights> {
        if reader.is_stopped() {
            return None;
        }
        let (stat, head) = match reader.head::<HEAD>(&path) {
            Ok(read) => read,
            Err(error) => {
                if head_check(name).is_some() {
                    reader.problem(&path, error.source.to_string());
                }
                return None;
            }
        };
        if stat.nlink > 1 && stat.ino != 0 && !self.seen.insert((stat.dev, stat.ino)) {
            return None;
        }
        let Some(kind) = kind_by_content(&head) else {
            if let Some(check) = head_check(name) {
                let why = match stat.len {
                    0 => "it is empty".to_owned(),
                    len => check(&head, len).err().unwrap_or_else(|| "its content is not what its name says".to_owned()),
                };
                reader.problem(&path, why);
            }
            return None;
        };
        match reader.header(&path, kind) {
            Ok(header) => Some(Weights { name: name.to_owned(), path, stat, kind, header }),
            Err(why) => {
                reader.problem(&path, why);
                None
            }
        }
    }

    fn add(&mut self, folder: &Path, name: String, files: Vec<AppFile>) {
        if !files.is_empty() {
            self.models.push((folder.to_owned(), AppModel { name, files }));
        }
    }

    /// The models; of those with one name and different files, the later ones get the name of their folder as well.
    fn named_apart(mut self) -> Vec<AppModel> {
        let sizes = |model: &AppModel| {
            let name = |file: &AppFile| file.claim.path.as_ref().map(|path| path.as_str().to_lowercase());
            let mut files: Vec<(Option<String>, u64)> = model.files.iter().map(|file| (name(file), file.size)).collect();
            files.sort();
            files
        };
        let mut known: HashMap<String, Vec<(Option<String>, u64)>> = HashMap::new();
        for (folder, model) in &mut self.models {
            let files = sizes(model);
            let first = known.entry(model.name.to_lowercase()).or_insert_with(|| files.clone());
            if *first != files && files.iter().any(|(name, _)| first.iter().any(|(other, _)| other == name)) {
                model.name = format!("{}--{}", name_of_folder(folder), model.name);
            }
        }
        self.models.into_iter().map(|(_, model)| model).collect()
    }
}

impl Weights {
    fn role(&self) -> Role {
        let by_header = match &self.header {
            Header::Gguf(header) => Role::of_gguf_header(header.kind.as_deref(), header.architecture.as_deref()),
            _ => None,
        };
        by_header.unwrap_or_else(|| Role::of_gguf_name(&self.name))
    }

    /// A name that does not say what the file is stays behind: its view gets that of the model.
    fn as_gguf(&self) -> AppFile {
        app_file(self.path.clone(), &self.stat, Some(&self.name).filter(|name| name.ends_with(".gguf")))
    }

    fn as_safetensors(&self) -> AppFile {
        let name = match FileKind::of(&self.name) == Some(FileKind::Safetensors) {
            true => self.name.clone(),
            false => format!("{}.safetensors", self.name),
        };
        app_file(self.path.clone(), &self.stat, Some(&name))
    }
}

fn app_file(path: PathBuf, stat: &Stat, name: Option<&String>) -> AppFile {
    let claim = Claim { path: name.and_then(|name| name.parse().ok()), ..Claim::default() };
    AppFile { path, size: stat.len, id: (stat.dev, stat.ino), claim }
}

fn stem_of(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

fn name_of_folder(folder: &Path) -> String {
    folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// What a model is called: by its file's name without the quantization and the part, else by its header, else by its folder.
fn name_of(file: &Weights, folder: &Path) -> String {
    let stem = match head_check(&file.name) {
        Some(_) => stem_of(&file.name),
        None => &file.name,
    };
    let (stem, _) = split_part_suffix(stem);
    let span = if file.kind == FileKind::Gguf { quant_in_stem(stem).map(|(span, _)| span) } else { None };
    let base = match span {
        Some(span) if span.end == stem.len() => stem.get(..span.start).unwrap_or(stem).trim_end_matches(['.', '-', '_']),
        _ => stem,
    };
    let is_hash = base.len() >= 32 && base.trim_start_matches("sha256-").bytes().all(|byte| byte.is_ascii_hexdigit());
    if !base.is_empty() && !is_hash && !EMPTY_NAMES.contains(&base.to_ascii_lowercase().as_str()) {
        return base.to_owned();
    }
    let by_header = match &file.header {
        Header::Gguf(header) => header.name.clone(),
        Header::Safetensors(header) => header.metadata.get("modelspec.title").cloned(),
        _ => None,
    };
    by_header.filter(|name| !name.trim().is_empty()).unwrap_or_else(|| name_of_folder(folder))
}
