//! Actions, parameters and settings as Python code has them, for the sentences of `model_manager::hint`. `m` stands for the
//! manager.

use model_manager::event::Warning;
use model_manager::hint::{Action, Argument, Hint, Operand, Parameter, Setting, Terms, Verb, words};
use pyo3::prelude::*;

/// The words of the package.
struct Package;

/// The hints as a text; `None` where there are none.
pub fn text(hints: &[Hint]) -> Option<String> {
    (!hints.is_empty()).then(|| words(hints, &Package))
}

/// The hints as a part of a sentence.
pub fn phrase(hints: &[Hint]) -> String {
    model_manager::hint::phrase(hints, &Package)
}

/// A warning, and what to do about it as the end of its sentence.
pub fn with_message(warning: &Warning) -> String {
    match warning.hints.as_slice() {
        [] => warning.message.clone(),
        hints => format!("{}; {}", warning.message, phrase(hints)),
    }
}

/// A note of a report, and what to do as the end of its sentence.
pub fn with_note(note: Option<&str>, hints: &[Hint]) -> Option<String> {
    let note = note?;
    Some(if hints.is_empty() { note.to_owned() } else { format!("{note}; {}", phrase(hints)) })
}

/// A report as JSON, with the words of each entry of `list` under `key`. The report itself may be the list: "".
pub fn with_words(
    report: &impl serde::Serialize,
    list: &str,
    key: &str,
    words: impl Iterator<Item = impl Into<serde_json::Value>>,
) -> model_manager::error::Result<serde_json::Value> {
    let mut value = serde_json::to_value(report).map_err(|error| {
        let text = format!("the result cannot be shown as text: {error}");
        model_manager::error::Error::new(model_manager::error::ErrorKind::Failed, text)
    })?;
    let entries = if list.is_empty() { Some(&mut value) } else { value.get_mut(list) };
    let entries = entries.and_then(serde_json::Value::as_array_mut).into_iter().flatten();
    entries.zip(words).for_each(|(entry, text)| entry[key] = text.into());
    Ok(value)
}

/// The words of one hint of each kind, for the tests of the package.
#[pyfunction]
pub fn hint_examples() -> Vec<(String, String)> {
    Hint::examples().into_iter().map(|hint| (hint.kind(), words(&[hint], &Package))).collect()
}

/// The method of the manager; `None` where Python has none.
const fn method(verb: Verb) -> Option<&'static str> {
    Some(match verb {
        Verb::Add => "add",
        Verb::Doctor => "doctor",
        Verb::Download => "download",
        Verb::Gc => "gc",
        Verb::Info => "info",
        Verb::Init => "init",
        Verb::Lint => "lint",
        Verb::List => "list",
        Verb::Lock => "lock",
        Verb::Path => "path",
        Verb::ForgetProject => "forget_project",
        Verb::Projects => "projects",
        Verb::ForgetStore => "forget_store",
        Verb::Stores => "stores",
        Verb::Remove => "remove",
        Verb::Sync => "sync",
        Verb::Use => "use",
        Verb::Verify => "verify",
        Verb::Why => "why",
        Verb::Apps | Verb::Unexpose | Verb::Grant | Verb::Help | Verb::Unregister => return None,
    })
}

/// A parameter's name, and its value where none is given: a switch is on.
const fn keyword(parameter: Parameter) -> (&'static str, &'static str) {
    match parameter {
        Parameter::Backend => ("backend", ""),
        Parameter::Companion => ("companions", ""),
        Parameter::Copy => ("copy", "True"),
        Parameter::Description => ("description", ""),
        Parameter::File => ("file", ""),
        Parameter::Force => ("force", "True"),
        Parameter::Format => ("format", ""),
        Parameter::From => ("from_apps", ""),
        Parameter::Grace => ("grace", ""),
        Parameter::Group => ("group", ""),
        Parameter::Id => ("id", ""),
        Parameter::Locked => ("locked", "True"),
        Parameter::Online => ("online", "True"),
        Parameter::OnlyThisHost => ("only_this_host", "True"),
        Parameter::Projector => ("mmproj", ""),
        Parameter::NoProjector => ("mmproj", "False"),
        Parameter::Quant => ("quant", ""),
        Parameter::Repair => ("repair", "True"),
        Parameter::Revision => ("revision", ""),
        Parameter::Shared => ("shared", "True"),
        Parameter::Update => ("update", "True"),
    }
}

