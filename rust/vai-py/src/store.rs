//! `Store`: a cluster file, open.

use std::path::PathBuf;
use std::time::Duration;

use parking_lot::Mutex;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use serde::Serialize;
use vai_core::db::live::{Count, Reported};
use vai_core::history::ChangeFilter;
use vai_core::query::Request;
use vai_core::redact::Redaction;
use vai_core::relations::Ask;
use vai_core::store::{self, Cluster, Mode, Options, Part, Resource, ScopeSpec};
use vai_core::{Error, Result};

use crate::changes::Changes;
use crate::comparison::Comparison;
use crate::consumers::Consumer;
use crate::error::IntoPyResult;
use crate::export::Export;
use crate::listing::Listing;
use crate::relations::Relations;
use crate::rows::{Row, Rows};
use crate::watching::Watching;

#[pyclass(frozen, module = "vai._core")]
pub(crate) struct Store(store::Store);

/// A time-out as Python gives it.
pub(crate) fn seconds(value: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(value)
        .map_err(|_| PyValueError::new_err(format!("not a duration in seconds: {value}")))
}

/// Rare structured values cross as JSON.
pub(crate) fn json<'py, T: Serialize>(py: Python<'py>, value: &T) -> PyResult<Bound<'py, PyBytes>> {
    let text =
        serde_json::to_vec(value).map_err(|error| PyValueError::new_err(error.to_string()))?;
    Ok(PyBytes::new(py, &text))
}

fn mode(text: &str) -> Result<Mode> {
    match text {
        "writer" => Ok(Mode::Writer),
        "reader" => Ok(Mode::Reader),
        other => Err(Error::Invalid(format!("mode {other:?}: use \"writer\" or \"reader\""))),
    }
}

fn redaction(text: &str) -> Result<Redaction> {
    match text {
        "none" => Ok(Redaction::None),
        "metadata" => Ok(Redaction::Metadata),
        other => Err(Error::Invalid(format!("redaction {other:?}: use \"none\" or \"metadata\""))),
    }
}

/// Work that asks now and then whether to go on: Python runs its signal handlers then, so that
/// Ctrl-C raises here, not at the end.
fn interruptible<T: Send>(
    py: Python<'_>,
    work: impl FnOnce(&dyn Fn() -> bool) -> Result<T> + Send,
) -> PyResult<T> {
    let raised = Mutex::new(None);
    let go_on = || {
        let asked = Python::attach(|py| {
            py.check_signals()?;
            PyResult::Ok(())
        });
        asked.map_err(|error| *raised.lock() = Some(error)).is_ok()
    };
    let found = py.detach(|| work(&go_on));
    match raised.into_inner() {
        Some(error) => Err(error),
        None => found.py(),
    }
}

