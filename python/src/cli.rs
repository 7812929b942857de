//! Runs the command line in this process.

use pyo3::{exceptions::PyNotImplementedError, prelude::*};
use std::{ffi::OsString, io::Write};

/// Runs the command line; `argv[0]` is the program's name in help and errors. Returns the exit code.
#[pyfunction]
pub fn cli_main(py: Python<'_>, argv: Vec<OsString>) -> PyResult<u8> {
    let code = py.detach(|| {
        let code = run(argv);
        // The Rust runtime flushes when its own `main` ends, and here that is Python's.
        let _ = std::io::stdout().flush();
        code
    });
    code.ok_or_else(|| PyNotImplementedError::new_err("the command line is not a part of this build"))
}

fn run(_argv: Vec<OsString>) -> Option<u8> {
    None
}
