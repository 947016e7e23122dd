from __future__ import annotations

from vai.informer import plan
from vai.store import Catalogue, nearest
from vai.types import Redaction, Resource, Scope


def resource(plural: str, group: str = "", *, namespaced: bool = True) -> Resource:
    return Resource(
        group=group, version="v1", plural=plural, kind=plural.title(), namespaced=namespaced
    )


CATALOGUE = Catalogue(
    [
        resource("pods"),
        resource("secrets"),
        resource("nodes", namespaced=False),
        resource("deployments", "apps"),
        resource("leases", "coordination.k8s.io"),
        resource("tokens", "management.cattle.io", namespaced=False),
    ],
    nearest,
)


def planned(*scopes: Scope) -> list[tuple[str, str | None, Redaction]]:
    targets, unknown = plan(scopes, CATALOGUE)
    assert unknown == {}
    return [(target.resource.name, target.namespace, target.redaction) for target in targets]


NONE, METADATA = Redaction.NONE, Redaction.METADATA


def test_everything_is_all_but_leases_secrets_and_tokens() -> None:
    for word in ("*", "all"):
        assert planned(Scope(word)) == [
            ("pods", None, NONE),
            ("nodes", None, NONE),
            ("deployments.apps", None, NONE),
        ]


def test_everything_of_a_namespace_has_nothing_that_lies_outside() -> None:
    assert planned(Scope("*", "shop")) == [
        ("pods", "shop", NONE),
        ("deployments.apps", "shop", NONE),
    ]


def test_secrets_and_tokens_are_kept_without_values_when_named() -> None:
    assert planned(Scope("secrets"), Scope("tokens.management.cattle.io")) == [
        ("secrets", None, METADATA),
        ("tokens.management.cattle.io", None, METADATA),
    ]


def test_values_are_kept_when_asked_for() -> None:
    assert planned(Scope("secrets", redaction=NONE)) == [("secrets", None, NONE)]


def test_leases_are_kept_when_named() -> None:
    assert planned(Scope("leases")) == [("leases.coordination.k8s.io", None, NONE)]


def test_each_namespace_is_a_scope_and_each_scope_comes_once() -> None:
    found = planned(Scope("pods", ["a", "b", "a"]), Scope("Pods", "b"), Scope("nodes", "a"))
    assert found == [("pods", "a", NONE), ("pods", "b", NONE), ("nodes", None, NONE)]


def test_selectors_make_scopes_of_their_own() -> None:
    targets, _ = plan([Scope("pods"), Scope("pods", label_selector="a=b")], CATALOGUE)
    assert [target.label_selector for target in targets] == ["", "a=b"]


def test_an_unknown_word_stops_nothing_else_and_names_the_nearest() -> None:
    targets, unknown = plan([Scope("podz"), Scope("nodes")], CATALOGUE)
    assert [target.resource.name for target in targets] == ["nodes"]
    assert unknown["podz"].nearest[0] == "pods"
