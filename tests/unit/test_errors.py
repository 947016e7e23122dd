from __future__ import annotations

import inspect
import pickle
import re

import pytest

import vai
from vai import errors
from vai.types import Freshness, State

ROOT = errors.VaiError


def tree(root: type[errors.VaiError] = ROOT) -> list[type[errors.VaiError]]:
    return [root, *(found for child in root.__subclasses__() for found in tree(child))]


@pytest.mark.parametrize("kind", tree(), ids=lambda kind: kind.__name__)
def test_every_error_pickles_with_its_details(kind: type[errors.VaiError]) -> None:
    fresh = Freshness(state=State.OFFLINE, complete=True, age_s=4.0)
    error = kind("said so", pid=3, nearest=["pods"], message="x", freshness=fresh)
    twin = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert type(twin) is kind
    assert str(twin) == str(error) == "said so"
    assert twin.details == error.details


@pytest.mark.parametrize("kind", tree(), ids=lambda kind: kind.__name__)
def test_every_error_says_its_code_and_reason(kind: type[errors.VaiError]) -> None:
    assert 400 <= kind.code <= 599
    assert re.fullmatch("[A-Z][A-Za-z]+", kind.reason)
    assert inspect.getdoc(kind)


def test_the_tree_is_exported_whole() -> None:
    names = {kind.__name__ for kind in tree()}
    assert names == set(errors.__all__)
    assert names <= set(vai.__all__)
    assert all(getattr(vai, name) is getattr(errors, name) for name in names)


def test_the_tree_is_drawn_as_it_is() -> None:
    drawn = set(re.findall(r"\b[A-Z]\w+Error\b", errors.__doc__ or ""))
    builtin = {"ValueError", "LookupError", "TimeoutError", "PermissionError", "ConnectionError"}
    assert drawn - builtin == set(errors.__all__)


def test_attributes_come_from_the_details() -> None:
    assert errors.InvalidSelectorError("m", position=4).position == 4
    assert errors.InvalidExpressionError("m", position=5).position == 5
    assert errors.UnknownFieldError("m", nearest=("a",)).nearest == ["a"]
    assert errors.UnknownFieldError("m", position=6).position == 6
    assert errors.UnknownFieldError("m").position is None
    assert errors.UnknownResourceError("m", nearest=["a"]).nearest == ["a"]
    assert errors.NotKeptError("m", scopes=["pods"]).scopes == ["pods"]
    assert errors.ExpiredError("m", oldest_seq=9).oldest_seq == 9
    assert errors.SyncTimeoutError("m", scopes={"pods": "why"}).scopes == {"pods": "why"}
    assert errors.ForbiddenError("m", rule={"verbs": ["list"]}).rule == {"verbs": ["list"]}
    assert errors.WriterRunningError("m", pid=7).pid == 7
    assert errors.WriterRunningError("m").pid is None
    assert errors.ConsumerBusyError("m", pid=8).pid == 8
    assert errors.ConsumerBusyError("m").pid is None
    assert errors.StaleError("m").freshness is None


@pytest.mark.parametrize(
    ("kind", "base"),
    [
        (errors.InvalidSelectorError, ValueError),
        (errors.UnknownResourceError, LookupError),
        (errors.SyncTimeoutError, TimeoutError),
        (errors.ForbiddenError, PermissionError),
        (errors.OfflineError, ConnectionError),
    ],
)
def test_errors_are_also_what_python_calls_them(
    kind: type[errors.VaiError], base: type[Exception]
) -> None:
    assert issubclass(kind, base)
