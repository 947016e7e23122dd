"""What `vai.compat` has besides, and what it refuses."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client import ApiClient, AppsV1Api, AutoscalingV1Api, Configuration

import vai
from tests.timing import wait_until
from tests.unit.compat.conftest import Heard
from tests.unit.compat.test_shared_informer import pod
from vai import compat
from vai.kube import adopt
from vai.testing import Simulator


def test_a_restart_with_a_file_lists_nothing(sim: Simulator, api: Any, tmp_path: Path) -> None:
    sim.add(pod("web-0"))
    for count in (1, 1):
        made = compat.SharedInformer(
            api.list_namespaced_pod, namespace="default", file=tmp_path / "pods.db"
        )
        heard = Heard(made)
        made.start()
        heard.wait(1)
        wait_until(made.cache.list_keys)
        wait_until(lambda: sim.request_log.watches("pods"))
        made.stop()
        assert made._cache is not None
        made._cache.close()
        assert len(sim.request_log.lists("pods")) == count


def test_the_client_says_which_server_and_as_whom(tmp_path: Path) -> None:
    with Simulator(seed=1, token="canary") as sim:  # noqa: S106 - the test's own
        sim.add(pod("web-0"))
        configuration = Configuration(host=sim.url)
        configuration.api_key["authorization"] = "Bearer canary"
        api = compat_api(configuration)
        made = compat.SharedInformer(api.list_pod_for_all_namespaces)
        heard = Heard(made)
        made.start()
        heard.wait(1)
        made.stop()
    assert tmp_path.exists()


def compat_api(configuration: Any) -> Any:
    from kubernetes.client import CoreV1Api

    return CoreV1Api(ApiClient(configuration))


def test_groups_and_versions_are_read_from_the_method(sim: Simulator) -> None:
    client = ApiClient(Configuration(host=sim.url))
    found = adopt(AppsV1Api(client).list_namespaced_deployment, namespace="shop")
    assert (found.name, found.version, found.namespace) == ("deployments.apps", "v1", "shop")
    every = adopt(AppsV1Api(client).list_deployment_for_all_namespaces)
    assert (every.plural, every.namespace) == ("deployments", None)


def test_a_version_that_is_not_the_servers_choice_is_told(sim: Simulator) -> None:
    sim.add(
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {"maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "web"}},
        }
    )
    client = ApiClient(Configuration(host=sim.url))
    method = AutoscalingV1Api(client).list_horizontal_pod_autoscaler_for_all_namespaces
    made = compat.SharedInformer(method)
    heard = Heard(made)
    made.start()
    wait_until(lambda: heard.errors)
    made.stop()
    assert isinstance(heard.errors[0], vai.InvalidRequestError)
    assert "autoscaling/v2, which the server prefers" in str(heard.errors[0])


@pytest.mark.parametrize("wrong", [lambda: None, len, "list_pods"])
def test_what_is_no_list_method_is_refused_with_the_remedy(wrong: Any) -> None:
    with pytest.raises(vai.InvalidRequestError, match=r"CoreV1Api\(\)\.list_namespaced_pod"):
        compat.SharedInformer(wrong)


def test_a_namespace_goes_with_the_methods_that_take_one(api: Any) -> None:
    with pytest.raises(vai.InvalidRequestError, match="list_pod_for_all_namespaces can't be asked"):
        compat.SharedInformer(api.list_pod_for_all_namespaces, namespace="default")
    with pytest.raises(vai.InvalidRequestError, match="list_namespaced_pod can't be asked"):
        compat.SharedInformer(api.list_namespaced_pod)


def test_what_was_stopped_ends_with_its_last_reference(sim: Simulator, api: Any) -> None:
    sim.add(pod("web-0"))
    made = compat.SharedInformer(api.list_namespaced_pod, namespace="default")
    heard = Heard(made)
    made.start()
    heard.wait(1)
    cache = made._cache
    assert cache is not None
    made.stop()
    del made
    gc.collect()
    wait_until(lambda: cache.closed)


def test_secrets_have_their_values_as_the_original_gives_them(sim: Simulator, api: Any) -> None:
    sim.add(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "s", "namespace": "default"},
            "data": {"password": "Y2FuYXJ5"},
        }
    )
    made = compat.SharedInformer(api.list_namespaced_secret, namespace="default")
    heard = Heard(made)
    made.start()
    heard.wait(1)
    made.stop()
    assert heard.objects["s"].data == {"password": "Y2FuYXJ5"}
