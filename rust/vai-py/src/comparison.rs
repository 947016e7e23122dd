//! `Comparison`.

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use vai_core::store;

use crate::bytes::Chunk;
use crate::error::IntoPyResult;
use crate::listing::ListPage;

#[pyclass(frozen, module = "vai._core")]
pub(crate) struct Comparison(store::Comparison);

impl From<store::Comparison> for Comparison {
    fn from(comparison: store::Comparison) -> Self {
        Self(comparison)
    }
}

#[pymethods]
impl Comparison {
    #[pyo3(signature = (gzip=false))]
    fn begin_page(&self, py: Python<'_>, gzip: bool) -> PyResult<()> {
        py.detach(|| self.0.begin_page(gzip)).py()
    }

    #[expect(clippy::needless_pass_by_value, reason = "extracted from Python")]
    fn push(&self, py: Python<'_>, chunk: Chunk<'_>) -> PyResult<()> {
        let bytes = chunk.as_slice();
        py.detach(|| self.0.push(bytes)).py()
    }

    fn end_page(&self, py: Python<'_>) -> PyResult<ListPage> {
        py.detach(|| self.0.end_page()).py().map(Into::into)
    }

    fn finish<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let found = py.detach(|| self.0.finish()).py()?;
        crate::store::json(py, &found)
    }

    fn count(&self, py: Python<'_>) -> PyResult<i64> {
        py.detach(|| self.0.count()).py()
    }
}
