"""The options of `vai get` that ask: filters, order, pages, the past, and what is counted."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

from vai.cli.failures import Failure, misread
from vai.cli.files import file_of, open_reader
from vai.errors import (
    InvalidExpressionError,
    InvalidRequestError,
    UnknownFieldError,
    VaiError,
)

if TYPE_CHECKING:
    from vai.store import AtPosition, AtTime, GroupBy

F = TypeVar("F", bound=Callable[..., Any])

#: The end of what is being typed that may be the beginning of a field's name.
_NAME = re.compile(r"[\w./\[\]*-]*$")
#: More objects than that no file has (their ids fit 32 bits).
_COUNT = click.IntRange(min=1, max=2**32)


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked beyond selectors.

    Attributes:
        where: an expression.
        sort: keys, `-` before one for descending.
        limit: objects; 0 for all.
        facets: fields whose values are to be counted, instead of printing objects.
        group: fields to group by, likewise.
        count: print only how many match.
        explain: print how it is answered.
    """

    where: str = ""
    sort: tuple[str, ...] = ()
    limit: int = 0
    offset: int = 0
    cursor: str = ""
    at: AtPosition | AtTime | None = None
    facets: tuple[str, ...] = ()
    group: GroupBy | None = None
    count: bool = False
    explain: bool = False

    @property
    def counts(self) -> bool:
        """Whether something else than objects is to be printed."""
        return bool(self.facets or self.group or self.count or self.explain)

    @property
    def pages(self) -> bool:
        """Whether a part of the objects is asked for."""
        return bool(self.limit or self.offset or self.cursor)


