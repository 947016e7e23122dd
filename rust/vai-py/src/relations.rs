//! `RelatedRow`: an object in relation to another.

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use vai_core::relations;

#[pyclass(frozen, module = "vai._core")]
pub(crate) struct RelatedRow(relations::Related);

impl From<relations::Related> for RelatedRow {
    fn from(related: relations::Related) -> Self {
        Self(related)
    }
}

#[pymethods]
impl RelatedRow {
    #[getter]
    fn how(&self) -> &'static str {
        self.0.how.name()
    }

    #[getter]
    fn depth(&self) -> usize {
        self.0.depth
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
    fn controller(&self) -> bool {
        self.0.controller
    }

    #[getter]
    fn missing(&self) -> &'static str {
        self.0.missing
    }

    #[getter]
    fn body<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.0.body.as_ref().map(|body| PyBytes::new(py, body))
    }
}
