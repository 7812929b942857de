//! What the files of a model say about themselves: from the disk, or by fetching nothing but their headers.

use super::{
    FileSupply, ListedModel, ModelManager, WeightsInfo,
    plan::target::format_of,
    plan::{Plan, PlannedFile},
};
use crate::{
    disk::Open,
    error::{Error, Result},
    event::Event,
    http::{Backoff, Http, HttpError, Location},
    json::{Fact, FromJson, Object},
    names::{self, RelPath, companions, split_part_suffix},
    store::Store,
    weights::{GgufHeader, HeaderError, Parsed, SafetensorsHeader},
};
use futures_util::{StreamExt as _, stream};
use serde::{Deserialize, Deserializer, de::SeqAccess};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};
use tokio::sync::Semaphore;

/// How much is read of a file first, and at most.
const FIRST_LOOK: u64 = 256 << 10;
const LONGEST_LOOK: u64 = 64 << 20;
/// The longest file of settings that is fetched.
const LONGEST_TEXT: u64 = 32 << 20;
const LONGEST_TEMPLATE: u64 = 1 << 20;
/// Headers that are fetched at once; of those that are longer than the first look one at a time, for each is held in memory.
const AT_ONCE: usize = 4;

/// Types of tensors that are counted.
const MOST_DTYPES: usize = 64;

/// What a look gives: the facts, and why there are not more of them.
pub(super) type Looked = (Option<WeightsInfo>, Option<String>);

/// What a file can tell.
#[derive(Clone, Copy)]
enum Role {
    Gguf,
    Safetensors,
    /// `config.json`, the tokenizer's configuration and the chat template: read whole.
    Config,
    Tokenizer,
    Template,
    /// Any other small file: read whole, and not looked into.
    Text,
}

enum Told {
    Gguf(GgufHeader),
    Safetensors(SafetensorsHeader),
    Config(Box<Config>),
    /// The template of the tokenizer's configuration, and of a file of its own.
    Tokenizer(Option<String>),
    Template(String),
    Text(Vec<u8>),
}

impl Role {
    fn of(name: &str) -> Option<Self> {
        let lower = name.to_ascii_lowercase();
        match lower.as_str() {
            "config.json" => Some(Self::Config),
            "tokenizer_config.json" => Some(Self::Tokenizer),
            "chat_template.jinja" => Some(Self::Template),
            _ if lower.ends_with(".gguf") => Some(Self::Gguf),
            _ if lower.ends_with(".safetensors") => Some(Self::Safetensors),
            _ => None,
        }
    }

    /// Reads what the first bytes tell.
    fn parse(self, head: &[u8], len: u64) -> Result<Parsed<Told>, String> {
        let text = |error: HeaderError| error.to_string();
        Ok(match self {
            Self::Gguf => match GgufHeader::parse(head, len).map_err(text)? {
                Parsed::Done(header) => Parsed::Done(Told::Gguf(header)),
                Parsed::NeedMore(bytes) => Parsed::NeedMore(bytes),
            },
            Self::Safetensors => match SafetensorsHeader::parse(head, len).map_err(text)? {
                Parsed::Done(header) => Parsed::Done(Told::Safetensors(header)),
                Parsed::NeedMore(bytes) => Parsed::NeedMore(bytes),
            },
            _ if len > LONGEST_TEXT => return Err("is longer than such a file can be".into()),
            _ if (head.len() as u64) < len => Parsed::NeedMore(len),
            Self::Text => Parsed::Done(Told::Text(head.to_vec())),
            Self::Template if len > LONGEST_TEMPLATE => return Err("is longer than such a file can be".into()),
            Self::Template => Parsed::Done(Told::Template(String::from_utf8_lossy(head).into_owned())),
            Self::Config => Parsed::Done(Told::Config(json(head)?)),
            Self::Tokenizer => Parsed::Done(Told::Tokenizer(json::<Tokenizer>(head)?.chat_template.0)),
        })
    }
}

/// Bytes of one file's beginning that are here, and what to get next.
struct Look {
    name: String,
    role: Option<Role>,
    len: u64,
    head: Vec<u8>,
    want: u64,
}

impl Look {
    fn new(name: &str, len: u64) -> Self {
        Self { name: name.to_owned(), role: Role::of(name), len, head: Vec::new(), want: FIRST_LOOK.min(len) }
    }

    /// At all of a small file.
    fn whole(name: &str, len: u64) -> Self {
        Self { role: Some(Role::Text), want: len.min(LONGEST_TEXT), ..Self::new(name, len) }
    }

