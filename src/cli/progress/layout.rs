//! The line of a bar as a function of the terminal's width: it never wraps, its columns are those of the lines above and
//! below, and the name stays readable.
//!
//! What matters least goes first: the bar itself, then the amounts, then the rate beside the time left.

use crate::cli::{output::printable, units};
use std::time::Duration;

/// The widest and the narrowest column of names, where there is a choice.
const WIDEST_NAME: usize = 60;
const NARROWEST_NAME: usize = 18;
/// `100%`.
const PERCENT: usize = 4;
/// `999.9 MB/s, 59m 59s left`, and of these the more important.
const LONG_NOTE: usize = 24;
const SHORT_NOTE: usize = 10;
/// `999.99 GB / 999.99 GB`.
const AMOUNTS: usize = 21;
/// The shortest bar, with its brackets.
const SHORTEST_BAR: usize = 10;
/// What is left of a long folder's name tells something from this many columns on.
const SHORTEST_FOLDER: usize = 5;

/// What a bar is about.
#[derive(Debug, Clone, Copy)]
pub struct Bar<'a> {
    /// Its name: a path with `/` as separator, or a word.
    pub name: &'a str,
    /// Bytes that are done.
    pub done: u64,
    /// All bytes.
    pub size: u64,
    /// How it comes along.
    pub note: Note,
}

/// How it comes along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Note {
    /// Nothing is known yet.
    #[default]
    Nothing,
    /// Bytes come at a rate.
    Pace {
        /// Bytes per second.
        rate: u64,
        /// Time left at that rate; `None` while it is not known.
        left: Option<Duration>,
    },
    /// Its hash is computed.
    Checking,
    /// Another process fetches it.
    Elsewhere,
}

/// How wide each column is; a column of no width is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Columns {
    name: usize,
    bar: usize,
    amounts: usize,
    percent: usize,
    note: usize,
}

impl Columns {
    fn of(width: usize) -> Self {
        let mut columns = Self { name: (width * 2 / 5).clamp(NARROWEST_NAME, WIDEST_NAME).min(width), ..Self::none() };
        let mut left = width - columns.name;
        let mut take = |column: usize| {
            // With the space before it.
            let fits = column < left;
            left -= if fits { column + 1 } else { 0 };
            if fits { column } else { 0 }
        };
        columns.percent = take(PERCENT);
        columns.note = take(LONG_NOTE);
        if columns.note == 0 {
            columns.note = take(SHORT_NOTE);
        }
        columns.amounts = take(AMOUNTS);
        match left > SHORTEST_BAR {
            true => columns.bar = left - 1,
            false => columns.name += left,
        }
        columns
    }

    const fn none() -> Self {
        Self { name: 0, bar: 0, amounts: 0, percent: 0, note: 0 }
    }
}

/// The line of a bar on a terminal that is so many columns wide.
pub fn line(width: usize, bar: &Bar<'_>) -> String {
    let columns = Columns::of(width);
    let size = bar.size.max(bar.done);
    let mut line = padded(&name(bar.name, columns.name), columns.name);
    let mut add = |column: usize, text: &dyn Fn() -> String| {
        if column > 0 {
            line.push(' ');
            line.push_str(&text());
        }
    };
    add(columns.bar, &|| drawn(columns.bar - 2, bar.done, size));
    add(columns.amounts, &|| format!("{:>AMOUNTS$}", cut(&format!("{} / {}", units::size(bar.done), units::size(size)), AMOUNTS)));
    add(columns.percent, &|| format!("{:>PERCENT$}", format!("{}%", percent(bar.done, size))));
    add(columns.note, &|| padded(&cut(&note(bar.note, columns.note), columns.note), columns.note));
    line.truncate(line.trim_end().len());
    line
}

/// How much of it is done, rounded down.
pub fn percent(done: u64, size: u64) -> u64 {
    (u128::from(done) * 100).checked_div(u128::from(size)).and_then(|part| u64::try_from(part).ok()).unwrap_or(100)
}

/// Rate and time left, for people.
pub fn pace(rate: u64, left: Option<Duration>) -> String {
    match left {
        Some(left) => format!("{}, {} left", units::rate(rate), rest(left)),
        None => units::rate(rate),
    }
}

