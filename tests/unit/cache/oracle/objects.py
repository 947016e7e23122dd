"""Hypothesis' strategies for objects: what servers send, and what they should not."""

from __future__ import annotations

from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from tests.unit.cache.oracle.model import Delete, Put, Relist, Reopen, Write
from tests.unit.cache.oracle.places import Json
from tests.unit.cache.oracle.scopes import SPACES
from tests.unit.cache.oracle.values import Number

#: Equal up to where an index cuts them, in the middle of a character.
_LONG: Final = "l" * 1023 + "é"
TEXTS: Final = (
    *("a", "b", "B", "ab", "Running", "Pending", "web-1", "web-10", "10", "2", "-3", "007", "3Gi"),
    *("Ä", "ä", "Straße", "STRASSE", "ΟΔΟΣ", "οδος", "é", "\U0001f600", "\uffff", "x y", "it's"),
    *('say "hi"', "back\\slash", "two\nlines", "a,b=c", "true", "null", "1.50", "%_*"),
    *(_LONG + "1", _LONG + "2", "l" * 1024),
)
#: What is no text, or none of the type that a field has.
ODD: Final[tuple[Any, ...]] = (
    *(None, "", True, False, [], {}, ["a"], {"a": "b"}, "\ud800", "a\udc00b"),
    *map(Number, ("0", "-0", "3", "-7", "1.50", "1e3", "0.1", "1E-2", "9223372036854775807")),
    *map(Number, ("9223372036854775808", "-9223372036854775808", "36893488147419103232", "1e400")),
)
NUMBERS: Final = ("0", "1", "2", "3", "-1", "7", "2.0", "2.5", "-2.5", "1e2", "10000000000000001")
QUANTITIES: Final = (
    *("0", "1", "1000m", "500m", "0.5", "100m", "1k", "1Ki", "1024", "1500M", "2Gi", "1.5Gi"),
    *("1e3", "-1", "0.1", "1n", "0.0000000001", "3E", "123456789012345678901234567890", "0.25Mi"),
)
TIMES: Final = (
    *("2026-01-02T03:04:05Z", "2026-01-02T05:04:05+02:00", "2026-01-02T03:04:05.5Z", "2026-01-02"),
    *("2025-12-31T23:59:59Z", "1969-12-31T23:59:59Z", "2026-03-01T00:17:23.000001Z"),
)
DURATIONS: Final = ("0", "0s", "90s", "1m30s", "1.5h", "2d", "1w", "-15m", "100ms", "1us", "48h")
ADDRESSES: Final = (
    *("10.0.0.1", "10.0.0.2", "10.1.0.1", "9.255.255.255", "::ffff:10.0.0.1", "fd00::1", "::1"),
    *("2001:db8::10", "192.168.255.255"),
)
#: What looks like a value and is none.
WRONG: Final = (
    *("x", "1,5", "--1", "1 ", "0x10", "1Xi", "5 m", "2026-13-01", "2026-02-30T00:00:00Z", "1h 2m"),
    *("10.0.0", "10.0.0.256", "010.0.0.1", "fe80::1%eth0", "True", "yes", "."),
)
LITERALS: Final = {
    "text": tuple(text for text in TEXTS if text),
    "int": NUMBERS,
    "number": NUMBERS,
    "quantity": QUANTITIES,
    "time": TIMES,
    "duration": DURATIONS,
    "ip": ADDRESSES,
    "bool": ("true", "false"),
}
NAMES: Final = ("a", "a-1", "a.b", "a0", "b", "web-1", "web-10", "web-2", "z", "10")
LABEL_VALUES: Final = ("", "a", "b", "web", "1", "2", "10", "-3", "007", "9223372036854775808")
LABEL_KEYS: Final = ("app", "shard", "example.com/tier")


def scalar(*kinds: str) -> SearchStrategy[Any]:
    """Mostly a value of a type, sometimes one of another, sometimes none at all."""
    fitting: list[Any] = [text for kind in kinds for text in LITERALS[kind]]
    if {"int", "number", "quantity"} & set(kinds):
        fitting += [Number(text) for text in NUMBERS]
    if "bool" in kinds:
        fitting += [True, False]
    return st.one_of(
        st.sampled_from(fitting), st.sampled_from(fitting), st.sampled_from((*ODD, *WRONG))
    )


def some(**parts: SearchStrategy[Any]) -> SearchStrategy[Json]:
    """Any of these members."""
    return st.fixed_dictionaries({}, optional=parts)


