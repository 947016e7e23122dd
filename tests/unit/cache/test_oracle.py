"""Any question, of any objects, after any history: compared with a look at every object.

The oracle (tests/unit/cache/oracle) is written from docs/expressions.md, docs/queries.md and
docs/fields.md, in plain Python over parsed JSON. The examples are always the same, also in CI;
VAI_ORACLE=long looks elsewhere each time and longer, VAI_ORACLE_EXAMPLES says for how many.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

import vai
from tests.unit.cache.oracle import language
from tests.unit.cache.oracle.answers import Question, check, check_bounds, check_facet, matching
from tests.unit.cache.oracle.language import Condition, Literal
from tests.unit.cache.oracle.model import Moment, Put, World, Write
from tests.unit.cache.oracle.objects import first_lists, writes
from tests.unit.cache.oracle.places import DEPLOYMENTS, PODS, Json, key_of
from tests.unit.cache.oracle.questions import USERS, conditions, questions
from tests.unit.cache.oracle.scopes import LAYOUTS, Layout
from tests.unit.cache.oracle.values import exact
from vai.types import Position

LONG: Final = os.environ.get("VAI_ORACLE") == "long"


def examples(count: int) -> Callable[[Any], Any]:
    """So many by default and in CI, always the same; in the long run as many as are asked for."""
    return settings(
        max_examples=int(os.environ.get("VAI_ORACLE_EXAMPLES", "1000")) if LONG else count,
        derandomize=not LONG,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


@contextmanager
def world(first: dict[str, list[Json]], layout: Layout) -> Iterator[World]:
    """A file of its own for each example: they must not depend on one another."""
    with tempfile.TemporaryDirectory() as folder:
        made = World.open(Path(folder) / "cluster.db", first, layout)
        try:
            yield made
        finally:
            made.close()


def layouts() -> SearchStrategy[Layout]:
    """Rather overlapping scopes."""
    return st.sampled_from((*LAYOUTS, "parts", "besides"))


#: A list is there, and no text: `!=` means that it exists, and does not.
_LISTED: Final = {"metadata": {"name": "a", "namespace": "dev", "annotations": {"note": ["a"]}}}
_TEXT: Final = {"metadata": {"name": "b", "namespace": "dev", "annotations": {"note": "a"}}}
_NULL: Final = {"metadata": {"name": "c", "namespace": "dev", "annotations": {"note": None}}}
_PODS: Final = Question(resources=("pods",))
#: A server takes no `spec.replicas` for one.
_DEPLOYMENT: Final = {"metadata": {"name": "a", "namespace": "dev"}}
_REPLICAS: Final = next(place for place in DEPLOYMENTS if place.name == "spec.replicas")
_ONE: Final = Question(
    resources=("deployments.apps",), where=language.Test(_REPLICAS, "=", (Literal("1"),))
)
_NOTE: Final = [place.name for place in PODS].index("annotations[note]")


@examples(100)
@example({"pods": [_LISTED, _TEXT, _NULL]}, "whole", [], _PODS, [_NOTE])
@example({"deployments.apps": [_DEPLOYMENT]}, "whole", [], _ONE, [])
@given(
    first_lists(),
    layouts(),
    st.lists(st.one_of(writes(), questions()), min_size=1, max_size=12),
    questions(),
    st.lists(st.integers(0, len(PODS) - 1), min_size=2, max_size=2),
)
def test_every_answer_is_that_of_a_look_at_every_object(
    first: dict[str, list[Json]],
    layout: Layout,
    steps: list[Write | Question],
    last: Question,
    places: list[int],
) -> None:
    with world(first, layout) as made:
        for step in (*steps, last):
            if not isinstance(step, Question):
                made.write(step)
                continue
            position, then = moment_of(made, step)
            objects = made.answering(step, then)
            if objects is not None:
                check(made.cache, step, objects, position)
                continue
            with pytest.raises(vai.NotKeptError):
                made.cache.list(list(step.resources), step.namespaces, **step.asked(position))
        pods = made.answering(Question(resources=("pods",)))
        assert pods is not None
        for at in places:
            check_bounds(made.cache, PODS[at], pods["pods"].values())


def moment_of(made: World, question: Question) -> tuple[Position | None, Moment | None]:
    """When a question is about, and what was kept then; None for now."""
    if question.ago is None:
        return None, None
    return made.past[-1 - question.ago % len(made.past)]


@examples(40)
@given(
    first_lists(),
    layouts(),
    st.lists(writes(), max_size=3),
    questions(),
    st.integers(1, 3),
    st.lists(writes(), max_size=6),
)
def test_a_walk_gives_the_moment_of_its_first_page_whatever_is_written(
    first: dict[str, list[Json]],
    layout: Layout,
    before: list[Write],
    question: Question,
    limit: int,
    meanwhile: list[Write],
) -> None:
    with world(first, layout) as made:
        for write in before:
            made.write(write)
        position, then = moment_of(made, question)
        objects = made.answering(question, then)
        assume(objects is not None)
        assert objects is not None
        rows = matching(question, objects, time.time_ns() // 1000)
        cursor, found, pages = None, list[vai.Object](), 0
        while pages == 0 or cursor is not None:
            page = made.cache.list(
                list(question.resources),
                question.namespaces,
                sort=question.sort_keys,
                limit=limit,
                cursor=cursor,
                facets=[place.name for place in question.facets],
                **question.asked(position if cursor is None else None),
            )
            assert page.total == len(rows)
            for place in question.facets:
                check_facet(place, page.facets[place.name], rows, None)
            found += page.items
            cursor, pages = page.cursor, pages + 1
            for write in meanwhile[pages - 1 : pages]:
                made.write(write)
        assert [exact(one.raw) for one in found] == [one for _, one in rows]
        assert pages == max(1, -(-len(rows) // limit))


@examples(40)
@example({}, "whole", _PODS, [Put("pods", _NULL), Put("pods", _TEXT)])
@given(
    first_lists(),
    # Of overlapping scopes the history has the changes of each.
    st.sampled_from(("whole", "apart")),
    questions(),
    st.lists(writes(), min_size=1, max_size=8),
)
def test_the_changes_of_a_filter_add_up_to_what_it_selects(
    first: dict[str, list[Json]], layout: Layout, question: Question, happening: list[Write]
) -> None:
    with world(first, layout) as made:
        now_us = time.time_ns() // 1000
        filters = question.asked(None)
        changes = made.cache.changes(
            list(question.resources),
            made.cache.position(),
            namespace=question.namespaces if question.resources == ("pods",) else None,
            label_selector=filters["label_selector"],
            field_selector=filters["field_selector"],
            where=filters["where"],
        )
        spaces = question.namespaces if question.resources == ("pods",) else None
        asked = Question(
            resources=question.resources,
            namespaces=spaces,
            where=question.where,
            labels=question.labels,
            fields=question.fields,
        )
        shown = selected(asked, made, now_us)
        for write in happening:
            made.write(write)
            while (change := changes.poll()) is not None:
                apply(change, shown)
            assert shown == selected(asked, made, now_us)


@examples(40)
@given(
    first_lists(),
    st.sampled_from(("whole", "apart", "parts")),
    st.lists(writes(), min_size=1, max_size=10),
    st.lists(conditions(PODS), min_size=1, max_size=2),
)
def test_users_whose_lists_differ_in_one_name_are_told_what_their_own_allows(
    first: dict[str, list[Json]],
    layout: Layout,
    happening: list[Write],
    wheres: list[Condition],
) -> None:
    with world(first, layout) as made:
        for write in (None, *happening):
            if write is not None:
                made.write(write)
            for access in USERS:
                for where in (language.Everything(), *wheres):
                    question = Question(resources=("pods",), access=access, where=where)
                    objects = made.answering(question)
                    assert objects is not None
                    check(made.cache, question, objects, None)


def selected(question: Question, made: World, now_us: int) -> dict[tuple[str, str], Json]:
    rows = matching(question, made.objects, now_us)
    return {(name, key_of(one)): one for name, one in rows}


def apply(change: vai.Change, shown: dict[tuple[str, str], Json]) -> None:
    """An add is of something new, an update and a delete of what was shown last."""
    place = change.resource, change.key
    if change.op == "add":
        assert place not in shown
        assert change.old is None
    else:
        assert change.old is not None
        old, before = exact(change.old.raw), shown.pop(place)
        if change.op == "delete":
            # The server sends the last state under the resourceVersion of the delete.
            old["metadata"].pop("resourceVersion")
            before = before | {"metadata": dict(before["metadata"])}
            before["metadata"].pop("resourceVersion")
        assert old == before
    if change.object is not None:
        assert change.op != "delete"
        shown[place] = exact(change.object.raw)
