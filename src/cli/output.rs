//! How answers look: text for people, tab-separated lines for pipes, one JSON document for programs.

use super::{
    exit,
    progress::{ProgressMode, program},
};
use crate::{
    error::{Error, ErrorKind},
    text,
};
use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use serde_json::{Map, Value, json};
use std::{
    borrow::Cow,
    io::{self, Write},
    path::{Component, Path, PathBuf},
};

/// Version of the JSON documents.
pub const JSON_VERSION: u32 = 1;

/// What is fine.
pub const SUCCESS: Style = AnsiColor::Green.on_default();
/// What is odd.
pub const WARNING: Style = AnsiColor::Yellow.on_default();
/// What is wrong.
pub const FAILURE: Style = AnsiColor::Red.on_default().bold();
/// What to type, and headings.
pub const STRONG: Style = Style::new().bold();
/// What matters less.
pub const FAINT: Style = Style::new().dimmed();

/// Text in a style. Streams without colour drop it again.
pub fn styled(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// What a command answers.
pub trait Answer {
    /// The answer for programs: an object; paths are absolute, sizes are bytes.
    fn json(&self) -> Value;

    /// The answer for people and pipes.
    fn write(&self, output: &mut Output);

    /// The exit code of a run without failures.
    fn exit_code(&self) -> u8 {
        0
    }

    /// What failed beside what is answered.
    fn failures(&self) -> &[Error] {
        &[]
    }
}

/// How and where this run speaks.
#[derive(Debug, Clone, Default)]
pub struct OutputStyle {
    /// One JSON document.
    pub json: bool,
    /// Results, warnings and errors only.
    pub quiet: bool,
    /// Tell more.
    pub verbose: bool,
    /// Whether a person sees stdout.
    pub people: bool,
    /// How many columns the terminal on stdout has; `None` where there is none.
    pub width: Option<usize>,
    /// Colour on stdout.
    pub out_color: bool,
    /// Colour on stderr.
    pub err_color: bool,
    /// How progress is shown on stderr.
    pub progress: ProgressMode,
    /// Paths below it are shown relative.
    pub cwd: PathBuf,
    /// Options of this run without which a command would act on other files or ask another server, each with its value.
    pub places: Vec<(&'static str, String)>,
}

impl OutputStyle {
    /// Empty output in this style.
    pub fn output(&self) -> Output {
        Output {
            out: String::new(),
            notes: String::new(),
            people: self.people,
            width: self.width.filter(|_| self.people),
            quiet: self.quiet,
            cwd: self.cwd.clone(),
            places: self.places.clone(),
        }
    }

    /// Writes to stdout. Its reader may stop early; that is no fault.
    pub fn print(&self, text: &str) -> Result<(), Error> {
        let mut stream = AutoStream::new(io::stdout().lock(), choice(self.out_color));
        // Programs need the exact bytes; a terminal must not interpret escape sequences.
        let text = if self.people { text::for_terminal(text) } else { text.into() };
        match stream.write_all(text.as_bytes()).and_then(|()| stream.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Error::new(ErrorKind::Failed, "cannot write to standard output").caused_by(error))
            }
            _ => Ok(()),
        }
    }

    /// Writes to stderr; when that fails there is nobody left to tell.
    pub fn tell(&self, text: &str) {
        let text = &advised(text, &self.places);
        if self.progress == ProgressMode::Json {
            // Who reads events reads nothing else.
            let lines = anstream::adapter::strip_str(text).to_string();
            lines.lines().filter(|line| !line.trim().is_empty()).for_each(|line| self.tell_program(&program::notice("note", line)));
            return;
        }
        let mut stream = AutoStream::new(io::stderr().lock(), choice(self.err_color));
        let _nobody_listens = stream.write_all(text::for_terminal(text).as_bytes());
    }

    /// Writes an error to stderr.
    pub fn tell_error(&self, error: &Error) {
        match self.progress {
            ProgressMode::Json => self.tell_program(&advised(&program::error(error), &self.places)),
            _ => self.tell(&exit::render(error)),
        }
    }

    /// Writes a whole line for a program to stderr, byte for byte.
    pub fn tell_program(&self, line: &str) {
        let _nobody_listens = io::stderr().lock().write_all(line.as_bytes());
    }
}

