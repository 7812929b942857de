//! Where things stand in a text: blocks, their ends, and the style of what is there.

use super::write::Quote;
use crate::yaml::{MapEntry, Node, Value, line_ranges};
use std::ops::Range;

/// A text and its lines.
pub(crate) struct SourceText<'t> {
    pub text: &'t str,
    lines: Vec<Range<usize>>,
}

/// Whether the entries of a map can be followed by another one in block style.
pub(crate) enum MapStyle {
    /// They stand in lines of their own, at this indentation.
    Block(usize),
    /// There is nothing; of what stands behind the key for that (`{}`, `null`), the bytes.
    Empty(Option<Range<usize>>),
    /// They stand in another way, in these words.
    Other(&'static str),
}

impl<'t> SourceText<'t> {
    pub fn new(text: &'t str) -> Self {
        Self { text, lines: line_ranges(text) }
    }

    /// A line by its index from 0, without what ends it.
    pub fn line(&self, index: usize) -> &'t str {
        self.lines.get(index).map_or("", |range| &self.text[range.clone()])
    }

    /// How many lines there are; behind a line break at the end, one without anything.
    pub fn line_count(&self) -> usize {
        self.lines.len()
    }

    /// Where a line begins.
    pub fn start_of(&self, index: usize) -> usize {
        self.lines.get(index).map_or(self.text.len(), |range| range.start)
    }

    /// Where a line ends, before its line break.
    pub fn end_of(&self, index: usize) -> usize {
        self.lines.get(index).map_or(self.text.len(), |range| range.end)
    }

    /// Whether nothing, not even a line break, follows a line.
    pub fn is_last(&self, index: usize) -> bool {
        index + 1 >= self.lines.len()
    }

    /// Where a place counted from one in lines and characters is.
    pub fn offset(&self, line: usize, column: usize) -> Option<usize> {
        let range = self.lines.get(line.checked_sub(1)?)?;
        let text = &self.text[range.clone()];
        let skip: usize = text.chars().take(column.checked_sub(1)?).map(char::len_utf8).sum();
        Some(range.start + skip)
    }

