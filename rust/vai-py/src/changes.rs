//! `Changes` and `ChangeRow`.

use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use vai_core::history;

use crate::error::IntoPyResult;

#[pyclass(frozen, module = "vai._core")]
pub(crate) struct ChangeRow(history::Change);

#[pymethods]
impl ChangeRow {
    #[getter]
    fn seq(&self) -> i64 {
        self.0.seq
    }

    #[getter]
    fn epoch(&self) -> i64 {
        self.0.epoch
    }

    #[getter]
    fn op(&self) -> &'static str {
        self.0.op.name()
    }

    #[getter]
    fn resource(&self) -> &str {
        &self.0.resource
    }

    #[getter]
    fn key(&self) -> &str {
        &self.0.key
    }

    #[getter]
    fn uid(&self) -> &str {
        &self.0.uid
    }

    #[getter]
    fn resource_version(&self) -> &str {
        &self.0.resource_version
    }

    #[getter]
    fn relist(&self) -> bool {
        self.0.relist
    }

    #[getter]
    fn time_s(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 are below 2^52")]
        let time_ms = self.0.time_ms as f64;
        time_ms / 1e3
    }

    #[getter(new)]
    fn new_body<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.0.new.as_ref().map(|body| PyBytes::new(py, body))
    }

    #[getter]
    fn old<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.0.old.as_ref().map(|body| PyBytes::new(py, body))
    }
}

#[pyclass(frozen, module = "vai._core")]
pub(crate) struct Changes(Mutex<history::Changes>);

impl From<history::Changes> for Changes {
    fn from(changes: history::Changes) -> Self {
        Self(Mutex::new(changes))
    }
}

#[pymethods]
impl Changes {
    fn next_batch(&self, py: Python<'_>, limit: usize, timeout_s: f64) -> PyResult<Vec<ChangeRow>> {
        let timeout = crate::store::seconds(timeout_s)?;
        let batch = py.detach(|| self.0.lock().next_batch(limit, timeout)).py()?;
        Ok(batch.into_iter().map(ChangeRow).collect())
    }

    #[getter]
    fn at_end(&self, py: Python<'_>) -> bool {
        py.detach(|| self.0.lock().at_end())
    }

    #[getter]
    fn epoch(&self, py: Python<'_>) -> i64 {
        py.detach(|| self.0.lock().epoch())
    }

    #[getter]
    fn seq(&self, py: Python<'_>) -> i64 {
        py.detach(|| self.0.lock().seq())
    }
}