    /// What the bytes tell, or nothing if more of them are needed now.
    fn tell(&mut self) -> Option<Result<Told, String>> {
        let fail = |why: &str| Some(Err(format!("{} {why}", self.name)));
        match self.role?.parse(&self.head, self.len) {
            Err(why) => fail(&why),
            Ok(Parsed::Done(told)) => Some(Ok(told)),
            Ok(Parsed::NeedMore(bytes)) if bytes > LONGEST_LOOK => fail("has a longer header than is read"),
            Ok(Parsed::NeedMore(_)) if (self.head.len() as u64) < self.want => fail("ended early"),
            Ok(Parsed::NeedMore(bytes)) => {
                self.want = bytes.max(2 * self.want).min(self.len).min(LONGEST_LOOK);
                self.head.reserve_exact((self.want as usize).saturating_sub(self.head.len()));
                None
            }
        }
    }
}

impl ModelManager {
    /// Looks into the files of a model that is here.
    pub(super) fn look_at_view(&self, listed: &ListedModel) -> Looked {
        let mut dir = self.settings.models_dir.join(&listed.model).join(&listed.format);
        dir.extend(&listed.quant);
        let paths: Vec<RelPath> = listed.files.iter().filter_map(|file| file.parse().ok()).collect();
        let mut sum = Sum::default();
        telling(&paths).for_each(|path| sum.add(self.look_at_file(path.as_str(), dir.join(path.to_path()))));
        sum.done()
    }

