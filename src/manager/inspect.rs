//! What the files of a model say about themselves: from the disk, or by fetching nothing but their headers.

use super::{
    FileSupply, ListedModel, ModelManager, WeightsInfo,
    beginning::fetch,
    plan::{Plan, PlannedFile},
};
use crate::{
    disk::Open,
    error::Result,
    names::{RelPath, Role, companions, split_part_suffix},
    store::Store,
    weights::{FileKind, GgufHeader, Header, HeaderReader, format_of},
};
use futures_util::{StreamExt as _, stream};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};
use tokio::sync::Semaphore;

/// Headers that are fetched at once; of those that are longer than the first look one at a time, for each is held in memory.
const AT_ONCE: usize = 4;

/// Types of tensors that are counted.
const MOST_DTYPES: usize = 64;

/// What the headers of a model's files say together.
#[derive(Debug, PartialEq)]
pub(super) struct Inspection {
    /// The facts, where there are any.
    pub(super) info: Option<WeightsInfo>,
    /// Why there are not more of them.
    pub(super) note: Option<String>,
}

impl ModelManager {
    /// Reads the headers of a model that is here.
    pub(super) fn inspect_view(&self, listed: &ListedModel) -> Inspection {
        let mut dir = self.settings.models_dir.join(&listed.model).join(&listed.format);
        dir.extend(&listed.quant);
        let paths: Vec<RelPath> = listed.files.iter().filter_map(|file| file.file.parse().ok()).collect();
        let mut sum = Summary::default();
        describing(&paths).for_each(|path| sum.add(self.read_header(path.as_str(), dir.join(path.to_path()))));
        sum.done()
    }

    /// Reads the headers of a plan's files: in the store, in the view, or from the Hub. Only headers travel.
    pub(super) fn inspect_plan(&self, plan: &Plan, store: Option<&Store>) -> Result<Inspection> {
        let sources = self.sources()?;
        let mut sum = Summary::default();
        let mut remote = Vec::new();
        let described: BTreeSet<&RelPath> = describing(plan.files.iter().map(|file| &file.path)).collect();
        for file in plan.files.iter().filter(|file| described.contains(&file.path)) {
            let name = file.path.as_str();
            match (file.supply, store, &file.sha256) {
                (FileSupply::Present, Some(store), Some(digest)) => {
                    sum.add(self.read_header(name, store.layout().blob(digest)));
                }
                (FileSupply::Local, ..) if file.found.is_some() => {
                    let blob = file.found.iter().map(|found| found.store.layout().blob(&found.digest));
                    blob.for_each(|blob| sum.add(self.read_header(name, blob)));
                }
                (FileSupply::Local, ..) if file.in_app.is_some() => {
                    let path = file.in_app.iter().map(|found| found.file.path.clone());
                    path.for_each(|path| sum.add(self.read_header(name, path)));
                }
                (FileSupply::Adopt, ..) => {
                    let path = self.settings.models_dir.join(plan.target.view.dir()).join(file.path.to_path());
                    sum.add(self.read_header(name, path));
                }
                _ => {
                    let places = plan.places(sources, file)?;
                    remote.push((HeaderReader::new(name, file.size.unwrap_or(0)), places));
                }
            }
        }
        if !remote.is_empty() {
            let tries = self.settings.network.tries;
            let long = Semaphore::new(1);
            let fetches = remote.into_iter().map(|(reader, places)| fetch(sources.http(), reader, places, tries, &long));
            let remote: Summary = self.ask(async {
                let mut headers = stream::iter(fetches).buffered(AT_ONCE);
                while let Some(header) = headers.next().await {
                    sum.add(header?);
                }
                Ok(sum)
            })?;
            return Ok(remote.done());
        }
        Ok(sum.done())
    }

