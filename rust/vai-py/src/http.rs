//! `HttpAnswer`.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use vai_core::http::{Answer, HttpError};

use crate::bytes::Chunk;

#[pyclass(module = "vai._core")]
#[derive(Default)]
pub(crate) struct HttpAnswer(Answer);

fn value_error(error: &HttpError) -> PyErr {
    PyValueError::new_err(error.to_string())
}

#[pymethods]
impl HttpAnswer {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    /// Not detached: what comes at once is a few kilobytes, which takes less than to let go.
    #[expect(clippy::needless_pass_by_value, reason = "extracted from Python")]
    fn push<'py>(&mut self, py: Python<'py>, chunk: Chunk<'_>) -> PyResult<Bound<'py, PyBytes>> {
        let body = self.0.push(chunk.as_slice()).map_err(|error| value_error(&error))?;
        Ok(PyBytes::new(py, &body))
    }

    fn finish(&mut self) -> PyResult<()> {
        self.0.finish().map_err(|error| value_error(&error))
    }

    #[getter]
    fn status(&self) -> Option<u16> {
        self.0.head().map(|head| head.status)
    }

    fn headers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let headers = PyDict::new(py);
        for (name, value) in self.0.head().map(|head| &head.headers[..]).unwrap_or_default() {
            match headers.get_item(name)? {
                Some(before) => headers.set_item(name, format!("{before}, {value}"))?,
                None => headers.set_item(name, value)?,
            }
        }
        Ok(headers)
    }

    #[getter]
    fn is_whole(&self) -> bool {
        self.0.is_whole()
    }

    #[getter]
    fn is_reusable(&self) -> bool {
        self.0.is_reusable()
    }
}
