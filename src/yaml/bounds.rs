//! Limits on a text that are checked before the YAML crate sees it.
//!
//! That crate reads a whole document into memory without a limit, and its cost per token grows with the depth of flow
//! collections. So length, tokens and depth are estimated first, without a parser: never fewer than the parser would
//! count, and hardly more for an ordinary file.

use super::{Position, Problem};

/// A registry of a thousand models has about one megabyte.
pub(crate) const MOST_BYTES: usize = 4 << 20;

/// Characters that can begin a value: the crate keeps a few words of memory for each value.
const MOST_MARKS: usize = 250_000;

/// The crate itself gives up at 128 when it makes values of what it has read.
const MOST_DEPTH: u32 = 1_000;

/// Refuses a text that would cost more than a settings file may.
pub(super) fn check(text: &str) -> Result<(), Problem> {
    if text.len() > MOST_BYTES {
        return Err(Problem::new(Position::START, format!("the file has {} bytes; expected {MOST_BYTES} at most", text.len())));
    }
    let mut here = Position::START;
    let mut marks = 0;
    let mut flow = FlowDepth::default();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let next = chars.peek().copied();
        let is_mark = match c {
            '[' | '{' | ',' | '?' | ':' | '\n' | '\r' => true,
            '-' => next.is_none_or(is_space),
            _ => false,
        };
        marks += usize::from(is_mark);
        if marks > MOST_MARKS {
            return Err(Problem::new(here, format!("the file has more than {MOST_MARKS} values, or marks that could begin one")));
        }
        if flow.step(c, next) > MOST_DEPTH {
            return Err(Problem::new(here, "recursion limit exceeded: lists or mappings are nested too deeply"));
        }
        here = match c {
            '\n' => Position { line: here.line + 1, column: 1 },
            _ => Position { line: here.line, column: here.column + 1 },
        };
    }
    Ok(())
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t') || is_break(c)
}

/// What the YAML crate takes for the end of a line.
fn is_break(c: char) -> bool {
    super::LINE_BREAKS.contains(&c)
}

/// The context of a character inside of brackets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ScanState {
    /// A token may begin.
    Between,
    /// In text without quotes.
    Plain,
    /// Behind a space in such text.
    PlainSpace,
    Single,
    /// Behind a quote that ends the text, or is the first half of a doubled one.
    SingleEnd,
    Double,
    /// Behind a backslash.
    Escape,
    Comment,
    /// An anchor or an alias.
    Name,
    /// Behind the `!` of a tag.
    TagStart,
    Tag,
    /// `!<...>`.
    VerbatimTag,
}

const STATES: usize = 12;

/// How deep brackets can be nested here, for each state that the text may be in.
///
/// Outside of brackets it takes a parser to tell text from structure, so there each opening bracket is taken for a real one.
/// Inside, the next state follows from the character alone: the deepest nesting of each state is never less than the truth.
#[derive(Debug, Default)]
struct FlowDepth {
    /// Indexed by [`ScanState`]; 0 where it is not in this state.
    depth: [u32; STATES],
    is_active: bool,
}

impl FlowDepth {
    /// Takes the next character; the greatest depth now.
    fn step(&mut self, c: char, next: Option<char>) -> u32 {
        let opens = matches!(c, '[' | '{');
        if !self.is_active && !opens {
            return 0;
        }
        let before = std::mem::take(&mut self.depth);
        let mut deepest = 0;
        let mut reach = |state: ScanState, depth: u32| {
            let known = &mut self.depth[state as usize];
            *known = (*known).max(depth);
            deepest = deepest.max(depth);
        };
        for (from, depth) in before.into_iter().enumerate().filter(|(_, depth)| *depth > 0) {
            let (state, change) = ALL[from].next(c, next);
            reach(state, depth.saturating_add_signed(change));
        }
        if opens {
            reach(ScanState::Between, 1);
        }
        self.is_active = deepest > 0;
        deepest
    }
}

const ALL: [ScanState; STATES] = [
    ScanState::Between,
    ScanState::Plain,
    ScanState::PlainSpace,
    ScanState::Single,
    ScanState::SingleEnd,
    ScanState::Double,
    ScanState::Escape,
    ScanState::Comment,
    ScanState::Name,
    ScanState::TagStart,
    ScanState::Tag,
    ScanState::VerbatimTag,
];

