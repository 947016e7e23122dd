"""What is exported is what the table says, and reading it costs no import to who does not."""

from __future__ import annotations

import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

import vai
from tests.timing import wait_until
from tests.unit.cli.support import NODES, PODS, Builder, meta
from vai.cache.measures import Called, Measures, measure
from vai.errors import InvalidRequestError
from vai.metrics import FAMILIES, collector, collector_of, serve
from vai.metrics.http import parse
from vai.reflector.counts import Counts
from vai.reflector.selfcheck import Tally
from vai.testing import Simulator
from vai.types import RequestCount

DOCS = Path(__file__).parents[3] / "docs" / "operations.md"


class Syncing:
    """What an informer counts."""

    def __init__(self, scope: int) -> None:
        self._counts = Counts(
            lists=Counter({"first": 1, "expired": 2}), expired=2, watches=7, short_watches=1
        )
        self._counts.list_duration_s.add(1.5)
        self._counts.list_items.add(3)
        self._counts.watch_duration_s.add(14)
        self._counts.watch_items.add(5)
        self._tally = Tally(checks=4, unchecked=1, drift=Counter({"missing": 2}))
        self._scope = scope

    def counts(self) -> dict[int, Counts]:
        return {self._scope: self._counts}

    def tallies(self) -> dict[int, Tally]:
        return {self._scope: self._tally}


@pytest.fixture
def file(tmp_path: Path) -> Iterator[tuple[Builder, int]]:
    build = Builder(tmp_path / "c.db").bind()
    scope = build.plain(PODS, [{"metadata": meta("a", "shop")}, {"metadata": meta("b", "shop")}])
    build.scope(NODES)
    consumer = build.store.consumer("billing")
    consumer.follow(["pods"], 1, 0)
    watching = build.store.begin_watch(scope)
    pod = b'{"metadata":{"namespace":"shop","name":"a","uid":"a","resourceVersion":"101"}}'
    watching.push(b'{"type":"DELETED","object":' + pod + b"}\n")
    watching.push(
        b'{"type":"BOOKMARK","object":{"kind":"Pod","metadata":{"resourceVersion":"102"}}}\n'
    )
    build.store.flush()
    build.store.count(scope, "list", RequestCount(requests=3, received_bytes=700, retries=1))
    build.store.count(0, "discovery", RequestCount(requests=2, throttled=1))
    yield build, scope
    build.store.close()


def measured(build: Builder, scope: int) -> Measures:
    handlers = {"pods": (2, Called(calls=5, errors=1))}
    return measure(build.store, Syncing(scope), build.store, handlers)


def samples(build: Builder, scope: int) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    registry = CollectorRegistry()
    registry.register(collector_of(lambda: measured(build, scope)))
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in registry.collect()
        for sample in family.samples
    }


