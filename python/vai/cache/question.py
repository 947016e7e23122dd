"""A question as users ask it: checked, and turned into the core's request."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal, TypedDict

import msgspec

from vai.cache.query import Namespaces, namespaces_of
from vai.errors import InvalidRequestError, StaleError
from vai.store import AtPosition, AtTime, Partition, Paths, Request, compare_resource_versions
from vai.types import Freshness, Position, Resource

#: A moment of the past: a position, a time, or so long ago.
At = Position | datetime | timedelta | None
#: What of each object is wanted: all, metadata, nothing but its key, or some paths.
Project = Literal["body", "metadata", "keys"] | Sequence[str]
#: What to do with an answer that is older than was asked for.
OnStale = Literal["raise", "wait", "serve"]
MaxAge = float | timedelta | None

_ON_STALE: Final = ("raise", "wait", "serve")
_PROJECTS: Final = ("body", "metadata", "keys")
#: How long `on_stale="wait"` waits where no timeout is given. A proof of freshness comes every 16
#: seconds at the latest (docs/architecture.md, what a proof costs).
WAIT_S: Final = 20.0


class Asked(TypedDict, total=False):
    """What the shorter questions (`count`, `facets`, …) take as `list` does; see `Cache.list`."""

    where: str
    label_selector: str
    field_selector: str
    access: Iterable[Partition] | None
    at: At
    max_age: MaxAge
    min_resource_version: str | None
    on_stale: OnStale
    timeout: MaxAge


class AskedList(Asked, total=False):
    """What `list` takes; see `Cache.list`."""

    sort: str | Sequence[str]
    limit: int | None
    offset: int
    cursor: str | None
    facets: str | Sequence[str]
    facet_limit: int | None
    project: Project
    explain: bool
    steve: str


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """How fresh an answer has to be, and what to do if it is not.

    Attributes:
        max_age: the oldest proof that will do.
        min_resource_version: what a write of one's own returned.
        on_stale: "raise" StaleError, "wait" for a fresher one, or "serve" what there is.
        timeout: how long to wait.
    """

    max_age: MaxAge = None
    min_resource_version: str | None = None
    on_stale: OnStale = "raise"
    timeout: MaxAge = None

    def check(self, resources: Sequence[Resource], at: At) -> None:
        """Raise InvalidRequestError for what makes no sense."""
        if self.on_stale not in _ON_STALE:
            raise InvalidRequestError(
                f"on_stale={self.on_stale!r}: one of {', '.join(map(repr, _ON_STALE))}"
            )
        least = self.min_resource_version
        if least is not None:
            if compare_resource_versions(least, least) != 0:
                raise InvalidRequestError(f"not a resourceVersion: {least!r}")
            if len(resources) > 1:
                raise InvalidRequestError(
                    "min_resource_version= is of one resource; ask for the others apart"
                )
        if at is not None and (least is not None or self.max_age is not None):
            raise InvalidRequestError("the past grows no fresher: give at= or a demand, not both")


class Question(msgspec.Struct, frozen=True):
    """A request of the core, with what is known of its resources."""

    request: Request
    resources: tuple[Resource, ...]
    demand: Demand

    @property
    def names(self) -> str:
        """`pods, deployments.apps`."""
        return ", ".join(found.name for found in self.resources)


def stale(question: Question, freshness: Freshness) -> StaleError:
    """An answer is older than was asked for."""
    names = question.names
    least = question.demand.min_resource_version
    wanted = "" if least is None else f" than resourceVersion {least}"
    return StaleError(
        f"{names}: older{wanted or ' than asked for'}: {freshness}",
        resource=names,
        freshness=freshness,
    )


def question(
    resources: Sequence[Resource],
    namespace: Namespaces,
    asked: Asked,
    base: Request,
) -> Question:
    """The whole question: `base` has what only some questions have."""
    at, demand = asked.get("at"), demand_of(asked)
    demand.check(resources, at)
    access = asked.get("access")
    request = msgspec.structs.replace(
        base,
        resources=tuple(found.name for found in resources),
        namespaces=_namespaces(resources, namespace),
        label_selector=asked.get("label_selector", ""),
        field_selector=asked.get("field_selector", ""),
        condition=asked.get("where", ""),
        access=None if access is None else tuple(access),
        at=moment(at),
    )
    return Question(request, tuple(resources), demand)


def list_question(
    resources: Sequence[Resource], namespace: Namespaces, asked: AskedList
) -> Question:
    """The question that `list` asks."""
    offset = asked.get("offset", 0)
    if not 0 <= offset <= sys.maxsize:
        raise InvalidRequestError(f"offset must be between 0 and {sys.maxsize}, not {offset}")
    base = Request(
        resources=(),
        sort=names(asked.get("sort", ())),
        limit=counted(asked.get("limit"), "limit"),
        offset=offset,
        cursor=asked.get("cursor") or "",
        facets=names(asked.get("facets", ())),
        facet_limit=counted(asked.get("facet_limit"), "facet_limit"),
        project=projection(asked.get("project", "body")),
        explain=asked.get("explain", False),
        steve=asked.get("steve", "").removeprefix("?"),
    )
    return question(resources, namespace, asked, base)


def demand_of(asked: Asked) -> Demand:
    """The part of the arguments that is about freshness."""
    return Demand(
        max_age=asked.get("max_age"),
        min_resource_version=asked.get("min_resource_version"),
        on_stale=asked.get("on_stale", "raise"),
        timeout=asked.get("timeout"),
    )


def _namespaces(resources: Sequence[Resource], namespace: Namespaces) -> tuple[str, ...] | None:
    """Of several resources those that have no namespaces are not narrowed by one."""
    narrowed = [found for found in resources if found.namespaced] or list(resources[:1])
    chosen = namespaces_of(narrowed[0], namespace) if narrowed else None
    return None if chosen is None else tuple(chosen)


def moment(at: At) -> AtPosition | AtTime | None:
    """A moment of the past, as the core takes it.

    Raises:
        InvalidRequestError: a time without its zone, or in the future.
    """
    match at:
        case None:
            return None
        case Position(epoch=epoch, seq=seq):
            if max(abs(epoch), abs(seq)) > sys.maxsize:
                raise InvalidRequestError(f"at={at!r}: no position has such numbers")
            return AtPosition(epoch, seq)
        case timedelta():
            if at < timedelta(0):
                raise InvalidRequestError(f"at={at!r}: so long ago; it can't be negative")
            return AtTime(_ms(time.time() - at.total_seconds()))
        case datetime():
            if at.tzinfo is None:
                raise InvalidRequestError(
                    f"at={at!r} has no time zone: say datetime.now(UTC), or .astimezone()"
                )
            if at.timestamp() > time.time():
                raise InvalidRequestError(f"at={at!r} lies in the future")
            return AtTime(_ms(at.timestamp()))
        case _:
            raise InvalidRequestError(f"at={at!r}: a Position, a datetime or a timedelta")


def _ms(time_s: float) -> int:
    return int(time_s * 1000)


def names(given: str | Iterable[str]) -> tuple[str, ...]:
    """One name or several."""
    return (given,) if isinstance(given, str) else tuple(given)


def projection(given: Project) -> Literal["body", "metadata", "keys"] | Paths:
    """What of each object is wanted, as the core takes it.

    Raises:
        InvalidRequestError: a word that is none of the three.
    """
    match given:
        case "body" | "metadata" | "keys":
            return given
        case str():
            words = ", ".join(map(repr, _PROJECTS))
            raise InvalidRequestError(f"project={given!r}: one of {words}, or a list of paths")
        case _:
            return Paths(tuple(given))


def counted(limit: int | None, what: str) -> int:
    """A number of things wanted; None for all that is usual.

    Raises:
        InvalidRequestError: less than one, or more than could be counted.
    """
    if limit is not None and not 1 <= limit <= sys.maxsize:
        raise InvalidRequestError(f"{what} must be between 1 and {sys.maxsize}, not {limit}")
    return limit or 0
