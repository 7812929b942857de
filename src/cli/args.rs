//! The command line: options every command takes, and the parts several commands share.

use super::{commands::Command, exit, units};
use crate::{
    manager::Selector,
    names::{Format, Quant},
    settings::LinkMode,
};
use clap::{Args, Parser, ValueEnum, builder::ValueParser};
use std::{path::PathBuf, time::Duration};

/// Download LLM files once into a content-addressed store, and show them as a tree of links.
#[derive(Debug, Parser)]
#[command(
    name = "model-manager",
    version,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Start with `model-manager info` to see the models, then `model-manager download <model>`.",
    after_long_help = exit::codes_for_help(),
)]
pub struct Cli {
    /// Options that every command takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The heading of the options that every command takes.
const EVERYWHERE: &str = "Options of every command";

/// Options that every command takes, before or after its name.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = EVERYWHERE)]
pub struct Global {
    /// Folder of the visible tree [default: models in the project root]
    #[arg(long, global = true, value_name = "DIR")]
    pub models_dir: Option<PathBuf>,
    /// Registry file [default: the project's configs/models.yaml, else the built-in registry]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Folder of the store; several projects may share one [default: .blobs in the models folder]
    #[arg(long, global = true, value_name = "DIR")]
    pub store: Option<PathBuf>,
    /// Address of the Hub or a mirror; repeat it to name more to fall back to, in this order
    #[arg(long, global = true, value_name = "URL", value_parser = units::parse_endpoint, hide_short_help = true)]
    pub endpoint: Vec<String>,
    /// Send no request at all; what is not here is an error
    #[arg(long, global = true)]
    pub offline: bool,
    /// How the tree shows files of the store; auto takes the first that works here
    #[arg(long, global = true, value_name = "MODE", value_parser = link_mode(), hide_short_help = true)]
    pub link: Option<LinkMode>,
    /// Connections open at once, over all files; 8 where nothing is said, up to 16 while only small files come or each connection is slow
    #[arg(long, global = true, value_name = "N", value_parser = units::parse_count, hide_short_help = true)]
    pub connections: Option<u32>,
    /// Most bytes per second over all connections: 800K, 5M, 1.5MB, or none
    #[arg(long, global = true, value_name = "RATE", value_parser = limit, hide_short_help = true)]
    pub limit_rate: Option<Limit>,
    /// How long to wait in all for locks that other processes hold: 30s, 5m, 1h, 0 to try once, or never to wait for ever
    #[arg(long, global = true, value_name = "TIME", value_parser = patience, hide_short_help = true)]
    pub lock_timeout: Option<Patience>,
    /// PEM file with certificates to trust besides the system's
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub ca_file: Option<PathBuf>,
    /// Print one JSON document instead of text
    #[arg(long, global = true)]
    pub json: bool,
    /// Print results, warnings and errors only
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Tell more: which settings are in use, every retry
    #[arg(long, short, global = true)]
    pub verbose: bool,
    /// When to use colour
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t, hide_short_help = true)]
    pub color: When,
    /// Show no progress
    #[arg(long, global = true, hide_short_help = true)]
    pub no_progress: bool,
}

/// When to do something that depends on the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum When {
    /// When a terminal shows the output
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// A limit of the rate, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit(pub Option<u64>);

/// How long to wait, or for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience(pub Option<Duration>);

fn limit(text: &str) -> Result<Limit, String> {
    units::parse_rate(text).map(Limit)
}

fn patience(text: &str) -> Result<Patience, String> {
    units::parse_patience(text).map(Patience)
}

/// The words of [`LinkMode`], so that clap lists them and completions know them.
fn link_mode() -> ValueParser {
    use clap::builder::{PossibleValuesParser, TypedValueParser};
    PossibleValuesParser::new(["auto", "symlink", "hardlink", "reflink", "copy"])
        .map(|word| LinkMode::from_word(&word).unwrap_or_default())
        .into()
}

/// Which form of a model.
#[derive(Debug, Clone, Default, Args)]
pub struct Form {
    /// Only this format, such as gguf or safetensors
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<Format>,
    /// Only this quantization, such as q4_k_m
    #[arg(long, value_name = "QUANT", visible_alias = "quantization")]
    pub quant: Option<Quant>,
}

impl Form {
    /// This form of a model.
    pub fn of(&self, model: &str) -> Selector {
        Selector { model: model.to_owned(), format: self.format.clone(), quant: self.quant.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once("model-manager").chain(line.split_whitespace()))
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_line_of_the_guide_is_understood() {
        for line in [
            "download tinyllama-1.1b-chat --format gguf --quant q4_k_m",
            "download llama-2-7b-chat --quant q8_0",
            "download mistral-7b-instruct-v0.2 --quantization Q4_K_M --force",
            "download a b owner/repo:Q4_K_M --revision main --dry-run",
            "list",
            "list --format gguf",
            "verify",
            "verify llama-2-7b-chat --format gguf --quant q4_k_m",
            "verify a b --quick",
            "verify a --rehash",
            "remove llama-2-7b-chat",
            "remove llama-2-7b-chat --format gguf --quant q4_k_m --keep-blobs --dry-run",
            "info",
            "info llama-2-7b-chat",
            "path llama-2-7b-chat --format gguf --quantization q4_k_m",
            "use llama-2-7b-chat --backend llama_cpp --quant q4_k_m --file x.yaml --print",
            "use llama-2-7b-chat --backend vllm",
            "completions bash",
            "man",
        ] {
            assert!(parse(line).is_ok(), "{line}: {}", parse(line).expect_err(line));
        }
    }

    #[test]
    fn options_of_every_command_stand_before_or_after_its_name() {
        let options = "--models-dir m --config c.yaml --store s --endpoint https://a.org --offline --link hardlink --connections 4 \
                       --limit-rate 5M --lock-timeout 30s --ca-file ca.pem --json -q --color never --no-progress";
        for line in [format!("{options} list"), format!("list {options}")] {
            let global = parse(&line).unwrap_or_else(|error| panic!("{line}: {error}")).global;
            assert_eq!(global.link, Some(LinkMode::Hardlink));
            assert_eq!(global.limit_rate, Some(Limit(Some(5_000_000))));
            assert_eq!(global.lock_timeout, Some(Patience(Some(Duration::from_secs(30)))));
            assert_eq!((global.offline, global.json, global.quiet, global.no_progress), (true, true, true, true));
            assert_eq!(global.color, When::Never);
        }
        let global =
            parse("download x --endpoint https://a.org --endpoint https://b.org/ --lock-timeout never").expect("taken").global;
        assert_eq!(global.endpoint, ["https://a.org", "https://b.org"]);
        assert_eq!(global.lock_timeout, Some(Patience(None)));
    }

    #[test]
    fn what_makes_no_sense_is_a_usage_error() {
        for line in [
            "download",
            "remove",
            "path",
            "use x",
            "use x --backend ollama",
            "fly",
            "verify a --quick --rehash",
            "list --connections 0",
            "list --link teleport",
            "list --limit-rate fast",
            "list -q -v",
            "download x --quant a/b",
            "download x --revision ../x",
        ] {
            let error = parse(line).expect_err(line);
            assert_eq!(error.exit_code(), 2, "{line}");
        }
    }
}
