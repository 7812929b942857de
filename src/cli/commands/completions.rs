//! `completions`: a completion script for a shell.

use crate::cli::{
    args::Cli,
    output::{Answer, Output},
};
use clap::CommandFactory;
use clap_complete::Shell;
use serde_json::{Value, json};

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell
    pub shell: Shell,
}

/// A text to be saved as it is.
pub struct Script(pub String);

impl Args {
    pub fn run(&self) -> Script {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "model-manager", &mut script);
        Script(String::from_utf8_lossy(&script).into_owned())
    }
}

impl Answer for Script {
    fn json(&self) -> Value {
        json!({ "text": self.0 })
    }

    fn write(&self, output: &mut Output) {
        output.out.push_str(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_gets_a_script_that_knows_the_commands() {
        for shell in [Shell::Bash, Shell::Elvish, Shell::Fish, Shell::PowerShell, Shell::Zsh] {
            let Script(text) = Args { shell }.run();
            assert!(text.contains("download") && text.contains("quant"), "{shell}: {text}");
        }
    }
}
