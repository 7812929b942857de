//! Commands that hints name, with the names that they take.

use super::ListedModel;
use crate::{names::Format, text};

/// The command that a name was given to, so that a hint can name it with another name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Invocation<'a> {
    verb: &'a str,
    options: &'a str,
}

impl<'a> Invocation<'a> {
    pub(super) fn new(verb: &'a str) -> Self {
        Self { verb, options: "" }
    }

    /// The same with options that it cannot do without.
    pub(super) fn with(self, options: &'a str) -> Self {
        Self { options, ..self }
    }

    /// The whole command for a name.
    pub(super) fn of(&self, name: &str) -> String {
        let space = if self.options.is_empty() { "" } else { " " };
        format!("`model-manager {} {}{space}{}`", self.verb, text::shell_word(name), self.options)
    }
}

/// The name of a view that every command takes.
pub(super) fn view_name(model: &str, format: &str, quant: Option<&str>) -> String {
    match quant {
        Some(quant) if format == Format::gguf().as_str() => format!("{model}:{quant}"),
        Some(quant) => format!("{model}/{format}/{quant}"),
        None => format!("{model}/{format}"),
    }
}

/// The command that makes a view whole again.
pub(super) fn repair_command(model: &str, format: &str, quant: Option<&str>) -> String {
    Invocation::new("verify").with("--repair").of(&view_name(model, format, quant))
}

/// The name of a listed model that every command takes.
pub(super) fn listed_name(listed: &ListedModel) -> String {
    view_name(&listed.model, &listed.format, listed.quant.as_deref())
}
