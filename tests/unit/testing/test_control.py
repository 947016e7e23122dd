from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.unit.testing.conftest import Client
from vai.testing import Simulator
from vai.testing.control import Control, ControlError, ControlServer


def open_url(url: str) -> Any:
    return urllib.request.urlopen(url, timeout=10)  # noqa: S310 - our own http address


def test_the_control_port_works_while_the_link_is_cut(sim: Simulator, api: Client) -> None:
    server = ControlServer(sim)
    control = Control(server.url)
    control.cut()
    with pytest.raises(ConnectionRefusedError):
        api.get("/version")
    assert control.state()["up"] is False
    control.restore()
    assert api.get("/version").status == 200
    assert control.state()["up"] is True
    assert [entry["path"] for entry in control.log(since=0)] == ["/version"]
    assert control.log(since=1) == []
    with pytest.raises(ControlError, match="actions"):
        control.call("explode")
    with pytest.raises(ControlError):
        control.call("cut", mode="gently")
    control.call("fail-next", status=503, match="list pods")
    assert api.get("/api/v1/pods").status == 503
    server.close()


def test_it_runs_as_a_process_of_its_own(tmp_path: Path) -> None:
    config = tmp_path / "config"
    command = [sys.executable, "-m", "vai.testing", "--pods", "5", "--churn", "20", "--json",
               "--kubeconfig-out", str(config)]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        addresses = json.loads(process.stdout.readline())
        with open_url(f"{addresses['url']}/api/v1/pods") as answer:
            assert len(json.load(answer)["items"]) in range(4, 7)
        server = json.loads(config.read_text())["clusters"][0]["cluster"]["server"]
        assert server == addresses["url"]
        assert config.stat().st_mode & 0o777 == 0o600
        control = Control(addresses["control"])
        control.cut()
        with pytest.raises(urllib.error.URLError):
            open_url(f"{addresses['url']}/version")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0


def test_the_log_tells_lists_from_watches_from_probes(sim: Simulator, api: Client) -> None:
    rv = sim.resource_version
    initial = "watch=1&timeoutSeconds=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
    api.get("/api/v1/pods?limit=5", User_Agent="mine/1")
    api.get(f"/api/v1/pods?watch=1&timeoutSeconds=1&resourceVersion={rv}")
    api.get(f"/api/v1/pods?{initial}&fieldSelector=metadata.name%3Dnobody")
    api.get(f"/apis/apps/v1/namespaces/team/deployments?{initial}")
    api.get("/apis")
    assert [entry.kind for entry in sim.request_log] == [
        "list",
        "watch",
        "probe",
        "watchlist",
        "discovery",
    ]
    first = sim.request_log[0]
    assert (first.verb, first.resource, first.user_agent) == ("list", "pods", "mine/1")
    assert first.query == {"limit": "5"}
    assert first.bytes_sent > 0
    assert first.finished is not None
    assert [e.resource for e in sim.request_log.lists()] == ["pods", "deployments.apps"]
    assert sim.request_log.select(user_agent="mine") == [first]
    sim.request_log.clear()
    assert len(sim.request_log) == 0
