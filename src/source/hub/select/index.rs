//! What an index of weights names.

use super::super::SourceError;
use crate::json::{Fact, FromJson, Object};
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess},
};
use std::collections::BTreeSet;

/// Files that an index may name.
const MOST_SHARDS: usize = 100_000;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Index {
    weight_map: Object<Shards>,
}

/// The files that the values of a map name.
struct Shards(BTreeSet<String>);

impl<'de> FromJson<'de> for Shards {
    const EXPECTED: &'static str = "a map of tensors to files";

    fn other() -> Option<Self> {
        None
    }
    fn object<A: MapAccess<'de>>(mut object: A) -> Result<Self, A::Error> {
        let mut named = BTreeSet::new();
        while object.next_key::<IgnoredAny>()?.is_some() {
            if let Some(name) = object.next_value::<Fact>()?.text().filter(|_| named.len() <= MOST_SHARDS) {
                named.insert(name.to_owned());
            }
        }
        Ok(Self(named))
    }
}

impl<'de> Deserialize<'de> for Shards {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_json(deserializer)
    }
}

/// Names that an `*.index.json` lists and that are not among the names beside it; an error if it is no index.
pub fn missing_from_index(index: &[u8], there: &[&str]) -> Result<Vec<String>, SourceError> {
    let refuse = |why: &str| SourceError::Answer { url: "the index of the weights".into(), why: why.into() };
    let index: Index = serde_json::from_slice(index).map_err(|_| refuse("it is not JSON"))?;
    let Object::Read(Shards(named)) = index.weight_map else { return Err(refuse("it has no `weight_map`")) };
    if named.len() > MOST_SHARDS {
        return Err(refuse("it names more files than a set can have"));
    }
    let there: BTreeSet<&str> = there.iter().copied().collect();
    Ok(named.into_iter().filter(|name| !there.contains(name.as_str())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_held_against_the_chosen_files() {
        let index = br#"{"weight_map":{"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}}"#;
        assert_eq!(missing_from_index(index, &["model-00001-of-00002.safetensors"]).unwrap(), ["model-00002-of-00002.safetensors"]);
        assert!(missing_from_index(b"[]", &[]).is_err());
    }
}