/// The same text, whose commands act where this run did.
pub fn advised<'t>(text: &'t str, places: &[(&'static str, String)]) -> Cow<'t, str> {
    const PROGRAM: &str = "`model-manager ";
    if places.is_empty() || !text.contains(PROGRAM) {
        return Cow::Borrowed(text);
    }
    let mut parts = text.split(PROGRAM);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str(PROGRAM);
        let command = part.split('`').next().unwrap_or_default();
        // These act nowhere, or say it themselves.
        let is_anywhere = ["config ", "man", "--help"].iter().any(|verb| command.starts_with(verb));
        let says = |option: &str| is_anywhere || command.split(' ').any(|word| word == option);
        for (option, value) in places.iter().filter(|(option, _)| !says(option)) {
            out.push_str(&format!("{option} {} ", text::shell_word(value)));
        }
        out.push_str(part);
    }
    Cow::Owned(out)
}

/// The same in what a document advises.
pub fn advise_in(value: &mut Value, places: &[(&'static str, String)]) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(|value| advise_in(value, places)),
        Value::Object(fields) => {
            for (key, value) in fields {
                match value {
                    Value::String(text) if matches!(key.as_str(), "hint" | "repair" | "note" | "message") => {
                        *text = advised(text, places).into_owned();
                    }
                    other => advise_in(other, places),
                }
            }
        }
        _ => {}
    }
}

fn choice(color: bool) -> ColorChoice {
    if color { ColorChoice::Always } else { ColorChoice::Never }
}

/// An answer as a document, with its version and the first failure, if there was one.
pub fn document(answer: &dyn Answer) -> Value {
    let mut document = Map::new();
    document.insert("version".into(), json!(JSON_VERSION));
    match answer.json() {
        Value::Object(fields) => document.extend(fields),
        other => {
            document.insert("answer".into(), other);
        }
    }
    if let Some(error) = answer.failures().first() {
        document.insert("error".into(), exit::json(error));
    }
    Value::Object(document)
}

/// A text being written: results for stdout, and notes for stderr.
#[derive(Debug)]
pub struct Output {
    /// For stdout.
    pub out: String,
    /// For stderr.
    pub notes: String,
    /// Whether a person will see `out`; else it is for a pipe.
    pub people: bool,
    /// How many columns its lines may have; `None` where nothing limits them.
    pub width: Option<usize>,
    /// Whether only results, warnings and errors are wanted.
    pub quiet: bool,
    cwd: PathBuf,
    places: Vec<(&'static str, String)>,
}

impl Output {
    /// Adds a line of the result.
    pub fn line(&mut self, line: impl AsRef<str>) {
        self.out.push_str(line.as_ref().trim_end());
        self.out.push('\n');
    }

    /// A text of the result that names commands.
    pub fn advice(&self, text: &str) -> String {
        advised(&printable(text), &self.places).into_owned()
    }

    /// Adds a line of the result that is dropped by `--quiet`.
    pub fn detail(&mut self, line: impl AsRef<str>) {
        if !self.quiet {
            self.line(line);
        }
    }

    /// Adds a line beside the result.
    pub fn note(&mut self, line: impl AsRef<str>) {
        if !self.quiet {
            self.notes.push_str(line.as_ref().trim_end());
            self.notes.push('\n');
        }
    }

    /// Adds a line that even `--quiet` does not drop.
    pub fn warn(&mut self, line: impl AsRef<str>) {
        self.notes.push_str(&format!("{} {}\n", styled(WARNING, "warning:"), line.as_ref()));
    }

    /// Adds a line of tab-separated fields for a pipe; an empty one is `-`, so that columns stay where they are.
    pub fn fields<T: AsRef<str>>(&mut self, fields: impl IntoIterator<Item = T>) {
        let start = self.out.len();
        for (column, field) in fields.into_iter().enumerate() {
            if column > 0 {
                self.out.push('\t');
            }
            match field.as_ref() {
                "" => self.out.push('-'),
                field => self.out.push_str(&text::printable(field)),
            }
        }
        self.out.truncate(start + self.out[start..].trim_end().len());
        self.out.push('\n');
    }

    /// A path as it is shown: relative when it lies below the current directory, so that it can be pasted into a
    /// project's files; else absolute. Not for the path a program reads.
    pub fn path(&self, path: &Path) -> String {
        printable(&self.plain_path(path))
    }

    /// The same for the line a program reads: byte for byte.
    pub fn plain_path(&self, path: &Path) -> String {
        let relative = path
            .strip_prefix(&self.cwd)
            .ok()
            .filter(|rest| !rest.as_os_str().is_empty() && rest.components().all(|part| matches!(part, Component::Normal(_))));
        relative.unwrap_or(path).display().to_string()
    }
}

/// Text with escaped control and invisible characters. File names and server messages are untrusted and may hold escape
/// sequences.
pub fn printable(text: &str) -> String {
    text::printable(text).into_owned()
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;

    /// What a person at a terminal in `/work` would see, without colour.
    pub fn seen(answer: &dyn Answer) -> (String, String) {
        show(answer, true)
    }

    /// The same at a terminal of so many columns.
    pub fn seen_at(width: usize, answer: &dyn Answer) -> String {
        let mut output = OutputStyle { width: Some(width), ..output_style() }.output();
        answer.write(&mut output);
        anstream::adapter::strip_str(&output.out).to_string()
    }

    /// What a pipe would receive.
    pub fn piped(answer: &dyn Answer) -> (String, String) {
        show(answer, false)
    }

    pub fn output_style() -> OutputStyle {
        OutputStyle { people: true, cwd: "/srv".into(), ..OutputStyle::default() }
    }

    fn show(answer: &dyn Answer, people: bool) -> (String, String) {
        let mut output = OutputStyle { people, ..output_style() }.output();
        answer.write(&mut output);
        let strip = |text: &str| anstream::adapter::strip_str(text).to_string();
        (strip(&output.out), strip(&output.notes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_below_the_current_directory_are_shown_relative_and_others_are_not() {
        let output = testing::output_style().output();
        assert_eq!(output.path(Path::new("/srv/models/a.gguf")), "models/a.gguf");
        assert_eq!(output.path(Path::new("/other/a.gguf")), "/other/a.gguf");
        assert_eq!(output.path(Path::new("/srv/../x/a.gguf")), "/srv/../x/a.gguf");
        assert_eq!(output.path(Path::new("/srv")), "/srv");
    }

    #[test]
    fn escape_sequences_in_names_do_not_reach_the_terminal() {
        let output = testing::output_style().output();
        assert_eq!(output.path(Path::new("/srv/a\u{1b}[2Jb")), "a\\u{1b}[2Jb");
        assert_eq!(output.path(Path::new("/srv/a\u{202e}gpj.exe")), "a\\u{202e}gpj.exe");
    }

    #[test]
    fn quiet_drops_notes_and_details_but_neither_results_nor_warnings() {
        let mut output = OutputStyle { quiet: true, ..testing::output_style() }.output();
        output.line("result");
        output.detail("detail");
        output.note("note");
        output.warn("careful");
        assert_eq!(output.out, "result\n");
        assert_eq!(anstream::adapter::strip_str(&output.notes).to_string(), "warning: careful\n");
    }
}
