"""All metrics: their names, kinds, labels and meaning. `docs/operations.md` has the same table."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple


class Family(NamedTuple):
    """One metric.

    Attributes:
        name: as it is charted.
        kind: of Prometheus.
        labels: few values each: scopes, states, kinds; never objects.
        help: what it counts.
    """

    name: str
    kind: Literal["counter", "gauge", "summary"]
    labels: tuple[str, ...]
    help: str


_NAME: Final = ("name",)
_SCOPE: Final = ("scope",)

FAMILIES: Final[tuple[Family, ...]] = (
    # Names of client-go's reflectors (tools/cache/reflector_metrics.go), as the components that
    # chart them export them: apiserver, controller-runtime and coredns have exactly these.
    Family("reflector_lists_total", "counter", _NAME, "Lists that were begun."),
    Family(
        "reflector_list_duration_seconds", "summary", _NAME,
        "How long lists took, from the first request until they were durable.",
    ),
    Family("reflector_items_per_list", "summary", _NAME, "Objects that lists had."),
    Family("reflector_watches_total", "counter", _NAME, "Watches that were opened."),
    Family(
        "reflector_short_watches_total", "counter", _NAME,
        "Watches that ended within a second, without an event.",
    ),
    Family(
        "reflector_watch_duration_seconds", "summary", _NAME,
        "How long watches lasted. vai ends them itself: every 3 to 20 s by default.",
    ),
    Family("reflector_items_per_watch", "summary", _NAME, "Events and bookmarks that watches had."),
    Family(
        "reflector_last_resource_version", "gauge", _NAME,
        "resourceVersion that the rows are complete up to.",
    ),
    # component-base metrics/prometheus/clientgo/fifo (1.36), of which a queue has no meaning here.
    Family(
        "informer_store_resource_version", "gauge", ("name", "group", "version", "resource"),
        "The 15 least significant digits of the same, under its newer name.",
    ),
    Family(
        "vai_scope_age_seconds", "gauge", _SCOPE,
        "Age of the last proof that the rows are complete; +Inf if there never was one.",
    ),
    Family(
        "vai_scope_contact_age_seconds", "gauge", _SCOPE,
        "Since when the server was not heard about it; +Inf if it never was.",
    ),
    Family("vai_scope_state", "gauge", ("scope", "state"), "1 for the state that it is in."),
    Family("vai_scope_objects", "gauge", _SCOPE, "Objects that are kept."),
    Family(
        "vai_events_total", "counter", ("scope", "type"),
        "Events of watches: ADDED, MODIFIED, DELETED, BOOKMARK, ERROR.",
    ),
    Family(
        "vai_relists_total", "counter", ("scope", "reason"),
        "Lists after the first one, by why: expired, proof, self-check and some more.",
    ),
    Family("vai_expired_total", "counter", _SCOPE, "How often the server answered 410."),
    Family(
        "vai_self_checks_total", "counter", ("scope", "outcome"),
        "Self-checks: compared, or not_compared, for which status has the reason.",
    ),
    Family(
        "vai_self_check_age_seconds", "gauge", _SCOPE,
        "Since when it was not compared with the server; +Inf if it never was.",
    ),
    Family(
        "vai_drift_objects_total", "counter", ("scope", "what"),
        "Objects that differed from the server's: missing, extra, older. Anything but 0 is news.",
    ),
    # client-go's rest_client_requests_total and rest_client_request_retries_total have labels that
    # dashboards group by (code, method, host) and that are not counted here; so these are vai's.
    Family(
        "vai_requests_total", "counter", ("scope", "verb"),
        "Requests to the server: list, watch, probe, discovery, other. Those that are about no "
        "scope have an empty one.",
    ),
    Family(
        "vai_received_bytes_total", "counter", ("scope", "verb"),
        "Bytes of their answers as they came from the connection: with heads, still compressed, "
        "above TLS.",
    ),
    Family(
        "vai_request_retries_total", "counter", ("scope", "verb"),
        "Requests that were repeated.",
    ),
    Family(
        "vai_throttled_total", "counter", ("scope", "verb"),
        "How often the server answered 429.",
    ),
    Family("vai_handlers", "gauge", ("resource",), "Handlers of the cache."),
    Family(
        "vai_handler_calls_total", "counter", ("resource",),
        "Events that handlers were called for.",
    ),
    Family(
        "vai_handler_errors_total", "counter", ("resource",),
        "Exceptions that handlers raised. The event is passed over, so anything but 0 is news.",
    ),
    Family("vai_file_bytes", "gauge", (), "Size of the cluster file."),
    Family("vai_wal_bytes", "gauge", (), "Size of its write-ahead log."),
    Family("vai_body_bytes", "gauge", (), "Compressed bodies of all objects."),
    Family("vai_history_bytes", "gauge", (), "Compressed bodies that are superseded."),
    Family("vai_writer_running", "gauge", (), "Whether some process syncs the file."),
    Family(
        "vai_consumer_lag_entries", "gauge", ("consumer",),
        "Entries of the history that a named consumer has not handled.",
    ),
    Family(
        "vai_consumer_running", "gauge", ("consumer",),
        "Whether some process is that consumer.",
    ),
)  # fmt: skip
