//! What the word at the cursor of a command line is: a function of the words and of the commands that clap knows.

use clap::{Arg, ArgAction, Command};
use std::collections::BTreeMap;

/// What can stand at the cursor.
#[derive(Debug)]
pub struct Cursor<'c> {
    /// The command whose words they are, innermost last; the program is not among them.
    pub path: Vec<&'c str>,
    /// The command.
    pub command: &'c Command,
    /// What is typed of the value.
    pub typed: String,
    /// What stands before the value in the same word: `--quant=`.
    pub before: String,
    /// What it is.
    pub place: Place<'c>,
    /// The values of arguments before it, by their ids.
    pub given: BTreeMap<String, Vec<String>>,
}

/// What stands at the cursor.
#[derive(Debug)]
pub enum Place<'c> {
    /// The value of an option.
    Value(&'c Arg),
    /// The name of an option.
    Option,
    /// A command below this one, or a value without a name.
    Word(Option<&'c Arg>),
    /// Nothing that is known: a word before it is no command.
    Nothing,
}

/// Reads a command line, whose last word is the one at the cursor and the first the program.
pub fn read<'c>(root: &'c Command, words: &[String]) -> Cursor<'c> {
    let (typed, before) = words.split_last().map_or((String::new(), &[][..]), |(last, before)| (last.clone(), before));
    let mut walk = Walk {
        root,
        command: root,
        path: Vec::new(),
        position: 0,
        pending: None,
        given: BTreeMap::new(),
        is_plain: false,
        is_lost: false,
    };
    before.iter().skip(1).for_each(|word| walk.pass(word));
    let mut cursor = Cursor {
        path: walk.path.clone(),
        command: walk.command,
        typed,
        before: String::new(),
        place: Place::Option,
        given: BTreeMap::new(),
    };
    cursor.place = match walk.pending {
        Some(arg) => Place::Value(arg),
        None if walk.is_lost => Place::Nothing,
        None if walk.is_plain || !cursor.typed.starts_with('-') => Place::Word(walk.positional()),
        None => match cursor.typed.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())) {
            Some((name, value)) if walk.option(&name).is_some_and(takes_value) => {
                let arg = walk.option(&name);
                (cursor.before, cursor.typed) = (format!("{name}="), value);
                arg.map_or(Place::Option, Place::Value)
            }
            _ => Place::Option,
        },
    };
    cursor.given = walk.given;
    cursor
}

struct Walk<'c> {
    root: &'c Command,
    command: &'c Command,
    path: Vec<&'c str>,
    /// How many values without a name were given.
    position: usize,
    /// The option whose value comes next.
    pending: Option<&'c Arg>,
    given: BTreeMap<String, Vec<String>>,
    /// Whether no option can follow.
    is_plain: bool,
    /// Whether a word was no command where one belongs.
    is_lost: bool,
}

impl<'c> Walk<'c> {
    /// Goes past a word.
    fn pass(&mut self, word: &str) {
        if let Some(arg) = self.pending.take() {
            return self.give(arg, word);
        }
        if self.is_plain || word == "-" || !word.starts_with('-') {
            if !self.is_plain
                && let Some(command) = self.command.find_subcommand(word)
            {
                (self.command, self.position) = (command, 0);
                return self.path.push(command.get_name());
            }
            self.is_lost |= self.position == 0 && self.command.has_subcommands();
            if let Some(arg) = self.positional() {
                self.give(arg, word);
                if !is_multiple(arg) {
                    self.position += 1;
                }
            }
            return;
        }
        if word == "--" {
            self.is_plain = true;
            return;
        }
        let (name, value) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
        let Some(arg) = self.option(name).filter(|arg| takes_value(arg)) else { return };
        match value {
            Some(value) => self.give(arg, value),
            None if !arg.is_require_equals_set() => self.pending = Some(arg),
            None => {}
        }
    }

    fn give(&mut self, arg: &Arg, value: &str) {
        self.given.entry(arg.get_id().to_string()).or_default().push(value.to_owned());
    }

    fn positional(&self) -> Option<&'c Arg> {
        self.command.get_positionals().nth(self.position)
    }

    /// The option of this name with its dashes, or whose letter ends a group of such.
    fn option(&self, name: &str) -> Option<&'c Arg> {
        let options = || self.command.get_arguments().chain(self.root.get_arguments().filter(|arg| arg.is_global_set()));
        match name.strip_prefix("--") {
            Some(long) => options()
                .find(|arg| arg.get_long() == Some(long) || arg.get_all_aliases().is_some_and(|aliases| aliases.contains(&long))),
            None => options().find(|arg| arg.get_short() == name.chars().last()),
        }
    }
}

/// Whether an option has a value.
pub fn takes_value(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Set | ArgAction::Append)
}

fn is_multiple(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Append) || arg.get_num_args().is_some_and(|range| range.max_values() > 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::Cli;
    use clap::CommandFactory;

    /// The path, what is typed, and what it is: the id of an argument, `-` for an option's name, nothing for a command.
    fn at(line: &str) -> (String, String, String) {
        let mut root = Cli::command();
        root.build();
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let cursor = read(&root, &words);
        let place = match cursor.place {
            Place::Value(arg) | Place::Word(Some(arg)) => arg.get_id().to_string(),
            Place::Option => "-".to_owned(),
            Place::Word(None) => String::new(),
            Place::Nothing => "?".to_owned(),
        };
        (cursor.path.join(" "), format!("{}{}", cursor.before, cursor.typed), place)
    }

    #[test]
    fn the_word_at_the_cursor_is_known() {
        for (line, path, typed, place) in [
            ("model-manager rem", "", "rem", ""),
            ("model-manager remove ti", "remove", "ti", "models"),
            ("model-manager rm a ti", "remove", "ti", "models"),
            ("model-manager --store /s path ti", "path", "ti", "models"),
            ("model-manager --store /s -v path ti", "path", "ti", "models"),
            ("model-manager download x --quant q", "download", "q", "quant"),
            ("model-manager download x --quantization=q", "download", "--quantization=q", "quant"),
            ("model-manager download x --qu", "download", "--qu", "-"),
            ("model-manager download x --link ", "download", "", "link"),
            ("model-manager config set li", "config set", "li", "key"),
            ("model-manager config set link ha", "config set", "ha", "values"),
            ("model-manager projects forget /a", "projects forget", "/a", "project"),
            ("model-manager projects ", "projects", "", ""),
            ("model-manager nothing x", "", "x", "?"),
            ("model-manager remove -- -x", "remove", "-x", "models"),
        ] {
            assert_eq!(at(line), (path.into(), typed.into(), place.into()), "{line}");
        }
    }

    #[test]
    fn values_that_were_given_are_at_hand() {
        let mut root = Cli::command();
        root.build();
        let words = ["model-manager", "--store", "/s", "download", "tiny", "--format", "gguf", "--quant", "q"].map(str::to_owned);
        let cursor = read(&root, &words);
        assert_eq!(cursor.given["store"], ["/s"]);
        assert_eq!((&cursor.given["models"], &cursor.given["format"]), (&vec!["tiny".to_owned()], &vec!["gguf".to_owned()]));
    }
}
