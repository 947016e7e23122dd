"""What client-go's tests hold of listers, held of `cache.lister`.

Source: `tools/cache/listers_test.go` of client-go v0.37, and what its generated listers promise.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import vai
from tests.conformance.source import Source, opened
from tests.unit.cache.feed import pod

Pair = tuple[Source, vai.Cache]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with opened(tmp_path) as made:
        yield made


@pytest.mark.parametrize(
    ("matching", "selector", "expected"),
    [
        pytest.param({"match": "true"}, "match=true", 100, id="subset match"),
        pytest.param({}, "", 1000, id="all match"),
        pytest.param({"nomatch": "true"}, "match=true", 0, id="no match"),
    ],
)
def test_list_all(pair: Pair, matching: dict[str, str], selector: str, expected: int) -> None:
    """TestListAll, with a hundredth of its objects."""
    source, cache = pair
    for index in range(1000):
        name = f"obj-{index}"
        source.objects[name] = pod(
            name, 100 + index, "default", labels=matching if index < 100 else {}
        )
    source.version += 1000
    source.relist()
    assert len(cache.lister("pods").list(selector)) == expected


def test_a_lister_of_a_namespace_has_its_objects_alone(pair: Pair) -> None:
    """Generated listers: `Pods(namespace).List`, `.Get`."""
    source, cache = pair
    source.add("web-0", {"app": "web"})
    source.objects["elsewhere"] = pod("elsewhere", source.version, "other", labels={"app": "web"})
    source.relist()
    lister = cache.lister("pods")
    assert [found.key for found in lister.list("app=web")] == ["default/web-0", "other/elsewhere"]
    default = lister.namespaced("default")
    assert [found.name for found in default.list()] == ["web-0"]
    assert default.get("web-0").key == lister.get("default/web-0").key
    with pytest.raises(vai.NotFoundError, match="'elsewhere' not found in default"):
        default.get("elsewhere")


def test_a_lister_does_not_call_unknown_what_was_never_listed(pair: Pair) -> None:
    """Where client-go's lister is empty before the first list, vai says that it does not know."""
    _, cache = pair
    with pytest.raises(vai.NotSyncedError):
        cache.lister("pods").list()
    with pytest.raises(vai.NotSyncedError):
        cache.lister("pods").namespaced("default").get("web-0")
