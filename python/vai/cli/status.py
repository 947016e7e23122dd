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
from vai.types import Cluster, ConsumerStatus, Field, Redaction, ScopeStatus, State, duration

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

    Examples:
      vai status --file prod.db
      vai status --file prod.db -o json | jq '.scopes[] | select(.state != "live")'

    Exit codes:
      0  done
      1  error
      2  wrong usage
    """
    path = file_of(file, context, kubeconfig)
    with open_reader(path) as store:
        if output == "json":
            scopes = store.scopes()
            found = drift.drift_of(store, scopes)
            click.echo(json_of(store.cluster(), scopes, store.fields(), store.consumers(), found))
        else:
            for line in _table(path, store):
                click.echo(line)


def json_of(
    cluster: Cluster | None,
    scopes: Sequence[ScopeStatus],
    fields: Sequence[Field],
    consumers: Sequence[ConsumerStatus],
    drifts: Sequence[drift.Drift] = (),
) -> str:
    """What `vai status` tells, for machines.

    `{"cluster": {…}, "scopes": [{"resource": "pods", …}], "fields": […], "consumers": […],
    "drift": [{"scope": "pods", "found": {"missing": 1, …}}]}`
    """
    document = {
        "cluster": cluster,
        "scopes": [_scope_json(one) for one in scopes],
        "fields": list(fields),
        "consumers": list(consumers),
        "drift": list(drifts),
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()


_MB = 1_000_000

# The fields that scripts look for come first.
_FIRST = ("resource", "namespace", "state", "age_s", "objects", "resource_version")


def _scope_json(one: ScopeStatus) -> dict[str, Any]:
    values = msgspec.to_builtins(one)
    rest = {key: value for key, value in values.items() if key not in _FIRST}
    return {**{key: values[key] for key in _FIRST}, **rest}


def _table(path: Path, store: Store) -> list[str]:
    from vai.cli.printers.tabwriter import lines_of

    scopes = store.scopes()
    rows: list[tuple[str, ...]] = [
        ("RESOURCE", "NAMESPACE", "STATE", "SINCE", "PROVEN", "OBJECTS", "NOTE")
    ]
    rows += [_row(one) for one in scopes]
    head = [*_head(path, store), *drift.lines(store, scopes), *_fields(store.fields()), ""]
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


def _row(one: ScopeStatus) -> tuple[str, ...]:
    kept = [part for part in (one.label_selector, one.field_selector) if part]
    if one.redaction is Redaction.METADATA:
        kept.append("metadata only")
    note = "; ".join([*kept, *([one.reason] if one.reason else [])])
    return (
        one.resource,
        one.namespace or "<all>",
        one.state.value,
        "" if one.state is State.NEVER else duration(one.since_s),
        "never" if one.age_s is None else f"{duration(one.age_s)} ago",
        str(one.objects),
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