    /// The model among the files in a GGUF view's folder: the first that is no companion by its name and, where several
    /// could be it, by its header.
    pub(super) fn model_among<'p>(&self, dir: &Path, files: impl IntoIterator<Item = &'p RelPath>) -> Option<&'p RelPath> {
        let mut paths: Vec<&RelPath> = files.into_iter().collect();
        paths.sort();
        let is_gguf = |path: &&RelPath| format_of(path).is_some_and(|format| format.is_single_file());
        let beside = companions(paths.iter().copied());
        let mut models: Vec<&RelPath> = paths.iter().copied().filter(|path| is_gguf(path) && !beside.contains(path)).collect();
        // Parts of one file are not several.
        models.dedup_by(|a, b| unit_of(a) == unit_of(b));
        let first = models.first().or(paths.first()).copied();
        if models.len() < 2 {
            return first;
        }
        models.into_iter().find(|path| self.role_by_header(&dir.join(path.to_path())).is_none()).or(first)
    }

    /// The role that the header of a local GGUF file names; `None` for a plain model.
    pub(super) fn role_by_header(&self, path: &Path) -> Option<Role> {
        match self.read_header("x.gguf", path.to_owned()) {
            Ok(Header::Gguf(header)) => role_of(&header),
            _ => None,
        }
    }

    /// How most of the weights of a GGUF file are kept, as its header says.
    pub(super) fn quant_by_header(&self, path: &Path) -> Option<String> {
        match self.read_header("x.gguf", path.to_owned()) {
            Ok(Header::Gguf(header)) => header.quantization,
            _ => None,
        }
    }

    /// The kind of model and the quantization that the header of a GGUF file names; `None` where it is no model.
    pub(super) fn kind_by_header(&self, path: &Path) -> Option<(Option<String>, Option<String>)> {
        match self.read_header("x.gguf", path.to_owned()) {
            Ok(Header::Gguf(header)) if role_of(&header).is_none() => Some((header.architecture, header.quantization)),
            _ => None,
        }
    }

    /// The role of a GGUF file that is here: by its header, or else by its name.
    pub(super) fn role_here(&self, path: &Path) -> Option<Role> {
        let name = || path.file_name().map(|name| Role::of_gguf_name(&name.to_string_lossy()));
        self.role_by_header(path).or_else(name)
    }

    /// All of a small file of a plan, from the Hub.
    pub(super) async fn text_of(&self, plan: &Plan, file: &PlannedFile) -> Result<Option<Vec<u8>>> {
        let Some(len) = file.size.filter(|len| *len <= HeaderReader::LONGEST_TEXT) else { return Ok(None) };
        let sources = self.sources()?;
        let reader = HeaderReader::whole(file.path.as_str(), len);
        let places = plan.places(sources, file)?;
        Ok(match fetch(sources.http(), reader, places, self.settings.network.tries, &Semaphore::new(1)).await? {
            Ok(Header::Text(text)) => Some(text),
            _ => None,
        })
    }

    fn read_header(&self, name: &str, path: PathBuf) -> Result<Header, String> {
        let read = || -> Result<Result<Header, String>, crate::disk::DiskError> {
            let file = self.disk.open(&path, Open::Read)?;
            file.keep_access_time();
            let mut reader = HeaderReader::new(name, file.stat()?.len);
            loop {
                reader.fill(|buffer, at| file.read_at(buffer, at))?;
                if let Some(header) = reader.header() {
                    return Ok(header);
                }
            }
        };
        read().unwrap_or_else(|error| Err(error.to_string()))
    }
}

/// What parts of one split file have in common.
fn unit_of(path: &RelPath) -> &str {
    split_part_suffix(path.as_str().rsplit_once('.').map_or(path.as_str(), |(stem, _)| stem)).0
}

/// Those files of a view whose headers or settings describe the model. Settings do in its root folder only.
fn describing<'p>(paths: impl IntoIterator<Item = &'p RelPath>) -> impl Iterator<Item = &'p RelPath> {
    let paths: Vec<&RelPath> = paths.into_iter().filter(|path| describes(path)).collect();
    let beside = companions(paths.iter().copied());
    paths.into_iter().filter(move |path| !beside.contains(path))
}

fn describes(path: &RelPath) -> bool {
    let kind = FileKind::of(path);
    kind.is_some_and(|kind| Header::is_in(kind) && (kind.is_weights() || path.depth() == 0))
}

fn role_of(header: &GgufHeader) -> Option<Role> {
    Role::of_gguf_header(header.kind.as_deref(), header.architecture.as_deref())
}

/// One answer from the headers of all files, the first part first.
#[derive(Default)]
struct Summary {
    info: WeightsInfo,
    note: Option<String>,
    known: bool,
    dtypes: BTreeMap<String, u64>,
    packed: bool,
    /// Headers of companions, which speak where there is no model.
    beside: Vec<GgufHeader>,
}