#[pymethods]
impl Store {
    #[new]
    #[pyo3(signature = (
        path, mode, live_within_s=30.0, commit_interval_ms=10, history_bytes=67_108_864,
        history_s=900.0, query_timeout_s=30.0
    ))]
    #[expect(clippy::too_many_arguments, reason = "named in Python")]
    #[expect(clippy::needless_pass_by_value, reason = "extracted from Python")]
    fn new(
        py: Python<'_>,
        path: PathBuf,
        mode: &str,
        live_within_s: f64,
        commit_interval_ms: u64,
        history_bytes: i64,
        history_s: f64,
        query_timeout_s: f64,
    ) -> PyResult<Self> {
        let mode = self::mode(mode).py()?;
        let options = Options {
            live_within: seconds(live_within_s)?,
            commit_interval: Duration::from_millis(commit_interval_ms),
            history_bytes,
            history_age: seconds(history_s)?,
            query_timeout: seconds(query_timeout_s)?,
        };
        py.detach(|| store::Store::open(&path, mode, options)).py().map(Self)
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| self.0.close());
    }

    #[getter]
    fn path(&self) -> String {
        self.0.path().display().to_string()
    }

    #[getter]
    fn mode(&self) -> &'static str {
        match self.0.mode() {
            Mode::Writer => "writer",
            Mode::Reader => "reader",
        }
    }

    fn set_cluster(
        &self,
        py: Python<'_>,
        uid: String,
        verified: bool,
        server: String,
        namespace: String,
    ) -> PyResult<()> {
        let cluster = Cluster { uid, verified, server, namespace };
        py.detach(|| self.0.set_cluster(cluster)).py()
    }

    fn cluster<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let found = py.detach(|| self.0.cluster()).py()?;
        found.map(|cluster| json(py, &cluster)).transpose()
    }

    fn put_resources(&self, py: Python<'_>, resources: &[u8]) -> PyResult<()> {
        let parsed: Vec<Resource> = serde_json::from_slice(resources)
            .map_err(|error| Error::Invalid(format!("resources: {error}")))
            .py()?;
        py.detach(|| self.0.put_resources(parsed)).py()
    }

    fn resources<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let found = py.detach(|| self.0.resources()).py()?;
        json(py, &found)
    }

    fn put_document(&self, py: Python<'_>, name: &str, body: &[u8]) -> PyResult<()> {
        py.detach(|| self.0.put_document(name, body)).py()
    }

    fn document<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let found = py.detach(|| self.0.document(name)).py()?;
        Ok(found.map(|body| PyBytes::new(py, &body)))
    }

    #[pyo3(signature = (
        resource, namespace, label_selector, field_selector, redaction, drop=Vec::new()
    ))]
    #[expect(clippy::too_many_arguments, reason = "named in Python")]
    #[expect(clippy::needless_pass_by_value, reason = "extracted from Python")]
    fn ensure_scope(
        &self,
        py: Python<'_>,
        resource: &str,
        namespace: Option<&str>,
        label_selector: &str,
        field_selector: &str,
        redaction: &str,
        drop: Vec<String>,
    ) -> PyResult<i64> {
        let redaction = self::redaction(redaction).py()?;
        py.detach(|| {
            let spec =
                ScopeSpec::new(resource, namespace, label_selector, field_selector, redaction)?;
            self.0.ensure_scope(spec.without(&drop)?)
        })
        .py()
    }

    fn checkpoint(&self, py: Python<'_>, scope: i64) -> PyResult<(Option<String>, bool)> {
        py.detach(|| self.0.checkpoint(scope)).py()
    }

    fn resume(&self, py: Python<'_>, scope: i64) -> PyResult<(Option<String>, bool)> {
        py.detach(|| self.0.resume(scope)).py()
    }

    fn void_checkpoint(&self, py: Python<'_>, scope: Option<i64>, reason: &str) -> PyResult<()> {
        py.detach(|| self.0.void_checkpoint(scope, reason)).py()
    }

    fn forget(&self, py: Python<'_>, scope: i64) -> PyResult<i64> {
        py.detach(|| self.0.forget(scope)).py()
    }

    fn remove_rows(&self, py: Python<'_>, scope: i64) -> PyResult<i64> {
        py.detach(|| self.0.remove_rows(scope)).py()
    }

    fn columns<'py>(
        &self,
        py: Python<'py>,
        resource: &str,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let found = py.detach(|| self.0.columns(resource)).py()?;
        Ok(found.map(|columns| PyBytes::new(py, &columns)))
    }

    fn scope_status<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let found = py.detach(|| self.0.scope_status()).py()?;
        json(py, &found)
    }

    fn status_of<'py>(&self, py: Python<'py>, scope: i64) -> PyResult<Bound<'py, PyBytes>> {
        let found = py.detach(|| self.0.status_of(scope)).py()?;
        json(py, &found)
    }

    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let found = py.detach(|| self.0.stats()).py()?;
        json(py, &found)
    }

    #[pyo3(signature = (resource=None))]
    fn fields<'py>(
        &self,
        py: Python<'py>,
        resource: Option<&str>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let found = py.detach(|| self.0.fields(resource)).py()?;
        json(py, &found)
    }

    #[pyo3(signature = (resource, path, kind="text", many=None))]
    fn index(
        &self,
        py: Python<'_>,
        resource: &str,
        path: &str,
        kind: &str,
        many: Option<bool>,
    ) -> PyResult<()> {
        py.detach(|| self.0.index(resource, path, kind, many)).py()
    }

    fn unindex(&self, py: Python<'_>, resource: &str, path: &str) -> PyResult<()> {
        py.detach(|| self.0.unindex(resource, path)).py()
    }

    #[pyo3(signature = (scope, state, reason=""))]
    fn set_state(&self, py: Python<'_>, scope: i64, state: &str, reason: &str) -> PyResult<()> {
        let reported = Reported::parse(state)
            .ok_or_else(|| Error::Invalid(format!("no such state: {state:?}")))
            .py()?;
        py.detach(|| self.0.set_state(scope, reported, reason)).py()
    }

    fn heard(&self, py: Python<'_>, scope: i64) -> PyResult<()> {
        py.detach(|| self.0.heard(scope)).py()
    }

    fn count(
        &self,
        scope: i64,
        verb: &str,
        requests: u64,
        received_bytes: u64,
        retries: u64,
        throttled: u64,
    ) -> PyResult<()> {
        self.0.count(scope, verb, Count { requests, received_bytes, retries, throttled }).py()
    }

    fn traffic<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        json(py, &self.0.traffic())
    }

    fn proven(&self, py: Python<'_>, scope: i64, at_boottime_s: f64) -> PyResult<()> {
        py.detach(|| self.0.proven(scope, at_boottime_s)).py()
    }

    #[pyo3(signature = (scope, polled=false))]
    fn begin_list(&self, py: Python<'_>, scope: i64, polled: bool) -> PyResult<Listing> {
        let begun = || if polled { self.0.begin_poll(scope) } else { self.0.begin_list(scope) };
        py.detach(begun).py().map(Into::into)
    }

    #[pyo3(signature = (scope, gzip=false))]
    fn begin_watch(&self, py: Python<'_>, scope: i64, gzip: bool) -> PyResult<Watching> {
        py.detach(|| self.0.begin_watch(scope, gzip)).py().map(Into::into)
    }

    fn events<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let found = py.detach(|| self.0.events());
        json(py, &found)
    }

    fn begin_comparison(&self, py: Python<'_>, scope: i64) -> PyResult<Comparison> {
        py.detach(|| self.0.begin_comparison(scope)).py().map(Into::into)
    }

    #[pyo3(signature = (scope, note=""))]
    fn checked(&self, py: Python<'_>, scope: i64, note: &str) -> PyResult<()> {
        py.detach(|| self.0.checked(scope, note)).py()
    }

    fn check_part(&self, py: Python<'_>, part: &str) -> PyResult<Vec<String>> {
        let part = Part::parse(part)
            .ok_or_else(|| Error::Invalid(format!("no such part of a check: {part:?}")))
            .py()?;
        py.detach(|| self.0.check_part(part)).py()
    }

    #[pyo3(signature = (scope=None))]
    fn flush(&self, py: Python<'_>, scope: Option<i64>) -> PyResult<i64> {
        py.detach(|| match scope {
            Some(scope) => self.0.flush_scope(scope),
            None => self.0.flush(),
        })
        .py()
    }

    fn get(
        &self,
        py: Python<'_>,
        resource: &str,
        namespace: Option<&str>,
        name: &str,
    ) -> PyResult<Option<Row>> {
        let found = py.detach(|| self.0.get(resource, namespace, name)).py()?;
        Ok(found.map(Into::into))
    }

    fn query(&self, py: Python<'_>, request: &[u8]) -> PyResult<Rows> {
        interruptible(py, |go_on| self.0.query_while(&Request::parse(request)?, go_on))
            .map(Into::into)
    }

    fn position(&self, py: Python<'_>) -> PyResult<(i64, i64)> {
        py.detach(|| self.0.position()).py()
    }

    #[pyo3(signature = (
        resources, epoch, seq, namespaces=None, label_selector="", field_selector="", condition=""
    ))]
    #[expect(clippy::too_many_arguments, reason = "named in Python")]
    fn changes(
        &self,
        py: Python<'_>,
        resources: Vec<String>,
        epoch: i64,
        seq: i64,
        namespaces: Option<Vec<String>>,
        label_selector: &str,
        field_selector: &str,
        condition: &str,
    ) -> PyResult<Changes> {
        let filter = ChangeFilter {
            namespaces,
            label_selector: label_selector.to_owned(),
            field_selector: field_selector.to_owned(),
            condition: condition.to_owned(),
        };
        py.detach(|| self.0.changes_of(resources, &filter, epoch, seq)).py().map(Into::into)
    }

    #[expect(clippy::needless_pass_by_value, reason = "extracted from Python")]
    fn oldest(&self, py: Python<'_>, resources: Vec<String>) -> PyResult<(i64, i64)> {
        py.detach(|| self.0.oldest(&resources)).py()
    }

    fn position_at(&self, py: Python<'_>, time_ms: i64) -> PyResult<(i64, i64)> {
        py.detach(|| self.0.position_at(time_ms)).py()
    }

    fn consumer(&self, py: Python<'_>, name: &str) -> PyResult<Consumer> {
        py.detach(|| self.0.consumer(name)).py().map(Into::into)
    }

    fn consumers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let found = py.detach(|| self.0.consumers()).py()?;
        json(py, &found)
    }

    fn forget_consumer(&self, py: Python<'_>, name: &str) -> PyResult<bool> {
        py.detach(|| self.0.forget_consumer(name)).py()
    }

    #[pyo3(signature = (resource, key, owners=false, depth=0, neighbours=false))]
    fn relations(
        &self,
        py: Python<'_>,
        resource: &str,
        key: &str,
        owners: bool,
        depth: usize,
        neighbours: bool,
    ) -> PyResult<Relations> {
        let ask = Ask { owners, depth, neighbours };
        interruptible(py, |go_on| self.0.relations(resource, key, ask, go_on)).map(Into::into)
    }

    fn wait_seq(&self, py: Python<'_>, seq: i64, timeout_s: f64) -> PyResult<i64> {
        let timeout = seconds(timeout_s)?;
        py.detach(|| self.0.wait_seq(seq, timeout)).py()
    }

    fn wait_status(&self, py: Python<'_>, generation: u64, timeout_s: f64) -> PyResult<u64> {
        let timeout = seconds(timeout_s)?;
        py.detach(|| self.0.wait_status(generation, timeout)).py()
    }

    #[pyo3(signature = (asks, form, target=None))]
    fn export(
        &self,
        py: Python<'_>,
        asks: &[u8],
        form: &str,
        target: Option<PathBuf>,
    ) -> PyResult<Export> {
        let asks = serde_json::from_slice(asks)
            .map_err(|error| Error::Invalid(format!("export: {error}")))
            .py()?;
        let form = crate::export::form(form, target).py()?;
        interruptible(py, |go_on| self.0.export_while(asks, form, go_on)).map(Into::into)
    }

    #[expect(clippy::needless_pass_by_value, reason = "extracted from Python")]
    fn check_export_target(
        &self,
        py: Python<'_>,
        target: PathBuf,
        overwrite: bool,
    ) -> PyResult<()> {
        py.detach(|| self.0.check_export_target(&target, overwrite)).py()
    }

    #[expect(clippy::needless_pass_by_value, reason = "extracted from Python")]
    fn backup(&self, py: Python<'_>, target: PathBuf) -> PyResult<()> {
        py.detach(|| self.0.backup(&target)).py()
    }
}
