from __future__ import annotations

from vai.informer import plan
from vai.informer.plan import unmatched
from vai.store import Catalogue, nearest
from vai.types import Redaction, Resource, Scope


def resource(
    plural: str,
    group: str = "",
    *,
    namespaced: bool = True,
    verbs: tuple[str, ...] = ("list", "watch"),
    categories: tuple[str, ...] = (),
) -> Resource:
    return Resource(
        group=group,
        version="v1",
        plural=plural,
        kind=plural.title(),
        namespaced=namespaced,
        verbs=verbs,
        categories=categories,
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


LARGE = Catalogue(
    [
        resource("events"),
        resource("pods", categories=("all",)),
        resource("deployments", "apps", categories=("all",)),
        resource("statefulsets", "apps", categories=("all",)),
        resource("leases", "coordination.k8s.io"),
        resource("secrets"),
        resource("customresourcedefinitions", "apiextensions.k8s.io", namespaced=False),
        resource("nodes", namespaced=False),
        resource("namespaces", namespaced=False),
        resource("pods", "metrics.k8s.io", verbs=("list",)),
        resource("nodes", "metrics.k8s.io", verbs=("list",), namespaced=False),
        resource("services", "serving.knative.dev", categories=("all", "knative")),
        resource("routes", "serving.knative.dev", categories=("knative",)),
    ],
    nearest,
)


def names(*scopes: Scope) -> list[str]:
    targets, unknown = plan(scopes, LARGE)
    assert unknown == {}
    return [target.resource.name for target in targets]


def planned(*scopes: Scope) -> list[tuple[str, str | None, Redaction]]:
    targets, unknown = plan(scopes, CATALOGUE)
    assert unknown == {}
    return [(target.resource.name, target.namespace, target.redaction) for target in targets]


NONE, METADATA = Redaction.NONE, Redaction.METADATA


def test_everything_is_all_but_leases_secrets_and_tokens() -> None:
    for word in ("*", "all"):
        assert planned(Scope(word)) == [
            ("nodes", None, NONE),
            ("pods", None, NONE),
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
    assert found == [("nodes", None, NONE), ("pods", "a", NONE), ("pods", "b", NONE)]


def test_selectors_make_scopes_of_their_own() -> None:
    targets, _ = plan([Scope("pods"), Scope("pods", label_selector="a=b")], CATALOGUE)
    assert [target.label_selector for target in targets] == ["", "a=b"]


def test_an_unknown_word_stops_nothing_else_and_names_the_nearest() -> None:
    targets, unknown = plan([Scope("podz"), Scope("nodes")], CATALOGUE)
    assert [target.resource.name for target in targets] == ["nodes"]
    assert unknown["podz"].nearest[0] == "pods"


def test_what_others_are_read_by_lists_first_and_events_last() -> None:
    assert names(Scope("*")) == [
        "customresourcedefinitions.apiextensions.k8s.io",
        "nodes",
        "namespaces",
        "pods",
        "deployments.apps",
        "statefulsets.apps",
        "services.serving.knative.dev",
        "routes.serving.knative.dev",
        "events",
    ]


def test_what_a_user_marks_lists_before_the_rest_and_each_scope_comes_once() -> None:
    found = names(Scope("*"), Scope("routes", priority=50), Scope("events", priority=200))
    assert found[0] == "events"
    assert found[4] == "routes.serving.knative.dev"
    assert len(found) == len(set(found)) == 9


def test_excluded_is_what_a_pattern_matches_or_a_name_means() -> None:
    found = names(Scope("*", exclude=("events.*", "*.apps", "Nodes", "*knative*", "cust?mr*")))
    assert found == ["namespaces", "pods"]
    assert names(Scope("pods", exclude=("pods",)), Scope("nodes")) == ["nodes"]


def test_a_pattern_names_all_that_it_matches_but_secrets_and_leases() -> None:
    assert names(Scope("*.apps")) == ["deployments.apps", "statefulsets.apps"]
    assert names(Scope("[ls]e*")) == ["services.serving.knative.dev"]
    _, unknown = plan([Scope("*.nobody.io")], LARGE)
    assert "no resource that matches '*.nobody.io'" in str(unknown["*.nobody.io"])


def test_categories_mean_what_they_mean_to_kubectl() -> None:
    assert names(Scope("knative")) == ["services.serving.knative.dev", "routes.serving.knative.dev"]


def test_what_can_not_be_watched_is_polled_and_only_when_named() -> None:
    assert "pods.metrics.k8s.io" not in names(Scope("*"))
    targets, _ = plan([Scope("*.metrics.k8s.io"), Scope("pods")], LARGE)
    polled = {target.resource.name: target.polled for target in targets}
    assert polled == {"pods.metrics.k8s.io": True, "nodes.metrics.k8s.io": True, "pods": False}


def test_a_word_that_is_excluded_in_vain_is_found_out() -> None:
    scope = Scope("*", exclude=("evnets", "events", "*.nobody.io", "leases.coordination.k8s.io"))
    assert unmatched(scope, LARGE) == ["evnets", "*.nobody.io"]


def test_what_is_dropped_is_a_part_of_what_a_scope_is() -> None:
    drop = ("metadata.managedFields",)
    targets, _ = plan([Scope("pods"), Scope("pods", drop=drop)], LARGE)
    assert [target.drop for target in targets] == [(), drop]
    assert str(targets[1]) == "pods without metadata.managedFields"