    /// Looks into the files of a plan: where they are in the store, or at the Hub. Only headers travel.
    pub(super) fn look_at_plan(&self, plan: &Plan, store: Option<&Store>) -> Result<Looked> {
        let hub = self.hub()?;
        let mut sum = Sum::default();
        let mut remote = Vec::new();
        let looked: BTreeSet<&RelPath> = telling(plan.files.iter().map(|file| &file.path)).collect();
        for file in plan.files.iter().filter(|file| looked.contains(&file.path)) {
            let name = file.path.as_str();
            match (file.supply, store, &file.sha256) {
                (FileSupply::Present, Some(store), Some(digest)) => {
                    sum.add(self.look_at_file(name, store.layout().blob(digest)));
                }
                (FileSupply::Adopt, ..) => {
                    let path = self.settings.models_dir.join(plan.target.view.dir()).join(file.path.to_path());
                    sum.add(self.look_at_file(name, path));
                }
                _ => {
                    let places = hub.locations(&plan.target.repo, &plan.revision, &file.repo_path);
                    remote.push((Look::new(name, file.size.unwrap_or(0)), places));
                }
            }
        }
        if !remote.is_empty() {
            let tries = self.settings.network.tries;
            let long = Semaphore::new(1);
            let looks = remote.into_iter().map(|(look, places)| fetch(hub.http(), look, places, tries, &long));
            let remote: Sum = self.ask(async {
                let mut told = stream::iter(looks).buffered(AT_ONCE);
                while let Some(told) = told.next().await {
                    sum.add(told?);
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
    pub(super) fn role_by_header(&self, path: &Path) -> Option<names::Role> {
        match self.look_at_file("x.gguf", path.to_owned()) {
            Ok(Told::Gguf(header)) => role_of(&header),
            _ => None,
        }
    }

    /// The role of a GGUF file that is here: by its header, or else by its name.
    pub(super) fn role_here(&self, path: &Path) -> Option<names::Role> {
        let name = || path.file_name().map(|name| names::Role::of_gguf_name(&name.to_string_lossy()));
        self.role_by_header(path).or_else(name)
    }

    /// All of a small file of a plan, from the Hub.
    pub(super) async fn text_of(&self, plan: &Plan, file: &PlannedFile) -> Result<Option<Vec<u8>>> {
        let Some(len) = file.size.filter(|len| *len <= LONGEST_TEXT) else { return Ok(None) };
        let hub = self.hub()?;
        let look = Look::whole(file.path.as_str(), len);
        let places = hub.locations(&plan.target.repo, &plan.revision, &file.repo_path);
        Ok(match fetch(hub.http(), look, places, self.settings.network.tries, &Semaphore::new(1)).await? {
            Ok(Told::Text(text)) => Some(text),
            _ => None,
        })
    }

    fn look_at_file(&self, name: &str, path: PathBuf) -> Result<Told, String> {
        let read = || -> Result<Result<Told, String>, crate::disk::DiskError> {
            let file = self.disk.open(&path, Open::Read)?;
            let mut look = Look::new(name, file.stat()?.len);
            loop {
                let have = look.head.len();
                look.head.resize(look.want as usize, 0);
                let got = file.read_at(&mut look.head[have..], have as u64)?;
                look.head.truncate(have + got);
                if let Some(told) = look.tell() {
                    return Ok(told);
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

/// Files of one view whose headers or settings describe the model.
fn telling<'p>(paths: impl IntoIterator<Item = &'p RelPath>) -> impl Iterator<Item = &'p RelPath> {
    let paths: Vec<&RelPath> = paths.into_iter().filter(|path| Role::of(path.as_str()).is_some()).collect();
    let beside = companions(paths.iter().copied());
    paths.into_iter().filter(move |path| !beside.contains(path))
}

fn role_of(header: &GgufHeader) -> Option<names::Role> {
    names::Role::of_gguf_header(header.kind.as_deref(), header.architecture.as_deref())
}

/// Fetches the beginning of a file, as far as its header goes.
async fn fetch(http: &Http, mut look: Look, places: Vec<Location>, tries: u32, long: &Semaphore) -> Result<Result<Told, String>> {
    let mut backoff = Backoff::new(tries);
    let mut place = 0;
    let mut is_whole = false;
    let mut permit = None;
    loop {
        match fetch_more(http, &mut look, &places[place], is_whole).await {
            Ok(()) => {
                if let Some(told) = look.tell() {
                    return Ok(told);
                }
                if permit.is_none() {
                    permit = long.acquire().await.ok();
                }
            }
            Err(error) if (error.elsewhere() || error.is_refusal()) && place + 1 < places.len() => {
                http.report(&Event::Elsewhere { why: error.to_string() });
                place += 1;
            }
            Err(error) => match backoff.next(&error) {
                Some(pause) => {
                    place = 0;
                    tokio::time::sleep(pause).await;
                }
                // A server whose ranges are wrong may still have the right file; its beginning is all that is read.
                None if error.is_about_ranges() && !is_whole => {
                    (is_whole, place, backoff) = (true, 0, Backoff::new(tries));
                }
                None => {
                    let error = Error::from(error);
                    let hints = error.hints().to_vec();
                    return Err(Error::new(error.kind(), format!("{}: {}", look.name, error.message()))
                        .with_hints(hints)
                        .caused_by(error));
                }
            },
        }
    }
}

async fn fetch_more(http: &Http, look: &mut Look, place: &Location, is_whole: bool) -> Result<(), HttpError> {
    let have = look.head.len() as u64;
    if have >= look.want {
        return Ok(());
    }
    let mut body = match is_whole {
        true => http.open_whole(place, look.len).await?,
        false => http.open(place, have..look.want, look.len).await?,
    };
    if body.start() != have {
        look.head.clear();
    }
    while (look.head.len() as u64) < look.want {
        match body.chunk().await? {
            Some(chunk) => look.head.extend_from_slice(&chunk),
            None => break,
        }
    }
    Ok(())
}

/// JSON, as far as it is asked for.
fn json<T: serde::de::DeserializeOwned>(text: &[u8]) -> Result<T, String> {
    serde_json::from_slice(text).map_err(|error| format!("is no JSON: {error}"))
}

/// The fields that are read of `config.json`.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Config {
    architectures: Fact,
    model_type: Fact,
    max_position_embeddings: Fact,
    text_config: Object<TextConfig>,
    quantization_config: Object<Quantization>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct TextConfig {
    max_position_embeddings: Fact,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Quantization {
    quant_method: Fact,
    bits: Fact,
}

/// The fields that are read of `tokenizer_config.json`.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Tokenizer {
    chat_template: Template,
}

/// The chat template in a tokenizer's configuration: one text, or of several with names the default or the first.
#[derive(Default)]
struct Template(Option<String>);

#[derive(Deserialize, Default)]
#[serde(default)]
struct Named {
    name: Fact,
    template: Fact,
}

impl<'de> FromJson<'de> for Template {
    const EXPECTED: &'static str = "a template, or a list of templates";

    fn other() -> Option<Self> {
        None
    }
    fn null() -> Option<Self> {
        Some(Self(None))
    }
    fn text(text: &str) -> Option<Self> {
        Some(Self((text.len() as u64 <= LONGEST_TEMPLATE).then(|| text.to_owned())))
    }
    fn list<A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        let mut found = None;
        while let Some(element) = list.next_element::<Object<Named>>()? {
            let Object::Read(named) = element else { continue };
            if found.is_none() || named.name.text() == Some("default") {
                found = named.template.text().map(str::to_owned);
            }
        }
        Ok(Self(found))
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_json(deserializer)
    }
}

/// One answer from what all files tell, the first part first.
#[derive(Default)]
struct Sum {
    info: WeightsInfo,
    note: Option<String>,
    known: bool,
    dtypes: BTreeMap<String, u64>,
    packed: bool,
    /// Headers of companions, which speak where there is no model.
    beside: Vec<GgufHeader>,
}

impl Sum {
    fn add(&mut self, told: Result<Told, String>) {
        let info = &mut self.info;
        match told {
            Err(why) => self.note = self.note.take().or(Some(why)),
            Ok(Told::Text(_)) => {}
            Ok(Told::Gguf(header)) if role_of(&header).is_some() => self.beside.push(header),
            Ok(Told::Gguf(header)) => self.add_gguf(header),
            Ok(Told::Safetensors(header)) => {
                self.known = true;
                info.parameters = Some(info.parameters.unwrap_or(0).saturating_add(header.parameters));
                for (dtype, elements) in header.dtypes {
                    if self.dtypes.len() < MOST_DTYPES || self.dtypes.contains_key(&dtype) {
                        let sum = self.dtypes.entry(dtype).or_default();
                        *sum = sum.saturating_add(elements);
                    }
                }
            }
            Ok(Told::Tokenizer(template)) => info.chat_template = info.chat_template.take().or(template),
            Ok(Told::Config(config)) => {
                let text = |fact: &Fact| fact.text().map(str::to_owned);
                let architecture = config.architectures.texts().first().cloned().or_else(|| text(&config.model_type));
                info.architecture = info.architecture.take().or(architecture);
                let nested = config.text_config.get().and_then(|nested| nested.max_position_embeddings.number());
                info.context_length = info.context_length.or(config.max_position_embeddings.number()).or(nested);
                let quantization = config.quantization_config.get();
                if let Some((method, bits)) = quantization.and_then(|q| Some((text(&q.quant_method)?, q.bits.number()))) {
                    self.packed = method != "fp8";
                    let bits = bits.map(|bits| format!(" {bits} bit"));
                    info.quantization = Some(method + &bits.unwrap_or_default());
                }
            }
            // The file of its own wins over the tokenizer's configuration.
            Ok(Told::Template(text)) => info.chat_template = Some(text),
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

    fn done(mut self) -> Looked {
        if !self.known {
            self.info.role = self.beside.first().and_then(role_of).map(names::Role::as_str);
            std::mem::take(&mut self.beside).into_iter().for_each(|header| self.add_gguf(header));
        }
        if self.packed {
            // Packed weights have fewer elements than the model has parameters.
            self.info.parameters = None;
        }
        let commonest = self.dtypes.into_iter().max_by_key(|(_, elements)| *elements).map(|(dtype, _)| dtype);
        self.info.quantization = self.info.quantization.or(commonest);
        (self.known.then_some(self.info), self.note)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn summed(told: Vec<Result<Told, String>>) -> Looked {
        let mut sum = Sum::default();
        told.into_iter().for_each(|told| sum.add(told));
        sum.done()
    }

    #[test]
    fn parts_add_up_and_the_first_one_speaks() {
        let part = |parameters, name: Option<&str>| {
            Ok(Told::Gguf(GgufHeader { parameters, architecture: name.map(str::to_owned), ..GgufHeader::default() }))
        };
        let (info, note) = summed(vec![part(5, Some("llama")), Err("x is damaged".into()), part(7, None)]);
        let info = info.unwrap();
        assert_eq!((info.parameters, info.architecture.as_deref()), (Some(12), Some("llama")));
        assert_eq!(note.as_deref(), Some("x is damaged"));
        assert_eq!(summed(vec![]), (None, None));
    }

    #[test]
    fn a_set_speaks_through_its_configuration() {
        let shard = |dtype: &str, n| {
            let dtypes = [(dtype.to_owned(), n)].into();
            Ok(Told::Safetensors(SafetensorsHeader { parameters: n, dtypes, ..SafetensorsHeader::default() }))
        };
        let config = json!({"architectures": ["LlamaForCausalLM"], "max_position_embeddings": 4096});
        let tokenizer = json!({"chat_template": [{"name": "tool", "template": "t"}, {"name": "default", "template": "d"}]});
        let told = |config: serde_json::Value| {
            let read = |role: Role, json: &serde_json::Value| {
                let text = json.to_string();
                match role.parse(text.as_bytes(), text.len() as u64).unwrap() {
                    Parsed::Done(told) => Ok(told),
                    Parsed::NeedMore(_) => panic!("all of it is there"),
                }
            };
            let (config, tokenizer) = (read(Role::Config, &config), read(Role::Tokenizer, &tokenizer));
            summed(vec![config, tokenizer, shard("BF16", 9), shard("F32", 1)]).0.unwrap()
        };
        let info = told(config);
        assert_eq!((info.architecture.as_deref(), info.context_length), (Some("LlamaForCausalLM"), Some(4096)));
        assert_eq!((info.parameters, info.quantization.as_deref()), (Some(10), Some("BF16")));
        assert_eq!(info.chat_template.as_deref(), Some("d"));
        let awq = told(json!({"quantization_config": {"quant_method": "awq", "bits": 4}}));
        assert_eq!((awq.parameters, awq.quantization.as_deref()), (None, Some("awq 4 bit")));
    }
}
