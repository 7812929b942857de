//! `completions`: a completion script for a shell.

use crate::cli::{
    args::Cli,
    complete,
    output::{Answer, Output},
};
use clap::CommandFactory;
use clap_complete::Shell;
use serde_json::{Value, json};

/// Print a completion script for a shell
///
/// Bash, Zsh and Fish also complete models, quantizations, formats and settings. For Bash: source <(model-manager completions
/// bash). For Zsh: save it as _model-manager in a folder of $fpath. For Fish: save it as
/// ~/.config/fish/completions/model-manager.fish.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell
    pub shell: Shell,
}

/// A text to be saved as it is.
pub struct Script(pub String);

impl Args {
    pub fn run(&self) -> Script {
        match self.shell {
            Shell::Bash => Script(complete::script_of(complete::Shell::Bash).to_owned()),
            Shell::Zsh => Script(complete::script_of(complete::Shell::Zsh).to_owned()),
            Shell::Fish => Script(complete::script_of(complete::Shell::Fish).to_owned()),
            // These know commands and options alone.
            other => {
                let mut script = Vec::new();
                clap_complete::generate(other, &mut Cli::command(), "model-manager", &mut script);
                Script(String::from_utf8_lossy(&script).into_owned())
            }
        }
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
    fn every_shell_gets_a_script() {
        for shell in [Shell::Elvish, Shell::PowerShell] {
            let Script(text) = Args { shell }.run();
            assert!(text.contains("download") && text.contains("quant"), "{shell}: {text}");
        }
        for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
            let Script(text) = Args { shell }.run();
            assert!(text.contains(&format!("complete {}", shell)), "{shell}: {text}");
        }
    }
}
