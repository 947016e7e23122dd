"""Servers that answer 200 with something else than what was asked for: told, with the remedy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

import vai
from tests.faults.history import kept
from tests.faults.processes import wait_until
from tests.faults.relay import Relay
from tests.faults.test_bad_answers import pod
from vai.config import Settings
from vai.testing import Simulator

Json = dict[str, Any]
LOGIN: Final = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>who?</body></html>"


@pytest.fixture
def relay(sim: Simulator) -> Iterator[Relay]:
    sim.apply(*(pod(f"p-{i:02d}") for i in range(5)))
    with Relay(sim.port) as made:
        yield made


def of_pods(kind: str, body: bytes | Json, *, only: str = "") -> Any:
    """Answers lists of pods (and, if `only` is empty, watches and probes) with this."""
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()

    def answer(path: str) -> tuple[str, bytes] | None:
        if not path.startswith("/api/v1/pods?") or only not in path:
            return None
        return kind, sent

    return answer


def page(*items: Json, version: str = "900") -> Json:
    meta = {"resourceVersion": version} if version else {}
    return {"kind": "PodList", "apiVersion": "v1", "metadata": meta, "items": list(items)}


def item(**changes: Any) -> Json:
    meta = {"name": "x", "namespace": "shop", "uid": "u", "resourceVersion": "7"} | changes
    return {"metadata": {name: value for name, value in meta.items() if value}}


#: (what the server answers, what the status must name, the remedy)
BAD: Final[dict[str, tuple[str, bytes | Json, str, str]]] = {
    "login-page": ("text/html", LOGIN, "text/html, 'Sign in'", "log in"),
    "login-page-as-json": ("application/json", LOGIN, "expected a JSON object", "APIService"),
    "empty": ("application/json", b"", "there was nothing", "APIService"),
    "no-list": ("application/json", {"kind": "Pod"}, "expected a list", "APIService"),
    "no-uid": ("application/json", page(item(uid="")), "no metadata.uid", "APIService"),
    "no-version": (
        *("application/json", page(item(resourceVersion=""))),
        *("no metadata.resourceVersion", "APIService"),
    ),
    "wrong-kind": (
        *("application/json", page({"kind": "Service", **item()})),
        *("the object is a Service, expected a Pod (object shop/x)", "APIService"),
    ),
    "list-without-version": (
        *("application/json", page(version="")),
        *("it has no resourceVersion", "APIService"),
    ),
    "protobuf": (
        *("application/vnd.kubernetes.protobuf", b"k8s\x00\x01"),
        *("application/vnd.kubernetes.protobuf", "address"),
    ),
}


@pytest.mark.parametrize("streaming", ["never", "always"])
@pytest.mark.parametrize("bad", BAD)
def test_what_is_wrong_with_an_answer_is_in_the_status_and_stops_nothing_else(
    relay: Relay, tmp_path: Path, bad: str, streaming: str
) -> None:
    kind, body, said, remedy = BAD[bad]
    relay.answer = of_pods(kind, body)
    config = relay.kubeconfig(tmp_path / "kubeconfig")
    settings = Settings(kubeconfig=str(config), streaming_lists=streaming, stream_silence_s=1.0)
    with vai.connect(tmp_path / "c.db", ["pods", "namespaces"], settings=settings) as cache:
        reasons: set[str] = set()

        def told() -> bool:
            reasons.add(cache.freshness("pods").reason)
            return any(said in reason and remedy in reason for reason in reasons)

        wait_until(told, lambda: str(reasons))
        with pytest.raises(vai.NotSyncedError):
            cache.snapshot("pods")
        wait_until(lambda: cache.freshness("namespaces").state is vai.State.LIVE)
        # Whoever repairs it needs to do nothing here.
        relay.answer = lambda _path: None
        wait_until(lambda: cache.freshness("pods").state is vai.State.LIVE)
        assert len(kept(cache, "pods")) == 5


FRAMES: Final[dict[str, tuple[Json, str]]] = {
    "unknown-type": ({"type": "RENAMED", "object": {}}, "unknown type of event"),
    "no-uid": ({"type": "ADDED", "object": item(uid="")}, "no metadata.uid"),
    "no-version": ({"type": "ADDED", "object": item(resourceVersion="")}, "resourceVersion"),
    "wrong-kind": (
        *({"type": "ADDED", "object": {"kind": "Service", **item()}},),
        "the object is a Service, expected a Pod",
    ),
    "no-status": ({"type": "ERROR", "object": {"code": "none"}}, "no Status"),
}


@pytest.mark.parametrize("bad", FRAMES)
def test_an_event_that_can_not_be_is_told_and_nothing_is_lost(
    relay: Relay, sim: Simulator, tmp_path: Path, bad: str
) -> None:
    frame, said = FRAMES[bad]
    config = relay.kubeconfig(tmp_path / "kubeconfig")
    settings = Settings(kubeconfig=str(config), streaming_lists="never", live_within_s=9.0)
    with vai.connect(tmp_path / "c.db", ["pods", "namespaces"], settings=settings) as cache:
        wait_until(lambda: {one.state for one in cache.status()} == {vai.State.LIVE})
        watch = of_pods("application/json", frame, only="&resourceVersion=")
        relay.answer = watch
        sim.apply(pod("p-00", "Failed"))
        reasons: set[str] = set()

        def told() -> bool:
            reasons.add(cache.freshness("pods").reason)
            assert len(kept(cache, "pods")) == 5
            return any(said in reason for reason in reasons)

        wait_until(told, lambda: str(reasons))
        assert cache.freshness("namespaces").reason == ""
        relay.answer = lambda _path: None

        def same() -> bool:
            phase = kept(cache, "pods")["shop/p-00"]["status"]["phase"]
            return bool(phase == "Failed")

        wait_until(same)
        wait_until(lambda: cache.freshness("pods").state is vai.State.LIVE)