/// A text as a literal of Python; a function of the module for the tests of the package.
#[pyfunction]
pub fn literal(text: &str) -> String {
    let mut literal = String::from('"');
    for c in text.chars() {
        match c {
            '\\' | '"' => literal.extend(['\\', c]),
            '\n' => literal.push_str("\\n"),
            '\r' => literal.push_str("\\r"),
            '\t' => literal.push_str("\\t"),
            // Python writes `\u{7f}` as `\x7f`.
            c if c.is_control() => literal.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => literal.push(c),
        }
    }
    literal.push('"');
    literal
}

fn operand(operand: &Operand) -> String {
    match operand {
        Operand::Name(name) => literal(name),
        Operand::Path(path) => literal(&path.display().to_string()),
        Operand::AnyModel => "model".to_owned(),
        Operand::AnyRepository => "\"owner/repo:LABEL\"".to_owned(),
        Operand::AnyGroup => "group".to_owned(),
    }
}

fn plain(operand: &Operand) -> String {
    match operand {
        Operand::Name(name) => name.clone(),
        Operand::Path(path) => path.display().to_string(),
        any => self::operand(any),
    }
}

fn argument_text(Argument { parameter, value }: &Argument) -> String {
    let (name, switch) = keyword(*parameter);
    match (parameter, value) {
        (_, None) => format!("{name}={switch}"),
        (Parameter::Companion, Some(value)) => format!("{name}=[{}]", operand(value)),
        (Parameter::Grace, Some(Operand::Name(number))) => format!("{name}={number}"),
        (_, Some(value)) => format!("{name}={}", operand(value)),
    }
}

impl Terms for Package {
    fn action(&self, action: &Action) -> String {
        let Some(method) = method(action.verb) else { return without_method(action) };
        let is_repair = action.arguments.iter().any(|argument| argument.parameter == Parameter::Repair);
        let method = if action.verb == Verb::Verify && is_repair { "repair" } else { method };
        let arguments = action.arguments.iter().filter(|argument| argument.parameter != Parameter::Repair);
        let all: Vec<String> = action.operands.iter().map(operand).chain(arguments.map(argument_text)).collect();
        format!("`m.{method}({})`", all.join(", "))
    }

    fn argument(&self, argument: &Argument) -> String {
        format!("`{}`", argument_text(argument))
    }

    fn setting(&self, setting: Setting) -> String {
        let text = match setting {
            // Python has no parameter for it.
            Setting::CaFile => return "`ca_file` in the user's settings file".to_owned(),
            Setting::Config => "config_path=".to_owned(),
            Setting::Endpoint => "endpoint=".to_owned(),
            Setting::Link(None) => "link=".to_owned(),
            Setting::Link(Some(mode)) => format!("link={}", literal(mode.as_str())),
            Setting::LockTimeout => "lock_timeout=".to_owned(),
            Setting::ModelsDir => "models_dir=".to_owned(),
            Setting::Offline => "offline=True".to_owned(),
            Setting::Store => "store=".to_owned(),
        };
        format!("`{text}`")
    }

    fn again(&self) -> &'static str {
        "call it again"
    }
}

/// What Python has no method for.
fn without_method(action: &Action) -> String {
    let operands: Vec<String> = action.operands.iter().map(plain).collect();
    match (action.verb, operands.split_first()) {
        (Verb::Grant, Some((key, []))) => format!("set `{key}` in the user's settings file"),
        (Verb::Grant, Some((key, values))) => format!("add `{}` to `{key}` in the user's settings file", values.join("`, `")),
        (Verb::Unexpose, _) => "`unexpose` of the command line tool".to_owned(),
        (Verb::Apps, _) => "`apps` of the command line tool".to_owned(),
        (Verb::Help, _) => "`help(m)`".to_owned(),
        _ => format!("`registry remove {}` of the command line tool", operands.join(" ")),
    }
}
