"""The measures of a cache as Prometheus' families. Imports `prometheus_client`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector

from vai.errors import ClosedError
from vai.metrics.families import FAMILIES, Family
from vai.types import ScopeStatus, State

if TYPE_CHECKING:
    from vai.cache.measures import Measures
    from vai.reflector.counts import Observed

#: component-base: a float holds 15 digits exactly.
_DIGITS: Final = 15
_NEVER: Final = float("inf")
#: What `Traffic` has for requests that are about no scope.
_CLUSTER: Final = 0

Sample = tuple[tuple[str, ...], float]


class Exporter(Collector):
    """Reads the measures when it is scraped."""

    def __init__(self, measures: Callable[[], Measures]) -> None:
        self._measures = measures

    def describe(self) -> Iterator[Metric]:
        """The families without a value: registering reads nothing."""
        for family in FAMILIES:
            yield _family(family)

    def collect(self) -> Iterator[Metric]:
        """All families; none once the cache is closed."""
        try:
            measures = self._measures()
        except ClosedError:
            return
        values = _values(measures)
        summaries = _summaries(measures)
        for family in FAMILIES:
            made = _family(family)
            if isinstance(made, SummaryMetricFamily):
                for labels, observed in summaries[family.name]:
                    made.add_metric(labels, count_value=observed.count, sum_value=observed.sum)
            else:
                for labels, value in values[family.name]:
                    made.add_metric(labels, value)
            yield made


def _family(family: Family) -> CounterMetricFamily | GaugeMetricFamily | SummaryMetricFamily:
    match family.kind:
        case "counter":
            return CounterMetricFamily(family.name, family.help, labels=family.labels)
        case "gauge":
            return GaugeMetricFamily(family.name, family.help, labels=family.labels)
        case "summary":
            return SummaryMetricFamily(family.name, family.help, labels=family.labels)


def _values(measures: Measures) -> dict[str, list[Sample]]:
    names = _names(measures.scopes)
    return {
        **_of_scopes(measures, names),
        **_of_reflectors(measures, names),
        **_of_checks(measures, names),
        **_of_traffic(measures, names),
        **_of_handlers(measures),
        **_of_file(measures),
    }


def _names(scopes: tuple[ScopeStatus, ...]) -> dict[int, str]:
    """Scopes as text; those that read alike are told apart by their number."""
    often = Counter(str(one) for one in scopes)
    return {one.id: str(one) if often[str(one)] == 1 else f"{one} #{one.id}" for one in scopes}


def _of_scopes(measures: Measures, names: Mapping[int, str]) -> dict[str, list[Sample]]:
    scopes = measures.scopes
    versions = [
        (one, float(one.resource_version))
        for one in scopes
        if one.resource_version and one.resource_version.isdecimal()
    ]
    return {
        "vai_scope_age_seconds": [((names[one.id],), _age(one.age_s)) for one in scopes],
        "vai_scope_contact_age_seconds": [
            ((names[one.id],), _age(one.contact_age_s)) for one in scopes
        ],
        "vai_scope_state": [
            ((names[one.id], state.value), float(one.state is state))
            for one in scopes
            for state in State
        ],
        "vai_scope_objects": [((names[one.id],), float(one.objects)) for one in scopes],
        "reflector_last_resource_version": [
            ((names[one.id],), version) for one, version in versions
        ],
        "informer_store_resource_version": [
            (_gvr(measures, one, names), float((one.resource_version or "")[-_DIGITS:]))
            for one, _ in versions
        ],
        "vai_events_total": [
            ((names[scope], kind), float(count))
            for scope, kinds in measures.events.items()
            if scope in names
            for kind, count in kinds.items()
        ],
    }


def _gvr(measures: Measures, one: ScopeStatus, names: Mapping[int, str]) -> tuple[str, ...]:
    found = measures.resources.get(one.resource)
    plural, _, group = one.resource.partition(".")
    return (names[one.id], group, "" if found is None else found.version, plural)


def _of_reflectors(measures: Measures, names: Mapping[int, str]) -> dict[str, list[Sample]]:
    known = [(names[scope], one) for scope, one in measures.counts.items() if scope in names]
    return {
        "reflector_lists_total": [((name,), float(one.lists.total())) for name, one in known],
        "reflector_watches_total": [((name,), float(one.watches)) for name, one in known],
        "reflector_short_watches_total": [
            ((name,), float(one.short_watches)) for name, one in known
        ],
        "vai_expired_total": [((name,), float(one.expired)) for name, one in known],
        "vai_relists_total": [
            ((name, reason), float(count))
            for name, one in known
            # A copy: its thread adds to it meanwhile.
            for reason, count in dict(one.lists).items()
            if reason != "first"
        ],
    }


def _of_checks(measures: Measures, names: Mapping[int, str]) -> dict[str, list[Sample]]:
    known = [(names[scope], one) for scope, one in measures.tallies.items() if scope in names]
    return {
        "vai_self_checks_total": [
            ((name, outcome), float(count))
            for name, one in known
            for outcome, count in (("compared", one.checks), ("not_compared", one.unchecked))
        ],
        "vai_self_check_age_seconds": [
            ((names[one.id],), _age(one.checked_age_s)) for one in measures.scopes
        ],
        "vai_drift_objects_total": [
            ((name, what), float(one.drift[what]))
            for name, one in known
            for what in ("missing", "extra", "older")
        ],
    }


def _of_traffic(measures: Measures, names: Mapping[int, str]) -> dict[str, list[Sample]]:
    scopes = {} if measures.traffic is None else measures.traffic.scopes
    counted = [
        ((names.get(scope, ""), verb), count)
        for scope, verbs in scopes.items()
        # A scope that was forgotten is none of the cluster's.
        if scope == _CLUSTER or scope in names
        for verb, count in verbs.items()
    ]
    return {
        "vai_requests_total": [(labels, float(one.requests)) for labels, one in counted],
        "vai_received_bytes_total": [
            (labels, float(one.received_bytes)) for labels, one in counted
        ],
        "vai_request_retries_total": [(labels, float(one.retries)) for labels, one in counted],
        "vai_throttled_total": [(labels, float(one.throttled)) for labels, one in counted],
    }


def _of_handlers(measures: Measures) -> dict[str, list[Sample]]:
    every = measures.handlers.items()
    return {
        "vai_handlers": [((name,), float(count)) for name, (count, _) in every],
        "vai_handler_calls_total": [((name,), float(called.calls)) for name, (_, called) in every],
        "vai_handler_errors_total": [
            ((name,), float(called.errors)) for name, (_, called) in every
        ],
    }


def _of_file(measures: Measures) -> dict[str, list[Sample]]:
    stats, seq = measures.stats, int(measures.stats["seq"])
    sizes = ("file_bytes", "wal_bytes", "body_bytes", "history_bytes", "writer_running")
    return {
        **{f"vai_{name}": [((), float(stats[name]))] for name in sizes},
        "vai_consumer_lag_entries": [
            ((one.name,), float(max(0, seq - one.seq))) for one in measures.consumers
        ],
        "vai_consumer_running": [((one.name,), float(one.running)) for one in measures.consumers],
    }


def _summaries(measures: Measures) -> dict[str, list[tuple[tuple[str, ...], Observed]]]:
    names = _names(measures.scopes)
    known = [(names[scope], one) for scope, one in measures.counts.items() if scope in names]
    return {
        "reflector_list_duration_seconds": [((n,), one.list_duration_s) for n, one in known],
        "reflector_items_per_list": [((n,), one.list_items) for n, one in known],
        "reflector_watch_duration_seconds": [((n,), one.watch_duration_s) for n, one in known],
        "reflector_items_per_watch": [((n,), one.watch_items) for n, one in known],
    }


def _age(age_s: float | None) -> float:
    return _NEVER if age_s is None else age_s
