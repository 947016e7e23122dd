//! `Row` and `Rows`.

use std::borrow::Cow;

use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use vai_core::query;

use crate::error::IntoPyResult;

#[pyclass(frozen, module = "vai._core")]
pub(crate) struct Row(query::Row);

impl From<query::Row> for Row {
    fn from(row: query::Row) -> Self {
        Self(row)
    }
}

#[pymethods]
impl Row {
    #[getter]
    fn resource(&self) -> &str {
        self.0.resource()
    }

    #[getter]
    fn key(&self) -> &str {
        self.0.key()
    }

    #[getter]
    fn uid(&self) -> &str {
        self.0.uid()
    }

    #[getter]
    fn resource_version(&self) -> &str {
        self.0.resource_version()
    }

    #[getter]
    fn seq(&self) -> i64 {
        self.0.seq()
    }

    #[getter]
    fn redacted(&self) -> bool {
        self.0.redacted()
    }

    #[getter]
    fn raw<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let body = py.detach(|| self.0.body()).py()?;
        Ok(PyBytes::new(py, &body))
    }

    #[getter]
    fn cells(&self) -> Option<Cow<'_, [u8]>> {
        self.0.cells().map(Cow::from)
    }
}

#[pyclass(frozen, sequence, module = "vai._core")]
pub(crate) struct Rows(query::Rows);

impl From<query::Rows> for Rows {
    fn from(rows: query::Rows) -> Self {
        Self(rows)
    }
}

#[pymethods]
impl Rows {
    fn __len__(&self) -> usize {
        self.0.len()
    }

    fn __getitem__(&self, index: usize) -> PyResult<Row> {
        let row = self.0.row(index).ok_or_else(|| PyIndexError::new_err("row out of range"))?;
        Ok(Row(row))
    }

    fn find(&self, key: &str) -> Option<usize> {
        self.0.find(key)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().collect()
    }

    #[getter]
    fn epoch(&self) -> i64 {
        self.0.epoch()
    }

    #[getter]
    fn seq(&self) -> i64 {
        self.0.seq()
    }

    #[getter]
    fn scopes(&self) -> Vec<i64> {
        self.0.scopes().to_vec()
    }

    #[getter]
    fn resource_version(&self) -> &str {
        self.0.resource_version()
    }

    #[getter]
    fn total(&self) -> usize {
        self.0.total()
    }

    #[getter]
    fn cursor(&self) -> Option<&str> {
        self.0.cursor()
    }

    #[getter]
    fn known_since_s(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 are below 2^52")]
        self.0.known_since_ms().map(|ms| ms as f64 / 1e3)
    }

    /// JSON of an object: `facets`, `distinct`, `groups`, as far as they were asked for.
    #[getter]
    fn counted<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let text = serde_json::Value::Object(self.0.counted().clone()).to_string();
        PyBytes::new(py, text.as_bytes())
    }

    #[getter]
    fn explain<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.0.explain().map(|told| PyBytes::new(py, told.to_string().as_bytes()))
    }

    #[pyo3(signature = (kind, api_version, continue_token=""))]
    fn list_json<'py>(
        &self,
        py: Python<'py>,
        kind: &str,
        api_version: &str,
        continue_token: &str,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let list = py.detach(|| self.0.list_json(kind, api_version, continue_token)).py()?;
        PyBytes::new_with(py, list.len(), |out| py.detach(|| list.write(out)).py())
    }
}
