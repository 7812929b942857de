//! The types of settings: how each is read from a word, from a variable and from YAML.

use super::units;
use crate::{
    names::App,
    settings::LinkMode,
    yaml::{Node, Problem, Value as Yaml},
};
use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

/// A type that a setting may have.
pub(crate) trait SettingValue: Sized {
    /// Whether it takes several words.
    const IS_LIST: bool = false;
    /// Whether its words are paths.
    const IS_PATH: bool = false;
    /// All its words, where they can be listed.
    const WORDS: &'static [&'static str] = &[];

    /// Reads it from a word as people write it.
    fn parse(text: &str) -> Result<Self, String>;

    /// Reads it from a word of the command line, which need not be Unicode.
    fn of_word(word: &OsStr) -> Result<Self, String> {
        Self::parse(word.to_str().ok_or("it is not Unicode text")?)
    }

    /// Reads it from the value of an environment variable, in the notation of those who defined the variable.
    fn of_variable(value: &OsStr) -> Result<Self, String> {
        Self::of_word(value)
    }

    /// Reads it from words of the command line, of which there is at least one; the last counts where it takes one.
    fn of_words(words: &[&OsStr]) -> Result<Self, String> {
        Self::of_word(words.last().ok_or("expected a value")?)
    }

    /// Reads it from a settings file; `null` leaves the setting as it is.
    fn of_yaml(node: &Node, key: &str) -> Result<Option<Self>, Problem> {
        match &node.value {
            Yaml::Null => Ok(None),
            Yaml::Text(text) | Yaml::Bare(text) => {
                Self::parse(text).map(Some).map_err(|why| Problem::new(node.place, format!("{key}: {why}")))
            }
            other => Err(Problem::new(node.place, format!("{key}: expected one value, found {}", other.kind()))),
        }
    }

    /// The words that say it; one of a type that is no list.
    fn words(&self) -> Vec<String>;

    /// The paths in it.
    fn paths_mut(&mut self) -> Vec<&mut PathBuf> {
        Vec::new()
    }
}

/// A base address of the Hub or a mirror, without a trailing slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint(pub(super) String);

impl Endpoint {
    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A number of connections or tries, from 1 to 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count(pub(super) u32);

impl Count {
    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }
}

/// Most bytes per second, at least one; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit(pub(super) Option<u64>);

impl RateLimit {
    /// The bytes per second.
    pub fn get(self) -> Option<u64> {
        self.0
    }
}

/// How long to wait for a lock; `None` waits for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockTimeout(pub Option<Duration>);

/// A time that something must take, longer than none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeout(pub(super) Duration);

impl Timeout {
    /// The time.
    pub fn get(self) -> Duration {
        self.0
    }
}

/// Types that are read from one word, and how; further items of the trait in braces.
macro_rules! read_by {
    ($($parse:path, $word:expr => $type:ident $({ $($more:tt)* })?;)*) => {$(
        impl FromStr for $type {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                $parse(text).map(Self)
            }
        }

        impl SettingValue for $type {
            fn parse(text: &str) -> Result<Self, String> {
                text.parse()
            }

            fn words(&self) -> Vec<String> {
                vec![$word(&self.0)]
            }

            $($($more)*)?
        }
    )*};
}

read_by! {
    units::parse_endpoint, String::clone => Endpoint;
    units::parse_count, u32::to_string => Count;
    units::parse_rate, units::rate => RateLimit;
    units::parse_patience, units::patience => LockTimeout;
    units::parse_timeout, units::time => Timeout {
        /// As the Hub's own client reads it: seconds.
        fn of_variable(value: &OsStr) -> Result<Self, String> {
            match value.to_str().ok_or("it is not Unicode text")?.trim().parse::<f64>() {
                Ok(seconds) if seconds > 0.0 && seconds < 1e9 => Ok(Self(Duration::from_secs_f64(seconds))),
                _ => Err("expected a number of seconds".to_owned()),
            }
        }
    };
}