def test_every_number_is_where_its_name_says(file: tuple[Builder, int]) -> None:
    found = samples(*file)

    def value(name: str, /, **labels: str) -> float:
        return found[name, tuple(sorted(labels.items()))]

    assert value("reflector_lists_total", name="pods") == 3
    assert value("reflector_list_duration_seconds_sum", name="pods") == 1.5
    assert value("reflector_items_per_list_count", name="pods") == 1
    assert value("reflector_watches_total", name="pods") == 7
    assert value("reflector_short_watches_total", name="pods") == 1
    assert value("reflector_watch_duration_seconds_sum", name="pods") == 14
    assert value("reflector_items_per_watch_sum", name="pods") == 5
    assert value("reflector_last_resource_version", name="pods") == 102
    assert (
        value(
            "informer_store_resource_version", name="pods", group="", version="v1", resource="pods"
        )
        == 102
    )
    assert 0 <= value("vai_scope_age_seconds", scope="pods") < 60
    assert value("vai_scope_age_seconds", scope="nodes") == float("inf")
    assert value("vai_scope_state", scope="pods", state="live") == 1
    assert value("vai_scope_state", scope="pods", state="stale") == 0
    assert value("vai_scope_state", scope="nodes", state="never") == 1
    assert value("vai_scope_objects", scope="pods") == 2
    assert value("vai_relists_total", scope="pods", reason="expired") == 2
    assert value("vai_expired_total", scope="pods") == 2
    assert value("vai_self_checks_total", scope="pods", outcome="not_compared") == 1
    assert value("vai_self_check_age_seconds", scope="pods") == float("inf")
    assert value("vai_drift_objects_total", scope="pods", what="missing") == 2
    assert value("vai_requests_total", scope="pods", verb="list") == 3
    assert value("vai_received_bytes_total", scope="pods", verb="list") == 700
    assert value("vai_request_retries_total", scope="pods", verb="list") == 1
    assert value("vai_throttled_total", scope="", verb="discovery") == 1
    assert value("vai_handlers", resource="pods") == 2
    assert value("vai_handler_calls_total", resource="pods") == 5
    assert value("vai_handler_errors_total", resource="pods") == 1
    assert value("vai_writer_running") == 1
    assert value("vai_file_bytes") > 0
    assert value("vai_consumer_running", consumer="billing") == 1
    assert value("vai_consumer_lag_entries", consumer="billing") > 0


def test_events_are_counted_by_their_type(file: tuple[Builder, int]) -> None:
    build, scope = file
    found = samples(build, scope)
    types = {
        dict(labels)["type"]: value
        for (name, labels), value in found.items()
        if name == "vai_events_total"
    }
    assert types == {"ADDED": 0, "MODIFIED": 0, "DELETED": 1, "BOOKMARK": 1, "ERROR": 0}


def test_labels_are_scopes_and_kinds_never_objects(file: tuple[Builder, int]) -> None:
    for name, labels in samples(*file):
        values = dict(labels).values()
        assert not {"a", "b", "shop/a", "shop"} & set(values), name


def test_the_text_is_what_prometheus_reads(file: tuple[Builder, int]) -> None:
    registry = CollectorRegistry()
    registry.register(collector_of(lambda: measured(*file)))
    text = generate_latest(registry).decode()
    assert "# TYPE reflector_lists_total counter" in text
    assert 'reflector_lists_total{name="pods"} 3.0' in text
    assert 'vai_scope_age_seconds{scope="nodes"} +Inf' in text


def test_what_is_exported_is_the_table(file: tuple[Builder, int]) -> None:
    exported = {family.name: family for family in collector_of(lambda: measured(*file)).collect()}
    assert len(exported) == len(FAMILIES)
    for family in FAMILIES:
        made = exported[family.name.removesuffix("_total")]
        assert made.type == family.kind
        assert made.documentation == family.help
        # Each has a sample here, with just its labels.
        assert made.samples, family.name
        assert {tuple(sample.labels) for sample in made.samples} == {family.labels}


def test_the_documentation_has_the_same_table() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| (\w+) \| ([^|]*) \| ([^|]*) \|$", DOCS.read_text(), re.MULTILINE
    )
    told = [(name, kind, labels.strip(), text.strip()) for name, kind, labels, text in rows]
    assert told == [
        (one.name, one.kind, " ".join(f"`{label}`" for label in one.labels), one.help)
        for one in FAMILIES
    ]


def test_alerts_in_the_documentation_name_metrics_that_exist() -> None:
    block = re.search(r"```yaml\n(groups:.*?)```", DOCS.read_text(), re.DOTALL)
    assert block is not None
    used = set(re.findall(r"\b(?:vai|reflector)_\w+", block[1]))
    assert used
    assert used <= {one.name for one in FAMILIES}


# --- a cache, and scraping


def test_a_cache_that_only_reads_has_the_numbers_of_the_file(file: tuple[Builder, int]) -> None:
    build, _ = file
    with vai.open(build.path) as cache:
        registry = CollectorRegistry()
        registry.register(collector(cache))
        found = {sample.name for family in registry.collect() for sample in family.samples}
        assert {"vai_scope_age_seconds", "vai_file_bytes"} <= found
        assert "reflector_lists_total" not in found
    # Closed, it has none, and a scrape goes on.
    assert [s for family in registry.collect() for s in family.samples] == []


