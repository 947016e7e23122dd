//! `Listing` and `ListPage`.

use parking_lot::Mutex;
use pyo3::prelude::*;
use vai_core::feed::PageMeta;
use vai_core::{Error, Result, store};

use crate::bytes::Chunk;
use crate::error::IntoPyResult;
use crate::watching::{WatchProgress, Watching};

#[pyclass(frozen, get_all, module = "vai._core")]
pub(crate) struct ListPage {
    resource_version: String,
    continue_token: String,
    remaining: Option<u64>,
}

impl From<PageMeta> for ListPage {
    fn from(meta: PageMeta) -> Self {
        Self {
            resource_version: meta.resource_version,
            continue_token: meta.continue_token.unwrap_or_default(),
            remaining: meta.remaining,
        }
    }
}

/// `None` once it was published or aborted.
#[pyclass(frozen, module = "vai._core")]
pub(crate) struct Listing(Mutex<Option<store::Listing>>);

impl From<store::Listing> for Listing {
    fn from(listing: store::Listing) -> Self {
        Self(Mutex::new(Some(listing)))
    }
}

impl Listing {
    fn with<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&store::Listing) -> Result<T> + Send,
    ) -> PyResult<T> {
        py.detach(|| work(self.0.lock().as_ref().ok_or_else(ended)?)).py()
    }

    fn end<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(store::Listing) -> Result<T> + Send,
    ) -> PyResult<T> {
        py.detach(|| work(self.0.lock().take().ok_or_else(ended)?)).py()
    }
}

fn ended() -> Error {
    Error::Invalid("this list was published or aborted already".into())
}

#[pymethods]
impl Listing {
    #[pyo3(signature = (gzip=false))]
    fn begin_page(&self, py: Python<'_>, gzip: bool) -> PyResult<()> {
        self.with(py, |listing| listing.begin_page(gzip))
    }

    #[expect(clippy::needless_pass_by_value, reason = "extracted from Python")]
    fn push(&self, py: Python<'_>, chunk: Chunk<'_>) -> PyResult<()> {
        let bytes = chunk.as_slice();
        self.with(py, |listing| listing.push(bytes))
    }

    fn end_page(&self, py: Python<'_>) -> PyResult<ListPage> {
        self.with(py, |listing| Ok(listing.end_page()?.into()))
    }

    #[pyo3(signature = (gzip=false))]
    fn begin_stream(&self, py: Python<'_>, gzip: bool) -> PyResult<()> {
        self.with(py, |listing| listing.begin_stream(gzip))
    }

    #[expect(clippy::needless_pass_by_value, reason = "extracted from Python")]
    fn push_events(&self, py: Python<'_>, chunk: Chunk<'_>) -> PyResult<WatchProgress> {
        let bytes = chunk.as_slice();
        self.with(py, |listing| Ok(listing.push_events(bytes)?.into()))
    }

    fn plan(&self, py: Python<'_>) -> PyResult<(u64, u64, u64)> {
        self.with(py, |listing| {
            let plan = listing.plan()?;
            Ok((plan.unchanged, plan.changed, plan.removed))
        })
    }

    fn publish(&self, py: Python<'_>, resource_version: &str) -> PyResult<(u64, u64, u64)> {
        self.end(py, |listing| {
            let done = listing.publish(resource_version)?;
            Ok((done.adds, done.updates, done.deletes))
        })
    }

    fn publish_stream(&self, py: Python<'_>) -> PyResult<Watching> {
        self.end(py, |listing| Ok(listing.publish_stream()?.1.into()))
    }

    fn abort(&self, py: Python<'_>) -> PyResult<()> {
        let listing = self.0.lock().take();
        match listing {
            Some(listing) => py.detach(|| listing.abort()).py(),
            None => Ok(()),
        }
    }
}
