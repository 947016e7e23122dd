//! The Python extension module `vai._core`: extract arguments, detach, call vai-core, wrap.
//!
//! One file for each noun that Python sees; `python/vai/_core.pyi` documents them.

mod bytes;
mod changes;
mod comparison;
mod consumers;
mod error;
mod export;
mod functions;
mod http;
mod listing;
mod relations;
mod rows;
mod store;
mod watching;

use pyo3::prelude::*;

/// The engine under vai. Import it through `vai.store`.
#[pymodule]
mod _core {
    #[pymodule_export]
    use super::changes::{ChangeRow, Changes};
    #[pymodule_export]
    use super::comparison::Comparison;
    #[pymodule_export]
    use super::consumers::Consumer;
    #[pymodule_export]
    use super::export::{Export, ExportPiece};
    #[pymodule_export]
    use super::functions::{
        after_fork_in_child, after_fork_in_parent, before_fork, boottime_s,
        compare_resource_versions, field_name, nearest, parse_drop, parse_field_selector,
        parse_label_selector,
    };
    #[pymodule_export]
    use super::http::HttpAnswer;
    #[pymodule_export]
    use super::listing::{ListPage, Listing};
    #[pymodule_export]
    use super::relations::{RelatedRow, Relations};
    #[pymodule_export]
    use super::rows::{Row, Rows};
    #[pymodule_export]
    use super::store::Store;
    #[pymodule_export]
    use super::watching::{WatchProgress, Watching};
    use super::{Bound, PyModule, PyModuleMethods, PyResult};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
        module.add("build_profile", profile)?;
        module.add("sqlite_version", vai_core::db::sqlite_version())
    }
}
