//! `help`: of a command, of the options that every command takes, or of the whole.

use crate::{
    cli::{
        args,
        output::{Answer, Output},
        table::Table,
    },
    error::{Error, ErrorKind, Result},
    hint::Hint,
};
use serde_json::{Value, json};

/// Print the help of a command, or with `options` the options of every command
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A command with those below it, or `options`
    #[arg(value_name = "COMMAND")]
    pub words: Vec<String>,
}

/// What is printed.
pub enum Help {
    /// The options of every command, each with what it does.
    Options(Vec<(String, String)>),
    /// The help of a command.
    Command(String),
}

impl Args {
    pub fn run(&self) -> Result<Help> {
        if self.words == ["options"] {
            return Ok(Help::Options(args::common_options()));
        }
        let mut root = args::command();
        root.build();
        let mut command = &mut root;
        for word in &self.words {
            command = command.find_subcommand_mut(word).ok_or_else(|| {
                Error::new(ErrorKind::Usage, format!("there is no command `{}`", self.words.join(" "))).hint(Hint::SeeHelp)
            })?;
        }
        Ok(Help::Command(command.render_long_help().to_string()))
    }
}

impl Answer for Help {
    fn json(&self) -> Value {
        match self {
            Self::Options(options) => {
                let lines = options.iter().map(|(option, about)| format!("{option}  {about}\n"));
                json!({ "text": lines.collect::<String>() })
            }
            Self::Command(text) => json!({ "text": text }),
        }
    }

    fn write(&self, output: &mut Output) {
        match self {
            Self::Options(options) => {
                let mut table = Table::new(&[]).elastic(1, 8);
                options.iter().for_each(|(option, about)| table.row([option, about]));
                output.line("Options of every command:");
                table.write(output, "  ");
            }
            Self::Command(text) => output.out.push_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::testing;

    fn help(words: &[&str]) -> Result<Help> {
        Args { words: words.iter().map(|word| (*word).to_owned()).collect() }.run()
    }

    fn text(words: &[&str]) -> String {
        testing::seen(&help(words).unwrap()).0
    }

    #[test]
    fn a_command_shows_its_own_options_and_where_the_others_are() {
        let list = text(&["list"]);
        assert!(list.contains("--sort") && list.contains("model-manager help options"), "{list}");
        assert!(!list.contains("--models-dir") && !list.contains("--lock-timeout"), "{list}");
        assert!(text(&["projects", "forget"]).contains("--force"));
        assert_eq!(help(&["nothing"]).err().map(|error| error.kind()), Some(ErrorKind::Usage));
    }

    #[test]
    fn the_options_of_every_command_have_a_line_each() {
        let text = text(&["options"]);
        for option in ["--models-dir DIR", "--lock-timeout", "--json", "-q, --quiet", "--color WHEN"] {
            assert_eq!(text.lines().filter(|line| line.contains(option)).count(), 1, "{option}: {text}");
        }
        for width in [40, 80, 120, 200] {
            let text = testing::seen_at(width, &help(&["options"]).unwrap());
            assert!(text.lines().all(|line| line.chars().count() <= width) && text.contains("--lock-timeout TIME"), "{text}");
        }
    }
}
