//! Actions, parameters and settings as a terminal has them, for the sentences of [`hint`].

use crate::{
    config::table::SETTINGS,
    hint::{self, Action, Argument, Hint, Operand, Parameter, Setting, Terms, Verb},
    text,
};
use serde_json::Value;
use std::fmt::Write;

/// The words of the command line.
pub struct Terminal;

/// The hints as a text.
pub fn words(hints: &[Hint]) -> String {
    hint::words(hints, &Terminal)
}

/// The hints as a part of a sentence.
pub fn phrase(hints: &[Hint]) -> String {
    hint::phrase(hints, &Terminal)
}

/// A message, and what to do as the end of its sentence.
pub fn with_message(message: &str, hints: &[Hint]) -> String {
    if hints.is_empty() { message.to_owned() } else { format!("{message}; {}", phrase(hints)) }
}

/// Writes the words of each entry of a list of a document under `key`.
pub fn word_entries(list: &mut Value, key: &str, words: impl Iterator<Item = impl Into<Value>>) {
    let entries = list.as_array_mut().into_iter().flatten();
    entries.zip(words).for_each(|(entry, text)| entry[key] = text.into());
}

/// A note of a report, and what to do as the end of its sentence.
pub fn with_note(note: Option<&str>, hints: &[Hint]) -> Option<String> {
    note.map(|note| with_message(note, hints))
}

/// The words that start a use-case, behind the name of the program.
const fn command(verb: Verb) -> &'static str {
    match verb {
        Verb::Add => "add",
        Verb::Apps => "apps",
        Verb::Grant => "config set --user",
        Verb::Doctor => "doctor",
        Verb::Download => "download",
        Verb::Gc => "gc",
        Verb::Help => "--help",
        Verb::Info => "info",
        Verb::Init => "init",
        Verb::Lint => "lint",
        Verb::List => "list",
        Verb::Lock => "lock",
        Verb::Path => "path",
        Verb::ForgetProject => "projects forget",
        Verb::Projects => "projects list",
        Verb::ForgetStore => "stores forget",
        Verb::Stores => "stores list",
        Verb::Unexpose => "unexpose",
        Verb::Unregister => "registry remove",
        Verb::Remove => "remove",
        Verb::Sync => "sync",
        Verb::Use => "use",
        Verb::Verify => "verify",
        Verb::Why => "why",
    }
}

/// The option of a parameter, and what stands between it and its value.
const fn option(parameter: Parameter) -> (&'static str, char) {
    match parameter {
        Parameter::Backend => ("--backend", ' '),
        Parameter::Companion => ("--with", ' '),
        Parameter::Copy => ("--copy", ' '),
        Parameter::Description => ("--description", ' '),
        Parameter::File => ("--file", ' '),
        Parameter::Force => ("--force", ' '),
        Parameter::Format => ("--format", ' '),
        Parameter::From => ("--from", ' '),
        Parameter::Grace => ("--grace", ' '),
        Parameter::Group => ("--group", ' '),
        Parameter::Id => ("--id", ' '),
        Parameter::Locked => ("--locked", ' '),
        Parameter::Online => ("--online", ' '),
        Parameter::OnlyThisHost => ("--only-this-host", ' '),
        Parameter::Projector => ("--mmproj", '='),
        Parameter::NoProjector => ("--no-mmproj", ' '),
        Parameter::Quant => ("--quant", ' '),
        Parameter::Repair => ("--repair", ' '),
        Parameter::Revision => ("--revision", ' '),
        Parameter::Shared => ("--shared", ' '),
        Parameter::Update => ("--update", ' '),
    }
}

fn operand(operand: &Operand) -> String {
    match operand {
        Operand::Name(name) => text::shell_word(name),
        Operand::Path(path) => text::shell_path(path),
        Operand::AnyModel => "<model>".to_owned(),
        Operand::AnyRepository => "owner/repo:LABEL".to_owned(),
        Operand::AnyGroup => "<group>".to_owned(),
    }
}

fn write_argument(line: &mut String, Argument { parameter, value }: &Argument) {
    let (option, between) = option(*parameter);
    line.push_str(option);
    if let Some(value) = value {
        let _a_string_takes_all = write!(line, "{between}{}", operand(value));
    }
}

impl Terms for Terminal {
    fn action(&self, action: &Action) -> String {
        let mut line = format!("`model-manager {}", command(action.verb));
        for one in &action.operands {
            let _a_string_takes_all = write!(line, " {}", operand(one));
        }
        for argument in &action.arguments {
            line.push(' ');
            write_argument(&mut line, argument);
        }
        line + "`"
    }

    fn argument(&self, argument: &Argument) -> String {
        let mut text = "`".to_owned();
        write_argument(&mut text, argument);
        text + "`"
    }

    fn setting(&self, setting: Setting) -> String {
        let flag = SETTINGS.iter().find(|row| row.key == setting.key()).and_then(|row| row.flag);
        let option = flag.map_or_else(|| setting.key().to_owned(), |flag| format!("--{}", flag.long));
        match setting {
            Setting::Link(Some(mode)) => format!("`{option} {}`", mode.as_str()),
            _ => format!("`{option}`"),
        }
    }

    fn again(&self) -> &'static str {
        "run the command again"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(action: &Action) -> String {
        Terminal.action(action)
    }

    #[test]
    fn an_action_is_a_command_that_a_shell_reads_as_it_is_meant() {
        assert_eq!(line(&Action::new(Verb::Gc).value(Parameter::Grace, "0")), "`model-manager gc --grace 0`");
        assert_eq!(
            line(&Action::grant("allowed_places").path("/srv/x")),
            "`model-manager config set --user allowed_places /srv/x`"
        );
        let odd = Action::new(Verb::Download).name("a b").value(Parameter::Quant, "q;").with(Parameter::Force);
        let (name, quant) = (text::shell_word("a b"), text::shell_word("q;"));
        assert_eq!(line(&odd), format!("`model-manager download {name} --quant {quant} --force`"));
    }

    #[test]
    fn every_setting_that_a_hint_names_has_an_option() {
        for setting in [
            Setting::CaFile,
            Setting::Config,
            Setting::Endpoint,
            Setting::Link(None),
            Setting::LockTimeout,
            Setting::ModelsDir,
            Setting::Offline,
            Setting::Store,
        ] {
            assert!(Terminal.setting(setting).starts_with("`--"), "{setting:?}");
        }
    }

    #[test]
    fn every_hint_is_a_sentence() {
        for hint in Hint::examples() {
            let text = words(std::slice::from_ref(&hint));
            let is_text = matches!(hint, Hint::WriteLine { .. } | Hint::WriteByHand { .. });
            assert!(is_text || text.ends_with(['.', '?']), "{hint:?}: {text}");
            assert!(text.starts_with(|c: char| c.is_ascii_uppercase() || c == '`'), "{hint:?}: {text}");
            assert!(!text.contains(". ."), "{text}");
        }
    }
}
