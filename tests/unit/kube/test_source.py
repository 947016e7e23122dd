"""What a scope asks the server for, and answers that are none."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from tests.unit.kube.test_transport import PODS, SECRETS, _Quiet, serving, to
from vai.config import Settings
from vai.errors import OfflineError
from vai.kube import Source, Transport, connect
from vai.kube.failures import refusal
from vai.reflector import RefusedError
from vai.reflector.protocol import drain
from vai.testing import Simulator
from vai.types import Redaction

LOGIN = b"<html><head><title>\n Sign in\n</title></head></html>"


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(seed=3) as made:
        made.populate(pods=3)
        yield made


@pytest.fixture
def transport(sim: Simulator, tmp_path: Path) -> Iterator[Transport]:
    made = connect(Settings(kubeconfig=str(sim.kubeconfig(tmp_path / "kc"))))
    yield made
    made.close()


def test_a_streaming_list_asks_for_the_newest_with_its_selectors_and_the_end_marked(
    sim: Simulator, transport: Transport
) -> None:
    source = Source(transport, PODS, namespace="shop", label_selector="a=b")
    with source.stream_list(600) as response:
        next(response.chunks())
    (asked,) = sim.request_log.select("watchlist")
    assert asked.path == "/api/v1/namespaces/shop/pods"
    assert asked.query == {
        "labelSelector": "a=b",
        "includeObject": "Object",
        "watch": "true",
        "sendInitialEvents": "true",
        "resourceVersionMatch": "NotOlderThan",
        "allowWatchBookmarks": "true",
        "timeoutSeconds": "600",
    }


def test_a_streaming_list_of_secrets_has_no_values(sim: Simulator, transport: Transport) -> None:
    meta = {"name": "s", "namespace": "default"}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": meta}
    sim.add(secret | {"data": {"password": "Y2FuYXJ5"}})
    source = Source(transport, SECRETS, redaction=Redaction.METADATA)
    with source.stream_list(2) as response:
        received = drain(response.chunks(), 1 << 20)
    assert b'"s"' in received
    assert b"Y2FuYXJ5" not in received


def test_silence_is_bounded_where_it_is_said_and_only_there(transport: Transport) -> None:
    with Source(transport, PODS).stream_list(60) as response:
        chunks = response.chunks()
        while b"initial-events-end" not in next(chunks):
            pass
        response.limit(0.2)
        began = time.monotonic()
        with pytest.raises(OfflineError, match="no answer in time"):
            next(chunks)
        assert time.monotonic() - began < 20


class _Login(_Quiet):
    def do_GET(self) -> None:  # noqa: N802 - the name of http.server
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(LOGIN)))
        self.end_headers()
        self.wfile.write(LOGIN)


class _Empty(_Quiet):
    def do_GET(self) -> None:  # noqa: N802 - the name of http.server
        self.answer(b"")


class _Versionless(_Quiet):
    def do_GET(self) -> None:  # noqa: N802 - the name of http.server
        self.answer(json.dumps({"kind": "PodList", "metadata": {}, "items": []}).encode())


@pytest.mark.parametrize("ask", ["list_page", "stream_list", "watch", "probe"])
def test_a_web_page_is_no_answer_whatever_was_asked(ask: str) -> None:
    arguments = {"list_page": (1,), "stream_list": (1,), "watch": ("1", 1), "probe": ()}[ask]
    with serving(_Login) as url:
        transport = to(url)
        said = r"no JSON \(text/html, 'Sign in'\): a login page or a proxy .* log in there"
        with pytest.raises(RefusedError, match=said):
            getattr(Source(transport, PODS), ask)(*arguments)
        transport.close()


@pytest.mark.parametrize(
    ("handler", "said"),
    [(_Empty, r"no JSON \(empty, "), (_Versionless, "has no resourceVersion")],
    ids=["empty", "without-a-version"],
)
def test_a_probe_without_a_version_says_what_came(handler: type[_Quiet], said: str) -> None:
    with serving(handler) as url:
        transport = to(url)
        with pytest.raises(RefusedError, match=said):
            Source(transport, PODS).probe()
        transport.close()


def test_a_redirect_says_where_to_look() -> None:
    assert "check the server's address" in str(refusal(302, b"<a>Found</a>", None))


def test_retry_after_may_be_a_date() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    assert refusal(429, b"", "7").retry_after_s == 7
    assert 80 < (refusal(503, b"", later).retry_after_s or 0) <= 90
    past = format_datetime(datetime.now(UTC) - timedelta(days=1), usegmt=True)
    assert refusal(503, b"", past).retry_after_s == 0
    assert refusal(503, b"", "soon").retry_after_s is None
