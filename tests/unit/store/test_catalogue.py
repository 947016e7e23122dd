from __future__ import annotations

import pytest

from tests.unit.cache.feed import DEPLOYMENTS, NODES, PODS, SECRETS
from vai.errors import UnknownResourceError
from vai.store import Catalogue, nearest
from vai.types import Resource

STORAGE = Resource(
    group="storage.k8s.io",
    version="v1",
    plural="storageclasses",
    kind="StorageClass",
    singular="storageclass",
    namespaced=False,
    short_names=("sc",),
)
SERVICES = Resource(group="", version="v1", plural="services", kind="Service", short_names=("svc",))
KNATIVE = Resource(
    group="serving.knative.dev",
    version="v1",
    plural="services",
    kind="Service",
    singular="service",
    short_names=("kservice", "ksvc"),
)
VIRTUAL = Resource(
    group="networking.istio.io",
    version="v1",
    plural="virtualservices",
    kind="VirtualService",
    singular="virtualservice",
    short_names=("vs",),
)
#: Its short name is another resource's singular, its singular is not its lowercased kind.
WIDGETS = Resource(
    group="demo.example.com",
    version="v1beta1",
    plural="widgets",
    kind="FancyWidget",
    singular="widget",
    short_names=("pod", "po", "W"),
)
METRICS = Resource(group="metrics.k8s.io", version="v1beta1", plural="pods", kind="PodMetrics")

KNOWN = Catalogue(
    (PODS, SECRETS, NODES, SERVICES, DEPLOYMENTS, STORAGE, VIRTUAL, KNATIVE, WIDGETS, METRICS),
    nearest,
)


@pytest.mark.parametrize(
    ("word", "found"),
    [
        # plural, singular, short name, kind
        ("pods", PODS),
        ("pod", PODS),
        ("po", PODS),
        ("Pod", PODS),
        ("deploy", DEPLOYMENTS),
        # names in any case, also where the server lists no singular
        ("PODS", PODS),
        ("Deployment", DEPLOYMENTS),
        ("service", SERVICES),
        # a kind whose singular is another word, spelled exactly
        ("FancyWidget", WIDGETS),
        ("FancyWidget.demo.example.com", WIDGETS),
        ("FancyWidget.v1beta1.demo.example.com", WIDGETS),
        # short names are spelled exactly
        ("W", WIDGETS),
        # the most preferred group wins; a group or a part of it chooses another
        ("services", SERVICES),
        ("services.serving.knative.dev", KNATIVE),
        ("services.serving", KNATIVE),
        ("svc.serving.knative.dev", None),
        ("ksvc.serving", KNATIVE),
        ("pods.metrics.k8s.io", METRICS),
        ("sc.storage", STORAGE),
        ("storageclass.storage", STORAGE),
        ("StorageClass.storage.k8s.io", STORAGE),
        # with a version; a group that looks like VERSION.GROUP is still a group
        ("deployments.apps", DEPLOYMENTS),
        ("deployments.v1.apps", DEPLOYMENTS),
        ("deployments.v1beta1.apps", None),
        ("Deployment.v1.apps", DEPLOYMENTS),
        ("virtualservices.networking.istio.io", VIRTUAL),
        ("virtualservices.v1.networking.istio.io", VIRTUAL),
        ("pods.v1.", PODS),
        # not a name
        ("PO", None),
        ("fancywidget", None),
        ("pods.apps", None),
        ("", None),
        (".", None),
    ],
)
def test_names_mean_what_they_mean_to_kubectl(word: str, found: Resource | None) -> None:
    if found is None:
        with pytest.raises(UnknownResourceError):
            KNOWN.resolve(word)
    else:
        assert KNOWN.resolve(word) is found


def test_a_full_name_wins_over_a_short_name() -> None:
    assert Catalogue((WIDGETS, PODS), nearest).resolve("pod") is PODS
    assert Catalogue((WIDGETS, PODS), nearest).resolve("po") is WIDGETS


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownResourceError, match=r"podz.*did you mean pods") as caught:
        KNOWN.resolve("podz")
    assert caught.value.nearest[0] == "pods"
    with pytest.raises(UnknownResourceError) as caught:
        KNOWN.resolve("deploymets")
    assert caught.value.nearest[0] == "deployments.apps"


def test_an_unknown_version_is_answered_with_the_one_that_is_kept() -> None:
    with pytest.raises(UnknownResourceError, match=r"deployments\.apps \(apps/v1\)"):
        KNOWN.resolve("deployments.v1beta1.apps")


def test_a_category_has_its_resources() -> None:
    assert KNOWN.category("all") == (PODS,)
    assert KNOWN.category("nothing") == ()
