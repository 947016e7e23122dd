"""`vai status`: what a file keeps, and how fresh it is, true for this moment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from vai.cli.command import Command
from vai.cli.files import context_option, file_of, file_option, kubeconfig_option, open_reader
from vai.cli.health import drift
from vai.cli.reading import PROBLEM
from vai.types import (
    UNKNOWN_SCOPES,
    ConsumerStatus,
    Field,
    Redaction,
    ScopeStatus,
    State,
    Traffic,
    duration,
)

if TYPE_CHECKING:
    from vai.store import Store


@click.command(cls=Command, short_help="Say what a cluster file keeps and how fresh it is.")
@file_option
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="For people, or for machines.",
)
@kubeconfig_option
@context_option
def status(file: str | None, output: str, kubeconfig: str | None, context: str | None) -> None:
    """Say what the cluster file keeps, how complete, and as of when.

    Never asks the network. It is true at this moment: when the process that writes the file died
    or hangs, its scopes are `stale`, whatever it wrote last.

    States:
      live         proven complete a moment ago
      catching-up  the file is whole, the watch is not yet proven to have caught up
      stale        the proof is too old, or the writer is gone
      offline      the API server is not heard
      listing      the first list is under way
      forbidden    the API server refuses; the reason names the missing rule
      gone         the server serves the resource no longer
      never        nothing was synced yet

    Requests and bytes are those that the writing process has asked for since it began (or did,
    if it has ended): bytes as they came from the connection, compressed, above TLS.

    Examples:
      vai status --file prod.db
      vai status --file prod.db -o json | jq '.scopes[] | select(.state != "live")'
      vai status --file prod.db -o json | jq '.requests.total'

    Exit codes:
      0  done
      1  error
      2  wrong usage
    """
    path = file_of(file, context, kubeconfig)
    with open_reader(path) as store:
        if output == "json":
            click.echo(json_of(store))
        else:
            for line in _table(path, store):
                click.echo(line)


def json_of(store: Store) -> str:
    """What `vai status` tells, for machines.

    `{"cluster": {…}, "scopes": [{"resource": "pods", …, "requests": {"list": {…}}}], "fields": […],
    "consumers": […], "requests": {"since_s": …, "total": {…}, "verbs": {…}}, "problems": {…},
    "drift": [{"scope": "pods", "found": {"missing": 1, …}}]}`
    """
    traffic, scopes = store.traffic(), store.scopes()
    document = {
        "cluster": store.cluster(),
        "scopes": [_scope_json(one, traffic) for one in scopes],
        "fields": list(store.fields()),
        "consumers": list(store.consumers()),
        "requests": None if traffic is None else _traffic_json(traffic),
        "problems": _problems(store),
        "drift": list(drift.drift_of(store, scopes)),
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()


def _traffic_json(traffic: Traffic) -> dict[str, Any]:
    return {
        "pid": traffic.pid,
        "since_s": traffic.since_s,
        "total": traffic.total,
        "verbs": traffic.verbs,
    }


def _problems(store: Store) -> dict[str, str]:
    """Why, per scope that was asked for and has no place in the file; `sync` for the whole."""
    found = msgspec.json.decode(store.document(UNKNOWN_SCOPES) or b"{}", type=dict[str, str])
    whole = store.document(PROBLEM)
    return found | ({"sync": whole.decode()} if whole else {})


_MB = 1_000_000

# As `vai.kube` counts them.
_VERBS = ("list", "watch", "probe", "discovery", "other")

# The fields that scripts look for come first.
_FIRST = ("resource", "namespace", "state", "age_s", "objects", "resource_version")


def _scope_json(one: ScopeStatus, traffic: Traffic | None) -> dict[str, Any]:
    values = msgspec.to_builtins(one)
    rest = {key: value for key, value in values.items() if key not in _FIRST}
    asked = None if traffic is None else traffic.scopes.get(one.id, {})
    return {**{key: values[key] for key in _FIRST}, **rest, "requests": asked}


def _table(path: Path, store: Store) -> list[str]:
    from vai.cli.printers.tabwriter import lines_of

    scopes = store.scopes()
    rows: list[tuple[str, ...]] = [
        (
            "RESOURCE",
            "NAMESPACE",
            "STATE",
            "SINCE",
            "PROVEN",
            "OBJECTS",
            "REQUESTS",
            "RECEIVED",
            "NOTE",
        )
    ]
    traffic = store.traffic()
    rows += [_row(one, traffic) for one in scopes]
    head = [
        *_head(path, store),
        *_asked(traffic),
        *drift.lines(store, scopes),
        *_fields(store.fields()),
        *(f"Problem:  {name}: {why}" for name, why in _problems(store).items()),
        "",
    ]
    if not scopes:
        return [*head, "never synced"]
    return [*head, *(line.rstrip() for line in lines_of(rows))]


def _fields(fields: Sequence[Field]) -> list[str]:
    """What is being built, and values that are not what their field says."""
    lines = [
        f"{one.resource} {one.name}: {one.progress:.0%} built" for one in fields if not one.ready
    ]
    lines += [
        f"{one.resource} {one.name}: {one.invalid} of its values "
        f"{'is' if one.invalid == 1 else 'are'} no {one.type}, as of {one.invalid_example}"
        for one in fields
        if one.invalid
    ]
    return [f"{'Fields:' if number == 0 else '':9} {line}" for number, line in enumerate(lines)]


def _asked(traffic: Traffic | None) -> list[str]:
    """What was asked of the server, by verb."""
    if traffic is None:
        return []
    total = traffic.total
    verbs = [f"{traffic.verbs[verb].requests:,} {verb}" for verb in _VERBS if verb in traffic.verbs]
    failed = [
        f"{count:,} {what}"
        for count, what in ((total.retries, "repeated"), (total.throttled, "times 429"))
        if count
    ]
    return [
        f"Asked:    {total.requests:,} requests ({', '.join(verbs) or 'none'}), "
        f"{megabytes(total.received_bytes)} received in {duration(traffic.since_s)}"
        + "".join(f", {part}" for part in failed)
    ]


def _row(one: ScopeStatus, traffic: Traffic | None) -> tuple[str, ...]:
    asked = None if traffic is None else traffic.of(one.id)
    kept = [part for part in (one.label_selector, one.field_selector) if part]
    if one.redaction is Redaction.METADATA:
        kept.append("metadata only")
    if one.drop:
        kept.append(f"without {', '.join(one.drop)}")
    note = "; ".join([*kept, *([one.reason] if one.reason else [])])
    return (
        one.resource,
        one.namespace or "<all>",
        one.state.value,
        "" if one.state is State.NEVER else duration(one.since_s),
        "never" if one.age_s is None else f"{duration(one.age_s)} ago",
        str(one.objects),
        "" if asked is None else str(asked.requests),
        "" if asked is None else megabytes(asked.received_bytes),
        note,
    )


def _head(path: Path, store: Store) -> list[str]:
    cluster, stats = store.cluster(), store.stats()
    lines = [f"File:     {path}  ({_sizes(stats)})"]
    if cluster is None:
        lines.append("Cluster:  none yet")
    else:
        known = cluster.uid if cluster.verified else f"{cluster.uid}, not verified"
        lines.append(f"Cluster:  {cluster.server}  ({known})")
    pid = stats.get("writer_pid")
    lines.append(f"Writer:   {'none' if pid is None else f'process {pid}'}")
    lines += [_consumer(one, stats["seq"]) for one in store.consumers()]
    return lines


def _consumer(one: ConsumerStatus, seq: int) -> str:
    """A named consumer, and how many entries of the whole history lie behind its position."""
    state = "running" if one.running else "not running"
    behind = max(0, seq - one.seq)
    return f"Consumer: {one.name} of {', '.join(one.resources)}, {state}, {behind} entries behind"


def _sizes(stats: dict[str, Any]) -> str:
    parts = [
        f"{megabytes(stats[key])}{label}"
        for key, label in (("file_bytes", ""), ("wal_bytes", " WAL"), ("bytes_written", " written"))
        if stats.get(key) is not None
    ]
    return ", ".join(parts)


def megabytes(count: int) -> str:
    """`12.3 MB`, `840 KB`."""
    return f"{count / 1e6:.1f} MB" if count >= _MB else f"{count / 1e3:.0f} KB"
