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
from tests.faults.test_bad_answers import pod, same, wait_live
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


def settings(relay: Relay, folder: Path, **more: Any) -> Settings:
    """Tries again soon, so that a test of many answers need not wait."""
    config = relay.kubeconfig(folder / "kubeconfig")
    soon: dict[str, Any] = {"backoff_base_s": 0.1, "backoff_cap_s": 0.2, "stream_silence_s": 1.0}
    return Settings(kubeconfig=str(config), live_within_s=9.0, **soon, **more)


def of(cache: vai.Cache, resource: str) -> vai.ScopeStatus | None:
    return next((one for one in cache.status() if one.resource == resource), None)


@pytest.mark.parametrize("streaming", ["never", "always"])
def test_what_is_wrong_with_an_answer_is_in_the_status_and_stops_nothing_else(
    relay: Relay, tmp_path: Path, streaming: str
) -> None:
    relay.answer = of_pods("application/json", b"")
    chosen = settings(relay, tmp_path, streaming_lists=streaming)
    with vai.connect(tmp_path / "c.db", ["pods", "namespaces"], settings=chosen) as cache:
        for bad, (kind, body, said, remedy) in BAD.items():
            relay.answer = of_pods(kind, body)
            reasons: set[str] = set()

            def told(said: str = said, remedy: str = remedy, reasons: set[str] = reasons) -> bool:
                pods = of(cache, "pods")
                reasons.add(pods.reason if pods is not None else "")
                return any(said in reason and remedy in reason for reason in reasons)

            wait_until(told, lambda bad=bad, reasons=reasons: f"{bad}: {reasons}")  # type: ignore[misc]
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


def test_an_event_that_can_not_be_is_told_and_nothing_is_lost(
    relay: Relay, sim: Simulator, tmp_path: Path
) -> None:
    chosen = settings(relay, tmp_path, streaming_lists="never")
    with vai.connect(tmp_path / "c.db", ["pods", "namespaces"], settings=chosen) as cache:
        wait_live(cache)
        for number, (bad, (frame, said)) in enumerate(FRAMES.items()):
            relay.answer = of_pods("application/json", frame, only="&resourceVersion=")
            sim.apply(pod("p-00", f"Phase{number}"))
            reasons: set[str] = set()

            def told(said: str = said, reasons: set[str] = reasons) -> bool:
                reasons.add(cache.freshness("pods").reason)
                assert len(kept(cache, "pods")) == 5
                return any(said in reason for reason in reasons)

            wait_until(told, lambda bad=bad, reasons=reasons: f"{bad}: {reasons}")  # type: ignore[misc]
        assert cache.freshness("namespaces").reason == ""
        relay.answer = lambda _path: None
        wait_until(lambda: same(cache, sim))
        wait_live(cache)
