//! `complete`: what can stand at the cursor of a command line. The scripts of `completions` ask it; it is in no help.
//!
//! Why not the engine of clap_complete: that is behind an unstable feature, whose names change in any release, and its
//! candidates do not know that Bash splits `id:quant` at the colon.

mod scripts;
mod values;
mod walk;

pub use scripts::of as script_of;

use super::{
    args::{Cli, Global, SettingFlags},
    commands::completions::Script,
    context::Context,
};
use crate::manager::{Call, NameableModel, Session};
use clap::{CommandFactory, ValueEnum};
use std::{cell::OnceCell, ffi::OsStr, path::PathBuf};
use values::{Candidate, Known};

/// A shell whose script asks this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// GNU Bash
    Bash,
    /// Zsh
    Zsh,
    /// Fish
    Fish,
}

/// Print what can stand at the cursor of a command line
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell that asks
    pub shell: Shell,
    /// Characters at which the shell splits words
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    pub breaks: String,
    /// The words up to the cursor, the last as far as it is typed; for Bash the line up to the cursor
    #[arg(last = true)]
    pub words: Vec<String>,
}

impl Args {
    /// A line for each word that fits. What is wrong is not told: nobody wants an error while typing.
    pub fn run(&self, context: &Context<'_>) -> Script {
        let mut root = Cli::command();
        root.build();
        let words = match self.shell {
            Shell::Bash => words_of(self.words.first().map_or("", String::as_str)),
            Shell::Zsh | Shell::Fish => self.words.clone(),
        };
        let cursor = walk::read(&root, &words);
        let place = Here { context, global: global_of(&cursor), session: OnceCell::new() };
        let found = values::candidates(&cursor, &place);
        let typed = words.last().map_or("", String::as_str);
        Script(found.iter().map(|candidate| self.line(candidate, typed) + "\n").collect())
    }

    fn line(&self, Candidate { word, about }: &Candidate, typed: &str) -> String {
        let about: String = about.chars().filter(|c| !c.is_control()).take(100).collect();
        match self.shell {
            // Of a word that it splits it replaces the last part.
            Shell::Bash => {
                let kept = typed.rfind(|c| matches!(c, ':' | '=') && self.breaks.contains(c)).map_or(0, |at| at + 1);
                word.get(kept..).unwrap_or(word).to_owned()
            }
            Shell::Zsh if about.is_empty() => word.replace(':', "\\:"),
            Shell::Zsh => format!("{}:{about}", word.replace(':', "\\:")),
            Shell::Fish if about.is_empty() => word.clone(),
            Shell::Fish => format!("{word}\t{about}"),
        }
    }
}

/// The words of a line, as far as quotes and backslashes go; the last is empty where the line ends with a space.
fn words_of(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    let mut chars = line.trim_start().chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\\', None | Some('"')) => word.extend(chars.next()),
            (c, Some(q)) if c == q => quote = None,
            (c, Some(_)) => word.push(c),
            ('"' | '\'', None) => quote = Some(c),
            (c, None) if c.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            (c, None) => word.push(c),
        }
    }
    words.push(word);
    words
}

/// What the command line says of the settings; what is wrong is left out.
fn global_of(cursor: &walk::Cursor<'_>) -> Global {
    let mut global = Global { settings: SettingFlags::default(), ..Global::default() };
    for (key, values) in &cursor.given {
        let words: Vec<&OsStr> = values.iter().map(OsStr::new).collect();
        match key.as_str() {
            "config" => global.config = values.last().map(PathBuf::from),
            _ => drop(global.settings.0.set_words(key, &words)),
        }
    }
    global
}

/// Where the command line acts.
struct Here<'a> {
    context: &'a Context<'a>,
    global: Global,
    session: OnceCell<Option<Session>>,
}

impl Here<'_> {
    fn session(&self) -> Option<&Session> {
        let session = || Session::new(self.context.settings_in_silence(&self.global)?).ok();
        self.session.get_or_init(session).as_ref()
    }
}

impl Known for Here<'_> {
    fn models(&self, of_registry: bool, beginning: &str) -> Vec<NameableModel> {
        self.session().map(|session| session.blocking(Call::default()).nameable(of_registry, beginning)).unwrap_or_default()
    }

    fn projects(&self) -> Vec<String> {
        self.session().map(|session| session.blocking(Call::default()).nameable_projects()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_split_as_a_shell_does() {
        assert_eq!(words_of("mm remove ti"), ["mm", "remove", "ti"]);
        assert_eq!(words_of("mm remove "), ["mm", "remove", ""]);
        assert_eq!(words_of(r#"mm --store "/a b" path 'x y"#), ["mm", "--store", "/a b", "path", "x y"]);
        assert_eq!(words_of(r"mm path a\ b"), ["mm", "path", "a b"]);
    }

    #[test]
    fn each_shell_gets_its_own_lines() {
        let line = |shell, typed: &str| {
            let args = Args { shell, breaks: ":=".into(), words: Vec::new() };
            args.line(&Candidate { word: "tiny:q8_0".into(), about: "here".into() }, typed)
        };
        assert_eq!(line(Shell::Bash, "tiny:q"), "q8_0");
        assert_eq!(line(Shell::Bash, "ti"), "tiny:q8_0");
        assert_eq!(line(Shell::Zsh, "tiny:q"), "tiny\\:q8_0:here");
        assert_eq!(line(Shell::Fish, "tiny:q"), "tiny:q8_0\there");
    }
}
