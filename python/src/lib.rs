//! The native half of the Python package `model_manager`: the Rust library's use-cases, with Python's values, signals and
//! threads. What people import is in `package/model_manager/`; its `_native.pyi` describes this module.

mod cli;
mod convert;
mod errors;
mod events;
mod hints;
mod manager;
mod run;
mod settings;

use pyo3::prelude::*;

/// The module `model_manager._native`.
#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<manager::Native>()?;
    module.add_class::<run::CancelToken>()?;
    module.add_function(wrap_pyfunction!(convert::read_yaml, module)?)?;
    module.add_function(wrap_pyfunction!(hints::hint_examples, module)?)?;
    module.add_function(wrap_pyfunction!(hints::literal, module)?)?;
    module.add_function(wrap_pyfunction!(cli::cli_main, module)?)
}
