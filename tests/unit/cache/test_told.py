"""The one rule by which changes become events, and what is made of a moment, as pure functions."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest

import vai
from tests.unit.cache.feed import Feed, pod
from vai.cache import Change, Event
from vai.cache.events import difference, initial, resync, seen, states, told
from vai.store import Rows


def change(
    op: Literal["add", "update", "delete"],
    version: int,
    uid: str = "u1",
    *,
    relist: bool = False,
    old: bool = True,
) -> Change:
    body = pod("web-0", version)
    body["metadata"]["uid"] = uid
    found = vai.Object(json.dumps(body).encode())
    return Change(
        op=op,
        resource="pods",
        key="shop/web-0",
        uid=uid,
        resource_version=str(version),
        seq=version,
        epoch=1,
        time_s=0.0,
        relist=relist,
        object=None if op == "delete" else found,
        old=found if op != "add" and old else None,
    )


def brief(events: list[Event]) -> list[str]:
    return [
        "tombstone" if isinstance(event.object, vai.DeletedFinalStateUnknown) else event.op
        for event in events
    ]


CASES: dict[str, tuple[Change, str | None, list[str], str | None]] = {
    "new": (change("add", 5), None, ["add"], "u1 5"),
    "changed": (change("update", 6), "u1 5", ["update"], "u1 6"),
    "gone": (change("delete", 7), "u1 6", ["delete"], None),
    "found gone": (change("delete", 6, relist=True), "u1 6", ["tombstone"], None),
    "gone, state unknown": (change("delete", 7, old=False), "u1 6", ["tombstone"], None),
    "changed, but never told": (change("update", 6), None, ["add"], "u1 6"),
    "there, but told before": (change("add", 6), "u1 5", ["update"], "u1 6"),
    "the same again": (change("update", 5), "u1 5", [], "u1 5"),
    "the same from another scope": (change("add", 5, relist=True), "u1 5", [], "u1 5"),
    "older, from another scope": (change("update", 4), "u1 5", [], "u1 5"),
    "older, of a restored cluster": (change("update", 4, relist=True), "u1 5", ["update"], "u1 4"),
    "other content under one version": (
        change("update", 5, relist=True),
        "u1 5",
        ["update"],
        "u1 5",
    ),
    "made again": (change("add", 8, "u2"), "u1 5", ["tombstone", "add"], "u2 8"),
    "gone, but never told": (change("delete", 7), None, [], None),
    "gone, but made again since": (change("delete", 7), "u2 8", [], "u2 8"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_a_change_is_to_one_who_was_told_before(case: str) -> None:
    given, before, events, after = CASES[case]
    found, now = told(given, before)
    assert brief(found) == events
    assert now == after
    assert (now is before) == (not events), "what is no news is told by identity"
    assert all(event.position == vai.Position(1, given.seq) for event in found)


@pytest.fixture
def rows(feed: Feed) -> Rows:
    feed.load([pod("a", 1), pod("b", 2), pod("c", 3), pod("d", 4)])
    return feed.store.rows(feed.store.resolve("pods"))


def known(**versions: str) -> dict[str, str]:
    return {f"shop/{name}": seen(f"uid-shop-{name}", version) for name, version in versions.items()}


def test_a_moment_is_told_as_adds(rows: Rows) -> None:
    events = list(initial(rows))
    assert [event.key for event in events] == ["shop/a", "shop/b", "shop/c", "shop/d"]
    assert all(event.is_in_initial_list for event in events)
    assert dict(states(rows)) == known(a="1", b="2", c="3", d="4")


def test_a_resync_tells_what_was_told_and_nothing_newer(rows: Rows) -> None:
    events = list(resync(rows, known(a="1", b="1", x="9"), rows.seq))
    assert [event.key for event in events] == ["shop/a"]
    assert events[0].old is events[0].object
    assert events[0].resync


def test_a_version_that_was_given_out_again_is_not_what_was_told_of_it(rows: Rows) -> None:
    before, upto = known(a="1", b="2", c="3", d="4"), rows[2].seq
    assert not list(difference(rows, before, rows.seq))
    events = list(difference(rows, before, upto))
    assert [(event.op, event.key, event.old) for event in events] == [("update", "shop/d", None)]
    assert [event.key for event in resync(rows, before, upto)] == ["shop/a", "shop/b", "shop/c"]


def test_the_difference_leads_from_what_was_told_to_what_is_there(rows: Rows) -> None:
    before: dict[str, Any] = known(a="1", b="1", x="9")
    before["shop/c"] = seen("another", "1")
    events = list(difference(rows, before, rows.seq))
    assert [(event.op, event.key, event.old) for event in events] == [
        ("delete", "shop/x", None),
        ("update", "shop/b", None),
        ("delete", "shop/c", None),
        ("add", "shop/c", None),
        ("add", "shop/d", None),
    ]
    gone = events[2].object
    assert isinstance(gone, vai.DeletedFinalStateUnknown)
    assert (gone.uid, gone.resource_version, gone.object) == ("another", "1", None)
    assert not any(event.is_in_initial_list for event in events)