def test_what_a_handler_raised_stays_counted_when_it_is_gone(file: tuple[Builder, int]) -> None:
    def fail(_found: vai.Object, _initial: bool) -> None:
        raise LookupError

    def numbers(cache: vai.Cache) -> dict[str, float]:
        every = (sample for family in collector(cache).collect() for sample in family.samples)
        return {one.name: one.value for one in every if one.labels == {"resource": "pods"}}

    build, _ = file
    with vai.open(build.path) as cache:
        handler = cache.add_handler("pods", on_add=fail)
        handler.wait_synced(30)
        wait_until(lambda: handler.errors == 2)
        told = {"vai_handler_calls_total": 2.0, "vai_handler_errors_total": 2.0}
        assert numbers(cache) == {"vai_handlers": 1.0, **told}
        handler.remove()
        assert numbers(cache) == {"vai_handlers": 0.0, **told}


def test_scrapes_are_answered_on_this_machine_only(file: tuple[Builder, int]) -> None:
    with pytest.raises(InvalidRequestError, match="other machines"):
        serve(lambda: measured(*file), "0.0.0.0:0")
    for wrong in ("127.0.0.1", "127.0.0.1:x", "127.0.0.1:99999"):
        with pytest.raises(InvalidRequestError, match="port"):
            serve(lambda: measured(*file), wrong)
    assert parse("9090") == ("127.0.0.1", 9090)
    assert parse(":9090") == ("127.0.0.1", 9090)
    assert parse("[::1]:9090") == ("::1", 9090)


def test_a_scrape_gets_the_metrics_of_vai_alone(file: tuple[Builder, int]) -> None:
    from tests.apiserver.processes import free_ports

    (port,) = free_ports(1)
    end = serve(lambda: measured(*file), f"127.0.0.1:{port}")
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
        with pytest.raises(InvalidRequestError, match="can't be served"):
            serve(lambda: measured(*file), f"127.0.0.1:{port}")
    finally:
        end()
    assert 'vai_scope_state{scope="pods",state="live"} 1.0' in text
    assert "python_info" not in text
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5)


def test_a_sync_serves_them_while_it_runs(tmp_path: Path) -> None:
    from tests.apiserver.processes import free_ports

    (port,) = free_ports(1)
    with Simulator(seed=2) as sim:
        sim.populate(pods=5)
        config = sim.kubeconfig(tmp_path / "kc")
        command = [
            *(sys.executable, "-m", "vai", "sync", f"--file={tmp_path / 'c.db'}"),
            *("--resources=pods", f"--kubeconfig={config}", f"--metrics=127.0.0.1:{port}"),
        ]
        running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:

            def scraped() -> str:
                try:
                    at = f"http://127.0.0.1:{port}/metrics"
                    with urllib.request.urlopen(at, timeout=5) as answer:
                        return str(answer.read().decode())
                except OSError:
                    return ""

            wait_until(lambda: 'vai_scope_state{scope="pods",state="live"} 1.0' in scraped())
            assert 'reflector_items_per_list_sum{name="pods"} 5.0' in scraped()
        finally:
            running.terminate()
            _, said = running.communicate(timeout=20)
    assert running.returncode == 0, said


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("vai.metrics.")]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("prometheus_client", "prometheus_client.core", "prometheus_client.registry"):
        monkeypatch.setitem(sys.modules, name, None)
    for ask in (lambda: collector_of(dict), lambda: serve(dict, "9090")):  # type: ignore[arg-type]
        with pytest.raises(InvalidRequestError, match=r"vai-cache\[metrics\]"):
            ask()


def test_nobody_pays_for_metrics_that_are_not_asked_for() -> None:
    code = "import sys, vai, vai.metrics, vai.cli.sync; print('prometheus_client' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "False\n"
