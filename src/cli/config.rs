//! Reads `configs/manager.yaml`. Every complaint says line and column; a key nobody knows is an error, since a slip there
//! would silently change nothing.

use super::{settings::Layer, units};
use crate::{
    disk::Disk,
    error::{Error, ErrorKind, Result},
    names::nearest,
    settings::LinkMode,
};
use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use std::{
    fmt,
    path::{Path, PathBuf},
};

/// The file's keys.
const KEYS: [&str; 12] = [
    "models_dir",
    "store",
    "link",
    "lock_timeout",
    "endpoints",
    "offline",
    "connections",
    "limit_rate",
    "stall_timeout",
    "connect_timeout",
    "ca_file",
    "tries",
];

/// Reads the settings file, or nothing where there is none. Paths in it stay as they are written.
pub fn read(disk: &dyn Disk, path: &Path) -> Result<Layer> {
    let content = disk.read_small(path).map_err(|error| {
        Error::new(ErrorKind::Usage, error.to_string()).hint("Make it a file that this user can read, or remove it.")
    })?;
    let Some(content) = content else { return Ok(Layer::default()) };
    let origin = path.display().to_string();
    let text = String::from_utf8(content).map_err(|error| {
        Error::new(ErrorKind::Usage, format!("{origin} is not UTF-8 text: {error}")).hint("Save the settings as UTF-8.")
    })?;
    parse(&text, &origin)
}

/// Reads settings from text; `origin` is what messages call it.
pub fn parse(text: &str, origin: &str) -> Result<Layer> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let found: Result<Top, serde_yaml::Error> = serde_yaml::from_str(text);
    match found {
        Ok(Top(layer)) => Ok(layer),
        Err(error) => {
            // The crate leaves the position out for the first character of the file.
            let (line, column) = error.location().map_or((1, 1), |at| (at.line(), at.column()));
            let message = error.to_string();
            let message = message.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&message);
            Err(Error::new(ErrorKind::Usage, format!("{origin}:{line}:{column}: {message}"))
                .hint(format!("Correct line {line} of {origin}; every key is optional.")))
        }
    }
}

/// The whole file: a map, or nothing at all.
struct Top(Layer);

impl<'de> Deserialize<'de> for Top {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ReadTop).map(Self)
    }
}

struct ReadTop;

impl<'de> Visitor<'de> for ReadTop {
    type Value = Layer;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("settings, one `key: value` a line")
    }
    fn visit_unit<E: de::Error>(self) -> Result<Layer, E> {
        Ok(Layer::default())
    }
    fn visit_none<E: de::Error>(self) -> Result<Layer, E> {
        Ok(Layer::default())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Layer, A::Error> {
        let mut layer = Layer::default();
        let mut seen = Vec::new();
        while let Some(key) = map.next_key_seed(Key { seen: &seen })? {
            seen.push(key);
            match key {
                "models_dir" => layer.models_dir = map.next_value_seed(Scalar(a_path))?,
                "store" => layer.store = map.next_value_seed(Scalar(a_path))?,
                "link" => layer.link = map.next_value_seed(Scalar(a_link))?,
                "lock_timeout" => layer.lock_timeout = map.next_value_seed(Scalar(units::parse_patience))?,
                "endpoints" => layer.endpoints = map.next_value_seed(Endpoints)?,
                "offline" => layer.offline = map.next_value_seed(Scalar(a_switch))?,
                "connections" => layer.connections = map.next_value_seed(Scalar(units::parse_count))?,
                "limit_rate" => layer.limit_rate = map.next_value_seed(Scalar(units::parse_rate))?,
                "stall_timeout" => layer.stall_timeout = map.next_value_seed(Scalar(units::parse_timeout))?,
                "connect_timeout" => layer.connect_timeout = map.next_value_seed(Scalar(units::parse_timeout))?,
                "ca_file" => layer.ca_file = map.next_value_seed(Scalar(a_path))?,
                _ => layer.tries = map.next_value_seed(Scalar(units::parse_count))?,
            }
        }
        Ok(layer)
    }
}

fn a_path(text: &str) -> Result<PathBuf, String> {
    if text.trim().is_empty() { Err("expected a path".into()) } else { Ok(text.into()) }
}

fn a_link(text: &str) -> Result<LinkMode, String> {
    LinkMode::from_word(text).ok_or_else(|| "expected auto, symlink, hardlink, reflink or copy".into())
}

fn a_switch(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| "expected true or false".into())
}

/// A key, refused where it stands: the YAML crate puts the position on errors of scalars only.
struct Key<'a> {
    seen: &'a [&'static str],
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = &'static str;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = &'static str;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a setting")
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        let printable: String = text.chars().take(60).flat_map(char::escape_debug).collect();
        match KEYS.into_iter().find(|key| *key == text) {
            Some(key) if self.seen.contains(&key) => Err(E::custom(format!("the key `{key}` stands here twice"))),
            Some(key) => Ok(key),
            None => Err(E::custom(match nearest(text, KEYS) {
                Some(key) => format!("unknown key `{printable}`; did you mean `{key}`?"),
                None => format!("unknown key `{printable}`; the keys are {}", KEYS.join(", ")),
            })),
        }
    }
}

