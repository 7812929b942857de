//! Patterns of file names as the Hub's own tools mean them: `*` also crosses `/`.

use super::FileFacts;
use crate::names::RelPath;

/// Whether `name` fits `pattern`: `*` any text, `?` one character, `[a-z]` one of a set, `[!a-z]` one outside it. A pattern
/// that ends with `/` takes everything below that folder. Upper and lower case differ.
pub fn matches(pattern: &str, name: &str) -> bool {
    let mut tokens = tokens(pattern);
    if pattern.ends_with('/') {
        tokens.push(PatternToken::Any);
    }
    let name: Vec<char> = name.chars().collect();
    // The usual walk with one place to come back to: the last `*` may take one character more.
    let (mut t, mut n) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while n < name.len() {
        match tokens.get(t) {
            Some(PatternToken::Any) => {
                back = Some((t, n));
                t += 1;
            }
            Some(token) if token.takes(name[n]) => {
                t += 1;
                n += 1;
            }
            _ => match &mut back {
                Some((star, from)) => {
                    *from += 1;
                    (t, n) = (*star + 1, *from);
                }
                None => return false,
            },
        }
    }
    tokens[t..].iter().all(|token| matches!(token, PatternToken::Any))
}

/// The files that fit one of `include` (all, if there is none) and none of `exclude`.
pub fn select_files<'a>(files: &'a [FileFacts], include: &[String], exclude: &[String]) -> Vec<&'a FileFacts> {
    files.iter().filter(|file| is_selected(&file.path, include, exclude)).collect()
}

/// Whether a path fits one of `include` (if there is one) and none of `exclude`.
pub fn is_selected(path: &RelPath, include: &[String], exclude: &[String]) -> bool {
    let fits = |patterns: &[String]| patterns.iter().any(|pattern| matches(pattern, path.as_str()));
    (include.is_empty() || fits(include)) && !fits(exclude)
}

enum PatternToken {
    Any,
    One,
    Char(char),
    Set { inverted: bool, ranges: Vec<(char, char)> },
}

impl PatternToken {
    fn takes(&self, c: char) -> bool {
        match self {
            Self::Any => false,
            Self::One => true,
            Self::Char(own) => *own == c,
            Self::Set { inverted, ranges } => ranges.iter().any(|(first, last)| (*first..=*last).contains(&c)) != *inverted,
        }
    }
}

fn tokens(pattern: &str) -> Vec<PatternToken> {
    let chars: Vec<char> = pattern.chars().collect();
    let mut tokens = Vec::with_capacity(chars.len());
    let mut at = 0;
    while at < chars.len() {
        match chars[at] {
            '*' => {
                if !matches!(tokens.last(), Some(PatternToken::Any)) {
                    tokens.push(PatternToken::Any);
                }
            }
            '?' => tokens.push(PatternToken::One),
            '[' => match set(&chars[at + 1..]) {
                Some((token, used)) => {
                    tokens.push(token);
                    at += used;
                }
                None => tokens.push(PatternToken::Char('[')),
            },
            c => tokens.push(PatternToken::Char(c)),
        }
        at += 1;
    }
    tokens
}

/// Reads a set behind its `[`: the token and the characters used, the `]` included. A set without end is plain text.
fn set(chars: &[char]) -> Option<(PatternToken, usize)> {
    let inverted = chars.first() == Some(&'!');
    let start = usize::from(inverted);
    // A `]` right at the beginning stands for itself.
    let end = chars.iter().enumerate().skip(start + 1).find(|(_, c)| **c == ']')?.0;
    let (body, mut ranges, mut at) = (&chars[start..end], Vec::new(), 0);
    while at < body.len() {
        if at + 2 < body.len() && body[at + 1] == '-' {
            ranges.push((body[at], body[at + 2]));
            at += 3;
        } else {
            ranges.push((body[at], body[at]));
            at += 1;
        }
    }
    Some((PatternToken::Set { inverted, ranges }, end + 1))
}

#[cfg(test)]
mod tests {
    use super::{super::tree::file, *};
    use proptest::prelude::*;

    #[test]
    fn patterns_mean_what_they_mean_on_the_hub() {
        for (pattern, name, fits) in [
            ("*.json", "config.json", true),
            ("*.json", "a/b/config.json", true),
            ("*.json", "config.jsonl", false),
            ("original/", "original/a/b.pth", true),
            ("original/*", "originals/x", false),
            ("model-0000?-of-*.safetensors", "model-00003-of-00010.safetensors", true),
            ("[!.]*", ".gitattributes", false),
            ("q[4-6]_k", "q5_k", true),
            ("q[4-6]_k", "q8_k", false),
            ("[]x]", "]", true),
            ("a[b", "a[b", true),
            ("", "", true),
            ("", "a", false),
            ("**a**", "ba", true),
            ("*.GGUF", "x.gguf", false),
            ("*ö?", "aöb", true),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} against {name}");
        }
    }

    #[test]
    fn exclusion_wins_over_inclusion() {
        let files = ["a.json", "b.json", "c.bin"].map(file);
        let chosen = select_files(&files, &["*.json".into()], &["b*".into()]);
        assert_eq!(chosen.iter().map(|f| f.path.as_str()).collect::<Vec<_>>(), ["a.json"]);
        assert_eq!(select_files(&files, &[], &[]).len(), 3);
    }

    proptest! {
        #[test]
        fn no_pattern_panics(pattern in "[\\[\\]!*?/a-c-]{0,12}|\\PC{0,12}", name in "[a-c/\\]-]{0,12}|\\PC{0,12}") {
            let _ = matches(&pattern, &name);
        }

        #[test]
        fn a_name_without_signs_fits_itself_and_a_star_in_any_place(name in "[a-z/.]{1,20}", cut in 0usize..20) {
            prop_assert!(matches(&name, &name));
            let cut = cut.min(name.len());
            let (head, tail) = (&name[..cut], &name[cut..]);
            let (starred, doubled) = (format!("{}*{}", head, tail), format!("{}*", head));
            prop_assert!(matches(&starred, &name));
            prop_assert!(matches(&doubled, &name));
        }
    }
}
