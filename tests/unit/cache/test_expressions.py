"""The expression language from end to end: each operator, each type, and input that is wrong."""

from __future__ import annotations

import json
import pickle
import time
from collections.abc import Callable
from typing import Any

import pytest

import vai
from tests.unit.cache.feed import Feed, pod

Json = dict[str, Any]

BIG = 2**53


def made(name: str, spec: Json, **labels: str) -> Json:
    one = pod(name, 1, "dev", labels=labels)
    one["spec"] = spec
    return one


PODS = [
    made("a", {
        "nodeName": "Node-Äpfel", "rank": BIG + 1, "size": "1500M", "wait": "90s", "on": True,
        "since": "2026-01-01T00:00:00Z", "ip": "10.0.0.7", "ports": [1, 2],
    }, tier="web", shard="9"),
    made("b", {
        "nodeName": "node-birne", "rank": BIG, "size": "2Gi", "wait": "1h30m", "on": False,
        "since": "2026-06-01T02:00:00+02:00", "ip": "10.1.0.7", "ports": [2, 3],
    }, tier="db", shard="12"),
    made("c", {
        "nodeName": "other", "rank": -1, "size": "500m", "wait": "2d", "ip": "fd00::1",
        "ports": [3],
    }, tier="", shard="x"),
    made("d", {"rank": "many", "size": "1.5Qx", "wait": "soon", "ip": "nowhere", "ports": []}),
]  # fmt: skip

#: What is asked, and the names it holds for; of paths that nobody indexed, and of fields.
ASKED = [
    ("nodeName = other", "c"),
    ("nodeName != other", "ab"),
    ("not nodeName = other", "abd"),
    ("nodeName in (other, node-birne)", "bc"),
    ("nodeName notin (other, node-birne)", "a"),
    ("nodeName contains ode", "ab"),
    ("nodeName !contains ode", "c"),
    ("nodeName icontains NODE", "ab"),
    ("nodeName icontains 'ÄPFEL'", "a"),
    ("nodeName startswith node", "b"),
    ("nodeName matches '^[Nn]ode-'", "ab"),
    ("nodeName !matches '^[Nn]ode-'", "c"),
    ("exists nodeName", "abc"),
    ("!exists nodeName", "d"),
    ("nodeName > m", "bc"),
    ("labels[tier] exists", "abc"),
    ("labels[tier] = ''", "c"),
    ("labels[shard] > 9", "b"),
    ("labels[shard] >= 9", "ab"),
    (f".spec.rank > {BIG}", "a"),
    (f".spec.rank = {BIG}", "b"),
    (f".spec.rank <= {BIG}", "bc"),
    (".spec.rank = many", "d"),
    (".spec.size > 1500M", "b"),
    (".spec.size <= 1.5G", "ac"),
    (".spec.size = 500m", "c"),
    ("quantity(.spec.size) = 0.5", "c"),
    ("exists quantity(.spec.size)", "abc"),
    ("duration(.spec.wait) > 90m", "c"),
    ("duration(.spec.wait) in (90s, 90m)", "ab"),
    ("not exists duration(.spec.wait)", "d"),
    (".spec.since < 2026-02-01", "a"),
    ("time(.spec.since) = 2026-06-01T00:00:00Z", "b"),
    ("age(.spec.since) > 1s", "ab"),
    (".spec.ip in 10.0.0.0/8", "ab"),
    (".spec.ip in (10.1.0.0/16, fd00::/8)", "bc"),
    ("ip(.spec.ip) > 10.0.0.7", "bc"),
    (".spec.on = true", "a"),
    (".spec.on != true", "b"),
    (".spec.ports[*] = 2", "ab"),
    (".spec.ports[*] != 2", "c"),
    ("any(.spec.ports[*]) != 2", "abc"),
    ("all(.spec.ports[*]) >= 2", "bc"),
    ("exists .spec.ports[*]", "abc"),
    ("(name = a or name = b) and not labels[tier] = db", "a"),
    ("name = a or name = b and labels[tier] = web", "a"),
    ("NOT (name = a OR name = b) AND name != d", "c"),
]


@pytest.fixture(autouse=True)
def _pods(feed: Feed) -> None:
    feed.load(PODS)


def chosen(cache: vai.Cache, where: str) -> str:
    return "".join(key.removeprefix("dev/") for key in cache.list("pods", where=where).keys)


@pytest.mark.parametrize(("where", "names"), ASKED)
def test_an_operator_means_what_it_says(cache: vai.Cache, where: str, names: str) -> None:
    assert chosen(cache, where) == names


