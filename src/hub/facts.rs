//! JSON of a server, read into no more than what is asked of it: whatever else stands there, however long and deep, is passed
//! over without being kept.

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};
use std::{fmt, marker::PhantomData};

/// The longest text that is kept, in bytes, and how many of a list.
const LONGEST_TEXT: usize = 1 << 20;
const MOST_TEXTS: usize = 1000;

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

impl<'de> Deserialize<'de> for Fact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Fact;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_unit<E>(self) -> Result<Fact, E> {
                Ok(Fact::None)
            }
            fn visit_bool<E>(self, truth: bool) -> Result<Fact, E> {
                Ok(Fact::Truth(truth))
            }
            fn visit_u64<E>(self, number: u64) -> Result<Fact, E> {
                Ok(Fact::Number(number))
            }
            fn visit_i64<E>(self, _: i64) -> Result<Fact, E> {
                Ok(Fact::Other)
            }
            fn visit_f64<E>(self, _: f64) -> Result<Fact, E> {
                Ok(Fact::Other)
            }
            fn visit_str<E>(self, text: &str) -> Result<Fact, E> {
                Ok(if text.len() > LONGEST_TEXT { Fact::Other } else { Fact::Text(text.to_owned()) })
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Fact, A::Error> {
                let mut texts = Vec::new();
                while let Some(fact) = list.next_element::<Shallow>()? {
                    if let Some(text) = fact.0.filter(|_| texts.len() < MOST_TEXTS) {
                        texts.push(text);
                    }
                }
                Ok(Fact::Texts(texts))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fact, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Fact::Other)
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// An element of a list: its text, if it is one.
struct Shallow(Option<String>);

impl<'de> Deserialize<'de> for Shallow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Shallow;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_unit<E>(self) -> Result<Shallow, E> {
                Ok(Shallow(None))
            }
            fn visit_bool<E>(self, _: bool) -> Result<Shallow, E> {
                Ok(Shallow(None))
            }
            fn visit_u64<E>(self, _: u64) -> Result<Shallow, E> {
                Ok(Shallow(None))
            }
            fn visit_i64<E>(self, _: i64) -> Result<Shallow, E> {
                Ok(Shallow(None))
            }
            fn visit_f64<E>(self, _: f64) -> Result<Shallow, E> {
                Ok(Shallow(None))
            }
            fn visit_str<E>(self, text: &str) -> Result<Shallow, E> {
                Ok(Shallow((text.len() <= LONGEST_TEXT).then(|| text.to_owned())))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Shallow, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Shallow(None))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shallow, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Shallow(None))
            }
        }
        deserializer.deserialize_any(Any)
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

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Any<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_unit<E>(self) -> Result<Object<T>, E> {
                Ok(Object::Absent)
            }
            fn visit_bool<E>(self, _: bool) -> Result<Object<T>, E> {
                Ok(Object::Other)
            }
            fn visit_u64<E>(self, _: u64) -> Result<Object<T>, E> {
                Ok(Object::Other)
            }
            fn visit_i64<E>(self, _: i64) -> Result<Object<T>, E> {
                Ok(Object::Other)
            }
            fn visit_f64<E>(self, _: f64) -> Result<Object<T>, E> {
                Ok(Object::Other)
            }
            fn visit_str<E>(self, _: &str) -> Result<Object<T>, E> {
                Ok(Object::Other)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Object<T>, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Object::Other)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object::Read).map_err(A::Error::custom)
            }
        }
        deserializer.deserialize_any(Any(PhantomData))
    }
}

/// Cuts a JSON list into its elements while it comes, so that no more than one of them is in memory.
#[derive(Debug, Default)]
pub struct Elements {
    state: State,
    depth: usize,
    in_string: bool,
    is_escaped: bool,
    element: Vec<u8>,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    /// Before the list.
    #[default]
    Outside,
    /// Behind `[`.
    First,
    /// Behind a comma.
    Next,
    /// In an element.
    Within,
    /// Behind an element.
    Behind,
    /// Behind the list.
    Done,
}

impl Elements {
    /// The longest element, in bytes, and how deep it may be nested.
    pub const LONGEST: usize = 64 << 10;
    const DEEPEST: usize = 32;

