//! What a source can be searched for, and what it finds.

use crate::names::{Format, RepoId};
use serde::Serialize;
use std::{fmt, num::ParseIntError, str::FromStr};

/// A question for repositories.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SearchQuery {
    /// Words that a repository's name has.
    pub words: String,
    /// Only repositories with files of this format.
    pub format: Option<Format>,
    /// The most that are to be found.
    pub limit: SearchLimit,
    /// What comes first.
    pub order: SearchOrder,
}

impl SearchQuery {
    /// The most downloaded repositories with these words.
    pub fn new(words: impl Into<String>) -> Self {
        Self { words: words.into(), format: None, limit: SearchLimit::default(), order: SearchOrder::default() }
    }
}

/// What comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SearchOrder {
    /// The most downloads of the last month.
    #[default]
    Downloads,
    /// The most likes.
    Likes,
    /// What changed last.
    Updated,
    /// What is looked at most these days.
    Trending,
}

impl SearchOrder {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Downloads, Self::Likes, Self::Updated, Self::Trending];

    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Downloads => "downloads",
            Self::Likes => "likes",
            Self::Updated => "updated",
            Self::Trending => "trending",
        }
    }
}

impl fmt::Display for SearchOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How many repositories are to be found at most: 1 to 100, which one answer of the Hub has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SearchLimit(usize);

impl SearchLimit {
    const MOST: usize = 100;

    /// The number.
    pub const fn get(self) -> usize {
        self.0
    }
}

impl Default for SearchLimit {
    fn default() -> Self {
        Self(20)
    }
}

impl FromStr for SearchLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number: usize = text.parse().map_err(|error: ParseIntError| error.to_string())?;
        match number {
            1..=Self::MOST => Ok(Self(number)),
            _ => Err(format!("1 to {} can be found", Self::MOST)),
        }
    }
}

/// A repository that was found. What the source does not say is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FoundRepo {
    /// Its name.
    pub repo: RepoId,
    /// Downloads of the last month.
    pub downloads: Option<u64>,
    /// Likes.
    pub likes: Option<u64>,
    /// When it changed last, in RFC 3339.
    pub updated: Option<String>,
    /// Number of parameters of its weights.
    pub parameters: Option<u64>,
    /// The licence as the source names it.
    pub license: Option<String>,
    /// Whether access must be asked for.
    pub gated: bool,
    /// Whether it has GGUF files.
    pub has_gguf: bool,
    /// Whether it has safetensors files.
    pub has_safetensors: bool,
}
