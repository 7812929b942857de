//! The visitor of the YAML crate that finds out where everything stands.
//!
//! The crate tells a position only by way of an error, and a plain `1e7` reaches a visitor as a number that has lost
//! its spelling. So each key and each plain value is answered with an error on purpose: the crate puts the position on it,
//! the value waits in a slot, and reading goes on. Maps and lists end as usual. That also shows every duplicate key, which
//! the crate would let win silently.

use super::{MapEntry, Node, Position, Positions, Problem, Value, cut, lines};
use crate::text;
use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, HashSet},
    fmt,
};

/// Aliases multiply; a file may not grow beyond this many values. A thousand models have twenty thousand.
const MAX_NODES: usize = 100_000;

/// Aliases multiply text as well, and every place costs the names of all keys above it.
const MOST_TEXT: usize = 16 << 20;
const MOST_PLACE_TEXT: usize = 64 << 20;

/// So many keys are compared faster than hashed.
const FEW_KEYS: usize = 8;

/// The only plain scalar that YAML 1.1 tools read as "take over the keys of that map".
const MERGE_KEY: &str = "<<";

/// What a key that is no text is called in the tree.
const NO_KEY: &str = "~";

/// A scalar that waits in its slot until its position is known.
enum Scalar {
    Null,
    Text(String),
    /// With the value's own spelling, for where the source does not show it (a tagged number).
    Bare(String),
}

/// A text, and what was found out about it.
pub(super) struct DocumentReader<'t> {
    lines: Vec<&'t str>,
    places: Positions,
    nodes: Cell<usize>,
    /// Bytes of all texts.
    text: Cell<usize>,
    /// Bytes of the errors that places were read from.
    place_text: Cell<usize>,
    /// The offsets of a line's characters; `None` if all are ASCII.
    offsets: RefCell<HashMap<usize, Option<Vec<u32>>>>,
    /// Errors of keys, where they are not fatal: duplicate ones, and ones that are not text.
    key_problems: Option<RefCell<Vec<Problem>>>,
    /// A problem of ours; the YAML crate's error type has no room for it.
    problem: RefCell<Option<Problem>>,
}

impl<'t> DocumentReader<'t> {
    pub(super) fn new(text: &'t str, places: Positions) -> Self {
        Self {
            lines: lines(text),
            places,
            nodes: Cell::new(0),
            text: Cell::new(0),
            place_text: Cell::new(0),
            offsets: RefCell::default(),
            key_problems: None,
            problem: RefCell::new(None),
        }
    }

    /// Continues after a duplicate key, or one that is not text: its entry is in the tree.
    pub(super) fn forgiving(self) -> Self {
        Self { key_problems: Some(RefCell::default()), ..self }
    }

    /// The errors of keys.
    pub(super) fn into_key_problems(self) -> Vec<Problem> {
        self.key_problems.map(RefCell::into_inner).unwrap_or_default()
    }

    /// Reads one document of the text.
    pub(super) fn document(&self, document: serde_yaml::Deserializer<'_>) -> Result<Node, Problem> {
        let mut slot = None;
        let found = ReadNode { source: self, at: Position::START, slot: &mut slot }.deserialize(document);
        let node = self.settle(found, slot, Position::START);
        node.map_err(|error| self.problem.take().unwrap_or_else(|| syntax_problem(&error)))
    }