/// A value that is one word, read by a parser of the command line; `null` is the default.
struct Scalar<T>(fn(&str) -> Result<T, String>);

impl<'de, T> DeserializeSeed<'de> for Scalar<T> {
    type Value = Option<T>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<T> Visitor<'_> for Scalar<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one value")
    }
    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_none<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        (self.0)(text).map(Some).map_err(E::custom)
    }
    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Self::Value, E> {
        self.visit_str(if value { "true" } else { "false" })
    }
    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Self::Value, E> {
        self.visit_str(&value.to_string())
    }
    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Self::Value, E> {
        self.visit_str(&value.to_string())
    }
    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Self::Value, E> {
        self.visit_str(&value.to_string())
    }
}

/// A list of addresses; one alone counts as a list of one.
struct Endpoints;

impl<'de> DeserializeSeed<'de> for Endpoints {
    type Value = Option<Vec<String>>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Endpoints {
    type Value = Option<Vec<String>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of addresses")
    }
    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_none<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        units::parse_endpoint(text).map(|endpoint| Some(vec![endpoint])).map_err(E::custom)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut endpoints = Vec::new();
        while let Some(endpoint) = seq.next_element_seed(Scalar(units::parse_endpoint))? {
            endpoints.extend(endpoint);
        }
        Ok((!endpoints.is_empty()).then_some(endpoints))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    const SHIPPED: &str = include_str!("../../configs/manager.yaml");

    /// The shipped file with every setting switched on.
    fn shipped_in_full() -> String {
        let is_setting = |line: &&str| KEYS.iter().any(|key| line.starts_with(&format!("# {key}: ")));
        SHIPPED.lines().filter(is_setting).map(|line| format!("{}\n", &line[2..])).collect()
    }

    #[test]
    fn the_shipped_file_changes_nothing() {
        assert_eq!(parse(SHIPPED, "manager.yaml").expect("valid"), Layer::default());
        assert_eq!(parse("", "manager.yaml").expect("valid"), Layer::default());
    }

    #[test]
    fn the_shipped_file_documents_every_key_with_a_value_that_is_taken() {
        let text = shipped_in_full();
        for key in KEYS {
            assert!(text.contains(&format!("{key}: ")), "{key} is not documented");
        }
        let layer = parse(&text, "manager.yaml").expect("valid");
        assert_eq!(layer.lock_timeout, Some(Some(Duration::from_secs(3600))));
        assert_eq!(layer.connections, Some(8));
        assert_eq!(layer.limit_rate, None);
        assert_eq!(layer.endpoints, Some(vec!["https://huggingface.co".to_owned()]));
    }

    #[test]
    fn complaints_name_line_and_column_and_the_nearest_key() {
        for (text, complaint) in [
            ("offline: true\nconections: 4\n", "m.yaml:2:1: unknown key `conections`; did you mean `connections`?"),
            ("offline: true\n\nlink: teleport\n", "m.yaml:3:7: link: expected auto, symlink"),
            ("store: a\nconnections: 0\n", "m.yaml:2:14: connections: expected a number from 1 to 64"),
            ("store: a\nlock_timeout: soon\n", "m.yaml:2:15: lock_timeout: expected a time"),
            ("store: a\nstore: b\n", "m.yaml:2:1: the key `store` stands here twice"),
            ("store: a\nendpoints:\n  - https://a.org\n  - nowhere\n", "m.yaml:4:5: endpoints[1]: "),
            ("tries: 3\nlimit_rate: 5MiB\n", "m.yaml:2:13: limit_rate: units are decimal"),
        ] {
            let error = parse(text, "m.yaml").expect_err(text);
            assert!(error.message().starts_with(complaint), "{error}\nexpected {complaint}");
            assert_eq!(error.kind(), ErrorKind::Usage);
        }
        assert!(parse("- a\n- b\n", "m.yaml").is_err());
        assert!(parse("store: [a", "m.yaml").is_err());
    }

    #[test]
    fn values_are_taken_quoted_or_bare() {
        let layer = parse("limit_rate: 5000000\nstall_timeout: 30\nlink: \"copy\"\noffline: true\nca_file: null\n", "m.yaml")
            .expect("valid");
        assert_eq!(layer.limit_rate, Some(Some(5_000_000)));
        assert_eq!(layer.stall_timeout, Some(Duration::from_secs(30)));
        assert_eq!(layer.link, Some(LinkMode::Copy));
        assert_eq!((layer.offline, layer.ca_file), (Some(true), None));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "[a-z_: \\n\"\\[\\]{}0-9&*!-]{0,80}") {
            let _ = parse(&text, "m.yaml");
        }
    }
}