impl SettingValue for LinkMode {
    const WORDS: &'static [&'static str] =
        &[Self::Auto.as_str(), Self::Symlink.as_str(), Self::Hardlink.as_str(), Self::Reflink.as_str(), Self::Copy.as_str()];

    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "expected auto, symlink, hardlink, reflink or copy".into())
    }

    fn words(&self) -> Vec<String> {
        vec![self.as_str().to_owned()]
    }
}

impl SettingValue for bool {
    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "expected true or false".into())
    }

    fn words(&self) -> Vec<String> {
        vec![self.to_string()]
    }

    /// As the Hub's own client reads it: true is `1`, `ON`, `YES` or `TRUE` in any case.
    fn of_variable(value: &OsStr) -> Result<Self, String> {
        match value.to_str().ok_or("it is not Unicode text")?.trim().to_ascii_lowercase().as_str() {
            "1" | "on" | "yes" | "true" => Ok(true),
            "" | "0" | "off" | "no" | "false" => Ok(false),
            _ => Err("expected 1, on, yes or true, or 0, off, no or false".into()),
        }
    }
}

impl SettingValue for PathBuf {
    const IS_PATH: bool = true;

    fn parse(text: &str) -> Result<Self, String> {
        Self::of_word(text.as_ref())
    }

    fn of_word(word: &OsStr) -> Result<Self, String> {
        if word.to_string_lossy().trim().is_empty() { Err("expected a path".into()) } else { Ok(Path::new(word).to_owned()) }
    }

    fn words(&self) -> Vec<String> {
        vec![self.to_string_lossy().into_owned()]
    }

    fn paths_mut(&mut self) -> Vec<&mut PathBuf> {
        vec![self]
    }
}

/// A folder of another application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppFolder {
    /// The application.
    pub app: App,
    /// The folder.
    pub dir: PathBuf,
}

impl SettingValue for AppFolder {
    fn parse(text: &str) -> Result<Self, String> {
        let (app, dir) = text.split_once('=').ok_or("expected NAME=DIR")?;
        let app = app.trim().parse::<App>().map_err(|error| error.to_string())?;
        if !Path::new(dir).is_absolute() && !dir.starts_with('~') {
            return Err("expected an absolute folder behind `=`".into());
        }
        Ok(Self { app, dir: dir.into() })
    }

    fn words(&self) -> Vec<String> {
        vec![format!("{}={}", self.app, self.dir.display())]
    }

    fn paths_mut(&mut self) -> Vec<&mut PathBuf> {
        vec![&mut self.dir]
    }
}

/// One word alone counts as a list of one.
impl<T: SettingValue> SettingValue for Vec<T> {
    const IS_LIST: bool = true;
    const IS_PATH: bool = T::IS_PATH;

    fn parse(text: &str) -> Result<Self, String> {
        T::parse(text).map(|value| vec![value])
    }

    fn of_variable(value: &OsStr) -> Result<Self, String> {
        T::of_variable(value).map(|value| vec![value])
    }

    fn of_words(words: &[&OsStr]) -> Result<Self, String> {
        match words {
            [] => Err("expected at least one value".into()),
            words => words.iter().map(|word| T::of_word(word)).collect(),
        }
    }

    fn of_yaml(node: &Node, key: &str) -> Result<Option<Self>, Problem> {
        let Yaml::List(nodes) = &node.value else { return Ok(T::of_yaml(node, key)?.map(|value| vec![value])) };
        let mut values = Vec::new();
        for (index, node) in nodes.iter().enumerate() {
            values.extend(T::of_yaml(node, &format!("{key}[{index}]"))?);
        }
        Ok((!values.is_empty()).then_some(values))
    }

    fn words(&self) -> Vec<String> {
        self.iter().flat_map(T::words).collect()
    }

    fn paths_mut(&mut self) -> Vec<&mut PathBuf> {
        self.iter_mut().flat_map(T::paths_mut).collect()
    }
}