impl Summary {
    fn add(&mut self, header: Result<Header, String>) {
        let info = &mut self.info;
        match header {
            Err(why) => self.note = self.note.take().or(Some(why)),
            Ok(Header::Text(_)) => {}
            Ok(Header::Gguf(header)) if role_of(&header).is_some() => self.beside.push(header),
            Ok(Header::Gguf(header)) => self.add_gguf(header),
            Ok(Header::Safetensors(header)) => {
                self.known = true;
                info.parameters = Some(info.parameters.unwrap_or(0).saturating_add(header.parameters));
                for (dtype, elements) in header.dtypes {
                    if self.dtypes.len() < MOST_DTYPES || self.dtypes.contains_key(&dtype) {
                        let sum = self.dtypes.entry(dtype).or_default();
                        *sum = sum.saturating_add(elements);
                    }
                }
            }
            Ok(Header::TokenizerConfig(template)) => info.chat_template = info.chat_template.take().or(template),
            Ok(Header::Config(config)) => {
                info.architecture = info.architecture.take().or(config.architecture());
                info.context_length = info.context_length.or(config.context_length());
                if let Some((method, bits)) = config.quantization() {
                    self.packed = method != "fp8";
                    let bits = bits.map(|bits| format!(" {bits} bit"));
                    info.quantization = Some(method.to_owned() + &bits.unwrap_or_default());
                }
            }
            // The file of its own wins over the tokenizer's configuration.
            Ok(Header::ChatTemplate(text)) => info.chat_template = Some(text),
        }
    }

    fn add_gguf(&mut self, header: GgufHeader) {
        let info = &mut self.info;
        self.known = true;
        info.architecture = info.architecture.take().or(header.architecture);
        info.name = info.name.take().or(header.name);
        info.context_length = info.context_length.or(header.context_length);
        info.quantization = info.quantization.take().or(header.quantization);
        info.chat_template = info.chat_template.take().or(header.chat_template);
        info.parameters = Some(info.parameters.unwrap_or(0).saturating_add(header.parameters));
    }

    fn done(mut self) -> Inspection {
        if !self.known {
            self.info.role = self.beside.first().and_then(role_of);
            std::mem::take(&mut self.beside).into_iter().for_each(|header| self.add_gguf(header));
        }
        if self.packed {
            // Packed weights have fewer elements than the model has parameters.
            self.info.parameters = None;
        }
        let commonest = self.dtypes.into_iter().max_by_key(|(_, elements)| *elements).map(|(dtype, _)| dtype);
        self.info.quantization = self.info.quantization.or(commonest);
        Inspection { info: self.known.then_some(self.info), note: self.note }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::SafetensorsHeader;
    use serde_json::json;

    fn summed(headers: Vec<Result<Header, String>>) -> Inspection {
        let mut sum = Summary::default();
        headers.into_iter().for_each(|header| sum.add(header));
        sum.done()
    }

    #[test]
    fn parts_add_up_and_the_first_one_speaks() {
        let part = |parameters, name: Option<&str>| {
            Ok(Header::Gguf(GgufHeader { parameters, architecture: name.map(str::to_owned), ..GgufHeader::default() }))
        };
        let Inspection { info, note } = summed(vec![part(5, Some("llama")), Err("x is damaged".into()), part(7, None)]);
        let info = info.unwrap();
        assert_eq!((info.parameters, info.architecture.as_deref()), (Some(12), Some("llama")));
        assert_eq!(note.as_deref(), Some("x is damaged"));
        assert_eq!(summed(vec![]), Inspection { info: None, note: None });
    }

    #[test]
    fn a_set_speaks_through_its_configuration() {
        let shard = |dtype: &str, n| {
            let dtypes = [(dtype.to_owned(), n)].into();
            Ok(Header::Safetensors(SafetensorsHeader { parameters: n, dtypes, ..SafetensorsHeader::default() }))
        };
        let config = json!({"architectures": ["LlamaForCausalLM"], "max_position_embeddings": 4096});
        let tokenizer = json!({"chat_template": [{"name": "tool", "template": "t"}, {"name": "default", "template": "d"}]});
        let inspected = |config: serde_json::Value| {
            let read = |name: &str, json: &serde_json::Value| {
                let text = json.to_string();
                let mut reader = HeaderReader::new(name, text.len() as u64);
                reader.push(text.as_bytes());
                reader.header().unwrap()
            };
            let (config, tokenizer) = (read("config.json", &config), read("tokenizer_config.json", &tokenizer));
            summed(vec![config, tokenizer, shard("BF16", 9), shard("F32", 1)]).info.unwrap()
        };
        let info = inspected(config);
        assert_eq!((info.architecture.as_deref(), info.context_length), (Some("LlamaForCausalLM"), Some(4096)));
        assert_eq!((info.parameters, info.quantization.as_deref()), (Some(10), Some("BF16")));
        assert_eq!(info.chat_template.as_deref(), Some("d"));
        let awq = inspected(json!({"quantization_config": {"quant_method": "awq", "bits": 4}}));
        assert_eq!((awq.parameters, awq.quantization.as_deref()), (None, Some("awq 4 bit")));
    }
}
