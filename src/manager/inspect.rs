//! What the files of a model say about themselves: from the disk, or by fetching nothing but their headers.

use super::{FileSupply, ListedModel, ModelManager, WeightsInfo, plan::Plan};
use crate::{
    disk::Open,
    error::{Error, Result},
    http::{Http, Location},
    names::is_projector,
    store::Store,
    weights::{GgufHeader, HeaderError, Parsed, SafetensorsHeader},
};
use futures_util::{StreamExt as _, stream};
use std::path::PathBuf;

/// How much is read of a file first, and at most.
const FIRST_LOOK: u64 = 256 << 10;
const LONGEST_LOOK: u64 = 64 << 20;
/// The longest file of settings that is fetched.
const LONGEST_TEXT: u64 = 32 << 20;
/// Headers that are fetched at once.
const AT_ONCE: usize = 4;

/// What a look gives: the facts, and why there are not more of them.
pub(super) type Looked = (Option<WeightsInfo>, Option<String>);

/// What a file can tell.
enum Role {
    Gguf,
    Safetensors,
    /// `config.json`, the tokenizer's configuration and the chat template: read whole.
    Config,
    Tokenizer,
    Template,
}

enum Told {
    Gguf(GgufHeader),
    Safetensors(SafetensorsHeader),
    Json(Role, serde_json::Value),
    Template(String),
}

impl Role {
    fn of(name: &str) -> Option<Self> {
        let lower = name.to_ascii_lowercase();
        match lower.as_str() {
            "config.json" => Some(Self::Config),
            "tokenizer_config.json" => Some(Self::Tokenizer),
            "chat_template.jinja" => Some(Self::Template),
            _ if lower.ends_with(".gguf") && !is_projector(&lower) => Some(Self::Gguf),
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
            Self::Template => Parsed::Done(Told::Template(String::from_utf8_lossy(head).into_owned())),
            role => {
                let json = serde_json::from_slice(head).map_err(|error| format!("is no JSON: {error}"))?;
                Parsed::Done(Told::Json(role, json))
            }
        })
    }
}

/// Bytes of one file's beginning that are here, and what to get next.
struct Look {
    name: String,
    len: u64,
    head: Vec<u8>,
    want: u64,
}

impl Look {
    fn new(name: &str, len: u64) -> Self {
        Self { name: name.to_owned(), len, head: Vec::new(), want: FIRST_LOOK.min(len) }
    }