    /// Takes what comes next and gives each element that ends in it to `each`.
    pub fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8]) -> Result<(), String>) -> Result<(), String> {
        for &byte in bytes {
            let is_space = matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
            match self.state {
                State::Within => self.go_on(byte, &mut each)?,
                _ if is_space => {}
                State::Outside if byte == b'[' => self.state = State::First,
                State::First | State::Behind if byte == b']' => self.state = State::Done,
                State::Behind if byte == b',' => self.state = State::Next,
                State::First | State::Next if !matches!(byte, b',' | b']') => {
                    self.state = State::Within;
                    self.go_on(byte, &mut each)?;
                }
                State::Outside | State::Done => return Err("it is not a list in JSON".into()),
                _ => return Err("it is not a list in JSON: there is something between two of its entries".into()),
            }
        }
        Ok(())
    }

    /// Whether the list has come to its end.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    fn go_on(&mut self, byte: u8, each: &mut impl FnMut(&[u8]) -> Result<(), String>) -> Result<(), String> {
        if self.in_string {
            self.push(byte)?;
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' => self.is_escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return Ok(());
        }
        match byte {
            b',' | b']' | b'}' if self.depth == 0 => {
                each(&self.element)?;
                self.element.clear();
                self.state = if byte == b',' { State::Next } else { State::Done };
                return match byte {
                    b'}' => Err("it is not a list in JSON: an entry ends that has not begun".into()),
                    _ => Ok(()),
                };
            }
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth -= 1,
            _ => {}
        }
        if self.depth > Self::DEEPEST {
            return Err(format!("an entry is nested more than {} deep", Self::DEEPEST));
        }
        self.push(byte)?;
        if self.depth == 0 && matches!(byte, b'}' | b']') {
            each(&self.element)?;
            self.element.clear();
            self.state = State::Behind;
        }
        Ok(())
    }

    fn push(&mut self, byte: u8) -> Result<(), String> {
        if self.element.len() >= Self::LONGEST {
            return Err(format!("an entry is longer than {} bytes", Self::LONGEST));
        }
        self.element.push(byte);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn cut(text: &[u8], step: usize) -> Result<Vec<Value>, String> {
        let mut elements = Elements::default();
        let mut all = Vec::new();
        for part in text.chunks(step.max(1)) {
            elements.feed(part, |element| {
                all.push(serde_json::from_slice(element).map_err(|error| error.to_string())?);
                Ok(())
            })?;
        }
        if elements.is_done() { Ok(all) } else { Err("it ends early".into()) }
    }

    #[test]
    fn a_list_is_cut_into_its_elements_wherever_its_parts_end() {
        let text = br#" [ {"a":"]}\"\\","b":[1,{"c":[]}]} , 1,"x,]", null, [[]], -1.5e3 ] "#;
        let whole: Vec<Value> = serde_json::from_slice(text).unwrap();
        for step in 1..text.len() {
            assert_eq!(cut(text, step).unwrap(), whole, "{step}");
        }
        assert_eq!(cut(b"[]", 1).unwrap(), Vec::<Value>::new());
    }

    #[test]
    fn what_is_no_list_or_has_no_end_is_refused() {
        let deep = format!("[{}", "[".repeat(100));
        let long = format!("[\"{}", "x".repeat(Elements::LONGEST));
        for bad in [
            "", "{}", "[", "[1", "[1,", "[,1]", "[1,]", "[1]]", "[1] x", "[1 2]", "[{]", "[}]", "[\"a]", &deep, &long, "[1,,2]",
            "nul",
        ] {
            assert!(cut(bad.as_bytes(), 7).is_err(), "{:.20}", bad);
        }
    }

    #[test]
    fn a_fact_keeps_what_is_asked_for_and_passes_over_the_rest() {
        let fact = |value: Value| serde_json::from_str::<Fact>(&value.to_string()).unwrap();
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

    proptest! {
        #[test]
        fn no_bytes_make_the_cutter_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = cut(&bytes, 3);
            let _ = cut(&[b"[", bytes.as_slice()].concat(), 5);
        }
    }
}
