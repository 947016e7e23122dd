//! The Python extension module `vai._core`: extract arguments, detach, call vai-core, wrap.

use pyo3::prelude::*;

/// The engine under vai. Import it through `vai.store`.
#[pymodule]
mod _core {
    use super::{Bound, PyModule, PyModuleMethods, PyResult};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
        module.add("build_profile", profile)
    }
}