def test_an_index_changes_no_answer(feed: Feed, cache: vai.Cache) -> None:
    asked = [(where, names) for where, names in ASKED if "(.spec." not in where]
    for name, kind in (
        ("size", "quantity"), ("wait", "duration"), ("since", "time"), ("ip", "ip"), ("on", "bool"),
    ):  # fmt: skip
        feed.store.index(feed.store.resolve("pods"), f".spec.{name}", kind)
    feed.store.index(feed.store.resolve("pods"), ".spec.ports[*]", "int")
    deadline = time.monotonic() + 10
    while not all(field.ready for field in cache.fields("pods")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    for where, names in asked:
        assert chosen(cache, where) == names, where
    (size,) = [field for field in cache.fields("pods") if field.name == "spec.size"]
    assert (size.invalid, size.invalid_example) == (1, "dev/d")


def test_orders_and_counts_take_any_path(cache: vai.Cache) -> None:
    def order(key: str) -> str:
        return "".join(one[-1] for one in cache.list("pods", sort=key).keys)

    assert order(".spec.rank") == "cbad"  # numbers, then texts
    assert order("-.spec.rank") == "dabc"
    assert order("-quantity(.spec.size)") == "bacd"  # what is none comes last
    assert order("duration(.spec.wait)") == "abcd"
    assert order("ip(.spec.ip)") == "abcd"
    facet = cache.facets("pods", ".spec.ports[*]")[".spec.ports[*]"]
    assert facet.as_dict() == {2: 2, 3: 2, 1: 1}
    (group,) = cache.group_by("pods", by="namespace", sum="quantity(.spec.size)", max=".spec.on")
    assert (group.count, group.max[".spec.on"]) == (4, True)
    assert vai_quantity(group.sum["quantity(.spec.size)"]) == 1_500_000_000 + 2**31 + 0.5
    told = str(cache.explain("pods", sort=".spec.rank"))
    assert "bodies scanned" in told
    assert 'cache.index("pods", ".spec.rank"' in told


def vai_quantity(text: Any) -> float:
    return float(text.removesuffix("m")) / 1000 if text.endswith("m") else float(text)


@pytest.mark.parametrize(
    ("where", "position", "says"),
    [
        ("nodeName > 3", 11, "no numeric order"),
        ("restarts = many", 11, "restarts"),
        ("name matches '('", 13, "regular expression"),
        ("requests.memory > 1.5Qx", 18, "quantity"),
        ("age < soon", 6, "duration"),
        ("name = 'ü' and restarts contains 3", 24, "asked of text"),
        ("ip in 10.0.0.0/99", 6, "neither a network"),
        ("(" * 65 + "name = a" + ")" * 65, 64, "nested deeper"),
        ("not " * 20_000 + "name = a", None, ""),
        ("name = a and " * 800_000 + "name = a", 65_536, "65536"),
    ],
)
def test_what_makes_no_sense_has_its_place(
    cache: vai.Cache, where: str, position: int | None, says: str
) -> None:
    started = time.monotonic()
    with pytest.raises(vai.InvalidExpressionError) as caught:
        cache.list("pods", where=where)
    assert time.monotonic() - started < 2
    error = caught.value
    assert says in str(error)
    assert position is None or error.position == position
    twin = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (twin.position, twin.details["text"]) == (error.position, where)


@pytest.mark.parametrize(
    ("asked", "text", "position"),
    [
        ({"where": "name = 'ü' and nodNam = x"}, "name = 'ü' and nodNam = x", 15),
        ({"where": "name = a", "sort": "-nodNam"}, "-nodNam", 1),
        ({"facets": "nodNam"}, "nodNam", 0),
    ],
)
def test_an_unknown_field_has_its_place_and_its_neighbours(
    cache: vai.Cache, asked: Any, text: str, position: int
) -> None:
    with pytest.raises(vai.UnknownFieldError) as caught:
        cache.list("pods", **asked)
    twin = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own bytes
    for error in (caught.value, twin):
        assert (error.position, error.details["text"]) == (position, text)
        assert "nodeName" in error.nearest


def test_a_field_selector_names_a_field_without_a_place(cache: vai.Cache) -> None:
    with pytest.raises(vai.UnknownFieldError) as caught:
        cache.list("pods", field_selector="spec.nodNam=x")
    assert caught.value.position is None


@pytest.mark.parametrize("asked", [
    {"label_selector": "a in (" + "x," * 5_000_000 + "x)"},
    {"label_selector": ",".join(f"a{at}=b" for at in range(100_000))},
    {"label_selector": ",".join(f"a{at}" for at in range(1_000))},
    {"field_selector": "metadata.name!=x," * 600_000 + "metadata.name=x"},
    {"sort": "name," * 2_000_000 + "name"},
    {"limit": 2**70},
    {"offset": 2**70},
    {"facet_limit": 2**70, "facets": "nodeName"},
    {"cursor": "00" * 5_000_000},
])  # fmt: skip
def test_absurd_input_is_refused_or_answered_at_once(cache: vai.Cache, asked: Any) -> None:
    started = time.monotonic()
    try:
        page = cache.list("pods", **asked)
    except vai.InvalidRequestError:
        pass
    else:
        assert page.total <= len(PODS)
    assert time.monotonic() - started < 5


HALF = "a\udcffb"


ASKS: dict[str, Callable[[vai.Cache], Any]] = {
    "where": lambda cache: cache.list("pods", where=f"name = '{HALF}'"),
    "field": lambda cache: cache.list("pods", HALF),
    "labels": lambda cache: cache.list("pods", label_selector=HALF),
    "fields": lambda cache: cache.list("pods", field_selector=f"metadata.name={HALF}"),
    "sort": lambda cache: cache.list("pods", sort=HALF),
    "steve": lambda cache: cache.list("pods", steve=f"filter=name={HALF}"),
    "cursor": lambda cache: cache.list("pods", cursor=HALF),
    "version": lambda cache: cache.list("pods", min_resource_version=HALF),
    "access": lambda cache: cache.list("pods", access=[vai.Partition(namespace=HALF)]),
    "resource": lambda cache: cache.list(HALF),
    "count": lambda cache: cache.count("pods", where=HALF),
    "prefix": lambda cache: cache.distinct("pods", "nodeName", prefix=HALF),
    "name": lambda cache: cache.get("pods", HALF, namespace="dev"),
    "key": lambda cache: cache.get("pods", f"dev/{HALF}"),
    "snapshot": lambda cache: cache.snapshot("pods", label_selector=HALF),
    "follow": lambda cache: cache.changes("pods", where=HALF),
    "consumer": lambda cache: cache.changes("pods", consumer=HALF),
    "related": lambda cache: cache.related("pods", HALF, namespace="dev"),
}  # fmt: skip


@pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS.keys())
def test_half_a_character_is_refused_with_its_place(
    cache: vai.Cache, ask: Callable[[vai.Cache], Any]
) -> None:
    with pytest.raises((vai.InvalidRequestError, vai.UnknownResourceError)) as caught:
        ask(cache)
    caught.value.args[0].encode()


