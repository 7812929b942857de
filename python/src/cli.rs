//! Runs the command line in this process.

use pyo3::prelude::*;
use std::{ffi::OsString, io::Write};

/// Runs the command line; `argv[0]` is the program's name in help and errors. Returns the exit code.
#[pyfunction]
pub fn cli_main(py: Python<'_>, argv: Vec<OsString>) -> u8 {
    py.detach(|| {
        let code = model_manager::cli::run(argv);
        // The Rust runtime flushes when its own `main` ends, and here that is Python's.
        let _ = std::io::stdout().flush();
        code
    })
}