#: Of owners and times of creation the feed takes nothing but texts.
_ANY_TEXT: Final = st.sampled_from((*TEXTS, ""))
_RESOURCES: Final = some(requests=some(cpu=scalar("quantity"), memory=scalar("quantity")))
_CONTAINERS: Final = st.lists(
    some(name=scalar("text"), image=scalar("text"), resources=_RESOURCES), max_size=3
)
_STATUSES: Final = st.lists(some(restartCount=scalar("int"), ready=scalar("bool")), max_size=3)
_OWNERS: Final = st.lists(
    some(kind=_ANY_TEXT, name=_ANY_TEXT, controller=st.booleans()), max_size=2
)
_CONDITIONS: Final = st.lists(
    some(type=st.sampled_from(("Ready", "Other")), since=scalar("time")), max_size=3
)


def metadata(*, namespaced: bool = True) -> SearchStrategy[Json]:
    """Name, namespace, labels that no server would take among others, times."""
    parts: dict[str, SearchStrategy[Any]] = {"name": st.sampled_from(NAMES)}
    if namespaced:
        parts["namespace"] = st.sampled_from(SPACES)
    labels = st.dictionaries(
        st.sampled_from(LABEL_KEYS), st.sampled_from((*LABEL_VALUES, "Ä", "x y", "l" * 1100))
    )
    return st.fixed_dictionaries(
        parts,
        optional={
            "labels": labels,
            "annotations": st.dictionaries(st.just("note"), scalar("text")),
            "creationTimestamp": st.sampled_from((*TIMES, *WRONG, "")),
            "deletionTimestamp": scalar("time"),
            "ownerReferences": _OWNERS,
        },
    )


_EXTRA: Final = scalar("text", "int", "quantity", "duration", "bool")
_POD_SPEC: Final = some(
    nodeName=scalar("text"),
    restartPolicy=scalar("text"),
    hostNetwork=scalar("bool"),
    priority=scalar("int"),
    containers=_CONTAINERS,
    extra=_EXTRA,
    weight=scalar("number"),
    timeout=scalar("duration"),
    sizes=st.lists(scalar("quantity"), max_size=3),
    peers=st.lists(scalar("ip"), max_size=3),
    flag=scalar("bool"),
    conditions=_CONDITIONS,
)
_POD_STATUS: Final = some(
    phase=scalar("text"),
    podIP=scalar("ip"),
    startTime=scalar("time"),
    containerStatuses=_STATUSES,
)

CONTENTS: Final[dict[str, SearchStrategy[Json]]] = {
    "pods": st.fixed_dictionaries(
        {"metadata": metadata()},
        optional={
            "spec": st.one_of(_POD_SPEC, _POD_SPEC, st.sampled_from((None, "x", []))),
            "status": st.one_of(_POD_STATUS, _POD_STATUS),
        },
    ),
    "deployments.apps": st.fixed_dictionaries(
        {"metadata": metadata()}, optional={"spec": some(replicas=scalar("int"), extra=_EXTRA)}
    ),
    "nodes": st.fixed_dictionaries(
        {"metadata": metadata(namespaced=False)},
        optional={"spec": some(unschedulable=scalar("bool"), extra=_EXTRA)},
    ),
}
#: Most are pods: they have most fields.
KINDS: Final = st.sampled_from(("pods", "pods", "pods", "pods", "deployments.apps", "nodes"))


def first_lists() -> SearchStrategy[dict[str, list[Json]]]:
    """What is there at first."""
    return st.fixed_dictionaries({
        "pods": st.lists(CONTENTS["pods"], max_size=12),
        "deployments.apps": st.lists(CONTENTS["deployments.apps"], max_size=3),
        "nodes": st.lists(CONTENTS["nodes"], max_size=3),
    })  # fmt: skip


def _kept(namespaced: bool) -> SearchStrategy[Json]:
    """An object of a relist that did not change."""
    parts = {"name": st.sampled_from(NAMES)}
    if namespaced:
        parts["namespace"] = st.sampled_from(SPACES)
    return st.fixed_dictionaries({"metadata": st.fixed_dictionaries(parts)})


def writes() -> SearchStrategy[Write]:
    """One thing that happens."""
    puts = KINDS.flatmap(lambda name: st.builds(Put, st.just(name), CONTENTS[name]))
    relists = KINDS.flatmap(
        lambda name: st.builds(
            Relist,
            st.just(name),
            st.lists(st.one_of(CONTENTS[name], _kept(name != "nodes")), max_size=8).map(tuple),
        )
    )
    deletes = st.builds(Delete, KINDS, st.integers(0, 11))
    return st.one_of(puts, puts, puts, deletes, deletes, relists, st.just(Reopen()))