def complete_field(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Names of fields for the shell, after whatever was typed before; silent without a file."""
    del param
    # An option that still lacks its value leaves the arguments unread.
    words: list[str] = [*(ctx.params.get("arguments") or ()), *ctx.args]
    try:
        with open_reader(file_of(ctx.params.get("file"), ctx.params.get("context"))) as store:
            resource = store.resolve(words[0].split(",")[0].split("/")[0])
            known = [field.name for field in store.fields(resource)]
    except (VaiError, Failure, OSError, IndexError):
        return []
    typed = _NAME.search(incomplete)
    begun = "" if typed is None else typed.group().lstrip("-")
    before = incomplete[: len(incomplete) - len(begun)]
    common = ("age", "metadata.name", "metadata.namespace")
    names = sorted({*known, *common})
    return [before + name for name in names if name.startswith(begun)]


_OPTIONS = (
    click.option(
        "-w",
        "--where",
        metavar="EXPRESSION",
        default="",
        shell_complete=complete_field,
        help="Only objects for which it is true: 'restarts > 3 and age < 1h'.",
    ),
    click.option(
        "--sort",
        metavar="FIELD",
        multiple=True,
        shell_complete=complete_field,
        help="Order, by comma or repeated; -FIELD for descending.  [default: namespace/name]",
    ),
    click.option("--limit", type=_COUNT, metavar="N", help="At most so many."),
    click.option("--page", type=_COUNT, metavar="N", help="With --limit: the N-th page."),
    click.option(
        "--cursor",
        metavar="TOKEN",
        default="",
        help="Go on after a page, in its moment; --limit prints the token.",
    ),
    click.option(
        "--at",
        metavar="WHEN",
        help="As it was: 10m (ago), a time (2026-05-01T12:00:00Z), or a position EPOCH:SEQ.",
    ),
    click.option("--count", is_flag=True, help="Print only how many match."),
    click.option(
        "--facet",
        metavar="FIELD",
        multiple=True,
        shell_complete=complete_field,
        help="Print the values of a field and how many objects have each, by comma or repeated.",
    ),
    click.option(
        "--group-by",
        metavar="FIELD",
        multiple=True,
        shell_complete=complete_field,
        help="Print a line per combination of values.",
    ),
    click.option(
        "--sum",
        metavar="FIELD",
        multiple=True,
        shell_complete=complete_field,
        help="With --group-by: a column with the sum of a field.",
    ),
    click.option(
        "--min",
        metavar="FIELD",
        multiple=True,
        shell_complete=complete_field,
        help="With --group-by: a column with its least value.",
    ),
    click.option(
        "--max",
        metavar="FIELD",
        multiple=True,
        shell_complete=complete_field,
        help="With --group-by: a column with its greatest value.",
    ),
    click.option("--explain", is_flag=True, help="Print how the query is answered, and how fast."),
)


def query_options(command: F) -> F:
    """Add the options that `ask_of` reads."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def ask_of(given: Mapping[str, Any]) -> Ask:
    """The values of the options, checked.

    Raises:
        click.UsageError: they do not go together.
    """
    limit, page, cursor = given["limit"] or 0, given["page"], given["cursor"]
    if page is not None and not limit:
        raise click.UsageError("--page goes with --limit, the objects of a page")
    if page is not None and cursor:
        raise click.UsageError("--page counts from the beginning, --cursor goes on: give one")
    ask = Ask(
        where=given["where"],
        sort=_fields(given["sort"], "--sort"),
        limit=limit,
        offset=limit * (page - 1) if page else 0,
        cursor=cursor,
        at=None if given["at"] is None else moment(given["at"]),
        facets=_fields(given["facet"], "--facet"),
        group=_group(given),
        count=given["count"],
        explain=given["explain"],
    )
    if sum((bool(ask.facets), ask.group is not None, ask.count, ask.explain)) > 1:
        raise click.UsageError("print one of --count, --facet, --group-by and --explain")
    if ask.counts and (ask.offset or ask.cursor):
        raise click.UsageError("what is counted has no pages: leave --page and --cursor out")
    return ask


def _fields(given: tuple[str, ...], option: str) -> tuple[str, ...]:
    found = [part.strip() for text in given for part in _split(text)]
    if not all(found):
        raise click.BadParameter("an empty field", param_hint=f"'{option}'")
    return tuple(dict.fromkeys(found))


def _split(text: str) -> list[str]:
    """At commas, but not inside of brackets."""
    return re.split(r",(?![^\[]*\])", text)


def _group(given: Mapping[str, Any]) -> GroupBy | None:
    by = _fields(given["group_by"], "--group-by")
    extra = {name: _fields(given[name], f"--{name}") for name in ("sum", "min", "max")}
    if not by:
        if any(extra.values()):
            raise click.UsageError("--sum, --min and --max go with --group-by")
        return None
    from vai.store import GroupBy

    return GroupBy(by=by, **extra)


def moment(text: str) -> AtPosition | AtTime:
    """`10m`, `2026-05-01T12:00:00Z` (without a zone: local time), `1:4711`.

    Raises:
        click.BadParameter: it is none of them.
    """
    from vai.config import parse_duration
    from vai.store import AtPosition, AtTime

    position = re.fullmatch(r"(\d{1,18}):(\d{1,18})", text)
    if position:
        return AtPosition(int(position[1]), int(position[2]))
    now = time.time()
    try:
        try:
            # No history is older than that.
            then = max(0.0, now - parse_duration(text))
        except InvalidRequestError:
            then = datetime.fromisoformat(text).astimezone().timestamp()
        found = AtTime(int(then * 1000))
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"{text!r} is no moment: 10m, 2026-05-01T12:00:00Z or EPOCH:SEQ", param_hint="'--at'"
        ) from None
    if then > now:
        raise click.BadParameter(f"{text!r} lies in the future", param_hint="'--at'")
    return found


@contextmanager
def pointed_out(ask: Ask) -> Iterator[None]:
    """Errors in expressions and names of fields, with the place where they are."""
    try:
        yield
    except (InvalidExpressionError, UnknownFieldError) as error:
        failure = misread(error, ask.where)
        if failure is None:
            raise
        raise failure from None
