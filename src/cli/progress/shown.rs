//! What is drawn: the files that move, the total and what is waited for, as lines for a width.

use super::layout::{self, Bar, Note};
use crate::cli::units;
use std::time::{Duration, Instant};

/// Bars of files that are drawn at once; what else runs shows in the total.
const MOST_BARS: usize = 8;

/// Everything that is drawn.
#[derive(Debug, Default)]
pub struct Shown {
    files: Vec<File>,
    /// Files that are to be fetched, their bytes, and how many of these came.
    total: (usize, u64, u64),
    waiting: Option<Waiting>,
}

#[derive(Debug)]
struct File {
    name: String,
    done: u64,
    /// How far it ever was: one that starts over is counted again only from there.
    furthest: u64,
    size: u64,
    note: Note,
    last_line: Instant,
}

#[derive(Debug)]
struct Waiting {
    /// For what, and who holds it.
    what: String,
    begun: Instant,
}

impl Shown {
    /// Adds to the total.
    pub fn plan(&mut self, files: usize, bytes: u64) {
        self.total.0 += files;
        self.total.1 = self.total.1.saturating_add(bytes);
    }

    /// A file that begins with so many bytes of an earlier run.
    pub fn start(&mut self, name: &str, size: u64, resumed: u64) {
        self.waiting = None;
        // Another process may have fetched it until now.
        self.files.retain(|file| file.name != name);
        self.add(name, size, resumed);
    }

    fn add(&mut self, name: &str, size: u64, done: u64) -> usize {
        let (name, last_line) = (name.to_owned(), Instant::now());
        self.files.push(File { name, done, furthest: done, size, note: Note::Nothing, last_line });
        self.files.len() - 1
    }

    /// Notes how far a file is; `counts` where its bytes are part of the total. Returns whether nothing was told of it for
    /// `quiet`, which begins anew then.
    pub fn update(&mut self, name: &str, (done, size): (u64, u64), counts: bool, note: Note, quiet: Duration) -> bool {
        let known = self.files.iter().position(|file| file.name == name);
        let number = known.unwrap_or_else(|| self.add(name, size, done));
        let file = &mut self.files[number];
        if counts {
            self.waiting = None;
            self.total.2 = self.total.2.saturating_add(done.saturating_sub(file.furthest));
        }
        (file.done, file.furthest, file.size, file.note) = (done, file.furthest.max(done), size, note);
        let is_due = file.last_line.elapsed() >= quiet;
        if is_due {
            file.last_line = Instant::now();
        }
        is_due
    }

    /// Takes a file away; `size` where all of it is counted.
    pub fn end(&mut self, name: &str, size: Option<u64>) {
        self.waiting = None;
        let Some(number) = self.files.iter().position(|file| file.name == name) else { return };
        let file = self.files.remove(number);
        let rest = size.map_or(0, |size| size.saturating_sub(file.furthest));
        self.total.2 = self.total.2.saturating_add(rest);
    }

    /// Something is waited for, since so long.
    pub fn wait(&mut self, what: String, since: Duration) {
        let now = Instant::now();
        self.waiting = Some(Waiting { what, begun: now.checked_sub(since).unwrap_or(now) });
    }

    /// Whether it is waited for a lock.
    pub fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// All lines, for a terminal that is so many columns wide. None is wider.
    pub fn lines(&self, width: usize) -> Vec<String> {
        let bar = |file: &File| layout::line(width, &Bar { name: &file.name, done: file.done, size: file.size, note: file.note });
        let mut lines: Vec<String> = self.files.iter().take(MOST_BARS).map(bar).collect();
        let (files, size, done) = self.total;
        // One file's own bar says it all.
        if files > 1 && size > 0 {
            lines.push(layout::line(width, &Bar { name: "total", done: done.min(size), size, note: self.pace() }));
        }
        if let Some(Waiting { what, begun }) = &self.waiting {
            let time = format!(", for {}", units::time(begun.elapsed()));
            lines.push(layout::cut(&format!("{}{time}", layout::cut(what, width.saturating_sub(time.len()))), width));
        }
        lines
    }

