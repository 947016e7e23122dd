"""Rancher Steve's query strings, asked of a cache (github.com/rancher/steve, README.md)."""

from __future__ import annotations

import pytest

import vai
from tests.unit.cache.feed import Feed, pod


@pytest.fixture
def filled(feed: Feed) -> None:
    nodes = {"web-0": "n2", "Web-1": "N1", "db-0": "n1", "db-1": None}
    pods = []
    for number, (name, node) in enumerate(nodes.items()):
        one = pod(name, number + 1, labels={"app": name.split("-")[0].lower()})
        one["spec"] = {} if node is None else {"nodeName": node}
        pods.append(one)
    feed.load(sorted(pods, key=lambda one: one["metadata"]["name"]))


def names(page: vai.Page) -> list[str]:
    return [key.partition("/")[2] for key in page.keys]


@pytest.mark.parametrize(
    ("steve", "found"),
    [
        ("filter=metadata.labels.app=web", ["Web-1", "web-0"]),
        ("filter=spec.nodeName=n1,spec.nodeName=n2", ["db-0", "web-0"]),
        ("filter=spec.nodeName~n1", ["Web-1", "db-0"]),
        ("filter=metadata.labels.app=db&filter=spec.nodeName=n1", ["db-0"]),
        # A missing text comes first, and N1 is n1.
        ("sort=spec.nodeName,metadata.name", ["db-1", "db-0", "Web-1", "web-0"]),
        ("?sort=-spec.nodeName,metadata.name", ["web-0", "db-0", "Web-1", "db-1"]),
    ],
)
@pytest.mark.usefixtures("filled")
def test_filters_and_orders_are_steves(cache: vai.Cache, steve: str, found: list[str]) -> None:
    assert names(cache.list("pods", steve=steve)) == found


@pytest.mark.usefixtures("filled")
def test_a_page_of_it_knows_the_total_and_the_summary(cache: vai.Cache) -> None:
    asked = "sort=metadata.name&page=2&pagesize=3&summary=metadata.labels.app"
    page = cache.list("pods", steve=asked)
    assert (page.total, names(page)) == (4, ["Web-1"])
    (summary,) = page.summary
    assert summary.property == "metadata.labels.app"
    assert {value: one.total for value, one in summary.counts.items()} == {"db": 2, "web": 2}


@pytest.mark.usefixtures("filled")
def test_a_revision_that_is_not_there_yet_is_stale(cache: vai.Cache) -> None:
    assert cache.list("pods", steve="revision=100").total == 4
    with pytest.raises(vai.StaleError, match="unknown revision 900"):
        cache.list("pods", steve="revision=900")


@pytest.mark.usefixtures("filled")
def test_one_order_and_one_page_are_enough(cache: vai.Cache) -> None:
    with pytest.raises(vai.InvalidRequestError, match="leave sort, limit and offset out"):
        cache.list("pods", steve="sort=metadata.name", limit=3)
    with pytest.raises(vai.InvalidRequestError):
        cache.list("pods", steve="filter=spec.nodeName>>")


@pytest.mark.usefixtures("filled")
def test_a_walk_may_begin_at_any_page(cache: vai.Cache) -> None:
    asked = "sort=metadata.name&page=2&pagesize=1"
    second = cache.list("pods", steve=asked)
    third = cache.list("pods", steve=asked, cursor=second.cursor)
    assert (names(second), names(third)) == (["db-1"], ["web-0"])


def test_a_number_and_its_text_are_one_line_of_a_summary(feed: Feed, cache: vai.Cache) -> None:
    pods = [pod(f"p{number}", number + 1) for number in range(3)]
    for one, port in zip(pods, (8080, "8080", "http"), strict=True):
        one["spec"] = {"port": port}
    feed.load(pods)
    (summary,) = cache.list("pods", steve="summary=spec.port").summary
    assert {text: one.total for text, one in summary.counts.items()} == {"8080": 2, "http": 1}
