//! The command line: the only room that writes to the terminal.
//!
//! A run goes through these files in this order: `args` (what was typed) -> the room `config` (settings) -> one file of
//! `commands/`, whose `run` returns a value -> `output` (text or JSON) or `exit` (errors) -> the exit code.
//! `progress` listens to the core meanwhile, `interrupt` to Ctrl-C.
//!
//! To add a command: a file in `commands/` with `Args`, `run` and an `output::Answer`, and two lines in `commands/mod.rs`.

mod args;
mod commands;
mod complete;
mod context;
mod exit;
mod hints;
mod interrupt;
mod notices;
mod output;
mod progress;
mod prompt;
mod table;
mod units;

use crate::{
    config::{current_dir, environment::Environment, variable},
    disk::limits,
    error::{Error, ErrorKind, Result},
    hint::Hint,
    text,
};
pub use hints::Terminal;

use args::{Cli, Global, When};
use clap::{Parser, error::ErrorKind as ClapError};
use context::Context;
use output::{Answer, OutputStyle};
use progress::ProgressMode;
use std::{ffi::OsString, io::IsTerminal, path::PathBuf, process::ExitCode, sync::Arc};

/// Runs the program with the words it was started with.
pub fn main() -> ExitCode {
    limits::raise_open_files();
    limits::refuse_too_large_files();
    ExitCode::from(run(std::env::args_os()))
}

/// Runs the program with these words, the first of which is its name, and gives the exit code.
pub fn run(words: impl IntoIterator<Item = OsString>) -> u8 {
    let words: Vec<OsString> = words.into_iter().collect();
    if asks_version_alone(&words) {
        let style = OutputStyle::default();
        let failed = |error: Error| {
            style.tell_error(&error);
            error.kind().exit_code()
        };
        return style.print(NAME_AND_VERSION).map_or_else(failed, |()| 0);
    }
    let cli = match Cli::try_parse_from(&words) {
        Ok(cli) => cli,
        // The texts of its help are put together only where they may be shown: that takes longer than the rest of a start.
        Err(error) => return not_understood(&args::command().try_get_matches_from(&words).err().unwrap_or(error), &words),
    };
    let environment = Environment::new(&variable);
    let cwd = current_dir();
    let output_style = output_style(&cli, &environment, cwd.as_ref().ok().cloned().unwrap_or_default());
    let progress = Arc::new(progress::ProgressDisplay::new(output_style.clone()));
    let context = cwd.map(|cwd| Context::new(cli.global, environment, cwd, Arc::clone(&progress)));
    let result = context.and_then(|context| {
        let result = cli.command.run(&context);
        // Whatever the work answers to being stopped, for the user it was stopped.
        let keeps = matches!(cli.command, commands::Command::Download(_));
        let again = || exit::interrupted(keeps, exit::command_line(&words).as_deref());
        if context.was_interrupted() { result.map_err(|_| again()) } else { result }
    });
    progress.finish();
    let told = match &result {
        Ok(answer) => show(answer.as_ref(), &output_style),
        Err(error) => fail(error, &output_style),
    };
    told.unwrap_or_else(|error| {
        output_style.tell_error(&error);
        error.kind().exit_code()
    })
}

/// What is printed for the version.
const NAME_AND_VERSION: &str = concat!("model-manager ", env!("CARGO_PKG_VERSION"), "\n");

/// Whether the version is all that is asked for. To put the command line of every command together for that costs more than all
/// else that it takes.
fn asks_version_alone(words: &[OsString]) -> bool {
    matches!(words, [_, word] if word == "--version" || word == "-V")
}

/// How this run speaks.
fn output_style(cli: &Cli, environment: &Environment<'_>, cwd: PathBuf) -> OutputStyle {
    let (out, err) = (std::io::stdout().is_terminal(), std::io::stderr().is_terminal());
    let color = |is_terminal| match cli.global.color {
        When::Always => true,
        When::Never => false,
        When::Auto => environment.wants_color(is_terminal),
    };
    OutputStyle {
        json: cli.global.json,
        quiet: cli.global.quiet,
        verbose: cli.global.verbose,
        people: out,
        width: terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| usize::from(width.0)).filter(|width| *width > 0),
        out_color: color(out),
        err_color: color(err),
        progress: progress_mode(&cli.global, environment, err),
        cwd,
        places: cli.global.places(),
    }
}

/// How this run shows progress: as it was asked for; else bars on a terminal that can draw them, and lines elsewhere.
fn progress_mode(global: &Global, environment: &Environment<'_>, is_terminal: bool) -> ProgressMode {
    let is_unwanted = global.quiet || global.no_progress || environment.no_progress();
    match global.progress {
        Some(ProgressMode::Json) => ProgressMode::Json,
        _ if global.quiet || global.no_progress => ProgressMode::None,
        Some(mode) => mode,
        None if is_unwanted => ProgressMode::None,
        None if is_terminal && !environment.is_dumb() => ProgressMode::Bar,
        None => ProgressMode::Plain,
    }
}

/// Prints an answer; the exit code.
fn show(answer: &dyn Answer, output_style: &OutputStyle) -> Result<u8> {
    if output_style.json {
        let mut document = output::document(answer);
        output::advise_in(&mut document, &output_style.places);
        output_style.print(&json_text(&document))?;
    } else {
        let mut output = output_style.output();
        answer.write(&mut output);
        // Notes and hints come after what they are about.
        let printed = output_style.print(&output.out);
        output_style.tell(&output.notes);
        answer.failures().iter().for_each(|error| output_style.tell_error(error));
        printed?;
    }
    Ok(answer.failures().first().map_or(answer.exit_code(), |error| error.kind().exit_code()))
}

/// Prints an error; the exit code.
fn fail(error: &Error, output_style: &OutputStyle) -> Result<u8> {
    if output_style.json {
        let mut document = exit::document(error);
        output::advise_in(&mut document, &output_style.places);
        output_style.print(&json_text(&document))?;
    } else {
        output_style.tell_error(error);
    }
    Ok(error.kind().exit_code())
}

fn json_text(document: &serde_json::Value) -> String {
    text::json(&format!("{document:#}\n")).into_owned()
}

/// Help, the version, or a command line that makes no sense.
fn not_understood(error: &clap::Error, words: &[OsString]) -> u8 {
    let is_question = matches!(error.kind(), ClapError::DisplayHelp | ClapError::DisplayVersion);
    if !is_question && words.iter().any(|word| word == "--json") {
        let text = error.render().to_string();
        // The first paragraph: what is wrong, and with which arguments.
        let lines: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
        let message = lines.join(" ").trim_start_matches("error: ").to_owned();
        let error = Error::new(ErrorKind::Usage, message).hint(Hint::SeeHelp);
        let plain = OutputStyle { json: true, ..OutputStyle::default() };
        let _exit_code_is_known = fail(&error, &plain);
        return ErrorKind::Usage.exit_code();
    }
    let _nobody_reads = error.print();
    if is_question { 0 } else { ErrorKind::Usage.exit_code() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_same_whether_or_not_the_command_line_is_put_together() {
        for word in ["--version", "-V"] {
            let words = ["model-manager", word];
            assert!(asks_version_alone(&words.map(OsString::from)));
            assert_eq!(Cli::try_parse_from(words).expect_err(word).to_string(), NAME_AND_VERSION);
        }
        assert!(!asks_version_alone(&["model-manager", "list", "--version"].map(OsString::from)));
        assert!(!asks_version_alone(&["model-manager".into()]));
    }
}
