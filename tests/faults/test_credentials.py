"""Credentials expire and are renewed while a copy is kept: nobody notices, or it is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import vai
from tests.faults.processes import wait_until
from tests.faults.test_bad_answers import pod, same, wait_live
from vai.config import Settings
from vai.testing import Simulator


@pytest.fixture
def guarded(sim: Simulator) -> Simulator:
    """A server that wants the token `one`."""
    sim.apply(*(pod(f"p-{i}") for i in range(5)))
    sim.token = "one"  # noqa: S105
    return sim


def connect(sim: Simulator, folder: Path, **user: Any) -> vai.Cache:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": sim.url}}],
        "users": [{"name": "u", "user": user}],
    }
    (folder / "kubeconfig").write_text(json.dumps(config))
    settings = Settings(kubeconfig=str(folder / "kubeconfig"), live_within_s=9)
    return vai.connect(folder / "c.db", ["pods"], settings=settings)


def plugin(folder: Path) -> dict[str, Any]:
    """Says the token that is in a file."""
    script = folder / "plugin"
    status = '{"token": "\'$(cat token)\'"}'
    said = '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": '
    script.write_text(f"#!/bin/sh\ncd {folder}\necho '{said}{status}}}'\n")
    script.chmod(0o755)
    return {"apiVersion": "client.authentication.k8s.io/v1", "command": str(script)}


@pytest.fixture(params=["token-file", "plugin"])
def rotating(
    request: pytest.FixtureRequest, guarded: Simulator, tmp_path: Path
) -> Iterator[vai.Cache]:
    (tmp_path / "token").write_text("one")
    by_file = {"tokenFile": str(tmp_path / "token")}
    user = by_file if request.param == "token-file" else {"exec": plugin(tmp_path)}
    with connect(guarded, tmp_path, **user) as cache:
        wait_live(cache)
        yield cache


def test_a_token_that_was_rotated_is_used_without_a_word(
    rotating: vai.Cache, guarded: Simulator, tmp_path: Path
) -> None:
    lists, probes = len(guarded.request_log.lists("pods")), len(guarded.request_log.probes("pods"))
    (tmp_path / "token").write_text("two")
    guarded.token = "two"  # noqa: S105
    states = set()

    def proven_again() -> bool:
        states.add(rotating.freshness("pods").state)
        return len(guarded.request_log.probes("pods")) > probes + 2

    guarded.apply(pod("p-0", "Failed"))
    wait_until(lambda: same(rotating, guarded))
    wait_until(proven_again, within_s=60)
    assert states <= {vai.State.LIVE, vai.State.CATCHING_UP}
    assert len(guarded.request_log.lists("pods")) == lists


def test_a_token_that_is_not_renewed_is_told_and_costs_no_list_once_it_is(
    rotating: vai.Cache, guarded: Simulator, tmp_path: Path
) -> None:
    before = len(guarded.request_log.lists("pods"))
    guarded.token = "two"  # noqa: S105
    wait_until(
        lambda: rotating.freshness("pods").state is vai.State.FORBIDDEN,
        lambda: str(rotating.status()),
        within_s=40,
    )
    assert "401 Unauthorized" in rotating.freshness("pods").reason
    assert len(rotating.snapshot("pods")) == 5
    guarded.apply(pod("p-0", "Failed"))
    (tmp_path / "token").write_text("two")
    wait_until(lambda: same(rotating, guarded), lambda: str(rotating.status()), within_s=40)
    wait_live(rotating)
    assert len(guarded.request_log.lists("pods")) == before
