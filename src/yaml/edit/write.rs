//! Values as YAML text, in the style of what stands around them.

use std::fmt::Write as _;

/// A value to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Yaml {
    Null,
    Flag(bool),
    Number(u64),
    Text(String),
    List(Vec<Yaml>),
    Map(Vec<(String, Yaml)>),
}

impl Yaml {
    pub fn text(text: impl ToString) -> Self {
        Self::Text(text.to_string())
    }
}

/// How text is quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quote {
    Double,
    Single,
    /// Only where it must be.
    Plain,
}

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Style {
    pub quote: Quote,
    /// Columns from a key to the keys below it.
    pub step: usize,
}

/// The lines of `key` and its value, in block style.
pub(crate) fn block(key: &str, value: &Yaml, indent: usize, style: Style) -> Vec<String> {
    let mut lines = Vec::new();
    push(&mut lines, key, value, indent, style);
    lines
}

fn push(lines: &mut Vec<String>, key: &str, value: &Yaml, indent: usize, style: Style) {
    let margin = " ".repeat(indent);
    let key = scalar(key, Quote::Plain);
    match value {
        Yaml::Map(entries) if !entries.is_empty() => {
            lines.push(format!("{margin}{key}:"));
            for (key, value) in entries {
                push(lines, key, value, indent + style.step, style);
            }
        }
        Yaml::List(values) if !values.is_empty() => {
            lines.push(format!("{margin}{key}:"));
            for value in values {
                push_item(lines, value, indent + style.step, style);
            }
        }
        value => lines.push(format!("{margin}{key}: {}", flow(value, style.quote))),
    }
}

fn push_item(lines: &mut Vec<String>, value: &Yaml, indent: usize, style: Style) {
    let margin = " ".repeat(indent);
    let Yaml::Map(entries) = value else {
        lines.push(format!("{margin}- {}", flow(value, style.quote)));
        return;
    };
    let first = lines.len();
    for (key, value) in entries {
        push(lines, key, value, indent + 2, style);
    }
    // The dash stands in the margin of the first key.
    if let Some(line) = lines.get_mut(first) {
        line.replace_range(indent..=indent, "-");
    }
}

/// A value in one line.
pub(crate) fn flow(value: &Yaml, quote: Quote) -> String {
    match value {
        Yaml::Null => "null".into(),
        Yaml::Flag(flag) => flag.to_string(),
        Yaml::Number(number) => number.to_string(),
        Yaml::Text(text) => scalar(text, quote),
        Yaml::List(values) => {
            let items: Vec<String> = values.iter().map(|value| flow(value, quote)).collect();
            format!("[{}]", items.join(", "))
        }
        Yaml::Map(entries) if entries.is_empty() => "{}".into(),
        Yaml::Map(entries) => {
            let items: Vec<String> =
                entries.iter().map(|(key, value)| format!("{}: {}", scalar(key, Quote::Plain), flow(value, quote))).collect();
            format!("{{ {} }}", items.join(", "))
        }
    }
}

/// A text as a scalar that every YAML tool reads as this text.
pub(crate) fn scalar(text: &str, quote: Quote) -> String {
    let single = !text.chars().any(is_special);
    match quote {
        Quote::Plain if is_plain(text) => text.to_owned(),
        Quote::Single if single => format!("'{}'", text.replace('\'', "''")),
        _ => double_quoted(text),
    }
}

/// Whether a text without quotes is text to every YAML tool, and not a number, a date, a sign or a word with a meaning.
fn is_plain(text: &str) -> bool {
    const WORDS: [&str; 10] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan"];
    let lower = text.to_ascii_lowercase();
    let first = lower.chars().next();
    let says_text = match first {
        Some('a'..='z') => !WORDS.contains(&lower.as_str()),
        // A digit may begin a number in some base, a time or a date; one of these letters rules that out.
        Some('0'..='9') => lower.chars().any(|c| matches!(c, 'g'..='n' | 'p'..='s' | 'u'..='w' | 'y')),
        _ => false,
    };
    says_text && lower.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | '+'))
}

/// What is a line break or a mark to YAML, which it would fold or drop, or what it does not take at all.
fn is_special(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// A text in double quotes, of which YAML reads every character as it is.
pub(crate) fn double_quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if is_special(c) => {
                let _a_string_takes_all = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bare_words_that_mean_something_else_are_quoted() {
        for word in ["no", "TRUE", "1e7", "12:30", "2024-01-01", "7", "0x1f", "0o17", "-a", "", "a: b", "a #b", "@x", "1_000"] {
            assert!(scalar(word, Quote::Plain).starts_with('"'), "{word}");
        }
        for word in ["q4_k_m", "7b-chat", "apache-2.0", "owner/repo", "phi-2"] {
            assert_eq!(scalar(word, Quote::Plain), word);
        }
    }

    #[test]
    fn lists_of_maps_carry_their_dash_in_the_margin_of_the_first_key() {
        let file = |path: &str| Yaml::Map(vec![("path".into(), Yaml::text(path)), ("size".into(), Yaml::Number(7))]);
        let value = Yaml::Map(vec![("files".into(), Yaml::List(vec![file("a b"), file("c")]))]);
        let style = Style { quote: Quote::Single, step: 2 };
        let lines = block("q8_0", &value, 4, style);
        assert_eq!(
            lines,
            ["    q8_0:", "      files:", "        - path: 'a b'", "          size: 7", "        - path: 'c'", "          size: 7"]
        );
        assert_eq!(flow(&value, Quote::Plain), "{ files: [{ path: \"a b\", size: 7 }, { path: c, size: 7 }] }");
    }

    proptest! {
        #[test]
        fn every_text_is_read_back_in_every_quoting(text in "\\PC{0,30}|[ -~\0\x1b\x7f\n\r\t\u{85}\u{9b}\u{2028}\u{feff}\u{fffe}\u{ffff}'\"\\\\]{0,20}") {
            for quote in [Quote::Double, Quote::Single, Quote::Plain] {
                let line = format!("- {}", scalar(&text, quote));
                let read: Vec<String> = serde_yaml::from_str(&line).map_err(|error| TestCaseError::fail(format!("{line}: {error}")))?;
                prop_assert_eq!(&read[0], &text, "{}", line);
            }
        }
    }
}
