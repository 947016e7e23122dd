//! `Relations` and `RelatedRow`: an object and the others in relation to it.

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

#[pyclass(frozen, module = "vai._core")]
pub(crate) struct Relations(relations::Relations);

impl From<relations::Relations> for Relations {
    fn from(found: relations::Relations) -> Self {
        Self(found)
    }
}

fn rows(found: &[relations::Related]) -> Vec<RelatedRow> {
    found.iter().cloned().map(Into::into).collect()
}

#[pymethods]
impl Relations {
    #[getter]
    fn body<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.body)
    }

    #[getter]
    fn owners(&self) -> Vec<RelatedRow> {
        rows(&self.0.owners)
    }

    #[getter]
    fn dependents(&self) -> Vec<RelatedRow> {
        rows(&self.0.dependents)
    }

    #[getter]
    fn neighbours(&self) -> Vec<RelatedRow> {
        rows(&self.0.neighbours)
    }
}