    /// The line break this text uses: the one before a line, else its first.
    pub fn line_break(&self, line: usize) -> &'t str {
        let ends: Vec<&str> = self
            .lines
            .windows(2)
            .map(|pair| &self.text[pair[0].end..pair[1].start])
            .filter(|end| matches!(*end, "\n" | "\r\n" | "\r"))
            .collect();
        ends.get(line.saturating_sub(1)).or(ends.first()).copied().unwrap_or("\n")
    }

    /// The indentation of a key that is the first thing in its line.
    pub fn indent_of(&self, entry: &MapEntry) -> Option<usize> {
        let column = entry.place.column.checked_sub(1)?;
        let line = self.line(entry.place.line.checked_sub(1)?);
        (line.len() >= column && line.bytes().take(column).all(|b| b == b' ')).then_some(column)
    }

    /// What stands behind a key in its line, and where it begins.
    pub fn behind_key(&self, entry: &MapEntry) -> Option<(usize, &'t str)> {
        let start = self.offset(entry.place.line, entry.place.column)?;
        let end = self.end_of(entry.place.line.checked_sub(1)?);
        let text = self.text.get(start..end)?;
        let key = token(text)?;
        let rest = &text[key..];
        let colon = rest.find(':')?;
        rest[..colon].trim().is_empty().then(|| (start + key + colon + 1, &rest[colon + 1..]))
    }

    /// The index of the last line of the block of the key in line `from`: what follows is indented no more than it.
    pub fn block_end(&self, from: usize, indent: usize) -> usize {
        let mut last = from;
        for index in from + 1..self.lines.len() {
            let line = self.line(index);
            let content = line.trim_start_matches(' ');
            if content.trim().is_empty() || content.starts_with('#') {
                continue;
            }
            if line.len() - content.len() <= indent {
                break;
            }
            last = index;
        }
        last
    }

    /// The last of the comment lines right behind line `last` that are indented like what is in the block.
    pub fn with_comments(&self, last: usize, indent: usize) -> usize {
        let is_comment = |index: &usize| {
            let line = self.line(*index);
            let content = line.trim_start_matches(' ');
            content.starts_with('#') && line.len() - content.len() >= indent
        };
        (last + 1..self.lines.len()).take_while(is_comment).last().unwrap_or(last)
    }

    /// How the value of `container` is written.
    pub fn body(&self, container: &MapEntry, entries: &[MapEntry]) -> MapStyle {
        let Some(indent) = self.indent_of(container) else {
            return MapStyle::Other("it is written in one line with what is above it");
        };
        let Some((start, behind)) = self.behind_key(container) else {
            return MapStyle::Other("its key is written in an unusual way");
        };
        let trimmed = behind.trim_start();
        let at = start + behind.len() - trimmed.len();
        let from = container.place.line - 1;
        if trimmed.starts_with('*') {
            return MapStyle::Other("it is an alias of what stands elsewhere");
        }
        if entries.is_empty() {
            let words = ["{}", "null", "Null", "NULL", "~"];
            let word = words.iter().find(|word| {
                let rest = trimmed.strip_prefix(**word);
                rest.is_some_and(|rest| {
                    rest.trim().is_empty() || rest.starts_with([' ', '\t']) && rest.trim_start().starts_with('#')
                })
            });
            return match word {
                Some(word) => MapStyle::Empty(Some(start..at + word.len())),
                None if trimmed.is_empty() || trimmed.starts_with('#') => MapStyle::Empty(None),
                None => MapStyle::Other("nothing can be written below it"),
            };
        }
        if trimmed.starts_with(['{', '[']) {
            return MapStyle::Other("it is written in flow style, with braces");
        }
        let end = self.block_end(from, indent);
        let inside: Vec<&MapEntry> = entries.iter().filter(|entry| (from + 1..=end).contains(&(entry.place.line - 1))).collect();
        let indents: Vec<Option<usize>> = inside.iter().map(|entry| self.indent_of(entry)).collect();
        match indents.first() {
            Some(Some(first)) if *first > indent && indents.iter().all(|indent| *indent == Some(*first)) => MapStyle::Block(*first),
            _ => MapStyle::Other("its keys do not stand in lines of their own"),
        }
    }

    /// Whether a blank line stands before a key and the comments above it.
    pub fn is_spaced(&self, entry: &MapEntry) -> bool {
        let above = (0..entry.place.line.saturating_sub(1)).rev().map(|index| self.line(index).trim());
        above.into_iter().find(|line| !line.starts_with('#')).is_some_and(str::is_empty)
    }

    /// How the text that begins at a place is quoted.
    pub fn quote_at(&self, line: usize, column: usize) -> Option<Quote> {
        match self.text.get(self.offset(line, column)?..)?.chars().next()? {
            '"' => Some(Quote::Double),
            '\'' => Some(Quote::Single),
            _ => Some(Quote::Plain),
        }
    }

    /// The bytes of a node's scalar, and how it is quoted; `None` for anything else, and for more than one line.
    pub fn scalar(&self, node: &Node) -> Option<(Range<usize>, Quote)> {
        let start = self.offset(node.place.line, node.place.column)?;
        let rest = self.text.get(start..self.end_of(node.place.line.checked_sub(1)?))?;
        let (len, quote) = match (&node.value, rest.chars().next()) {
            (Value::Text(_), Some('"')) => (token(rest)?, Quote::Double),
            (Value::Text(_), Some('\'')) => (token(rest)?, Quote::Single),
            // A plain scalar has no escapes: what it says is how it is spelled.
            (Value::Text(text) | Value::Bare(text), _) if rest.starts_with(text) => (text.len(), Quote::Plain),
            (Value::Null, _) => {
                let word = ["~", "null", "Null", "NULL"].into_iter().find(|word| rest.starts_with(word))?;
                (word.len(), Quote::Plain)
            }
            _ => return None,
        };
        Some((start..start + len, quote))
    }
}

/// The length of the key that a text begins with.
fn token(text: &str) -> Option<usize> {
    let mut chars = text.char_indices();
    match chars.next()?.1 {
        '"' => {
            let mut escaped = false;
            for (at, c) in chars {
                match c {
                    _ if escaped => escaped = false,
                    '\\' => escaped = true,
                    '"' => return Some(at + 1),
                    _ => {}
                }
            }
            None
        }
        '\'' => {
            let mut rest = 1;
            loop {
                let at = rest + text[rest..].find('\'')?;
                match text[at + 1..].starts_with('\'') {
                    true => rest = at + 2,
                    false => return Some(at + 1),
                }
            }
        }
        '{' | '[' | '&' | '*' | '!' | '|' | '>' | '?' => None,
        _ => {
            let ends = |at: usize, c: char| match c {
                ':' => text[at + 1..].chars().next().is_none_or(char::is_whitespace),
                '#' => text[..at].ends_with([' ', '\t']),
                _ => false,
            };
            let end = text.char_indices().find(|(at, c)| ends(*at, *c)).map_or(text.len(), |(at, _)| at);
            Some(text[..end].trim_end().len())
        }
    }
}
