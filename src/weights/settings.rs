//! What the settings beside weights say: `config.json` and `tokenizer_config.json`, as far as they are asked for.

use crate::json::{Fact, FromJson, Object};
use serde::{Deserialize, Deserializer, de::SeqAccess};

/// The longest chat template that is kept.
pub(super) const LONGEST_TEMPLATE: u64 = 1 << 20;

/// Reads JSON, as far as it is asked for.
pub(super) fn read_json<T: serde::de::DeserializeOwned>(text: &[u8]) -> Result<T, String> {
    serde_json::from_slice(text).map_err(|error| format!("is no JSON: {error}"))
}

/// The fields that are read of `config.json`.
#[derive(Debug, Deserialize, Default)]
#[serde(default)]
pub struct ModelConfig {
    architectures: Fact,
    model_type: Fact,
    max_position_embeddings: Fact,
    text_config: Object<TextConfig>,
    quantization_config: Object<QuantizationConfig>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(default)]
struct TextConfig {
    max_position_embeddings: Fact,
}

#[derive(Debug, Deserialize, Default)]
#[serde(default)]
struct QuantizationConfig {
    quant_method: Fact,
    bits: Fact,
}

impl ModelConfig {
    /// The first architecture, or else the model's type.
    pub fn architecture(&self) -> Option<String> {
        self.architectures.texts().first().cloned().or_else(|| self.model_type.text().map(str::to_owned))
    }

    /// The longest context in tokens.
    pub fn context_length(&self) -> Option<u64> {
        let nested = || self.text_config.get()?.max_position_embeddings.number();
        self.max_position_embeddings.number().or_else(nested)
    }

    /// How the weights were quantized: the method, and the bits of an element where they are named.
    pub fn quantization(&self) -> Option<(&str, Option<u64>)> {
        let config = self.quantization_config.get()?;
        Some((config.quant_method.text()?, config.bits.number()))
    }
}

/// The fields that are read of `tokenizer_config.json`.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct TokenizerConfig {
    chat_template: Templates,
}

impl TokenizerConfig {
    /// The chat template: of several with names the default or the first.
    pub(super) fn into_chat_template(self) -> Option<String> {
        self.chat_template.0
    }
}

/// One chat template, chosen of all that are there.
#[derive(Default)]
struct Templates(Option<String>);

#[derive(Deserialize, Default)]
#[serde(default)]
struct NamedTemplate {
    name: Fact,
    template: Fact,
}

impl<'de> FromJson<'de> for Templates {
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
        while let Some(element) = list.next_element::<Object<NamedTemplate>>()? {
            let Object::Read(named) = element else { continue };
            if found.is_none() || named.name.text() == Some("default") {
                found = named.template.text().map(str::to_owned);
            }
        }
        Ok(Self(found))
    }
}

impl<'de> Deserialize<'de> for Templates {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_json(deserializer)
    }
}
