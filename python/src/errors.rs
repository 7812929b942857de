//! Errors of the core -> exceptions of `model_manager.errors`, one class for each exit code.

use crate::hints;
use model_manager::{
    error::{Error, ErrorKind},
    hint::Hint,
    text::printable_lines,
};
use pyo3::prelude::*;

/// The exception for an error.
pub fn raise(py: Python<'_>, error: &Error) -> PyErr {
    match exception(py, error) {
        Ok(exception) => PyErr::from_value(exception),
        Err(failed) => failed,
    }
}

/// The exception for a panic in the core: a mistake of ours that must not take the interpreter down.
pub fn bug(py: Python<'_>, panic: &(dyn std::any::Any + Send)) -> PyErr {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let error = Error::new(ErrorKind::Failed, format!("this is a bug in model-manager: {}", text.unwrap_or("no message")))
        .hint(Hint::ReportBug);
    raise(py, &error)
}

fn exception<'py>(py: Python<'py>, error: &Error) -> PyResult<Bound<'py, PyAny>> {
    // Its text ends in terminals and notebooks, which must not obey what a server or a file put into it.
    let text = printable_lines(&with_causes(error)).into_owned();
    let hint = hints::text(error.hints()).map(|hint| printable_lines(&hint).into_owned());
    let hint_kinds: Vec<String> = error.hints().iter().map(Hint::kind).collect();
    let arguments = (error.kind().as_str(), text, hint, hint_kinds);
    py.import("model_manager.errors")?.getattr("from_kind")?.call1(arguments)
}

/// The message with what caused it, as far as that is news.
fn with_causes(error: &Error) -> String {
    let mut text = error.message().to_owned();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}