    /// The pace of all that comes.
    fn pace(&self) -> Note {
        let rate = |file: &File| if let Note::Pace { rate, .. } = file.note { rate } else { 0 };
        let rate = self.files.iter().map(rate).fold(0, u64::saturating_add);
        let left = self.total.1.saturating_sub(self.total.2).checked_div(rate).filter(|_| self.total.1 > self.total.2);
        if rate == 0 { Note::Nothing } else { Note::Pace { rate, left: left.map(Duration::from_secs) } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEVER: Duration = Duration::from_secs(3600);

    fn moving() -> Shown {
        let mut shown = Shown::default();
        shown.plan(2, 3_900_000_000);
        shown.start("Mistral-7B-Instruct-v0.3.Q4_K_M.gguf", 2_000_000_000, 100_000_000);
        shown.start("tinyllama-1.1b-chat/model.safetensors", 2_000_000_000, 0);
        let pace = Note::Pace { rate: 12_300_000, left: Some(Duration::from_secs(60)) };
        let _told = shown.update("Mistral-7B-Instruct-v0.3.Q4_K_M.gguf", (800_000_000, 2_000_000_000), true, pace, NEVER);
        let _told = shown.update("tinyllama-1.1b-chat/model.safetensors", (900_000_000, 2_000_000_000), true, pace, NEVER);
        shown.wait("waiting for the views of this project, held by process 4711 on a-machine-with-a-long-name".into(), NEVER);
        shown
    }

    #[test]
    fn at_40_columns_there_are_name_percent_and_the_time_left() {
        let expected = [
            "Mistral…v0.3.Q4_K_M.gguf  40% 1m 00s",
            "tinyl…/model.safetensors  45% 1m 00s",
            "total                     41% 1m 33s",
            "waiting f…e-with-a-long-name, for 1h 00m",
        ];
        assert_eq!(moving().lines(40), expected);
    }

    #[test]
    fn at_80_columns_there_are_a_bar_and_the_rate() {
        let expected = [
            "Mistral-7B…ruct-v0.3.Q4_K_M.gguf [======>        ]  40% 12.3 MB/s, 1m 00s left",
            "tinyllama-1.1…/model.safetensors [======>        ]  45% 12.3 MB/s, 1m 00s left",
            "total                            [======>        ]  41% 24.6 MB/s, 1m 33s left",
            "waiting for the views …by process 4711 on a-machine-with-a-long-name, for 1h 00m",
        ];
        assert_eq!(moving().lines(80), expected);
    }

    #[test]
    fn at_120_columns_there_are_the_amounts() {
        let expected = [
            "Mistral-7B-Instruct-v0.3.Q4_K_M.gguf             [======>          ]     0.80 GB / 2.00 GB  40% 12.3 MB/s, 1m 00s left",
            "tinyllama-1.1b-chat/model.safetensors            [=======>         ]     0.90 GB / 2.00 GB  45% 12.3 MB/s, 1m 00s left",
            "total                                            [======>          ]     1.60 GB / 3.90 GB  41% 24.6 MB/s, 1m 33s left",
            "waiting for the views of this project, held by process 4711 on a-machine-with-a-long-name, for 1h 00m",
        ];
        assert_eq!(moving().lines(120), expected);
    }

    #[test]
    fn at_200_columns_the_bars_take_what_is_left() {
        let expected = [
            "Mistral-7B-Instruct-v0.3.Q4_K_M.gguf                         [==================================>                                                  ]     0.80 GB / 2.00 GB  40% 12.3 MB/s, 1m 00s left",
            "tinyllama-1.1b-chat/model.safetensors                        [======================================>                                              ]     0.90 GB / 2.00 GB  45% 12.3 MB/s, 1m 00s left",
            "total                                                        [==================================>                                                  ]     1.60 GB / 3.90 GB  41% 24.6 MB/s, 1m 33s left",
            "waiting for the views of this project, held by process 4711 on a-machine-with-a-long-name, for 1h 00m",
        ];
        assert_eq!(moving().lines(200), expected);
    }

    #[test]
    fn the_total_counts_bytes_of_this_run_only_and_each_once() {
        let mut shown = Shown::default();
        shown.plan(2, 150);
        shown.start("a", 100, 50);
        shown.start("b", 100, 0);
        for (file, done) in [("a", 80), ("b", 30), ("b", 20)] {
            let _told = shown.update(file, (done, 100), true, Note::Nothing, NEVER);
        }
        assert_eq!(shown.total, (2, 150, 60));
        shown.end("a", Some(100));
        shown.end("b", Some(100));
        assert_eq!(shown.total, (2, 150, 150));
        assert!(shown.files.is_empty());
    }

    #[test]
    fn no_more_than_eight_files_have_a_bar() {
        let mut shown = Shown::default();
        shown.plan(20, 200);
        (0..20).for_each(|number| shown.start(&format!("f{number}"), 10, 0));
        assert_eq!(shown.lines(80).len(), MOST_BARS + 1);
    }

    #[test]
    fn a_file_that_another_process_fetched_has_one_bar_when_it_begins_here() {
        let mut shown = Shown::default();
        let _told = shown.update("a", (5, 10), false, Note::Elsewhere, NEVER);
        shown.start("a", 10, 5);
        assert_eq!(shown.lines(80).len(), 1);
    }
}