    /// Turns the answer for one child into a node. `at` is where a map or list without entries is said to stand.
    fn settle<E: fmt::Display + serde::de::Error>(
        &self,
        found: Result<Value, E>,
        slot: Option<Scalar>,
        at: Position,
    ) -> Result<Node, E> {
        let node = match (found, slot) {
            (Err(error), Some(scalar)) => {
                let told = error.to_string();
                let place = place_of(&told);
                self.place_text.set(self.place_text.get() + told.len());
                let value = match scalar {
                    Scalar::Null => Value::Null,
                    Scalar::Text(text) => Value::Text(text),
                    Scalar::Bare(text) => Value::Bare(self.spelling(place).unwrap_or(text)),
                };
                Node { place, value }
            }
            (Ok(value), _) => {
                let place = match &value {
                    Value::Map(entries) => entries.first().map(|entry| entry.place),
                    Value::List(nodes) => nodes.first().map(|node| node.place),
                    _ => None,
                };
                Node { place: place.unwrap_or(at), value }
            }
            (Err(error), None) => return Err(error),
        };
        self.nodes.set(self.nodes.get() + 1);
        if self.nodes.get() > MAX_NODES {
            return Err(self.fail(node.place, format!("the file has more than {MAX_NODES} values")));
        }
        if let Value::Text(text) | Value::Bare(text) = &node.value {
            self.text.set(self.text.get() + text.len());
        }
        if self.text.get() > MOST_TEXT || self.place_text.get() > MOST_PLACE_TEXT {
            return Err(self.fail(node.place, "the values of the file are too long".to_owned()));
        }
        Ok(node)
    }

    /// How a number or boolean is written at a place.
    fn spelling(&self, place: Position) -> Option<String> {
        let line = *self.lines.get(place.line.checked_sub(1)?)?;
        let column = place.column.checked_sub(1)?;
        let mut offsets = self.offsets.borrow_mut();
        let known = offsets.entry(place.line).or_insert_with(|| {
            let offsets = || line.char_indices().map(|(at, _)| u32::try_from(at).unwrap_or(u32::MAX)).collect();
            (!line.is_ascii()).then(offsets)
        });
        let start = match known {
            Some(known) => *known.get(column)? as usize,
            None => column,
        };
        let is_part = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.' | '_');
        let text: String = line.get(start..)?.chars().take_while(is_part).collect();
        (!text.is_empty()).then_some(text)
    }

    /// Notes what is wrong with a key, where reading goes on behind it.
    fn note_key<E: serde::de::Error>(&self, place: Position, message: String) -> Result<(), E> {
        match &self.key_problems {
            Some(problems) => problems.borrow_mut().push(Problem::new(place, message)),
            None => return Err(self.fail(place, message)),
        }
        Ok(())
    }

    fn fail<E: serde::de::Error>(&self, place: Position, message: String) -> E {
        *self.problem.borrow_mut() = Some(Problem::new(place, message));
        E::custom("see the problem that was noted")
    }
}

/// The position at the end of an error's text; the crate leaves it out for the first character of the file.
fn place_of(text: &str) -> Position {
    let parse = || {
        let (rest, column) = text.rsplit_once(" column ")?;
        let (_, line) = rest.rsplit_once("line ")?;
        Some(Position { line: line.parse().ok()?, column: column.parse().ok()? })
    };
    parse().unwrap_or(Position::START)
}

struct ReadNode<'a, 't> {
    source: &'a DocumentReader<'t>,
    /// Where the key or list stands that holds this value.
    at: Position,
    slot: &'a mut Option<Scalar>,
}

impl ReadNode<'_, '_> {
    /// Leaves a scalar in its slot, with an error that will say where it stands.
    fn wait<E: serde::de::Error>(self, scalar: Scalar) -> Result<Value, E> {
        if self.source.places == Positions::Unknown {
            match scalar {
                Scalar::Null => return Ok(Value::Null),
                Scalar::Text(text) => return Ok(Value::Text(text)),
                // Its spelling is looked up by its place.
                Scalar::Bare(_) => {}
            }
        }
        *self.slot = Some(scalar);
        Err(E::custom("a scalar"))
    }
}

