//! What an edit changes, as a unified diff that `patch` and `git apply` take.

use crate::text::redacted;
use std::fmt::Write as _;

/// Unchanged lines around a change.
const CONTEXT: usize = 3;

/// The unified diff from `old` to `new`; empty if they are the same. Without an old text it makes the file. A relative `label`
/// stands behind `a/` and `b/`, for `git apply` and `patch -p1`. The lines show no secret of an address; a diff with such a
/// line is for reading only.
pub fn unified_diff(old: Option<&str>, new: &str, label: &str) -> String {
    if old == Some(new) {
        return String::new();
    }
    let named = |side: &str| if label.starts_with('/') { label.to_owned() } else { format!("{side}/{label}") };
    let from = if old.is_some() { named("a") } else { "/dev/null".to_owned() };
    let (a, b) = (lines(old.unwrap_or_default()), lines(new));
    let mut text = format!("--- {from}\n+++ {}\n", named("b"));
    for hunk in hunks(&steps(&a, &b)) {
        write_hunk(&mut text, hunk);
    }
    text
}

/// Lines with what ends them.
fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

/// One line of a diff: how it begins, the line, and its index from 0 in both texts.
type Step<'t> = (char, &'t str, usize, usize);

/// From one text to the other: what is common at both ends stays, and between them the longest common subsequence.
fn steps<'t>(a: &[&'t str], b: &[&'t str]) -> Vec<Step<'t>> {
    let head = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let tail = a[head..].iter().rev().zip(b[head..].iter().rev()).take_while(|(a, b)| a == b).count();
    let (old, new) = (&a[head..a.len() - tail], &b[head..b.len() - tail]);
    // An edit touches a few lines of one entry, so the table of lengths is small.
    let mut length = vec![vec![0usize; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            length[i][j] = match old[i] == new[j] {
                true => length[i + 1][j + 1] + 1,
                false => length[i + 1][j].max(length[i][j + 1]),
            };
        }
    }
    let mut steps: Vec<Step<'t>> = (0..head).map(|at| (' ', a[at], at, at)).collect();
    let (mut i, mut j) = (0, 0);
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            steps.push((' ', old[i], head + i, head + j));
            (i, j) = (i + 1, j + 1);
        } else if i < old.len() && (j == new.len() || length[i + 1][j] >= length[i][j + 1]) {
            steps.push(('-', old[i], head + i, head + j));
            i += 1;
        } else {
            steps.push(('+', new[j], head + i, head + j));
            j += 1;
        }
    }
    steps.extend((0..tail).map(|at| (' ', a[a.len() - tail + at], a.len() - tail + at, b.len() - tail + at)));
    steps
}

/// The changes with the lines around them; those that are near each other together.
fn hunks<'s, 't>(steps: &'s [Step<'t>]) -> Vec<&'s [Step<'t>]> {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for at in (0..steps.len()).filter(|at| steps[*at].0 != ' ') {
        let (start, end) = (at.saturating_sub(CONTEXT), (at + CONTEXT + 1).min(steps.len()));
        match ranges.last_mut() {
            Some(last) if start <= last.1 => last.1 = end,
            _ => ranges.push((start, end)),
        }
    }
    ranges.into_iter().map(|(start, end)| &steps[start..end]).collect()
}

fn write_hunk(text: &mut String, hunk: &[Step<'_>]) {
    let count = |not: char| hunk.iter().filter(|step| step.0 != not).count();
    let (old, new) = (count('+'), count('-'));
    let (_, _, i, j) = hunk[0];
    // A side without lines is said to begin at the line before.
    let at = |start: usize, count: usize| if count == 0 { start } else { start + 1 };
    let _a_string_takes_all = writeln!(text, "@@ -{},{old} +{},{new} @@", at(i, old), at(j, new));
    for (sign, line, ..) in hunk {
        text.push(*sign);
        text.push_str(&redacted(line));
        if !line.ends_with('\n') {
            text.push_str("\n\\ No newline at end of file\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_insertion_is_one_hunk_and_a_missing_line_break_is_told() {
        let old = "a\nb\nc\nd\ne";
        let diff = unified_diff(Some(old), "a\nb\nc\nd\ne\nf", "r.yaml");
        assert_eq!(
            diff,
            "--- a/r.yaml\n+++ b/r.yaml\n@@ -2,4 +2,5 @@\n b\n c\n d\n-e\n\\ No newline at end of file\n+e\n+f\n\\ No newline at end of file\n"
        );
        assert_eq!(unified_diff(Some(old), old, "r.yaml"), "");
    }

    #[test]
    fn distant_changes_are_hunks_of_their_own_and_a_new_file_comes_from_nothing() {
        let old: String = (0..20).map(|n| format!("{n}\n")).collect();
        let diff = unified_diff(Some(&old), &old.replace("\n2\n", "\nx\n").replace("\n17\n", "\n17\ny\n"), "r");
        assert_eq!(diff.matches("@@ -").count(), 2, "{diff}");
        assert!(diff.contains("@@ -1,6 +1,6 @@") && diff.contains("@@ -16,5 +16,6 @@"), "{diff}");
        let secret = unified_diff(Some("a: \"https://me:pw@h/x?key=1\"\nb\n"), "a: \"https://me:pw@h/x?key=1\"\nc\n", "r");
        assert!(secret.contains("\n a: \"https://……………@h/x………………\"\n-b\n+c\n"), "{secret}");
        assert_eq!(unified_diff(None, "a\n", "r"), "--- /dev/null\n+++ b/r\n@@ -0,0 +1,1 @@\n+a\n");
    }
}
