//! Reads foreign JSON and keeps only the fields that are asked for. Everything else, however long and deep, is skipped.

mod elements;

pub use elements::Elements;

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};
use std::{fmt, marker::PhantomData};

/// The longest text that is kept, in bytes, and how many of a list.
const LONGEST_TEXT: usize = 1 << 20;
const MOST_TEXTS: usize = 1000;

/// A type that is read from one value. A kind of value without its own method becomes [`Self::other`], and its content
/// is dropped.
pub trait FromJson<'de>: Sized {
    /// What is expected, for an error.
    const EXPECTED: &'static str;

    /// What any other kind of value gives; `None` is an error.
    fn other() -> Option<Self>;
    /// `null`.
    fn null() -> Option<Self> {
        Self::other()
    }
    /// A truth value.
    fn truth(_: bool) -> Option<Self> {
        Self::other()
    }
    /// A whole number that is not negative.
    fn number(_: u64) -> Option<Self> {
        Self::other()
    }
    /// A text.
    fn text(_: &str) -> Option<Self> {
        Self::other()
    }
    /// A list.
    fn list<A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Self::other().ok_or_else(|| expected::<Self, _>("a list"))
    }
    /// An object.
    fn object<A: MapAccess<'de>>(mut object: A) -> Result<Self, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Self::other().ok_or_else(|| expected::<Self, _>("an object"))
    }

    /// Reads one value.
    fn from_json<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Value(PhantomData))
    }
}

fn expected<'de, T: FromJson<'de>, E: serde::de::Error>(found: &str) -> E {
    E::custom(format_args!("{found} in the place of {}", T::EXPECTED))
}

struct Value<T>(PhantomData<T>);

impl<'de, T: FromJson<'de>> Visitor<'de> for Value<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }
    fn visit_unit<E: serde::de::Error>(self) -> Result<T, E> {
        T::null().ok_or_else(|| expected::<T, _>("null"))
    }
    fn visit_bool<E: serde::de::Error>(self, truth: bool) -> Result<T, E> {
        T::truth(truth).ok_or_else(|| expected::<T, _>("a truth value"))
    }
    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<T, E> {
        T::number(number).ok_or_else(|| expected::<T, _>("a number"))
    }
    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<T, E> {
        T::other().ok_or_else(|| expected::<T, _>("a number"))
    }
    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<T, E> {
        T::other().ok_or_else(|| expected::<T, _>("a number"))
    }
    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        T::text(text).ok_or_else(|| expected::<T, _>("a text"))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<T, A::Error> {
        T::list(list)
    }
    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<T, A::Error> {
        T::object(object)
    }
}

/// One value, as far as it can be of use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Fact {
    /// Absent, `null`, or nothing that is asked for.
    #[default]
    None,
    /// A truth value.
    Truth(bool),
    /// A whole number that is not negative.
    Number(u64),
    /// A text.
    Text(String),
    /// The texts of a list.
    Texts(Vec<String>),
    /// Another value: an object, a fraction, a text that is too long.
    Other,
}

impl Fact {
    /// The text.
    pub fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The text, or the first of a list.
    pub fn first_text(&self) -> Option<&str> {
        match self {
            Self::Texts(texts) => texts.first().map(String::as_str),
            one => one.text(),
        }
    }

    /// The texts of a list.
    pub fn texts(&self) -> &[String] {
        if let Self::Texts(texts) = self { texts } else { &[] }
    }

    /// The number.
    pub fn number(&self) -> Option<u64> {
        if let Self::Number(number) = self { Some(*number) } else { None }
    }

    /// Whether it is `true`.
    pub fn is_true(&self) -> bool {
        *self == Self::Truth(true)
    }
}

impl<'de> FromJson<'de> for Fact {
    const EXPECTED: &'static str = "a value";

    fn other() -> Option<Self> {
        Some(Self::Other)
    }
    fn null() -> Option<Self> {
        Some(Self::None)
    }
    fn truth(truth: bool) -> Option<Self> {
        Some(Self::Truth(truth))
    }
    fn number(number: u64) -> Option<Self> {
        Some(Self::Number(number))
    }
    fn text(text: &str) -> Option<Self> {
        Some(if text.len() > LONGEST_TEXT { Self::Other } else { Self::Text(text.to_owned()) })
    }
    fn list<A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        let mut texts = Vec::new();
        while let Some(Element(text)) = list.next_element()? {
            texts.extend(text.filter(|_| texts.len() < MOST_TEXTS));
        }
        Ok(Self::Texts(texts))
    }
}

impl<'de> Deserialize<'de> for Fact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_json(deserializer)
    }
}

/// An element of a list: its text, if it is one.
struct Element(Option<String>);

impl<'de> FromJson<'de> for Element {
    const EXPECTED: &'static str = "a value";

    fn other() -> Option<Self> {
        Some(Self(None))
    }
    fn text(text: &str) -> Option<Self> {
        Some(Self((text.len() <= LONGEST_TEXT).then(|| text.to_owned())))
    }
}

impl<'de> Deserialize<'de> for Element {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_json(deserializer)
    }
}

/// An object that is read into `T`.
#[derive(Debug, Default)]
pub enum Object<T> {
    /// Absent or `null`.
    #[default]
    Absent,
    /// The object.
    Read(T),
    /// Another value.
    Other,
}

impl<T> Object<T> {
    /// The object.
    pub fn get(&self) -> Option<&T> {
        if let Self::Read(object) = self { Some(object) } else { None }
    }

    /// Whether nothing is said.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

impl<'de, T: Deserialize<'de>> FromJson<'de> for Object<T> {
    const EXPECTED: &'static str = "a value";

    fn other() -> Option<Self> {
        Some(Self::Other)
    }
    fn null() -> Option<Self> {
        Some(Self::Absent)
    }
    fn object<A: MapAccess<'de>>(object: A) -> Result<Self, A::Error> {
        T::deserialize(MapAccessDeserializer::new(object)).map(Object::Read).map_err(A::Error::custom)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_json(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_fact_keeps_what_is_asked_for_and_passes_over_the_rest() {
        let fact = |value: serde_json::Value| serde_json::from_str::<Fact>(&value.to_string()).unwrap();
        assert_eq!(fact(json!("x")).text(), Some("x"));
        assert_eq!(fact(json!(["a", 1, {"b": [2]}, "c"])).texts(), ["a", "c"]);
        assert_eq!((fact(json!(7)).number(), fact(json!(-7)).number(), fact(json!(7.5)).number()), (Some(7), None, None));
        assert!(fact(json!(true)).is_true() && !fact(json!("true")).is_true());
        assert_eq!((fact(json!(null)), fact(json!({"a": [{}]}))), (Fact::None, Fact::Other));
        assert_eq!(fact(json!("x".repeat(LONGEST_TEXT + 1))), Fact::Other);
        assert_eq!(fact(json!(vec!["x"; 2 * MOST_TEXTS])).texts().len(), MOST_TEXTS);
        let object = |text: &str| serde_json::from_str::<Object<std::collections::BTreeMap<String, u8>>>(text).unwrap();
        assert_eq!(object(r#"{"a":1}"#).get().unwrap().len(), 1);
        assert!(object("null").is_absent());
        for other in ["1", "-1", "1.5", "true", "\"x\"", "[{\"a\":1}]"] {
            assert!(object(other).get().is_none() && !object(other).is_absent(), "{other}");
        }
    }
}
