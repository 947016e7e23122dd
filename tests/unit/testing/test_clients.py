"""The simulator under the Python client that most users have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.testing.conftest import pod
from vai.testing import Simulator

kubernetes = pytest.importorskip("kubernetes")


@pytest.fixture
def core(sim: Simulator, tmp_path: Path) -> Any:
    path = sim.kubeconfig(tmp_path / "config")
    client = kubernetes.config.new_client_from_config(str(path))
    with client:
        yield kubernetes.client.CoreV1Api(client)


def test_list_and_pages(sim: Simulator, core: Any) -> None:
    sim.populate(pods=25)
    assert len(core.list_pod_for_all_namespaces().items) == 25
    page = core.list_pod_for_all_namespaces(limit=10)
    assert page.metadata.remaining_item_count == 15
    rest = core.list_pod_for_all_namespaces(_continue=page.metadata._continue)
    assert len(rest.items) == 15


def test_write_and_read(sim: Simulator, core: Any) -> None:
    created = core.create_namespaced_config_map(
        "default", {"metadata": {"name": "a"}, "data": {"k": "v"}}
    )
    assert created.metadata.uid
    core.patch_namespaced_config_map("a", "default", {"data": {"k": "w"}})
    assert core.read_namespaced_config_map("a", "default").data == {"k": "w"}
    core.delete_namespaced_config_map("a", "default")
    with pytest.raises(kubernetes.client.ApiException) as caught:
        core.read_namespaced_config_map("a", "default")
    assert caught.value.status == 404
    assert sim.count("configmaps") == 0


def test_watch(sim: Simulator, core: Any) -> None:
    sim.add(pod("a"))
    listed = core.list_namespaced_pod("default")
    sim.patch("pods", "a", {"status": {"phase": "Failed"}})
    sim.delete("pods", "a")
    watch = kubernetes.watch.Watch()
    seen = [
        (event["type"], event["object"].status.phase)
        for event in watch.stream(
            core.list_namespaced_pod,
            "default",
            resource_version=listed.metadata.resource_version,
            timeout_seconds=1,
        )
    ]
    assert seen == [("MODIFIED", "Failed"), ("DELETED", "Failed")]
