//! Changes of a settings file's text that keep everything else in it, comments included. Text in, text out.

use crate::yaml::{
    self, MapEntry, Node, Value,
    edit::{Edit, SourceText, double_quoted, entry_at, first_proven, sets_only, unsets_only},
};
use std::ops::Range;

/// The text with these values, the rest of it unchanged; `None` where that cannot be had. `added` are those of a list that
/// are not in it yet; without any, all values are written anew.
pub fn with_values(text: &str, key: &str, values: &[String], added: &[String], is_list: bool) -> Option<String> {
    let old = yaml::read(text).ok()?;
    let entries = entries_of(old.as_ref())?;
    let source = SourceText::new(text);
    let canonical = lines_of(key, values, is_list);
    let lines: Vec<&str> = canonical.lines().collect();
    let mut candidates = Vec::new();
    match entries.iter().position(|entry| entry.key == key) {
        None => candidates.push(changed(&source, |edit| edit.append(&lines))),
        Some(at) => {
            let Range { start: first, end } = lines_of_entry(&source, entries, at);
            if let (Value::List(nodes), false) = (&entries[at].node.value, added.is_empty())
                && let Some(last) = nodes.last().map(|node| node.place.line - 1).filter(|line| *line > first)
            {
                let indent: String = source.line(last).chars().take_while(|c| *c == ' ').collect();
                let more: Vec<String> = added.iter().map(|value| format!("{indent}- {}", quoted(value))).collect();
                candidates.push(changed(&source, |edit| edit.insert_behind(last, &more)));
            }
            // A comment behind the value stays there.
            if end == first + 1 {
                let line = source.line(first);
                candidates.extend(line.match_indices('#').map(|(at, _)| {
                    let mut lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
                    lines[0].push_str(&format!("  {}", &line[at..]));
                    changed(&source, |edit| edit.replace_lines(first..end, &lines))
                }));
            }
            if !(first..end).any(|line| source.line(line).contains('#')) {
                candidates.push(changed(&source, |edit| edit.replace_lines(first..end, &lines)));
            }
        }
    }
    let wanted = yaml::read(&canonical).ok()?;
    let value = &entry_at(wanted.as_ref(), &[key])?.node.value;
    let is_meant = |new: &str, root: Option<&Node>| sets_only(old.as_ref(), root, &[key], value) && comments(new) >= comments(text);
    first_proven(candidates, is_meant)
}

/// The text without a key. Comments on lines of their own stay, those behind a value go with it. `None` where that cannot be
/// had.
pub fn without_key(text: &str, key: &str) -> Option<String> {
    let old = yaml::read(text).ok()?;
    let entries = entries_of(old.as_ref())?;
    let source = SourceText::new(text);
    let at = entries.iter().position(|entry| entry.key == key)?;
    let lines = lines_of_entry(&source, entries, at);
    let kept: Vec<&str> = lines.clone().map(|line| source.line(line)).filter(|line| line.trim_start().starts_with('#')).collect();
    first_proven([changed(&source, |edit| edit.replace_lines(lines, &kept))], |_, root| unsets_only(old.as_ref(), root, &[key]))
}

/// The text without some values of a list, of which `rest` is left; `None` where that cannot be had.
pub fn without_values(text: &str, key: &str, taken: &[String], rest: &[String]) -> Option<String> {
    let old = yaml::read(text).ok()?;
    let entry = entry_at(old.as_ref(), &[key])?;
    let source = SourceText::new(text);
    let wanted = yaml::read(&lines_of(key, rest, true)).ok()?;
    let value = &entry_at(wanted.as_ref(), &[key])?.node.value;
    let mut candidates = Vec::new();
    if let Value::List(nodes) = &entry.node.value {
        let is_taken = |node: &&Node| words(node).iter().any(|word| taken.contains(word));
        candidates.push(changed(&source, |edit| {
            for line in nodes.iter().filter(is_taken).map(|node| node.place.line - 1) {
                edit.replace_lines(line..line + 1, &[""; 0]);
            }
        }));
    }
    first_proven(candidates, |_, root| sets_only(old.as_ref(), root, &[key], value))
        .or_else(|| with_values(text, key, rest, &[], true))
}

fn changed(source: &SourceText<'_>, change: impl FnOnce(&mut Edit<'_>)) -> String {
    let mut edit = Edit::new(source);
    change(&mut edit);
    edit.done()
}

/// The settings of a file; `None` where it is no map.
fn entries_of(root: Option<&Node>) -> Option<&[MapEntry]> {
    match root {
        None | Some(Node { value: Value::Null, .. }) => Some(&[]),
        Some(Node { value: Value::Map(entries), .. }) => Some(entries),
        Some(_) => None,
    }
}

/// The indexes of the lines of a setting, without comments and empty lines that follow.
fn lines_of_entry(source: &SourceText<'_>, entries: &[MapEntry], at: usize) -> Range<usize> {
    let first = entries[at].place.line - 1;
    let next = entries.get(at + 1).map_or(source.line_count(), |entry| entry.place.line - 1);
    let is_beside = |line: &usize| source.line(*line).trim().is_empty() || source.line(*line).trim_start().starts_with('#');
    let end = next - (first..next).rev().take_while(is_beside).count();
    first..end
}

