//! `man`: the manual page, with all commands on it.

use super::completions::Script;
use crate::{
    cli::{args::Cli, exit},
    error::{Error, ErrorKind, Result},
};
use clap::CommandFactory;
use clap_mangen::Man;
use std::io::{self, Write};

/// Environment variables of the page.
const VARIABLES: &[(&str, &str)] = &[
    ("MODEL_MANAGER_MODELS_DIR", "as --models-dir"),
    ("MODEL_MANAGER_CONFIG", "as --config"),
    ("MODEL_MANAGER_STORE", "as --store"),
    ("HF_TOKEN, HUGGING_FACE_HUB_TOKEN", "token of the Hub; sent to the Hub, and to servers that you named"),
    ("HF_TOKEN_PATH", "file with the token; $HF_HOME/token by default, which `hf auth login` writes"),
    ("HF_HOME", "home of the Hub's own client; $XDG_CACHE_HOME/huggingface by default"),
    ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1: use no token"),
    ("HF_ENDPOINT", "as --endpoint"),
    ("HF_HUB_OFFLINE, TRANSFORMERS_OFFLINE", "1: as --offline"),
    ("HF_HUB_DISABLE_PROGRESS_BARS", "1: as --no-progress"),
    ("HF_HUB_DOWNLOAD_TIMEOUT", "seconds without a byte, or with less than 1 KiB each, after which a connection is opened anew"),
    ("HTTPS_PROXY, http_proxy, ALL_PROXY, NO_PROXY", "proxies, as curl reads them: http_proxy only in small letters"),
    ("SSL_CERT_FILE", "as --ca-file"),
    ("XDG_CONFIG_HOME", "where the folder of the user's settings stands; ~/.config by default"),
    ("SUDO_UID", "whose folders root takes for its own when it looks for the project"),
    ("NO_COLOR, CLICOLOR_FORCE, TERM=dumb", "when to use colour, unless --color decides"),
];

/// Files of the page.
const FILES: &[(&str, &str)] = &[
    ("configs/models.yaml", "the registry; the nearest folder that has one, or models of this program, is the project root"),
    ("configs/manager.yaml", "settings of the project; options and variables win over it"),
    ("~/.config/model-manager/config.yaml", "settings of the user, below those of the project; whom to trust stands only here"),
    ("models/<model>/<format>/<quant>/<file>", "what backends are given: links into the store"),
    ("models/.blobs", "the store, unless --store names another"),
];

/// Print the manual page, for `man -l -` or a file in a man1 folder
#[derive(Debug, clap::Args)]
pub struct Args {}

impl Args {
    pub fn run(&self) -> Result<Script> {
        let mut page = Vec::new();
        write(&mut page).map_err(|error| Error::new(ErrorKind::Failed, "cannot render the manual").caused_by(error))?;
        Ok(Script(String::from_utf8_lossy(&page).into_owned()))
    }
}

fn write(page: &mut Vec<u8>) -> io::Result<()> {
    // What these say to `--help` has sections of its own here.
    let whole = Cli::command().after_help(None::<&str>).after_long_help(None::<&str>);
    // An option that only the long help shows would stand here without its text.
    let whole = whole.mut_args(|arg| arg.hide_short_help(false));
    let man = Man::new(whole.clone());
    man.render_title(page)?;
    man.render_name_section(page)?;
    writeln!(page, ".SH SYNOPSIS\n\\fBmodel\\-manager\\fR [\\fIoptions\\fR] \\fIcommand\\fR ...")?;
    man.render_description_section(page)?;
    writeln!(page, ".SH COMMANDS")?;
    for command in whole.get_subcommands().filter(|command| !command.is_hide_set()) {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        item(page, command.get_name(), &about)?;
    }
    for command in whole.get_subcommands().filter(|command| !command.is_hide_set()) {
        section_of(page, "model-manager", command)?;
    }
    man.render_options_section(page)?;
    writeln!(page, ".SH EXIT STATUS")?;
    for (code, meaning) in exit::CODES {
        item(page, &code.to_string(), meaning)?;
    }
    for (heading, entries) in [("ENVIRONMENT", VARIABLES), ("FILES", FILES)] {
        writeln!(page, ".SH {heading}")?;
        for (name, meaning) in entries {
            item(page, name, meaning)?;
        }
    }
    Ok(())
}

/// A command's own page as one section of the whole.
fn section_of(page: &mut Vec<u8>, of: &str, command: &clap::Command) -> io::Result<()> {
    let name = format!("{of} {}", command.get_name());
    let man = Man::new(command.clone().display_name(&name).bin_name(&name));
    let mut section = Vec::new();
    man.render_synopsis_section(&mut section)?;
    man.render_description_section(&mut section)?;
    man.render_options_section(&mut section)?;
    if command.get_after_long_help().is_some() {
        man.render_extra_section(&mut section)?;
    }
    writeln!(page, ".SH \"{}\"", name.to_uppercase())?;
    // Each rendered part opens with the definition of its quotation marks, which the page has already.
    let is_preamble = |line: &&str| line.starts_with(".ie ") || line.starts_with(".el ");
    for line in String::from_utf8_lossy(&section).lines().filter(|line| !is_preamble(line)) {
        match line.strip_prefix(".SH ") {
            Some("SYNOPSIS" | "DESCRIPTION") => writeln!(page, ".PP")?,
            Some(heading) => writeln!(page, ".SS {heading}")?,
            None => writeln!(page, "{line}")?,
        }
    }
    command.get_subcommands().filter(|inner| !inner.is_hide_set()).try_for_each(|inner| section_of(page, &name, inner))
}

/// A term and what it means.
fn item(page: &mut Vec<u8>, term: &str, meaning: &str) -> io::Result<()> {
    writeln!(page, ".TP\n\\fB{}\\fR\n{}", roff(term), roff(meaning))
}

/// Text that roff takes for text.
fn roff(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_every_command_option_exit_code_and_variable() {
        let Script(page) = Args {}.run().expect("rendered");
        assert_eq!(page.matches(".TH ").count(), 1);
        for text in [
            "DOWNLOAD",
            "REMOVE",
            "MODEL-MANAGER PROJECTS FORGET",
            "\\-\\-force",
            "Even if it is still there",
            "\\-\\-quant",
            "\\-\\-models\\-dir",
            "EXIT STATUS",
            "\\fB130\\fR",
            "HF_TOKEN",
            "configs/manager.yaml",
        ] {
            assert!(page.contains(text), "{text} is missing:\n{page}");
        }
        assert_eq!(page.matches("How long to wait in all for locks").count(), 1, "global options stand on the page once:\n{page}");
    }
}