    /// What the bytes tell, or nothing if more of them are needed now.
    fn tell(&mut self) -> Option<Result<Told, String>> {
        let fail = |why: &str| Some(Err(format!("{} {why}", self.name)));
        let role = Role::of(&self.name)?;
        match role.parse(&self.head, self.len) {
            Err(why) => fail(&why),
            Ok(Parsed::Done(told)) => Some(Ok(told)),
            Ok(Parsed::NeedMore(bytes)) if bytes > LONGEST_LOOK => fail("has a longer header than is read"),
            Ok(Parsed::NeedMore(_)) if (self.head.len() as u64) < self.want => fail("ended early"),
            Ok(Parsed::NeedMore(bytes)) => {
                self.want = bytes.max(2 * self.want).min(self.len).min(LONGEST_LOOK);
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
        let looks = listed.files.iter().filter(|file| Role::of(file).is_some());
        summed(looks.map(|file| self.look_at_file(file, dir.join(file))).collect())
    }

    /// Looks into the files of a plan: where they are in the store, or at the Hub. Only headers travel.
    pub(super) fn look_at_plan(&self, plan: &Plan, store: Option<&Store>) -> Result<Looked> {
        let hub = self.hub()?;
        let mut all = Vec::new();
        let mut remote = Vec::new();
        for file in plan.files.iter().filter(|file| Role::of(file.path.as_str()).is_some()) {
            let name = file.path.as_str();
            match (file.supply, store, &file.sha256) {
                (FileSupply::Present, Some(store), Some(digest)) => {
                    all.push(self.look_at_file(name, store.layout().blob(digest)));
                }
                (FileSupply::Adopt, ..) => {
                    let path = self.settings.models_dir.join(plan.target.view.dir()).join(file.path.to_path());
                    all.push(self.look_at_file(name, path));
                }
                _ => {
                    let places = hub.locations(&plan.target.repo, &plan.revision, &file.repo_path);
                    remote.push((Look::new(name, file.size.unwrap_or(0)), places));
                }
            }
        }
        if !remote.is_empty() {
            let tries = self.settings.network.tries;
            let looks = remote.into_iter().map(|(look, places)| fetch(hub.http(), look, places, tries));
            let told: Vec<Result<_>> = self.ask(async { Ok(stream::iter(looks).buffered(AT_ONCE).collect().await) })?;
            all.extend(told.into_iter().collect::<Result<Vec<_>>>()?);
        }
        Ok(summed(all))
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

/// Fetches the beginning of a file, as far as its header goes.
async fn fetch(http: &Http, mut look: Look, places: Vec<Location>, tries: u32) -> Result<Result<Told, String>> {
    let mut backoff = crate::http::Backoff::new(tries);
    let mut place = 0;
    loop {
        match fetch_more(http, &mut look, &places[place]).await {
            Ok(()) => {
                if let Some(told) = look.tell() {
                    return Ok(told);
                }
            }
            Err(error) if error.elsewhere() && place + 1 < places.len() => place += 1,
            Err(error) => match backoff.next(&error) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => {
                    let error = Error::from(error);
                    let new = Error::new(error.kind(), format!("{}: {}", look.name, error.message()));
                    return Err(match error.next_step() {
                        Some(hint) => new.hint(hint),
                        None => new,
                    });
                }
            },
        }
    }
}

async fn fetch_more(http: &Http, look: &mut Look, place: &Location) -> Result<(), crate::http::HttpError> {
    let have = look.head.len() as u64;
    if have >= look.want {
        return Ok(());
    }
    let mut body = http.open(place, have..look.want, look.len).await?;
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

/// One answer from what all files tell, the first part first.
fn summed(told: Vec<Result<Told, String>>) -> Looked {
    let mut info = WeightsInfo::default();
    let mut note = None;
    let mut known = false;
    let mut dtypes: std::collections::BTreeMap<String, u64> = std::collections::BTreeMap::new();
    let mut packed = false;
    for told in told {
        match told {
            Err(why) => note = note.or(Some(why)),
            Ok(Told::Gguf(header)) => {
                known = true;
                info.architecture = info.architecture.or(header.architecture);
                info.name = info.name.or(header.name);
                info.context_length = info.context_length.or(header.context_length);
                info.quantization = info.quantization.or(header.quantization);
                info.chat_template = info.chat_template.or(header.chat_template);
                info.parameters = Some(info.parameters.unwrap_or(0).saturating_add(header.parameters));
            }
            Ok(Told::Safetensors(header)) => {
                known = true;
                info.parameters = Some(info.parameters.unwrap_or(0).saturating_add(header.parameters));
                for (dtype, elements) in header.dtypes {
                    *dtypes.entry(dtype).or_default() += elements;
                }
            }
            Ok(Told::Json(Role::Tokenizer, json)) => info.chat_template = info.chat_template.or_else(|| template_of(&json)),
            Ok(Told::Json(_, json)) => {
                let text = |pointer: &str| json.pointer(pointer).and_then(serde_json::Value::as_str).map(str::to_owned);
                let number = |pointer: &str| json.pointer(pointer).and_then(serde_json::Value::as_u64);
                info.architecture = info.architecture.or_else(|| text("/architectures/0")).or_else(|| text("/model_type"));
                let length = number("/max_position_embeddings").or_else(|| number("/text_config/max_position_embeddings"));
                info.context_length = info.context_length.or(length);
                if let Some(method) = text("/quantization_config/quant_method") {
                    packed = method != "fp8";
                    let bits = number("/quantization_config/bits").map(|bits| format!(" {bits} bit"));
                    info.quantization = Some(method + &bits.unwrap_or_default());
                }
            }
            // The file of its own wins over the tokenizer's configuration.
            Ok(Told::Template(text)) => info.chat_template = Some(text),
        }
    }
    if packed {
        // Packed weights have fewer elements than the model has parameters.
        info.parameters = None;
    }
    let commonest = dtypes.into_iter().max_by_key(|(_, elements)| *elements).map(|(dtype, _)| dtype);
    info.quantization = info.quantization.or(commonest);
    (known.then_some(info), note)
}

/// The chat template in a tokenizer's configuration: one text, or several with names.
fn template_of(json: &serde_json::Value) -> Option<String> {
    let template = json.get("chat_template")?;
    let named = || {
        let all = template.as_array()?;
        let default = all.iter().find(|one| one.get("name").is_some_and(|name| name == "default"));
        default.or(all.first())?.get("template")?.as_str()
    };
    template.as_str().or_else(named).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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
        let told = |config| {
            let (config, tokenizer) = (Ok(Told::Json(Role::Config, config)), Ok(Told::Json(Role::Tokenizer, tokenizer.clone())));
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