impl ScanState {
    /// The state behind `c`, and what that does to the depth. A text that the parser refuses at this place may lead anywhere.
    fn next(self, c: char, next: Option<char>) -> (Self, i32) {
        let stay = (self, 0);
        match self {
            Self::Between => between(c),
            Self::Plain | Self::PlainSpace => match c {
                '#' if self == Self::PlainSpace => (Self::Comment, 0),
                ',' | '[' | ']' | '{' | '}' => between(c),
                ':' if next.is_none_or(is_space) => (Self::Between, 0),
                c if is_space(c) => (Self::PlainSpace, 0),
                _ => (Self::Plain, 0),
            },
            Self::Single => {
                if c == '\'' {
                    (Self::SingleEnd, 0)
                } else {
                    stay
                }
            }
            Self::SingleEnd => {
                if c == '\'' {
                    (Self::Single, 0)
                } else {
                    between(c)
                }
            }
            Self::Double => match c {
                '\\' => (Self::Escape, 0),
                '"' => (Self::Between, 0),
                _ => stay,
            },
            Self::Escape => (Self::Double, 0),
            Self::Comment => {
                if is_break(c) {
                    (Self::Between, 0)
                } else {
                    stay
                }
            }
            Self::Name => {
                if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') {
                    stay
                } else {
                    between(c)
                }
            }
            Self::TagStart if c == '<' => (Self::VerbatimTag, 0),
            Self::TagStart | Self::Tag => match c {
                ',' | '[' | ']' | '{' | '}' => between(c),
                c if is_space(c) => (Self::Between, 0),
                _ => (Self::Tag, 0),
            },
            Self::VerbatimTag => {
                if c == '>' || is_space(c) {
                    (Self::Between, 0)
                } else {
                    stay
                }
            }
        }
    }
}

/// Where a token may begin.
fn between(c: char) -> (ScanState, i32) {
    match c {
        '[' | '{' => (ScanState::Between, 1),
        ']' | '}' => (ScanState::Between, -1),
        ',' | '?' | ':' => (ScanState::Between, 0),
        '#' => (ScanState::Comment, 0),
        '*' | '&' => (ScanState::Name, 0),
        '!' => (ScanState::TagStart, 0),
        '\'' => (ScanState::Single, 0),
        '"' => (ScanState::Double, 0),
        c if is_space(c) => (ScanState::Between, 0),
        _ => (ScanState::Plain, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn deepest(text: &str) -> u32 {
        let mut flow = FlowDepth::default();
        let next = text.chars().skip(1).map(Some).chain([None]);
        text.chars().zip(next).map(|(c, next)| flow.step(c, next)).max().unwrap_or_default()
    }

    #[test]
    fn what_is_closed_is_no_deeper_than_it_looks() {
        assert_eq!(deepest("a: {b: [1, 2], c: {d: x}}\n".repeat(5_000).as_str()), 2);
        assert_eq!(deepest(&crate::registry::BUILT_IN.repeat(200)), deepest(crate::registry::BUILT_IN));
        assert!(check(&crate::registry::BUILT_IN.repeat(100)).is_ok());
    }

    #[test]
    fn brackets_that_close_nothing_do_not_hide_those_that_open() {
        for text in [
            "[ \"]\", ",
            "[ ']', ",
            "[ #]\n",
            "[ 'it''s ]', ",
            "[ \"\\\"]\", ",
            "[!<]> ",
            "[ a #]\n\n",
            "{a: ",
            "[&a '],]', ",
            "[!t '] ]', ",
        ] {
            assert!(deepest(&text.repeat(50)) >= 50, "{text}");
        }
    }

    #[test]
    fn too_much_is_told_by_its_place() {
        let problem = check(&format!("a: 1\nb: {}", "[".repeat(200_000))).expect_err("deep");
        assert_eq!((problem.place.line, problem.place.column), (2, 3 + 1_001));
        assert!(check(&"a,".repeat(MOST_MARKS + 1)).expect_err("many").message.contains("values"));
        assert!(check(&" ".repeat(MOST_BYTES + 1)).expect_err("long").message.contains("bytes"));
    }

    /// How deep the YAML crate finds lists in what it can read.
    fn parsed_depth(value: &serde_yaml::Value) -> u32 {
        match value {
            serde_yaml::Value::Sequence(list) => 1 + list.iter().map(parsed_depth).max().unwrap_or_default(),
            serde_yaml::Value::Mapping(map) => {
                1 + map.iter().map(|(key, value)| parsed_depth(key).max(parsed_depth(value))).max().unwrap_or_default()
            }
            _ => 0,
        }
    }

    proptest! {
        #[test]
        fn the_depth_is_never_less_than_what_the_parser_finds(text in "\\[[\\[\\]{},:'\"#!&*a <>]{0,40}") {
            if let Ok(value) = serde_yaml::from_str::<serde_yaml::Value>(&text) {
                // In one line, the key of a mapping without brackets may be a list.
                prop_assert!(deepest(&text) + 1 >= parsed_depth(&value), "{text:?}");
            }
        }
    }
}
