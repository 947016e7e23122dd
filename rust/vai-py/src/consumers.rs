//! `Consumer`: the right to be the consumer of a name.

use parking_lot::Mutex;
use pyo3::prelude::*;
use vai_core::Error;
use vai_core::consumers;

use crate::error::IntoPyResult;

#[pyclass(frozen, module = "vai._core")]
pub(crate) struct Consumer(Mutex<Option<consumers::Consumer>>);

impl From<consumers::Consumer> for Consumer {
    fn from(consumer: consumers::Consumer) -> Self {
        Self(Mutex::new(Some(consumer)))
    }
}

impl Consumer {
    fn with<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut consumers::Consumer) -> vai_core::Result<T> + Send,
    ) -> PyResult<T> {
        py.detach(|| self.0.lock().as_mut().ok_or(Error::Closed).and_then(work)).py()
    }
}

#[pymethods]
impl Consumer {
    #[getter]
    fn name(&self, py: Python<'_>) -> PyResult<String> {
        self.with(py, |consumer| Ok(consumer.name().to_owned()))
    }

    #[getter]
    fn position(&self, py: Python<'_>) -> PyResult<Option<(i64, i64)>> {
        self.with(py, |consumer| consumer.position())
    }

    #[expect(clippy::needless_pass_by_value, reason = "extracted from Python")]
    fn follow(&self, py: Python<'_>, resources: Vec<String>, epoch: i64, seq: i64) -> PyResult<()> {
        self.with(py, |consumer| consumer.follow(&resources, epoch, seq))
    }

    fn ack(&self, py: Python<'_>, epoch: i64, seq: i64) -> PyResult<()> {
        self.with(py, |consumer| consumer.ack(epoch, seq))
    }

    fn idle(&self, py: Python<'_>, epoch: i64, seq: i64) -> PyResult<()> {
        self.with(py, |consumer| consumer.idle(epoch, seq))
    }

    fn release(&self, py: Python<'_>) {
        py.detach(|| self.0.lock().take());
    }
}
