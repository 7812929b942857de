//! Progress for programs: one event a line, each a JSON object. `docs/json.md` has the vocabulary.

use super::layout::Note;
use crate::{
    cli::{exit, output::JSON_VERSION, units},
    error::Error,
    event::Event,
    text,
};
use serde_json::{Map, Value, json};
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// Between two events about progress, over all files.
const EVERY: Duration = Duration::from_millis(100);

/// What was told, so that it is not told too often.
#[derive(Debug, Default)]
pub struct ProgressEvents {
    /// When progress of a file was last told.
    files: HashMap<String, Instant>,
}

impl ProgressEvents {
    /// The line for an event of the core; `None` where there is nothing to tell now.
    pub fn line(&mut self, event: &Event, now: Instant) -> Option<String> {
        Some(match event {
            Event::Planned { files, bytes } => line("plan", json!({ "files": files, "download_bytes": bytes })),
            Event::FileStarted { file, size, resumed } => {
                self.files.insert(file.clone(), now);
                progress("fetching", file, *resumed, *size, Note::Nothing)
            }
            Event::Progress { file, done, size, rate, eta } if self.is_due(file, now) => {
                progress("fetching", file, *done, *size, Note::Pace { rate: *rate, left: *eta })
            }
            Event::Hashing { file, done, size } => {
                let is_due = self.is_due(file, now);
                if done >= size {
                    self.files.remove(file);
                } else if !is_due {
                    return None;
                }
                progress("checking", file, *done, *size, Note::Nothing)
            }
            Event::Awaited { file, done, size } if self.is_due(file, now) => {
                progress("elsewhere", file, *done, *size, Note::Nothing)
            }
            Event::FileFinished { file, size, fetched, borrowed, took, published } => {
                self.files.remove(file);
                let state = if *published { "verified" } else { "complete" };
                line("file_done", ended(file, state, json!(size), (*fetched, *borrowed), json!(seconds(*took))))
            }
            Event::FileFailed { file } => {
                self.files.remove(file);
                line("file_done", ended(file, "stopped", Value::Null, (0, 0), Value::Null))
            }
            Event::ModelFinished { model, format, quant, path, fetched, took } => line(
                "model_done",
                json!({
                    "model": model,
                    "format": format,
                    "quant": quant,
                    "path": path,
                    "download_bytes": fetched,
                    "took_seconds": seconds(*took),
                }),
            ),
            Event::Waiting { what, holder, since } => {
                line("waiting", json!({ "what": what, "holder": holder, "since_seconds": seconds(*since) }))
            }
            _ => return None,
        })
    }

    /// Whether progress of this file may be told: all files together have one event each [`EVERY`], and take turns.
    fn is_due(&mut self, file: &str, now: Instant) -> bool {
        let pause = EVERY * u32::try_from(self.files.len().max(1)).unwrap_or(u32::MAX);
        if self.files.get(file).is_some_and(|last| now.saturating_duration_since(*last) < pause) {
            return false;
        }
        self.files.insert(file.to_owned(), now);
        true
    }
}

/// The line for a text that was written for people.
pub fn notice(level: &str, message: &str) -> String {
    line("notice", json!({ "level": level, "message": message }))
}

/// The line for an error.
pub fn error(error: &Error) -> String {
    line("error", exit::json(error))
}

fn progress(state: &str, file: &str, done: u64, size: u64, note: Note) -> String {
    let (rate, left) = match note {
        Note::Pace { rate, left } => (json!(rate), json!(left.map(seconds))),
        _ => (Value::Null, Value::Null),
    };
    let fields = json!({
        "file": file, "state": state, "done_bytes": done, "size": size, "rate_bytes": rate, "left_seconds": left,
    });
    line("progress", fields)
}

fn ended(file: &str, state: &str, size: Value, (fetched, borrowed): (u64, u64), took: Value) -> Value {
    json!({
        "file": file,
        "state": state,
        "size": size,
        "download_bytes": fetched,
        "borrowed_bytes": borrowed,
        "took_seconds": took,
    })
}

fn seconds(time: Duration) -> f64 {
    units::thousandths(time)
}

/// One line: an object with the version of this vocabulary, and which event it is.
fn line(event: &str, fields: Value) -> String {
    let mut object = Map::new();
    object.insert("version".into(), json!(JSON_VERSION));
    object.insert("event".into(), json!(event));
    if let Value::Object(fields) = fields {
        object.extend(fields);
    }
    // In JSON no line break stands unescaped.
    format!("{}\n", text::json(&Value::Object(object).to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(file: &str) -> Event {
        Event::Progress { file: file.into(), done: 1, size: 4, rate: 2, eta: Some(Duration::from_millis(1500)) }
    }

    #[test]
    fn an_event_is_one_line_of_json_whatever_is_in_it() {
        let mut events = ProgressEvents::default();
        let line = events.line(&moved("a\n\u{1b}[2Jb"), Instant::now()).unwrap();
        assert_eq!(line.matches('\n').count(), 1);
        let event: Value = serde_json::from_str(&line).unwrap();
        let expected = json!({
            "version": 1, "event": "progress", "file": "a\n\u{1b}[2Jb", "state": "fetching",
            "done_bytes": 1, "size": 4, "rate_bytes": 2, "left_seconds": 1.5,
        });
        assert_eq!(event, expected);
    }

    #[test]
    fn progress_is_told_ten_times_a_second_over_all_files_and_each_has_its_turn() {
        let mut events = ProgressEvents::default();
        let start = Instant::now();
        let files = ["a", "b", "c", "d"];
        for file in files {
            let _begun = events.line(&Event::FileStarted { file: file.into(), size: 4, resumed: 0 }, start);
        }
        let mut told = [0; 4];
        for tick in 1..=1000 {
            for (number, file) in files.iter().enumerate() {
                told[number] += usize::from(events.line(&moved(file), start + tick * Duration::from_millis(10)).is_some());
            }
        }
        assert_eq!(told, [25; 4], "in ten seconds");
    }

    #[test]
    fn the_end_of_a_file_is_always_told() {
        let mut events = ProgressEvents::default();
        let now = Instant::now();
        let ends = [
            Event::Hashing { file: "a".into(), done: 4, size: 4 },
            Event::FileFailed { file: "a".into() },
            Event::FileFinished { file: "a".into(), size: 4, fetched: 4, borrowed: 0, took: Duration::ZERO, published: true },
        ];
        for event in ends {
            assert!(events.line(&moved("a"), now).is_some());
            assert!(events.line(&event, now).is_some(), "{event:?}");
            assert!(events.files.is_empty(), "{event:?}");
        }
    }
}
