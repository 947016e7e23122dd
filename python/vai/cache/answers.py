"""From questions to answers: one way for threads, for coroutines and for each kind of question."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from vai.cache.conditions import Fresh
from vai.cache.explain import Explain
from vai.cache.question import WAIT_S, Question
from vai.cache.reads import Reads
from vai.cache.views import Page
from vai.cache.waits import Deadline
from vai.store import Counted, Facet, Rows
from vai.types import Freshness, Position

_COUNTED: Final = msgspec.json.Decoder(Counted)
_EXPLAIN: Final = msgspec.json.Decoder(Explain)

Answer = tuple[Rows, Freshness]


def answer(reads: Reads, question: Question) -> Answer:
    """Ask, in this thread; with `on_stale="wait"` it may wait."""
    if question.demand.on_stale == "wait":
        Fresh(reads, question).block(_deadline(question))
    return reads.ask(question)


async def answer_later(reads: Reads, question: Question) -> Answer:
    """The same for a coroutine: waits on its loop, and reads in a worker thread."""
    if question.demand.on_stale == "wait":
        await Fresh(reads, question).wait(_deadline(question))
    return await asyncio.to_thread(reads.ask, question)


def _deadline(question: Question) -> Deadline:
    timeout = question.demand.timeout
    return Deadline(WAIT_S if timeout is None else timeout)


def counted(rows: Rows) -> Counted:
    """What was counted beside the rows."""
    return _COUNTED.decode(rows.counted)


def facets(rows: Rows, asked: Sequence[str]) -> dict[str, Facet]:
    """The facets in the order in which they were asked for."""
    found = counted(rows).facets if asked else {}
    return {name: found[name] for name in asked}


def page(answered: Answer, question: Question) -> Page:
    """An answer as users see it."""
    rows, freshness = answered
    since_s = rows.known_since_s
    return Page(
        total=rows.total,
        cursor=rows.cursor,
        freshness=freshness,
        position=Position(rows.epoch, rows.seq),
        resources=question.resources,
        rows=rows,
        facets=facets(rows, question.request.facets),
        explain=None if rows.explain is None else _EXPLAIN.decode(rows.explain),
        known_since=None if since_s is None else datetime.fromtimestamp(since_s, UTC),
        summary=counted(rows).summary if question.request.steve else (),
    )
