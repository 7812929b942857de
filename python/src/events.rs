//! Events of the core -> calls of a Python function with a word and the event's values.

use crate::hints;
use model_manager::event::Event;
use pyo3::{prelude::*, types::PyDict};
use std::{collections::HashSet, time::Duration};

/// Calls `listener(kind, fields)`. The words and fields are those of the classes in `model_manager.events`.
pub fn tell(py: Python<'_>, listener: &Py<PyAny>, event: &Event) -> PyResult<()> {
    let fields = PyDict::new(py);
    let seconds = |duration: &Duration| duration.as_secs_f64();
    let kind = match event {
        Event::Planned { files, bytes } => {
            fields.set_item("files", files)?;
            fields.set_item("bytes", bytes)?;
            "planned"
        }
        Event::FileStarted { file, size, resumed } => {
            fields.set_item("file", file)?;
            fields.set_item("size", size)?;
            fields.set_item("resumed", resumed)?;
            "file_started"
        }
        Event::Progress { file, done, size, rate, eta } => {
            fields.set_item("file", file)?;
            fields.set_item("done", done)?;
            fields.set_item("size", size)?;
            fields.set_item("rate", rate)?;
            fields.set_item("eta", eta.as_ref().map(seconds))?;
            "progress"
        }
        Event::Hashing { file, done, size } => {
            fields.set_item("file", file)?;
            fields.set_item("done", done)?;
            fields.set_item("size", size)?;
            "hashing"
        }
        Event::FileFinished { file, size, fetched, borrowed, took, published } => {
            fields.set_item("file", file)?;
            fields.set_item("size", size)?;
            fields.set_item("fetched", fetched)?;
            fields.set_item("borrowed", borrowed)?;
            fields.set_item("took", seconds(took))?;
            fields.set_item("published", published)?;
            "file_finished"
        }
        Event::Borrowed { file, bytes, from } => {
            fields.set_item("file", file)?;
            fields.set_item("bytes", bytes)?;
            fields.set_item("from_blobs", from.iter().map(ToString::to_string).collect::<Vec<_>>())?;
            "borrowed"
        }
        Event::FileFailed { file } => {
            fields.set_item("file", file)?;
            "file_failed"
        }
        Event::Retry { what, why, after } => {
            fields.set_item("what", what)?;
            fields.set_item("why", why)?;
            fields.set_item("after", seconds(after))?;
            "retry"
        }
        Event::Waiting { what, holder, since } => {
            fields.set_item("what", what)?;
            fields.set_item("holder", holder)?;
            fields.set_item("since", seconds(since))?;
            "waiting"
        }
        Event::Notice(notice) => {
            fields.set_item("kind", notice.kind())?;
            fields.set_item("message", notice.to_string())?;
            "notice"
        }
        Event::Warning(warning) => {
            fields.set_item("message", hints::with_message(warning))?;
            "warning"
        }
        _ => return Ok(()),
    };
    listener.call1(py, (kind, fields)).map(drop)
}

/// Whether an event only says how far something is.
pub fn is_progress(event: &Event) -> bool {
    matches!(event, Event::Progress { .. } | Event::Hashing { .. })
}

/// Drops what a later event of the batch makes old, so that a slow listener never falls behind.
pub fn newest(batch: Vec<Event>) -> Vec<Event> {
    let mut seen = HashSet::new();
    let mut kept: Vec<Event> = Vec::with_capacity(batch.len());
    for event in batch.into_iter().rev() {
        let file = match &event {
            Event::Progress { file, .. } | Event::Hashing { file, .. } => Some(file.clone()),
            _ => None,
        };
        if file.is_none_or(|file| seen.insert(file)) {
            kept.push(event);
        }
    }
    kept.reverse();
    kept
}
