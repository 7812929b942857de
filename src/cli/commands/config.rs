//! `config`: settings, where they come from, and changes of their files.

use crate::{
    cli::{
        context::Context,
        output::{Answer, Output, printable},
        table::Table,
    },
    config::{
        effective::{self, Origin, ShownSetting},
        file::Whose,
        table::{Setting, User},
        write::Scope,
    },
    error::Result,
    text,
};
use clap::{
    Subcommand,
    builder::{PossibleValue, StringValueParser, TypedValueParser},
};
use serde_json::{Value, json};
use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

/// Show settings and where they come from, or change them
///
/// Options win over variables, those over the project's configs/manager.yaml, that over the user's config.yaml, and that over
/// defaults; but a project that has a store in its models folder uses that, whatever the user's file names. Only the user's
/// file can say whom to trust: which servers may see the token (trusted_endpoints), where a project may place files outside of
/// its folder (allowed_places), which projects of other users to work in (safe_projects).
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show every setting with its value in effect, and what says it; of one file, what that says
    List {
        #[command(flatten)]
        of: Which,
    },
    /// Print the value of one setting; of a list, a line for each
    Get {
        /// The setting
        #[arg(value_name = "KEY", value_parser = Key)]
        key: String,
        #[command(flatten)]
        of: Which,
    },
    /// Set one setting, in the project's file inside of a project, else in the user's
    ///
    /// Comments and everything else in the file stay. trusted_endpoints, allowed_places, apps and safe_projects are added to; any other
    /// setting is replaced.
    Set {
        #[command(flatten)]
        of: Which,
        /// The setting, named as in a settings file
        #[arg(value_name = "KEY", value_parser = Key)]
        key: String,
        /// Its value; of a list, several
        #[arg(value_name = "VALUE", required = true, num_args = 1..)]
        values: Vec<String>,
    },
    /// Take one setting out of the project's file inside of a project, else of the user's
    ///
    /// Comments on lines of their own and everything else in the file stay.
    Unset {
        #[command(flatten)]
        of: Which,
        /// The setting, named as in a settings file
        #[arg(value_name = "KEY", value_parser = Key)]
        key: String,
        /// Of a list, only these values
        #[arg(value_name = "VALUE")]
        values: Vec<String>,
    },
    /// Print the path of the project's settings file inside of a project, else of the user's
    Path {
        #[command(flatten)]
        of: Which,
    },
}

/// Which settings file.
#[derive(Debug, clap::Args)]
struct Which {
    /// The user's config.yaml, for all projects
    #[arg(long, conflicts_with = "project")]
    user: bool,
    /// The project's configs/manager.yaml
    #[arg(long)]
    project: bool,
}

impl Which {
    fn named(&self) -> Option<Scope> {
        match (self.user, self.project) {
            (true, _) => Some(Scope::User),
            (_, true) => Some(Scope::Project),
            _ => None,
        }
    }

    fn to_change(&self) -> Scope {
        self.named().unwrap_or(Scope::Nearest)
    }
}

/// Takes any word, so that an unknown key gets an error of ours, and lists those of settings files to help and completions.
#[derive(Debug, Clone, Copy)]
struct Key;

impl TypedValueParser for Key {
    type Value = String;

    fn parse_ref(&self, command: &clap::Command, arg: Option<&clap::Arg>, value: &OsStr) -> Result<String, clap::Error> {
        StringValueParser::new().parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let keys = Setting::of_files().map(|setting| setting.key);
        Some(Box::new(keys.map(PossibleValue::new)))
    }
}

/// What a command of `config` answers.
pub enum Settings {
    /// Settings, as they are.
    List(Vec<ShownSetting>),
    /// One of them.
    One(ShownSetting),
    /// The path of a file.
    Path { path: PathBuf, is_there: bool },
    /// What was written, and what is in effect here where that is something else.
    Written {
        key: String,
        path: PathBuf,
        values: Vec<String>,
        changed: bool,
        clear_text: Vec<String>,
        overruled_by: Option<ShownSetting>,
    },
}

impl Args {
    pub fn run(&self, context: &Context<'_>) -> Result<Settings> {
        Ok(match &self.command {
            Command::List { of } => Settings::List(context.shown_settings(of.named())?),
            Command::Get { key, of } => Settings::One(effective::of_key(key, context.shown_settings(of.named())?)?),
            Command::Set { of, key, values } => {
                let file = context.settings_file(of.to_change())?;
                let written = file.set(key, values)?;
                let is_clear = |address: &&String| key == "trusted_endpoints" && address.starts_with("http:");
                let clear_text = values.iter().filter(is_clear).cloned().collect();
                let (path, values, changed) = (written.path, written.values, written.changed);
                // What was written stays written where other settings cannot be read.
                let in_effect = context.shown_settings(None).and_then(|all| effective::of_key(key, all)).ok();
                // A value in effect may be spelt in another way: what counts is where it is from.
                let is_here = |origin: &Origin| matches!(origin, Origin::UserFile(at) | Origin::ProjectFile(at) if *at == path);
                let is_other = |shown: &ShownSetting| !is_here(&shown.origin) && shown.values != values;
                let overruled_by = in_effect.filter(|shown| is_other(shown) && !matches!(shown.setting.user, User::Grants));
                Settings::Written { key: key.clone(), path, values, changed, clear_text, overruled_by }
            }
            Command::Unset { of, key, values } => {
                let written = context.settings_file(of.to_change())?.unset(key, values)?;
                let (path, values, changed) = (written.path, written.values, written.changed);
                Settings::Written { key: key.clone(), path, values, changed, clear_text: Vec::new(), overruled_by: None }
            }
            Command::Path { of } => {
                let file = context.settings_file(of.to_change())?;
                Settings::Path { is_there: file.is_there(), path: file.path }
            }
        })
    }
}