fn rest(left: Duration) -> String {
    match left.as_secs() {
        seconds @ 0..10 => format!("{seconds} s"),
        _ => units::time(left),
    }
}

/// Who fetches it instead of this process.
pub const ELSEWHERE: &str = "by another process";

fn note(note: Note, width: usize) -> String {
    match note {
        Note::Nothing => String::new(),
        Note::Checking => "checking".to_owned(),
        Note::Elsewhere if width >= LONG_NOTE => ELSEWHERE.to_owned(),
        Note::Elsewhere => "elsewhere".to_owned(),
        Note::Pace { rate, left } if width >= LONG_NOTE => pace(rate, left),
        Note::Pace { left: Some(left), .. } => rest(left),
        Note::Pace { rate, left: None } => units::rate(rate),
    }
}

fn drawn(width: usize, done: u64, size: u64) -> String {
    let filled =
        (u128::from(done) * width as u128).checked_div(u128::from(size)).map_or(width, |filled| filled as usize).min(width);
    let head = if filled < width && done > 0 { ">" } else { "" };
    format!("[{}{head}{}]", "=".repeat(filled), " ".repeat(width - filled - head.len()))
}

/// A file's name in so many columns. The file matters more than its folders, and both ends of it more than the middle: they
/// tell model, quantization and part.
pub fn name(name: &str, width: usize) -> String {
    let name = printable(name);
    if columns(&name) <= width {
        return name;
    }
    let Some((folders, file)) = name.rsplit_once('/') else { return cut(&name, width) };
    let left = width.saturating_sub(columns(file) + 1);
    match left >= SHORTEST_FOLDER {
        true => format!("{}…/{file}", start(folders, left - 1)),
        false => cut(file, width),
    }
}

/// The text in so many columns; what is in its middle gives way.
pub fn cut(text: &str, width: usize) -> String {
    let length = columns(text);
    if length <= width {
        return text.to_owned();
    }
    let Some(kept) = width.checked_sub(1) else { return String::new() };
    let head = start(text, kept / 3);
    format!("{head}…{}", end(text, kept - columns(head)))
}

/// The beginning of a text, in so many columns.
fn start(text: &str, width: usize) -> &str {
    let mut left = width;
    let mut end = 0;
    for (at, next) in text.char_indices() {
        let Some(rest) = left.checked_sub(column_of(next)) else { break };
        (left, end) = (rest, at + next.len_utf8());
    }
    &text[..end]
}

/// The end of a text, in so many columns.
fn end(text: &str, width: usize) -> &str {
    let mut left = width;
    let mut start = text.len();
    for (at, next) in text.char_indices().rev() {
        let Some(rest) = left.checked_sub(column_of(next)) else { break };
        (left, start) = (rest, at);
    }
    &text[start..]
}

fn padded(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(columns(text))))
}

/// How many columns of a terminal a text takes at most.
fn columns(text: &str) -> usize {
    text.chars().map(column_of).sum()
}

fn column_of(one: char) -> usize {
    if one.is_ascii() { 1 } else { console::measure_text_width(one.encode_utf8(&mut [0; 4])) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_long_name_keeps_its_file_and_its_ends() {
        assert_eq!(name("m/gguf/q4_k_m/phi-2.Q4_K_M.gguf", 40), "m/gguf/q4_k_m/phi-2.Q4_K_M.gguf");
        assert_eq!(name("m/gguf/q4_k_m/phi-2.Q4_K_M.gguf", 24), "m/ggu…/phi-2.Q4_K_M.gguf");
        assert_eq!(name("m/gguf/q4_k_m/phi-2.Q4_K_M.gguf", 18), "phi-2.Q4_K_M.gguf");
        assert_eq!(name("model-00002-of-00005.safetensors", 20), "model-…5.safetensors");
        assert_eq!(name("模型模型模型模型", 7), "模…模型");
        assert_eq!(name("abc", 0), "");
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_the_terminal(
            width in 0usize..300, name in "\\PC{0,80}", done: u64, size: u64, rate: u64, left: Option<u32>
        ) {
            let note = Note::Pace { rate, left: left.map(|left| Duration::from_secs(left.into())) };
            let text = line(width, &Bar { name: &name, done, size, note });
            prop_assert!(columns(&text) <= width, "{} > {width}: {text}", columns(&text));
        }
    }
}
