//! The command line: options every command takes, and the parts several commands share.

use super::{commands::Command, exit, progress::ProgressMode};
use crate::{
    config::{
        Layer, Overrides,
        table::{Flag, Setting},
    },
    error::Result,
    manager::Selector,
    names::{Format, Quant},
};
use clap::{
    Arg, ArgAction, ArgMatches, Args, CommandFactory, FromArgMatches, Parser, ValueEnum, ValueHint,
    builder::{OsStringValueParser, PossibleValuesParser, TypedValueParser},
};
use std::{
    ffi::{OsStr, OsString},
    path::PathBuf,
};

/// Download LLM files once into a content-addressed store, and show them as a tree of links.
#[derive(Debug, Parser)]
#[command(
    name = "model-manager",
    version,
    subcommand_required = true,
    disable_help_subcommand = true,
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

/// The command line whose help is printed: of the options that every command takes, none is shown with a command.
pub fn command() -> clap::Command {
    const BELOW: &str = "`model-manager help options` lists the options of every command.";
    fn own_only(command: clap::Command) -> clap::Command {
        let after = command.get_after_help().map_or_else(|| BELOW.to_owned(), |own| format!("{own}\n\n{BELOW}"));
        let long = command.get_after_long_help().map_or_else(|| BELOW.to_owned(), |own| format!("{own}\n\n{BELOW}"));
        command.after_help(after).after_long_help(long).mut_subcommands(own_only)
    }
    own_only(Cli::command().mut_args(|arg| if arg.is_global_set() { arg.hide(true) } else { arg }))
}

/// The options of every command as they are typed, each with what it does.
pub fn common_options() -> Vec<(String, String)> {
    let mut rows = Vec::new();
    for arg in Cli::command().get_arguments().filter(|arg| arg.is_global_set()) {
        let Some(long) = arg.get_long() else { continue };
        let short = arg.get_short().map_or("    ".to_owned(), |short| format!("-{short}, "));
        let takes_value = matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
        let value = arg.get_value_names().and_then(<[_]>::first).filter(|_| takes_value);
        let value = value.map_or(String::new(), |value| format!(" {value}"));
        let about = arg.get_help().map(ToString::to_string).unwrap_or_default();
        rows.push((format!("{short}--{long}{value}"), about.lines().next().unwrap_or_default().to_owned()));
    }
    rows
}

/// Options that every command takes, before or after its name.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = EVERYWHERE)]
pub struct Global {
    /// The settings that have an option.
    #[command(flatten)]
    pub settings: SettingFlags,
    /// Registry file [default: the project's configs/models.yaml, else the built-in registry]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
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
    /// How to show progress [default: bar on a terminal, else plain]
    #[arg(long, global = true, value_name = "HOW", value_enum, hide_short_help = true)]
    pub progress: Option<ProgressMode>,
    /// Show no progress
    #[arg(long, global = true, hide_short_help = true, conflicts_with = "progress")]
    pub no_progress: bool,
}

impl Global {
    /// What the command line says of the settings.
    pub fn overrides(&self) -> Overrides {
        Overrides { config: self.config.clone(), token: None, settings: self.settings.0.clone() }
    }

    /// What says where a command acts, with its value.
    pub fn places(&self) -> Vec<(&'static str, String)> {
        let said = &self.settings.0;
        let paths = [
            ("--models-dir", &said.models_dir),
            ("--config", &self.config),
            ("--store", &said.store),
            ("--ca-file", &said.ca_file),
        ];
        let paths = paths.into_iter().filter_map(|(option, path)| Some((option, path.as_ref()?.display().to_string())));
        let endpoints = said.endpoints.iter().flatten();
        paths.chain(endpoints.map(|endpoint| ("--endpoint", endpoint.as_str().to_owned()))).collect()
    }
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

/// The options of the settings, made from their table.
#[derive(Debug, Clone, Default)]
pub struct SettingFlags(pub Layer);

/// The settings with an option.
fn with_flags() -> impl Iterator<Item = (&'static Setting, Flag)> {
    Setting::layered().filter_map(|setting| Some((setting, setting.flag?)))
}

fn option(setting: &'static Setting, flag: Flag) -> Arg {
    let option = Arg::new(setting.key)
        .long(flag.long)
        .help(setting.help)
        .global(true)
        .hide_short_help(!flag.is_common)
        .help_heading(EVERYWHERE);
    let Some(value) = flag.value else { return option.action(ArgAction::SetTrue) };
    let option = option.value_name(value).action(if setting.is_list { ArgAction::Append } else { ArgAction::Set });
    match setting.words {
        [] => option.value_parser(
            OsStringValueParser::new().try_map(|word| Layer::default().set_words(setting.key, &[&word]).map(|_| word)),
        ),
        // So that clap lists the words and completions know them.
        words => option.value_parser(PossibleValuesParser::new(words).map(OsString::from)),
    }
    .value_hint(if setting.is_path { ValueHint::AnyPath } else { ValueHint::Unknown })
}

impl Args for SettingFlags {
    fn augment_args(command: clap::Command) -> clap::Command {
        command.args(with_flags().map(|(setting, flag)| option(setting, flag)))
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for SettingFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for (setting, flag) in with_flags() {
            let words: Vec<&OsStr> = match flag.value {
                None if matches.get_flag(setting.key) => vec![OsStr::new(if flag.says { "true" } else { "false" })],
                None => Vec::new(),
                Some(_) => matches.get_many::<OsString>(setting.key).into_iter().flatten().map(OsString::as_os_str).collect(),
            };
            if !words.is_empty() {
                let wrong = |why| clap::Error::raw(clap::error::ErrorKind::ValueValidation, why);
                self.0.set_words(setting.key, &words).map_err(wrong)?;
            }
        }
        Ok(())
    }
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
    pub fn of(&self, model: &str) -> Result<Selector> {
        Ok(Selector { model: model.parse()?, format: self.format.clone(), quant: self.quant.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{LockTimeout, RateLimit},
        settings::LinkMode,
    };
    use std::time::Duration;

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
            "pull a",
            "ls",
            "rm a b",
            "path a b",
            "why a b",
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
            let settings = &global.settings.0;
            assert_eq!((settings.link, settings.offline), (Some(LinkMode::Hardlink), Some(true)));
            assert_eq!(settings.limit_rate, "5000000".parse::<RateLimit>().ok());
            assert_eq!(settings.lock_timeout, Some(LockTimeout(Some(Duration::from_secs(30)))));
            assert_eq!((global.json, global.quiet, global.no_progress), (true, true, true));
            assert_eq!(global.color, When::Never);
        }
        let global =
            parse("download x --endpoint https://a.org --endpoint https://b.org/ --lock-timeout never").expect("taken").global;
        let endpoints = global.settings.0.endpoints.unwrap_or_default();
        assert_eq!(endpoints.iter().map(|address| address.as_str()).collect::<Vec<_>>(), ["https://a.org", "https://b.org"]);
        assert_eq!(global.settings.0.lock_timeout, Some(LockTimeout(None)));
        assert_eq!(parse("list").expect("taken").global.settings.0, Layer::default());
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