def test_a_nul_is_a_character_like_any_other(cache: vai.Cache) -> None:
    assert cache.count("pods", where="name = 'a\0b'") == 0
    assert cache.get("pods", "a\0b", namespace="dev") is None
    with pytest.raises(vai.InvalidSelectorError):
        cache.list("pods", label_selector="a=\0")


def test_limits_beyond_all_rows_are_all_rows(cache: vai.Cache) -> None:
    assert len(cache.list("pods", limit=2**63 - 1)) == 4
    assert len(cache.list("pods", limit=2**63 - 1, offset=3)) == 1
    assert len(cache.list("pods", offset=2**63 - 1)) == 0
    assert len(cache.list("pods", offset=2, sort="-.spec.rank")) == 2


def test_a_cursor_of_something_else_is_refused(cache: vai.Cache) -> None:
    cursor = cache.list("pods", limit=1).cursor
    assert cursor is not None
    token = json.loads(bytes.fromhex(cursor))

    def forged(**parts: Any) -> str:
        return json.dumps(token | parts).encode().hex()

    for wrong, says in (
        (forged(r=99), "another release"),
        (forged(f="other"), "another file"),
        (forged(c=[[99]]), "forgotten"),
        (forged(c=[]), "no cursor"),
        (cursor[:-2], "no cursor"),
        ("zz", "no cursor"),
    ):
        with pytest.raises(vai.InvalidCursorError, match=says):
            cache.list("pods", limit=1, cursor=wrong)
    with pytest.raises(vai.InvalidCursorError, match="another query"):
        cache.list("pods", limit=1, where="name = a", cursor=cursor)
    assert cache.list("pods", limit=1, cursor=cursor).keys == ["dev/b"]
