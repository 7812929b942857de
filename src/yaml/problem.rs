//! What is wrong with a text, and where.

use crate::text::{self, is_hidden};
use std::fmt;

/// A line and column of a file, both counted from one; columns are characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub line: usize,
    pub column: usize,
}

impl Position {
    pub const START: Self = Self { line: 1, column: 1 };
}

/// Something wrong at a place, before the file's name and text are known.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub place: Position,
    pub message: String,
    pub suggestion: Option<String>,
}

impl Problem {
    pub fn new(place: Position, message: impl Into<String>) -> Self {
        Self { place, message: message.into(), suggestion: None }
    }

    pub fn suggest(mut self, suggestion: Option<&str>) -> Self {
        self.suggestion = suggestion.map(str::to_owned);
        self
    }
}

/// Makes a text from the file printable and short enough for a message.
pub(crate) fn cut(text: &str) -> String {
    const MOST: usize = 80;
    text::short(text, MOST)
}

/// Says plainly what a merge left, which YAML would call something else. `then` is what to do.
pub(crate) fn conflict(lines: &[&str], then: &str) -> Option<Problem> {
    let is_mark = |line: &&str| line.starts_with("<<<<<<< ") || line.starts_with(">>>>>>> ") || **line == *"=======";
    let line = lines.iter().position(is_mark)? + 1;
    let message = format!("a merge left a conflict here; expected one side of it: {then}");
    Some(Problem::new(Position { line, column: 1 }, message))
}

/// A file that cannot be used: what is wrong, and where.
///
/// Displayed as `<origin>:<line>:<column>: <message>`, the line itself, and a caret under the place.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BadFile {
    /// The file, as its reader was told it is called.
    pub origin: String,
    /// The line, from one; 0 where the text is no file's.
    pub line: usize,
    /// The column in characters, from one.
    pub column: usize,
    /// What is wrong and what was expected.
    pub message: String,
    /// The nearest valid key or name.
    pub suggestion: Option<String>,
    /// The line's text, without the secrets of addresses.
    pub source_line: String,
}

impl BadFile {
    pub(crate) fn new(origin: &str, lines: &[&str], problem: Problem) -> Self {
        let Problem { mut place, message, suggestion } = problem;
        // The YAML crate puts what is missing at the end of a file behind its last line.
        if let Some(last) = lines.last().filter(|_| place.line > lines.len()) {
            place = Position { line: lines.len(), column: last.chars().count() + 1 };
        }
        let source_line = lines.get(place.line.saturating_sub(1)).copied().unwrap_or_default();
        let source_line = text::redacted(source_line).into_owned();
        let message = text::redacted(&message).into_owned();
        Self { origin: origin.to_owned(), line: place.line, column: place.column, message, suggestion, source_line }
    }
}

impl BadFile {
    /// File, place and message in one line, without the source line.
    pub fn in_short(&self) -> String {
        let meant = self.suggestion.as_ref().map_or_else(String::new, |suggestion| format!("; did you mean `{suggestion}`?"));
        match self.line {
            0 => format!("{}: {}{meant}", self.origin, self.message),
            line => format!("{}:{line}:{}: {}{meant}", self.origin, self.column, self.message),
        }
    }

    /// The same for a text that exists only in memory: `origin` names it, without a line number.
    pub fn without_place(self, origin: String) -> Self {
        Self { origin, line: 0, column: 0, source_line: String::new(), ..self }
    }
}

impl fmt::Display for BadFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A long line is shown from a little before the place on; what is not shown as itself would move the caret.
        const WIDTH: usize = 120;
        const BEFORE: usize = 60;
        f.write_str(&self.in_short())?;
        let column = self.column.saturating_sub(1);
        let skip = if column > WIDTH - BEFORE / 2 { column - BEFORE } else { 0 };
        let line: String = self.source_line.chars().skip(skip).take(WIDTH).map(|c| if is_hidden(c) { ' ' } else { c }).collect();
        if line.trim().is_empty() {
            return Ok(());
        }
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        let caret = " ".repeat((column - skip).min(WIDTH));
        write!(f, "\n{margin} |\n{number} | {}\n{margin} | {caret}^", line.trim_end())
    }
}
