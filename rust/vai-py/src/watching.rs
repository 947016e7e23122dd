//! `Watching` and `WatchProgress`.

use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use vai_core::store;

use crate::bytes::Chunk;
use crate::error::IntoPyResult;

#[pyclass(frozen, module = "vai._core")]
pub(crate) struct WatchProgress(store::Progress);

impl From<store::Progress> for WatchProgress {
    fn from(progress: store::Progress) -> Self {
        Self(progress)
    }
}

#[pymethods]
impl WatchProgress {
    #[getter]
    fn events(&self) -> u64 {
        self.0.events
    }

    #[getter]
    fn bookmarks(&self) -> u64 {
        self.0.bookmarks
    }

    #[getter]
    fn resource_version(&self) -> &str {
        &self.0.resource_version
    }

    #[getter]
    fn initial_events_end(&self) -> bool {
        self.0.initial_events_end
    }

    #[getter]
    fn status<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.0.status.as_ref().map(|status| PyBytes::new(py, status))
    }

    #[getter]
    fn malformed(&self) -> Option<&str> {
        self.0.malformed.as_deref()
    }
}

#[pyclass(frozen, module = "vai._core")]
pub(crate) struct Watching(Mutex<store::Watching>);

impl From<store::Watching> for Watching {
    fn from(watching: store::Watching) -> Self {
        Self(Mutex::new(watching))
    }
}

#[pymethods]
impl Watching {
    #[expect(clippy::needless_pass_by_value, reason = "extracted from Python")]
    fn push(&self, py: Python<'_>, chunk: Chunk<'_>) -> PyResult<WatchProgress> {
        let bytes = chunk.as_slice();
        py.detach(|| self.0.lock().push(bytes)).py().map(WatchProgress)
    }

    fn finish(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.0.lock().finish()).py()
    }
}
