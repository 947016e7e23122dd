//! `Export` and `ExportPiece`.

use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use vai_core::Error;
use vai_core::export::{self, Form, Next};

use crate::error::IntoPyResult;

#[pyclass(frozen, module = "vai._core")]
pub(crate) struct ExportPiece(export::Piece);

#[pymethods]
impl ExportPiece {
    #[getter]
    fn part(&self) -> usize {
        self.0.part
    }

    #[getter]
    fn objects(&self) -> usize {
        self.0.objects
    }

    #[getter]
    fn data<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.bytes)
    }
}

#[pyclass(frozen, module = "vai._core")]
pub(crate) struct Export(Mutex<State>);

struct State {
    export: Option<export::Export>,
    ended: bool,
}

impl From<export::Export> for Export {
    fn from(export: export::Export) -> Self {
        Self(Mutex::new(State { export: Some(export), ended: false }))
    }
}

#[pymethods]
impl Export {
    fn parts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let text = py
            .detach(|| {
                let state = self.0.lock();
                let parts = state.export.as_ref().map(export::Export::parts).unwrap_or_default();
                serde_json::to_vec(parts).map_err(|error| Error::Internal(error.to_string()))
            })
            .py()?;
        Ok(PyBytes::new(py, &text))
    }

    #[getter]
    fn ended(&self, py: Python<'_>) -> bool {
        py.detach(|| self.0.lock().ended)
    }

    fn next_piece(&self, py: Python<'_>, timeout_s: f64) -> PyResult<Option<ExportPiece>> {
        let timeout = crate::store::seconds(timeout_s)?;
        py.detach(|| {
            let mut state = self.0.lock();
            let Some(export) = &state.export else { return Err(Error::Closed) };
            match export.next(timeout)? {
                Next::Piece(piece) => Ok(Some(ExportPiece(piece))),
                Next::Waiting => Ok(None),
                Next::End => {
                    state.ended = true;
                    Ok(None)
                }
            }
        })
        .py()
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| drop(self.0.lock().export.take()));
    }
}

/// `lines`, `columns`, or `sqlite` with its target.
pub(crate) fn form(name: &str, target: Option<std::path::PathBuf>) -> vai_core::Result<Form> {
    match (name, target) {
        ("lines", None) => Ok(Form::Lines),
        ("columns", None) => Ok(Form::Columns),
        ("sqlite", Some(target)) => Ok(Form::Sqlite(target)),
        (other, _) => Err(Error::Invalid(format!(
            "form {other:?}: use \"lines\" or \"columns\", or \"sqlite\" with a target"
        ))),
    }
}
