//! Other applications that keep models on this machine, by the names that commands, settings and records have for them.

use crate::text;
use std::{fmt, str::FromStr};

/// An application that keeps models on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum App {
    /// The cache of `huggingface_hub`, which many programs share.
    Hf,
    /// llama.cpp: the cache of `huggingface_hub` since 2026, a flat folder before.
    LlamaCpp,
    /// Ollama.
    Ollama,
    /// LM Studio.
    LmStudio,
    /// Docker Model Runner.
    Docker,
    /// RamaLama.
    RamaLama,
    /// Jan.
    Jan,
    /// GPT4All and its Python package.
    Gpt4All,
    /// text-generation-webui.
    TextGen,
    /// ComfyUI.
    ComfyUi,
    /// The objects of git-lfs in a clone.
    GitLfs,
}

impl App {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Hf,
        Self::LlamaCpp,
        Self::Ollama,
        Self::LmStudio,
        Self::Docker,
        Self::RamaLama,
        Self::Jan,
        Self::Gpt4All,
        Self::TextGen,
        Self::ComfyUi,
        Self::GitLfs,
    ];

    /// Its id in commands, settings and records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hf => "hf",
            Self::LlamaCpp => "llama-cpp",
            Self::Ollama => "ollama",
            Self::LmStudio => "lm-studio",
            Self::Docker => "docker",
            Self::RamaLama => "ramalama",
            Self::Jan => "jan",
            Self::Gpt4All => "gpt4all",
            Self::TextGen => "textgen",
            Self::ComfyUi => "comfyui",
            Self::GitLfs => "git-lfs",
        }
    }

    /// What people call it.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Hf => "the Hugging Face cache",
            Self::LlamaCpp => "llama.cpp",
            Self::Ollama => "Ollama",
            Self::LmStudio => "LM Studio",
            Self::Docker => "Docker Model Runner",
            Self::RamaLama => "RamaLama",
            Self::Jan => "Jan",
            Self::Gpt4All => "GPT4All",
            Self::TextGen => "text-generation-webui",
            Self::ComfyUi => "ComfyUI",
            Self::GitLfs => "git-lfs",
        }
    }
}

impl fmt::Display for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that names no application.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no application that is known")]
pub struct UnknownApp(pub String);

impl FromStr for App {
    type Err = UnknownApp;

    /// Its id, with or without dashes, in any case.
    fn from_str(word: &str) -> Result<Self, UnknownApp> {
        let plain = |word: &str| word.replace(['-', '_'], "").to_ascii_lowercase();
        let found = Self::ALL.into_iter().find(|app| plain(app.as_str()) == plain(word));
        found.ok_or_else(|| UnknownApp(text::short(word, 40)))
    }
}
