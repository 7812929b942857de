//! Text from elsewhere, made fit to be shown: nothing in it drives a terminal, hides, or turns the line around, and no list
//! of it is endless.

use std::{borrow::Cow, fmt::Write as _, path::Path};
use url::Url;

/// Names that a sentence lists before it counts the rest.
const LISTED: usize = 10;

/// Characters that do not show as themselves, by first and last: the general categories Cc, Cf, Zl, Zp and Co of Unicode 16,
/// what it calls default-ignorable, and non-characters below U+FFFE.
const HIDDEN: [(u32, u32); 43] = [
    (0x0000, 0x001f),
    (0x007f, 0x009f),
    (0x00ad, 0x00ad),
    (0x034f, 0x034f),
    (0x0600, 0x0605),
    (0x061c, 0x061c),
    (0x06dd, 0x06dd),
    (0x070f, 0x070f),
    (0x0890, 0x0891),
    (0x08e2, 0x08e2),
    (0x115f, 0x1160),
    (0x17b4, 0x17b5),
    (0x180b, 0x180f),
    (0x200b, 0x200f),
    (0x2028, 0x202e),
    (0x2060, 0x206f),
    (0x3164, 0x3164),
    (0xe000, 0xf8ff),
    (0xfdd0, 0xfdef),
    (0xfe00, 0xfe0f),
    (0xfeff, 0xfeff),
    (0xffa0, 0xffa0),
    (0xfff0, 0xfffb),
    (0xfffe, 0xffff),
    (0x1_10bd, 0x1_10bd),
    (0x1_10cd, 0x1_10cd),
    (0x1_3430, 0x1_343f),
    (0x1_bca0, 0x1_bca3),
    (0x1_d173, 0x1_d17a),
    (0x1_fffe, 0x1_ffff),
    (0x2_fffe, 0x2_ffff),
    (0x3_fffe, 0x3_ffff),
    (0x4_fffe, 0x4_ffff),
    (0x5_fffe, 0x5_ffff),
    (0x6_fffe, 0x6_ffff),
    (0x7_fffe, 0x7_ffff),
    (0x8_fffe, 0x8_ffff),
    (0x9_fffe, 0x9_ffff),
    (0xa_fffe, 0xa_ffff),
    (0xb_fffe, 0xb_ffff),
    (0xc_fffe, 0xc_ffff),
    (0xd_fffe, 0xd_ffff),
    (0xe_0000, 0x10_ffff),
];

/// Whether a character does not show as itself: control and format characters, line and paragraph separators, those that turn
/// the direction of writing, those without width, and those for private use.
pub fn is_hidden(c: char) -> bool {
    let code = u32::from(c);
    let at = HIDDEN.partition_point(|(_, last)| *last < code);
    HIDDEN.get(at).is_some_and(|(first, _)| *first <= code)
}

/// A word of a command, quoted where a shell would read something else: `sh`, and on Windows `cmd`.
pub fn shell_word(word: &str) -> String {
    let plain = if cfg!(windows) { "-_./:=,+@\\" } else { "-_./:=,+@%" };
    if !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || plain.contains(c)) {
        return word.to_owned();
    }
    match cfg!(windows) {
        true => format!("\"{}\"", word.replace('"', "")),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// The same of a path.
pub fn shell_path(path: &Path) -> String {
    shell_word(&path.display().to_string())
}

/// Text in which hidden characters are escaped, as `\u{202e}`.
pub fn printable(text: &str) -> Cow<'_, str> {
    escaped(text, |_| false)
}

/// The same, with line breaks left as they are.
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| c == '\n')
}

/// Text on its way to a terminal: what is escaped by the others already passes, and so do line breaks, tabs and the sequences
/// that set colours. All else is escaped, wherever it came from.
pub fn for_terminal(text: &str) -> Cow<'_, str> {
    if !text.contains(|c| is_hidden(c) && !matches!(c, '\n' | '\t')) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(|c| is_hidden(c) && !matches!(c, '\n' | '\t')) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let taken = match colour(from) {
            Some(sequence) => {
                out.push_str(sequence);
                sequence.len()
            }
            None => {
                let c = from.chars().next().unwrap_or_default();
                out.extend(c.escape_default());
                c.len_utf8()
            }
        };
        rest = from.get(taken..).unwrap_or_default();
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// A sequence at the beginning of `text` that does no more than set colours.
fn colour(text: &str) -> Option<&str> {
    let numbers = text.strip_prefix("\u{1b}[")?;
    let end = numbers.find(|c: char| !c.is_ascii_digit() && c != ';').filter(|end| *end <= 24)?;
    numbers.get(end..)?.starts_with('m').then(|| &text[..2 + end + 1])
}