fn comments(text: &str) -> usize {
    yaml::lines(text).iter().filter(|line| line.contains('#')).count()
}

fn words(node: &Node) -> Vec<String> {
    match &node.value {
        Value::Text(text) | Value::Bare(text) => vec![text.clone()],
        Value::List(nodes) => nodes.iter().flat_map(words).collect(),
        Value::Null | Value::Map(_) => Vec::new(),
    }
}

/// The values of a key, as they are written; `None` where it is not there.
pub fn values_in(text: &str, key: &str) -> Option<Vec<String>> {
    let root = yaml::read(text).ok().flatten();
    entry_at(root.as_ref(), &[key]).map(|entry| words(&entry.node))
}

/// A setting as this program writes it.
pub fn lines_of(key: &str, values: &[String], is_list: bool) -> String {
    match (is_list, values) {
        (false, [value]) => format!("{key}: {}\n", quoted(value)),
        _ => format!("{key}:\n{}", values.iter().map(|value| format!("  - {}\n", quoted(value))).collect::<String>()),
    }
}

/// A value as YAML; numbers and booleans stand for themselves.
fn quoted(value: &str) -> String {
    let is_plain = !value.is_empty() && value.chars().all(|c| c.is_ascii_alphanumeric());
    if is_plain { value.to_owned() } else { double_quoted(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(values: &[&str]) -> Vec<String> {
        values.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_value_is_written_beside_everything_else() {
        let grant = |text: &str| with_values(text, "allowed_places", &texts(&["/a", "/b c"]), &texts(&["/b c"]), true);
        let own = "allowed_places:\n  - \"/a\"\n  - \"/b c\"\n";
        for (text, expected) in [
            ("", Some(own.to_owned())),
            ("# mine\ntries: 3 # few", Some(format!("# mine\ntries: 3 # few\n{own}"))),
            (
                "allowed_places:  # places\n    - /a  # one\n\n# other\ntries: 3\n",
                Some("allowed_places:  # places\n    - /a  # one\n    - \"/b c\"\n\n# other\ntries: 3\n".into()),
            ),
            ("allowed_places: [/a]\ntries: 3\n", Some(format!("{own}tries: 3\n"))),
            ("allowed_places: /a # one\n", Some("allowed_places:  # one\n  - \"/a\"\n  - \"/b c\"\n".into())),
            ("allowed_places: [\n  /a, # one\n]\n", None),
            ("{tries: 3}", None),
        ] {
            assert_eq!(grant(text), expected, "{text}");
        }
        for end in ["\r", "\r\n", "\u{85}", "\u{2028}"] {
            let text = ["link: copy", "# few", "tries: 3", "offline: true"].map(|line| format!("{line}{end}")).concat();
            // Only the line breaks that every editor knows are written.
            let written = if end.contains('\r') { end } else { "\n" };
            let changed = text.replace(&format!("tries: 3{end}"), &format!("tries: 9{written}"));
            assert_eq!(with_values(&text, "tries", &texts(&["9"]), &[], false), Some(changed), "{text:?}");
            let listed = ["allowed_places:", "  - /a", "tries: 3"].map(|line| format!("{line}{end}")).concat();
            let changed = listed.replace(&format!("- /a{end}"), &format!("- /a{end}  - \"/b c\"{written}"));
            assert_eq!(grant(&listed), Some(changed), "{listed:?}");
        }
        let replaced = |text: &str| with_values(text, "tries", &texts(&["9"]), &[], false);
        assert_eq!(replaced("tries: 3 # few\nlink: copy\n").as_deref(), Some("tries: 9  # few\nlink: copy\n"));
        assert_eq!(replaced("link: copy\ntries: 3\n").as_deref(), Some("link: copy\ntries: 9\n"));
    }

    #[test]
    fn a_key_is_taken_out_and_every_comment_on_a_line_of_its_own_stays() {
        let without = |text: &str| without_key(text, "tries");
        for (text, expected) in [
            ("# head\n\n# few\ntries: 3 # why\n# next\nlink: copy\n", Some("# head\n\n# few\n# next\nlink: copy\n")),
            ("link: copy\r\ntries: 3", Some("link: copy\r\n")),
            ("tries: 3\n", Some("")),
            ("tries:\n  # odd\n  3\nlink: copy\n", Some("  # odd\nlink: copy\n")),
            ("link: copy\n", None),
            ("{tries: 3, link: copy}\n", None),
        ] {
            assert_eq!(without(text).as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn a_value_of_a_list_is_taken_out_alone() {
        let without = |text: &str| without_values(text, "allowed_places", &texts(&["/a"]), &texts(&["/b"]));
        for (text, expected) in [
            (
                "allowed_places: # two\n  - /a # one\n  # other\n  - /b\ntries: 3\n",
                Some("allowed_places: # two\n  # other\n  - /b\ntries: 3\n"),
            ),
            ("allowed_places: [/a, /b]\n", Some("allowed_places:\n  - \"/b\"\n")),
            ("allowed_places: [\n  /a, # one\n  /b]\n", Some("allowed_places: [\n  /b]\n")),
            ("allowed_places: [/a, # one\n  /b]\n", None),
        ] {
            assert_eq!(without(text).as_deref(), expected, "{text:?}");
        }
    }
}