impl<'de> DeserializeSeed<'de> for ReadNode<'_, '_> {
    type Value = Value;
    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ReadNode<'_, '_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text, a number, a list or a mapping without a `!tag`")
    }
    fn visit_unit<E: serde::de::Error>(self) -> Result<Value, E> {
        self.wait(Scalar::Null)
    }
    fn visit_none<E: serde::de::Error>(self) -> Result<Value, E> {
        self.wait(Scalar::Null)
    }
    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Value, E> {
        self.wait(Scalar::Text(text.to_owned()))
    }
    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Value, E> {
        self.wait(Scalar::Bare(value.to_string()))
    }
    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        self.wait(Scalar::Bare(value.to_string()))
    }
    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Value, E> {
        self.wait(Scalar::Bare(value.to_string()))
    }
    fn visit_u128<E: serde::de::Error>(self, value: u128) -> Result<Value, E> {
        self.wait(Scalar::Bare(value.to_string()))
    }
    fn visit_i128<E: serde::de::Error>(self, value: i128) -> Result<Value, E> {
        self.wait(Scalar::Bare(value.to_string()))
    }
    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        self.wait(Scalar::Bare(value.to_string()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut nodes = Vec::new();
        loop {
            let mut slot = None;
            let seed = ReadNode { source: self.source, at: self.at, slot: &mut slot };
            let found = match seq.next_element_seed(seed) {
                Ok(None) => return Ok(Value::List(nodes)),
                Ok(Some(value)) => Ok(value),
                Err(error) => Err(error),
            };
            nodes.push(self.source.settle(found, slot, self.at)?);
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries: Vec<MapEntry> = Vec::new();
        let mut seen = HashMap::new();
        loop {
            let mut slot = None;
            let found = match map.next_key_seed(ReadNode { source: self.source, at: self.at, slot: &mut slot }) {
                Ok(None) => break,
                Ok(Some(value)) => Ok(value),
                Err(error) => Err(error),
            };
            let Node { place, value } = self.source.settle(found, slot, self.at)?;
            let key = match value {
                Value::Text(text) | Value::Bare(text) => text,
                other => {
                    self.source.note_key(place, format!("expected a key, found {}", other.kind()))?;
                    NO_KEY.to_owned()
                }
            };
            let twin = if entries.len() < FEW_KEYS {
                entries.iter().find(|entry| entry.key == key).map(|entry| entry.place)
            } else {
                if seen.is_empty() {
                    seen.extend(entries.iter().map(|entry| (entry.key.clone(), entry.place)));
                }
                seen.insert(key.clone(), place)
            };
            if let Some(first) = twin {
                let message = format!("the key `{}` stands here twice; the first is in line {}", cut(&key), first.line);
                self.source.note_key(place, message)?;
            }
            let mut slot = None;
            let found = map.next_value_seed(ReadNode { source: self.source, at: place, slot: &mut slot });
            let node = self.source.settle(found, slot, place)?;
            entries.push(MapEntry { key, place, node });
        }
        if entries.iter().any(|entry| entry.key == MERGE_KEY) {
            entries = self.merged(entries).map_err(|problem| self.source.fail(problem.place, problem.message))?;
        }
        Ok(Value::Map(entries))
    }
}

impl ReadNode<'_, '_> {
    /// Applies `<<: *anchor` as YAML 1.1 tools do: keys of the map itself win, then those of the earlier source.
    fn merged(&self, entries: Vec<MapEntry>) -> Result<Vec<MapEntry>, Problem> {
        let (merges, mut own): (Vec<MapEntry>, Vec<MapEntry>) = entries.into_iter().partition(|entry| entry.key == MERGE_KEY);
        let mut known: HashSet<String> = own.iter().map(|entry| entry.key.clone()).collect();
        for MapEntry { place, node, .. } in merges {
            let sources = match node.value {
                Value::List(nodes) => nodes,
                _ => vec![node],
            };
            for source in sources {
                let Value::Map(more) = source.value else {
                    return Err(Problem::new(place, format!("expected a mapping to merge, found {}", source.value.kind())));
                };
                for entry in more {
                    if known.insert(entry.key.clone()) {
                        own.push(entry);
                    }
                }
            }
        }
        Ok(own)
    }
}

/// The YAML crate's own complaint, its position moved from the text to the place.
fn syntax_problem(error: &serde_yaml::Error) -> Problem {
    let place = error.location().map_or(Position::START, |at| Position { line: at.line(), column: at.column() });
    let whole = error.to_string();
    let message = whole.strip_suffix(&format!(" at line {} column {}", place.line, place.column)).unwrap_or(&whole);
    // It repeats keys as they are written, with whatever characters stand in them.
    Problem::new(place, format!("this is not valid YAML: {}", text::short(message, 300)))
}