fn escaped(text: &str, keep: impl Fn(char) -> bool) -> Cow<'_, str> {
    // Nearly every text, and a look at bytes is much quicker than one at characters.
    if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) || !text.contains(|c| is_hidden(c) && !keep(c)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_hidden(c) && !keep(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// JSON in which hidden characters are escaped: the same document, and nothing for a terminal to obey. A document has them
/// inside its strings only, but for the line breaks between its parts.
pub fn json(document: &str) -> Cow<'_, str> {
    if !document.contains(|c| is_hidden(c) && c != '\n') {
        return Cow::Borrowed(document);
    }
    let mut out = String::with_capacity(document.len() + 16);
    for c in document.chars() {
        if is_hidden(c) && c != '\n' {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _cannot_fail = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Printable text of at most `most` characters, and a mark where it was longer. No escape is cut.
pub fn short(text: &str, most: usize) -> String {
    let mut shown = String::new();
    let mut length = 0;
    for c in text.chars() {
        let mut buffer = [0; 4];
        let piece = printable(c.encode_utf8(&mut buffer));
        length += piece.chars().count();
        if length > most {
            shown.push('…');
            break;
        }
        shown.push_str(&piece);
    }
    shown
}

/// An address as it may be shown: without user, password, query and fragment, where signatures and tokens stand.
pub fn bare(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}

/// Text whose addresses show no secret: user and password, and all from `?` or `#` to the closing quote or the blank, become
/// `…`. The number of characters stays the same, and so do columns.
pub fn redacted(text: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((colon, start)) = address_start(rest) {
        let end = start + address_end(&rest[..colon], &rest[start..]);
        out.push_str(&rest[..start]);
        push_redacted(&mut out, &rest[start..end]);
        rest = &rest[end..];
    }
    if out.is_empty() {
        return Cow::Borrowed(text);
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// As [`redacted`], where all the text is one address, whatever stands in it.
pub fn redacted_address(text: &str) -> Cow<'_, str> {
    let Some((_, start)) = address_start(text) else { return Cow::Borrowed(text) };
    let mut out = text[..start].to_owned();
    push_redacted(&mut out, &text[start..]);
    Cow::Owned(out)
}

/// Appends an address without its scheme.
fn push_redacted(out: &mut String, address: &str) {
    let (user, address) = address.split_at(user_end(address));
    // An address within an address may have a password of its own.
    let secret = ["?", "#", "://"].iter().filter_map(|mark| address.find(mark)).min().unwrap_or(address.len());
    out.extend(user.chars().map(|_| '…'));
    out.push_str(&address[..secret]);
    out.extend(address[secret..].chars().map(|_| '…'));
}

/// Where the first address has the colon of its scheme, and where its host or user begins. Addresses of HTTP are read with any
/// number of slashes there.
fn address_start(text: &str) -> Option<(usize, usize)> {
    let is_http = |before: &str| {
        let ends = |scheme: &str| {
            before
                .len()
                .checked_sub(scheme.len())
                .and_then(|at| before.get(at..))
                .is_some_and(|end| end.eq_ignore_ascii_case(scheme))
        };
        ends("http") || ends("https")
    };
    text.match_indices(':').find_map(|(colon, _)| {
        let behind = &text[colon + 1..];
        let starts = behind.starts_with("//") || is_http(&text[..colon]) && !behind.starts_with(char::is_whitespace);
        starts.then(|| (colon, text.len() - behind.trim_start_matches(['/', '\\']).len()))
    })
}

/// Whether an address names a user, and perhaps a password.
pub fn has_user(address: &str) -> bool {
    address.split_once("://").is_some_and(|(_, behind)| user_end(behind) > 0)
}

/// Where an address ends: at the quote that stood before its scheme, or else at a blank. It never ends behind its line.
fn address_end(before: &str, address: &str) -> usize {
    let is_scheme = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    let quote = before.trim_end_matches(is_scheme).chars().next_back().filter(|c| matches!(c, '"' | '\'' | '`'));
    let mut chars = address.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match quote {
            _ if c == '\n' => return at,
            // As YAML escapes quotes.
            Some('"') if c == '\\' => drop(chars.next_if(|(_, next)| *next != '\n')),
            Some('\'') if c == '\'' && chars.next_if(|(_, next)| *next == '\'').is_some() => {}
            Some(quote) if c == quote => return at,
            None if c == '"' || c.is_whitespace() => return at,
            _ => {}
        }
    }
    address.len()
}

/// Where user and password of an address end that begins behind `://`. A password may have a `/` or `?` that should be encoded:
/// then what stands before it has no port.
fn user_end(address: &str) -> usize {
    let authority = &address[..address.find(['/', '?', '#', '\\']).unwrap_or(address.len())];
    if let Some(at) = authority.rfind('@') {
        return at;
    }
    // The colons of an address of IPv6 name no port.
    if authority.starts_with('[') && authority.ends_with(']') {
        return 0;
    }
    let has_port = authority.rsplit_once(':').is_none_or(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    if has_port { 0 } else { address.rfind('@').unwrap_or(0) }
}

/// A size for people: gigabytes with two decimals, megabytes below 100 MB.
pub fn size(bytes: u64) -> String {
    let exact = bytes as f64;
    let (unit, word) = match bytes {
        0..1_000 => return format!("{bytes} B"),
        1_000..100_000 => (1e3, "KB"),
        100_000..100_000_000 => (1e6, "MB"),
        100_000_000..1_000_000_000_000 => (1e9, "GB"),
        _ => (1e12, "TB"),
    };
    format!("{:.2} {word}", exact / unit)
}

/// At most ten names, then how many more.
pub fn list<T: AsRef<str>>(names: &[T]) -> String {
    counted(names, names.len())
}

/// The same of commands, which are never cut: half a command is none.
pub fn list_whole<T: AsRef<str>>(commands: &[T]) -> String {
    let shown = commands.iter().take(LISTED).map(|command| printable(command.as_ref())).collect::<Vec<_>>().join(", ");
    match commands.len().saturating_sub(LISTED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// The same for names of which only the first were kept, out of `total`.
pub fn counted<T: AsRef<str>>(names: &[T], total: usize) -> String {
    let shown = names.iter().take(LISTED).map(|name| short(name.as_ref(), 200)).collect::<Vec<_>>().join(", ");
    match total.saturating_sub(names.len().min(LISTED)) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_address_has_neither_password_nor_signature() {
        let url = Url::parse("https://me:secret@cdn.h.example/a%20b?X-Amz-Signature=s#f").unwrap();
        assert_eq!(bare(&url), "https://cdn.h.example/a%20b");
    }

    #[test]
    fn text_shows_no_secret_of_an_address_and_keeps_its_columns() {
        for (text, shown) in [
            ("no address: a?b", "no address: a?b"),
            ("q8_0: {url: \"https://me:pw@h/x\", size: 7}", "q8_0: {url: \"https://……………@h/x\", size: 7}"),
            ("url: https://h/x?key=1, size: 7", "url: https://h/x………………… size: 7"),
            ("url: 'https://h/x?a b''c' # see http://h/y#z", "url: 'https://h/x…………………' # see http://h/y……"),
            ("\"https://h/x?a\\\"b\" c?", "\"https://h/x……………\" c?"),
            ("`ftp://me@h:21/x?` and https://h:1/a@v1?é", "`ftp://……@h:21/x…` and https://h:1/a@v1……"),
            ("https://me:s/e?c@h/x?k", "https://……………………@h/x……"),
            ("https://h/https://me:pw@h", "https://h/https…………………………"),
            ("+https://h/x?a\n-https://h/x?b\n", "+https://h/x……\n-https://h/x……\n"),
            ("url: \"HTTPS:/me:pw@h/x\"", "url: \"HTTPS:/……………@h/x\""),
            ("url: \"https:\\/\\/me:pw@h/x\"", "url: \"https:\\/\\/……………@h/x\""),
            ("oci://[::1]/a@b", "oci://[::1]/a@b"),
            ("http: what? a@b", "http: what? a@b"),
            ("\"https://h/x?a\nplain", "\"https://h/x……\nplain"),
        ] {
            assert_eq!(redacted(text), shown, "{text}");
            assert_eq!(redacted(text).chars().count(), text.chars().count(), "{text}");
        }
    }

    #[test]
    fn an_address_by_itself_is_secret_to_its_end_whatever_stands_in_it() {
        for (text, shown) in
            [("https://h/a b?key=1 2\n3", "https://h/a b…………………………"), ("https://me:p w@h/x", "https://………………@h/x"), ("o/r", "o/r")]
        {
            assert_eq!(redacted_address(text), shown, "{text}");
        }
    }

    #[test]
    fn a_list_cuts_long_names_and_no_command() {
        let long = vec!["x".repeat(400); 12];
        assert_eq!(list(&long[..1]).chars().count(), 201);
        let whole = list_whole(&long);
        assert_eq!(whole.matches(&"x".repeat(400)).count(), 10);
        assert!(whole.ends_with(" and 2 more"), "{whole}");
    }

    #[test]
    fn characters_that_turn_hide_or_break_a_line_are_escaped() {
        for hidden in "\u{0}\u{7}\u{1b}\u{7f}\u{85}\u{9b}\u{ad}\u{34f}\u{61c}\u{115f}\u{180e}\u{200b}\u{200d}\u{200e}\u{202e}\u{2028}\u{2029}\u{2060}\u{2066}\u{2069}\u{3164}\u{e000}\u{fe0f}\u{feff}\u{fff9}\u{ffff}\u{1d173}\u{e0001}\u{e0041}\u{f0000}\u{10ffff}".chars() {
            assert!(is_hidden(hidden), "{:x}", u32::from(hidden));
            assert_eq!(printable(&format!("a{hidden}b")), format!("a{}b", hidden.escape_default()));
        }
        for plain in [" ~aé中日本語한国עברית", "العربية", "e\u{301}", "\u{a0}", "🦙", "\u{d7ff}", "\u{20000}"]
        {
            assert_eq!(printable(plain), plain);
        }
    }

    #[test]
    fn the_table_is_in_order_and_without_overlap() {
        assert!(HIDDEN.iter().all(|(first, last)| first <= last));
        assert!(HIDDEN.windows(2).all(|pair| pair[0].1 < pair[1].0));
    }

    #[test]
    fn a_terminal_gets_colours_and_no_other_sequence() {
        assert_eq!(for_terminal("\u{1b}[1;31merror:\u{1b}[0m\ta\nb"), "\u{1b}[1;31merror:\u{1b}[0m\ta\nb");
        for hostile in ["\u{1b}[2J", "\u{1b}]0;x\u{7}", "\u{1b}[31", "\u{1b}[", "\u{1b}", "\r", "\u{202e}", "\u{9b}31m"] {
            let shown = for_terminal(hostile).into_owned();
            assert!(!shown.contains(is_hidden), "{hostile:?} became {shown:?}");
        }
    }

    #[test]
    fn escaped_json_is_the_same_document() {
        let value = serde_json::json!({"a\u{202e}": ["\u{e0041}x\u{2028}", "plain é", "\u{7f}"], "b": {}});
        let text = format!("{value:#}");
        let shown = json(&text);
        assert!(!shown.contains(|c| is_hidden(c) && c != '\n'), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }

    #[test]
    fn a_long_list_is_ten_names_and_a_count() {
        let names: Vec<String> = (0..1000).map(|n| format!("n{n}")).collect();
        assert_eq!(list(&names), "n0, n1, n2, n3, n4, n5, n6, n7, n8, n9 and 990 more");
        assert_eq!(list(&names[..2]), "n0, n1");
        assert_eq!(counted(&names[..2], 7), "n0, n1 and 5 more");
        assert_eq!(short(&"é".repeat(9), 3), "ééé…");
    }

    #[test]
    fn short_text_is_short_with_its_escapes_too() {
        assert_eq!(short("abc", 3), "abc");
        assert_eq!(short("abcd", 3), "abc…");
        assert_eq!(short("a\u{202e}b", 9), "a\\u{202e}…");
        assert_eq!(short("a\u{202e}b", 8), "a…");
        assert_eq!(short(&"\0".repeat(5000), 300).chars().count(), 301);
    }
}
