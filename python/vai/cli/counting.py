"""What `vai get` prints instead of objects: counts, facets, groups, and how it found them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click
import msgspec

from vai.cache.explain import Explain
from vai.cli.asking import Ask, pointed_out
from vai.cli.printers.tabwriter import lines_of
from vai.cli.reading import Part, Query, freshness_of
from vai.store import Counted, Facet, Group, GroupBy, Store
from vai.types import ScopeStatus

if TYPE_CHECKING:
    from vai.cli.request import Request

_NONE = "<none>"


def count(
    file: Store, request: Request, query: Query, statuses: Sequence[ScopeStatus], form: str
) -> Part | None:
    """Ask and print; the resources are one question, so that their counts add up.

    Raises:
        click.UsageError: objects are named, or the format has no such answer.
        NotSyncedError, NotKeptError: there is no answer.
    """
    if any(one.names for one in request.wanted):
        raise click.UsageError("what is counted are whole resources; leave the names out")
    if form not in {"table", "wide", "json"}:
        raise click.UsageError("what is counted is printed as a table or as -o json")
    resources = [one.resource for one in request.wanted]
    if not resources:
        return None
    ask = query.ask
    wanted = msgspec.structs.replace(
        query.of(resources),
        project="keys",
        limit=ask.limit or 1,
        cells=False,
        facets=ask.facets,
        facet_limit=ask.limit if ask.facets else 0,
        group=ask.group,
        explain=ask.explain,
    )
    with pointed_out(ask):
        rows = file.query(wanted)
    explain = None if rows.explain is None else msgspec.json.decode(rows.explain, type=Explain)
    counted = msgspec.json.decode(rows.counted, type=Counted)
    print_counted(ask, rows.total, counted, explain, form)
    return Part(resources[0], (), freshness_of(file, rows, statuses))


def print_counted(
    ask: Ask, total: int, counted: Counted, explain: Explain | None, form: str
) -> None:
    """Print what was asked for, as a table or as one JSON document."""
    if form == "json":
        click.echo(_json(ask, total, counted, explain))
        return
    if explain is not None:
        lines: Iterator[str] = iter(str(explain).splitlines())
    elif ask.group is not None:
        lines = _groups(ask.group, counted.groups)
    elif ask.facets:
        lines = _facets({name: counted.facets[name] for name in ask.facets})
    else:
        lines = iter([str(total)])
    for line in lines:
        click.echo(line)


def _json(ask: Ask, total: int, counted: Counted, explain: Explain | None) -> str:
    found: dict[str, Any] = {"total": total}
    if explain is not None:
        found["explain"] = explain
    if ask.group is not None:
        found["groups"] = counted.groups
    if ask.facets:
        found["facets"] = {name: counted.facets[name] for name in ask.facets}
    return msgspec.json.format(msgspec.json.encode(found), indent=2).decode()


def _facets(facets: dict[str, Facet]) -> Iterator[str]:
    for at, (name, facet) in enumerate(facets.items()):
        if at:
            yield ""
        rows: list[tuple[str, ...]] = [(name.upper(), "COUNT")]
        rows += [(shown(one.value), f"{one.count:,}") for one in facet.values]
        hidden = facet.distinct - len(facet.values)
        if facet.missing:
            rows.append((_NONE, f"{facet.missing:,}"))
        yield from table(rows, numbers={1})
        if hidden > 0:
            yield f"and {hidden:,} more values"


def _groups(asked: GroupBy, groups: tuple[Group, ...]) -> Iterator[str]:
    numbers = [(what, name) for what in ("sum", "min", "max") for name in getattr(asked, what)]
    head = [name.upper() for name in asked.by]
    head += ["COUNT", *(f"{what}({name})".upper() for what, name in numbers)]
    rows = [tuple(head)]
    for group in groups:
        key = [shown(group.key.get(name)) for name in asked.by]
        values = [shown(getattr(group, what).get(name)) for what, name in numbers]
        rows.append((*key, f"{group.count:,}", *values))
    yield from table(rows, numbers=set(range(len(asked.by), len(head))))


def shown(value: Any) -> str:
    """A value in a table."""
    if value is None:
        return _NONE
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if value != "" else '""'


def table(rows: list[tuple[str, ...]], numbers: set[int]) -> Iterator[str]:
    """Aligned lines; the columns of numbers to the right."""
    widths = {at: max(len(row[at]) for row in rows) for at in numbers}
    made = [
        tuple(text.rjust(widths[at]) if at in numbers else text for at, text in enumerate(row))
        for row in rows
    ]
    for line in lines_of(made):
        yield line.rstrip()