fn values_json(values: &[String]) -> Value {
    values.iter().map(|value| json!({ "value": value })).collect()
}

fn setting_json(shown: &ShownSetting) -> Value {
    let (set_by, name, file) = match &shown.origin {
        Origin::Flag(long) => ("flag", Some(format!("--{long}")), None),
        Origin::Variable(name) => ("variable", Some(name.clone()), None),
        Origin::ProjectFile(path) => (whose(Whose::Project), None, Some(path)),
        Origin::UserFile(path) => (whose(Whose::User), None, Some(path)),
        Origin::TokenFile(path) => ("token_file", None, Some(path)),
        Origin::Default => ("default", None, None),
    };
    json!({
        "key": shown.setting.key,
        "values": values_json(&shown.values),
        "set_by": set_by,
        "name": name,
        "settings_file": file,
        "hidden": shown.is_hidden,
    })
}

const fn whose(whose: Whose) -> &'static str {
    match whose {
        Whose::Project => "project",
        Whose::User => "user",
    }
}

fn from(output: &Output, origin: &Origin) -> String {
    match origin {
        Origin::Flag(long) => format!("--{long}"),
        Origin::Variable(name) => name.clone(),
        Origin::ProjectFile(path) | Origin::UserFile(path) | Origin::TokenFile(path) => output.path(path),
        Origin::Default => "default".to_owned(),
    }
}

/// The value of a setting in one line.
fn value(shown: &ShownSetting) -> String {
    match shown.is_hidden {
        true => "(set)".to_owned(),
        false => shown.values.join(", "),
    }
}

impl Answer for Settings {
    fn json(&self) -> Value {
        match self {
            Self::List(all) => json!({ "settings": all.iter().map(setting_json).collect::<Vec<_>>() }),
            Self::One(shown) => setting_json(shown),
            Self::Path { path, is_there } => json!({ "settings_file": path, "exists": is_there }),
            Self::Written { key, path, values, changed, .. } => {
                json!({ "key": key, "values": values_json(values), "settings_file": path, "changed": changed })
            }
        }
    }

    fn write(&self, output: &mut Output) {
        match self {
            Self::List(all) if output.people => {
                if all.is_empty() {
                    output.note("Nothing is set there.");
                    return;
                }
                let mut table = Table::new(&["setting", "value", "set by"]).elastic(1, 16).elastic(2, 16).keep(&[1]);
                for shown in all {
                    let value = Some(value(shown)).filter(|value| !value.is_empty()).unwrap_or_else(|| "-".to_owned());
                    table.row([shown.setting.key.to_owned(), value, from(output, &shown.origin)]);
                }
                table.write(output, "");
            }
            Self::List(all) => {
                for shown in all {
                    let from = from(output, &shown.origin);
                    output.fields([shown.setting.key, &value(shown), &from]);
                }
            }
            Self::One(shown) => {
                shown.values.iter().for_each(|value| output.line(printable(value)));
                if shown.is_hidden {
                    output.note(format!("It is set by {}, and not shown.", from(output, &shown.origin)));
                } else if shown.values.is_empty() {
                    output.note("It is not set.");
                }
            }
            Self::Path { path, is_there } => {
                output.line(output.plain_path(path));
                if !is_there {
                    output.note("It is not there yet.");
                }
            }
            Self::Written { key, path, values, changed, clear_text, overruled_by } => {
                match values.is_empty() {
                    true => output.line(format!("{} is not set", printable(key))),
                    false => output.line(format!("{key}: {}", printable(&values.join(", ")))),
                }
                output.note(format!("In {}{}.", output.path(path), if *changed { "" } else { ", as before" }));
                for address in clear_text {
                    output.note(format!(
                        "The token travels to {} in clear text: everyone on the network path can read it.",
                        printable(address)
                    ));
                }
                if let Some(shown) = overruled_by {
                    let (in_effect, origin) = (printable(&value(shown)), from(output, &shown.origin));
                    output.note(format!("Here {in_effect} is in effect ({origin})."));
                    if key == "store" && shown.origin == Origin::Default {
                        let to = values.first().map(|store| text::shell_path(Path::new(store))).unwrap_or_default();
                        output.note(format!(
                            "This project keeps the store that it has. To move it, run `model-manager store move {to}`."
                        ));
                    }
                }
            }
        }
    }
}
