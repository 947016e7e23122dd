//! Small questions that need no file.

use pyo3::prelude::*;
use vai_core::selector::{FieldSelector, LabelSelector};

use crate::error::IntoPyResult;

#[pyfunction]
pub(crate) fn parse_label_selector(text: &str) -> PyResult<String> {
    let parsed = LabelSelector::parse(text).map_err(vai_core::Error::from).py()?;
    Ok(parsed.to_string())
}

#[pyfunction]
pub(crate) fn parse_field_selector(text: &str) -> PyResult<String> {
    let parsed = FieldSelector::parse(text).map_err(vai_core::Error::from).py()?;
    Ok(parsed.to_string())
}

#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "extracted from Python")]
pub(crate) fn parse_drop(paths: Vec<String>) -> PyResult<Vec<String>> {
    let parsed = vai_core::redact::paths(&paths).py()?;
    Ok(parsed.iter().map(vai_core::path::Path::name).collect())
}

#[pyfunction]
pub(crate) fn compare_resource_versions(a: &str, b: &str) -> Option<i8> {
    vai_core::rv::compare(a, b).map(|order| order as i8)
}

#[pyfunction]
pub(crate) fn boottime_s() -> f64 {
    vai_core::db::live::boottime_s()
}

#[pyfunction]
#[pyo3(signature = (word, known, limit=3))]
#[expect(clippy::needless_pass_by_value, reason = "extracted from Python")]
pub(crate) fn nearest(word: &str, known: Vec<String>, limit: usize) -> Vec<String> {
    vai_core::nearest::nearest(word, &known, limit)
}

#[pyfunction]
#[pyo3(signature = (path, kind, many=None))]
pub(crate) fn field_name(path: &str, kind: &str, many: Option<bool>) -> PyResult<String> {
    vai_core::store::user_field(path, kind, many).map(|field| field.name).py()
}

/// For `os.register_at_fork`: no thread is inside the core while the process forks.
#[pyfunction]
pub(crate) fn before_fork(py: Python<'_>) {
    py.detach(vai_core::db::gate::before_fork);
}

#[pyfunction]
pub(crate) fn after_fork_in_parent() {
    vai_core::db::gate::after_fork_in_parent();
}

#[pyfunction]
pub(crate) fn after_fork_in_child() {
    vai_core::db::gate::after_fork_in_child();
}
