"""Names that can't be right, before and after the server was asked."""

from __future__ import annotations

from pathlib import Path

import pytest

import vai
from tests.faults.processes import run, wait_until
from vai.testing import Simulator


@pytest.mark.parametrize("word", ["=shop", "", "Shop", "shop/web", "-shop", "x" * 64, "shöp"])
def test_what_can_not_be_a_namespace_is_refused_at_once(
    sim: Simulator, tmp_path: Path, word: str
) -> None:
    """A server would answer with an empty list, which looks like an empty namespace."""
    config = sim.kubeconfig(tmp_path / "kubeconfig")
    with pytest.raises(vai.InvalidRequestError, match="can't be a namespace"):
        vai.connect(tmp_path / "c.db", [vai.Scope("pods", ["shop", word])], kubeconfig=config)
    assert not (tmp_path / "c.db").exists()


def test_the_way_to_write_a_namespace_that_click_does_not_know_is_no_empty_copy(
    sim: Simulator, tmp_path: Path
) -> None:
    config = sim.kubeconfig(tmp_path / "kubeconfig")
    where = (f"--file={tmp_path / 'c.db'}", f"--kubeconfig={config}")
    done = run("sync", "--once", "--resources=pods", "-n=shop", *where)
    assert (done.returncode, done.stdout) == (1, "")
    assert "'=shop' can't be a namespace" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "c.db").exists()


def test_an_unknown_resource_is_answered_with_the_nearest(sim: Simulator, tmp_path: Path) -> None:
    config = sim.kubeconfig(tmp_path / "kubeconfig")
    with vai.connect(tmp_path / "c.db", ["pods", "deploymnets"], kubeconfig=config) as cache:
        with pytest.raises(vai.UnknownResourceError) as caught:
            cache.wait_synced(timeout=30)
        assert caught.value.nearest[0] == "deployments.apps"
        assert "deployments.apps" in str(caught.value)
        with pytest.raises(vai.UnknownResourceError):
            cache.snapshot("deploymnets")
        # The rest is synced all the same.
        wait_until(lambda: cache.freshness("pods").state is vai.State.LIVE)
