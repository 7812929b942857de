//! JSON and YAML values -> Python's.

use crate::errors::raise;
use model_manager::error::{Error, ErrorKind};
use pyo3::{
    IntoPyObjectExt,
    prelude::*,
    types::{PyDict, PyList},
};
use serde::Serialize;

/// A report as the `class` of `model_manager.results`, or, where it is a list, a list of them. That module is imported when
/// something has a result to show, because it takes longer to import than all the rest.
pub fn report<'py>(py: Python<'py>, class: &str, report: &impl Serialize) -> PyResult<Bound<'py, PyAny>> {
    let value = serde_json::to_value(report)
        .map_err(|error| raise(py, &Error::new(ErrorKind::Failed, format!("the result cannot be shown as text: {error}"))))?;
    py.import("model_manager._reports")?.getattr("from_report")?.call1((class, json(py, &value)?))
}

fn json<'py>(py: Python<'py>, value: &serde_json::Value) -> PyResult<Bound<'py, PyAny>> {
    use serde_json::Value;
    match value {
        Value::Null => Ok(py.None().into_bound(py)),
        Value::Bool(value) => value.into_bound_py_any(py),
        Value::String(text) => text.into_bound_py_any(py),
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => number.into_bound_py_any(py),
            (_, Some(number)) => number.into_bound_py_any(py),
            _ => number.as_f64().into_bound_py_any(py),
        },
        Value::Array(values) => {
            let list = PyList::empty(py);
            for value in values {
                list.append(json(py, value)?)?;
            }
            Ok(list.into_any())
        }
        Value::Object(entries) => {
            let dict = PyDict::new(py);
            for (key, value) in entries {
                dict.set_item(key, json(py, value)?)?;
            }
            Ok(dict.into_any())
        }
    }
}

/// A registry file's text as plain Python values, every key of it; `origin` is what messages call it.
#[pyfunction]
pub fn read_yaml<'py>(py: Python<'py>, text: &str, origin: &str) -> PyResult<Bound<'py, PyAny>> {
    match parse(text) {
        Ok(value) => yaml(py, &value),
        Err(why) => Err(raise(py, &Error::new(ErrorKind::Usage, format!("{origin} is not valid YAML: {why}")))),
    }
}

fn parse(text: &str) -> Result<serde_yaml::Value, serde_yaml::Error> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut value: serde_yaml::Value = serde_yaml::from_str(text)?;
    value.apply_merge()?;
    Ok(value)
}

fn yaml<'py>(py: Python<'py>, value: &serde_yaml::Value) -> PyResult<Bound<'py, PyAny>> {
    use serde_yaml::Value;
    match value {
        Value::Null => Ok(py.None().into_bound(py)),
        Value::Bool(value) => value.into_bound_py_any(py),
        Value::String(text) => text.into_bound_py_any(py),
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => number.into_bound_py_any(py),
            (_, Some(number)) => number.into_bound_py_any(py),
            _ => number.as_f64().into_bound_py_any(py),
        },
        Value::Sequence(values) => {
            let list = PyList::empty(py);
            for value in values {
                list.append(yaml(py, value)?)?;
            }
            Ok(list.into_any())
        }
        Value::Mapping(entries) => {
            let dict = PyDict::new(py);
            for (key, value) in entries {
                dict.set_item(yaml(py, key)?, yaml(py, value)?)?;
            }
            Ok(dict.into_any())
        }
        Value::Tagged(tagged) => yaml(py, &tagged.value),
    }
}
