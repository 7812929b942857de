//! Whole messages, in a form that is the same on every machine and in every run.

use crate::kit::Machine;
use crate::support::run::Output;
use std::fmt::Write as _;

/// What commands printed, one after the other, for comparison with a snapshot in the test.
///
/// `SNAPSHOTS=overwrite cargo test --test cli` writes the snapshots anew; the change is then to be reviewed as any other.
#[derive(Default)]
pub struct Transcript {
    text: String,
    /// What differs from run to run, and what stands for it.
    names: Vec<(String, String)>,
}

impl Transcript {
    /// One in which the addresses and folders of a machine have names.
    pub fn of(machine: &Machine) -> Self {
        let root = machine.sandbox.root().display();
        Self::default()
            .naming(machine.hub.url(), "[HUB]")
            .naming(machine.sandbox.project().display(), "[PROJECT]")
            .naming(root, "[ROOT]")
    }

    /// Runs command lines on a machine, and adds all that they print.
    #[track_caller]
    pub fn run(&mut self, machine: &Machine, lines: &[&str]) -> &mut Self {
        for line in lines {
            self.add(line, &machine.run(line));
        }
        self
    }

    /// Runs a command line on a machine, adds all that it prints, and returns it for further checks.
    #[track_caller]
    pub fn output_of(&mut self, machine: &Machine, line: &str) -> Output {
        let output = machine.run(line);
        self.add(line, &output);
        output
    }

    /// Writes `name` in the place of `text`.
    pub fn naming(mut self, text: impl ToString, name: &str) -> Self {
        self.names.push((text.to_string(), name.to_owned()));
        // What contains another name is replaced first.
        self.names.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
        self
    }

    /// Adds all that a run printed, and its exit code.
    pub fn add(&mut self, line: &str, output: &Output) -> &mut Self {
        let code = output.status.code().unwrap_or(-1);
        let _a_string_takes_all =
            writeln!(self.text, "$ {line}{}", if code == 0 { String::new() } else { format!("  # exit code {code}") });
        for (stream, marked) in [(&output.stdout, ""), (&output.stderr, "! ")] {
            for line in stream.lines() {
                let line = format!("{marked}{}", self.plain(line));
                let _a_string_takes_all = writeln!(self.text, "{}", line.trim_end());
            }
        }
        self
    }

    fn plain(&self, line: &str) -> String {
        let mut line = line.to_owned();
        for (text, name) in &self.names {
            line = line.replace(text, name);
        }
        masked(&line.split_inclusive(is_between).map(masked_word).collect::<String>())
    }
}

/// Whether a character ends a word; the marks within ids, times and addresses do not.
fn is_between(c: char) -> bool {
    !(c.is_ascii_alphanumeric() || matches!(c, '-' | ':' | '.'))
}

/// A word and what ends it, with a name in the place of what is another in every run.
fn masked_word(word: &str) -> String {
    let (text, end) = word.split_at(word.trim_end_matches(is_between).len());
    let is_hex = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let groups: Vec<usize> = text.split('-').map(str::len).collect();
    let shown = match text.len() {
        40 if is_hex(text) => "[COMMIT]",
        64 if is_hex(text) => "[SHA256]",
        12 if is_hex(text) => "[ID]",
        36 if groups == [8, 4, 4, 4, 12] => "[UUID]",
        20 if text.ends_with('Z') && text.contains('T') => "[TIME]",
        _ if text.starts_with("1-test-") => "[REQUEST]",
        _ => text,
    };
    format!("{shown}{end}")
}

/// The line without figures of this machine and this moment.
fn masked(line: &str) -> String {
    const UNITS: [&str; 7] = ["B", "KB", "MB", "GB", "TB", "ms", "s"];
    if !["free on the volume", "memory: ", "B/s"].iter().any(|mark| line.contains(mark)) {
        return line.to_owned();
    }
    let words: Vec<&str> = line.split(' ').collect();
    let is_unit = |word: Option<&&str>| {
        let word = word.map(|word| word.trim_end_matches([',', ';', ':', ')', '.']));
        word.is_some_and(|word| word.ends_with("B/s") || UNITS.contains(&word))
    };
    let number = |word: &str| word.trim_start_matches('(').parse::<f64>().is_ok();
    let shown = words.iter().enumerate().map(|(at, word)| match number(word) && is_unit(words.get(at + 1)) {
        true => "[N]",
        false => *word,
    });
    shown.collect::<Vec<_>>().join(" ")
}

impl std::fmt::Display for Transcript {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}
