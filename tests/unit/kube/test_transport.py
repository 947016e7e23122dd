"""Requests over real sockets, against the simulated API server."""

from __future__ import annotations

import http.server
import json
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from vai.config import Settings
from vai.errors import ForbiddenError, InvalidRequestError, OfflineError
from vai.kube import Source, Transport, connect, discover, identify
from vai.kube.discovery import definition
from vai.kube.kubeconfig import Access
from vai.kube.pool import socket_options
from vai.kube.tls import tls_context
from vai.reflector import RefusedError
from vai.reflector.protocol import drain
from vai.testing import Simulator
from vai.types import Cluster, Redaction, Resource

PODS = Resource(group="", version="v1", plural="pods", kind="Pod", verbs=("list", "watch"))
SECRETS = Resource(group="", version="v1", plural="secrets", kind="Secret")


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(seed=3) as made:
        yield made


@pytest.fixture
def transport(sim: Simulator, tmp_path: Path) -> Iterator[Transport]:
    made = connect(Settings(kubeconfig=str(sim.kubeconfig(tmp_path / "kc"))))
    yield made
    made.close()


def to(url: str, **settings: Any) -> Transport:
    return Transport(Access(origin="kc", context="c", server=url), Settings(**settings))


# --- requests


def test_reading_the_package_does_not_import_kubernetes() -> None:
    code = "import sys, vai, vai.kube; assert 'kubernetes' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_plain_configuration_is_known_to_be_right_before_kubernetes_is_imported(
    sim: Simulator, tmp_path: Path
) -> None:
    code = """
        import sys
        from vai.config import Settings
        from vai.kube import connect
        transport = connect(Settings(kubeconfig=sys.argv[1]))
        print("kubernetes" in sys.modules)
        transport.get_bytes("/version")
        print("kubernetes" in sys.modules)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(sim.kubeconfig(tmp_path / "kc"))]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["False", "True"]


def test_what_only_kubernetes_can_judge_is_refused_at_once() -> None:
    provider = {"name": "oidc", "config": {"client-id": "vai"}}
    access = Access(origin="kc", context="c", server="http://x", user={"auth-provider": provider})
    with pytest.raises(InvalidRequestError, match="kc: the user's authentication is not usable"):
        Transport(access, Settings())


def test_certificates_that_are_none_are_refused_at_once() -> None:
    access = Access(origin="kc", context="c", server="https://x", certificate=(b"no", b"no"))
    with pytest.raises(InvalidRequestError, match="not a valid PEM pair"):
        Transport(access, Settings())


def test_requests_say_who_asks(sim: Simulator, transport: Transport) -> None:
    transport.get_bytes("/version")
    assert sim.request_log[-1].user_agent.startswith("vai/")


def test_a_connection_is_used_again(transport: Transport) -> None:
    for _ in range(5):
        transport.get_bytes("/version")
    (pool,) = (transport._pool.pools[key] for key in transport._pool.pools.keys())  # noqa: SIM118
    assert pool.num_connections == 1


def test_sockets_notice_a_dead_peer_within_the_limit(transport: Transport) -> None:
    transport.get_bytes("/version")
    (pool,) = (transport._pool.pools[key] for key in transport._pool.pools.keys())  # noqa: SIM118
    connection = pool.pool.get()
    assert connection.sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    if sys.platform == "linux":
        assert connection.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 10
        assert connection.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 20000
    pool.pool.put(connection)


@pytest.mark.skipif(sys.platform != "linux", reason="constants of Linux")
def test_keepalive_gives_up_before_the_limit() -> None:
    found = {name: value for _, name, value in socket_options(30)}
    idle = found[socket.TCP_KEEPIDLE]
    assert idle + found[socket.TCP_KEEPINTVL] * found[socket.TCP_KEEPCNT] < 30


def test_a_refused_connection_is_told_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    transport = to(f"http://127.0.0.1:{port}")
    with pytest.raises(OfflineError, match=f"^http://127.0.0.1:{port}: connection refused$"):
        transport.get_bytes("/version")


def test_a_name_that_does_not_resolve_is_told() -> None:
    with pytest.raises(OfflineError, match="name resolution failed"):
        to("http://nobody.invalid").get_bytes("/version")


def test_a_silent_server_is_told_after_the_time_for_an_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        transport = to(f"http://127.0.0.1:{silent.getsockname()[1]}", answer_timeout_s=0.2)
        with pytest.raises(OfflineError, match="no answer in time"):
            transport.get_bytes("/version")
        transport.close()


def test_a_certificate_that_is_not_trusted_is_told(tmp_path: Path) -> None:
    said = "TLS: certificate verify failed: self"
    with tls_server(tmp_path) as (url, _), pytest.raises(OfflineError, match=said):
        to(url).get_bytes("/version")


def test_a_proxy_s_password_is_in_no_message() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    access = Access(
        origin="kc",
        context="c",
        server="http://cluster.invalid",
        cluster={"server": "http://x", "proxy-url": f"http://me:s3cret@127.0.0.1:{port}"},
    )
    with pytest.raises(OfflineError) as caught:
        Transport(access, Settings()).get_bytes("/version")
    assert "s3cret" not in str(caught.value)
    assert "connection refused" in str(caught.value)


def test_missing_rights_name_the_rule(sim: Simulator, transport: Transport) -> None:
    sim.forbid("pods")
    with pytest.raises(ForbiddenError, match=r'a Role in shop with \{apiGroups: \[""\]') as caught:
        Source(transport, PODS, namespace="shop").list_page(1)
    assert caught.value.rule == {
        "apiGroups": [""],
        "resources": ["pods"],
        "verbs": ["list", "watch"],
        "namespace": "shop",
    }


def test_other_refusals_carry_the_server_s_status(sim: Simulator, transport: Transport) -> None:
    sim.fail_next(429, retry_after=4, match="list")
    with pytest.raises(RefusedError) as caught:
        Source(transport, PODS).list_page(1)
    assert caught.value.refusal.code == 429
    assert caught.value.retry_after_s == 4


# --- credentials


def test_a_401_renews_the_credentials_once_and_goes_on(sim: Simulator, tmp_path: Path) -> None:
    sim.token = "new"  # noqa: S105
    file = tmp_path / "token"
    file.write_text("old")
    access = Access(origin="kc", context="c", server=sim.url, user={"tokenFile": str(file)})
    transport = Transport(access, Settings())
    transport._credentials.headers()
    file.write_text("new")
    assert b"gitVersion" in transport.get_bytes("/version")[0]
    transport.close()


def test_a_401_that_stays_is_forbidden_and_says_what_to_do(
    sim: Simulator, transport: Transport
) -> None:
    sim.expire_credentials()
    with pytest.raises(ForbiddenError, match=r"401 Unauthorized: .*kubectl auth whoami"):
        transport.get_bytes("/version")


# --- ending


def ends_soon(work: Callable[[], Any], end: Callable[[], None]) -> list[BaseException]:
    """Runs `work` in a thread, ends it, and gives back what it raised."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    time.sleep(0.2)
    began = time.monotonic()
    end()
    thread.join(30)
    assert not thread.is_alive()
    # What is not woken waits for a minute.
    assert time.monotonic() - began < 3
    return raised


def test_closing_wakes_a_reader_of_a_quiet_watch(sim: Simulator, transport: Transport) -> None:
    response = Source(transport, PODS).watch(str(sim.resource_version), 60)
    assert ends_soon(lambda: list(response.chunks()), response.close) == []


def test_closing_the_transport_wakes_every_reader(sim: Simulator, transport: Transport) -> None:
    response = Source(transport, PODS).watch(str(sim.resource_version), 60)
    assert ends_soon(lambda: list(response.chunks()), transport.close) == []


def test_closing_the_transport_wakes_who_waits_for_an_answer_to_begin() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        transport = to(f"http://127.0.0.1:{silent.getsockname()[1]}", answer_timeout_s=30)
        raised = ends_soon(lambda: transport.get_bytes("/version"), transport.close)
    assert isinstance(raised[0], OfflineError)


def test_closing_wakes_a_reader_over_tls(tmp_path: Path) -> None:
    with tls_server(tmp_path) as (url, authority):
        access = Access(origin="kc", context="c", server=url, authority=authority)
        transport = Transport(access, Settings())
        response = transport.request("/hang", read_timeout_s=30)
        assert ends_soon(lambda: list(response.chunks()), response.close) == []
        transport.close()


def test_a_closed_transport_asks_nothing_more(sim: Simulator, transport: Transport) -> None:
    transport.close()
    asked = len(sim.request_log)
    with pytest.raises(OfflineError, match="closed"):
        transport.get_bytes("/version")
    assert len(sim.request_log) == asked


# --- one scope's requests


def test_built_in_kinds_come_as_tables_with_the_whole_object(
    sim: Simulator, transport: Transport
) -> None:
    sim.populate(pods=3)
    with Source(transport, PODS).list_page(2) as response:
        table = json.loads(drain(response.chunks(), 1 << 20))
    assert table["kind"] == "Table"
    assert len(table["rows"]) == 2
    assert table["rows"][0]["object"]["spec"]
    with Source(transport, PODS).list_page(2, table["metadata"]["continue"]) as response:
        assert len(json.loads(drain(response.chunks(), 1 << 20))["rows"]) == 1


def test_what_has_a_definition_comes_as_it_is(sim: Simulator, transport: Transport) -> None:
    sim.populate(pods=3)
    with Source(transport, PODS, table=False).list_page(0) as response:
        assert json.loads(drain(response.chunks(), 1 << 20))["kind"] == "PodList"


def test_secret_values_are_not_even_asked_for(sim: Simulator, transport: Transport) -> None:
    sim.add(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "s", "namespace": "default"},
            "data": {"password": "Y2FuYXJ5"},
        }
    )
    source = Source(transport, SECRETS, redaction=Redaction.METADATA)
    with source.list_page(0) as response:
        assert b"Y2FuYXJ5" not in drain(response.chunks(), 1 << 20)
    with source.watch("0", 1) as response:
        received = drain(response.chunks(), 1 << 20)
    assert b'"s"' in received
    assert b"Y2FuYXJ5" not in received
    assert source._accept("partial").split(",")[-1] == "partial"


def test_a_probe_tells_the_newest_version_without_objects(
    sim: Simulator, transport: Transport
) -> None:
    sim.populate(pods=50)
    source = Source(transport, PODS)
    assert source.probe() == str(sim.resource_version)
    (asked,) = sim.request_log.select("probe")
    assert asked.bytes_sent < 300
    assert sim.request_log.lists() == []


def test_probes_give_their_connection_back(transport: Transport) -> None:
    source = Source(transport, PODS)
    source.probe()
    time.sleep(1.6)
    source.probe()
    (pool,) = (transport._pool.pools[key] for key in transport._pool.pools.keys())  # noqa: SIM118
    assert pool.num_connections == 1


@pytest.mark.parametrize("code", [400, 422])
def test_a_server_without_streaming_lists_is_probed_by_a_list_of_one(
    sim: Simulator, transport: Transport, code: int
) -> None:
    sim.populate(pods=50)
    source = Source(transport, PODS)
    sim.fail_next(code, match="probe")
    assert source.probe() == str(sim.resource_version)
    assert source.probe() == str(sim.resource_version)
    assert [entry.query["limit"] for entry in sim.request_log.lists()] == ["1", "1"]
    assert len(sim.request_log.select("probe")) == 1


# --- discovery and identity


def test_discovery_takes_two_requests_and_finds_what_can_be_synced(
    sim: Simulator, transport: Transport
) -> None:
    found = discover(transport)
    assert [entry.path for entry in sim.request_log] == ["/api", "/apis"]
    names = [resource.name for resource in found.resources]
    assert found.failures == {}
    assert {"pods", "deployments.apps", "events"} <= set(names)
    assert "events.events.k8s.io" not in names
    assert not [name for name in names if "/" in name]
    assert len(set(names)) == len(names)
    assert all("list" in resource.verbs for resource in found.resources)
    only_listed = {found.name for found in found.resources if "watch" not in found.verbs}
    assert only_listed == {"componentstatuses"}
    pods = next(resource for resource in found.resources if resource.name == "pods")
    assert (pods.kind, pods.singular, pods.short_names) == ("Pod", "pod", ("po",))
    assert "all" in pods.categories


def test_a_definition_is_asked_for_by_name_and_tells_selectable_fields(
    sim: Simulator, transport: Transport
) -> None:
    served = sim.install_crd(group="example.com", kind="Widget")
    crd = sim.get("customresourcedefinitions.apiextensions.k8s.io", "widgets.example.com")
    assert crd is not None
    crd["spec"]["versions"][0]["selectableFields"] = [{"jsonPath": ".spec.color"}]
    sim.update(crd)
    resource = Resource(group=served.group, version="v1", plural="widgets", kind="Widget")
    found = definition(transport, resource)
    assert found.selectable_fields == (".spec.color",)
    assert json.loads(found.body or b"")["metadata"]["name"] == "widgets.example.com"
    assert sim.request_log.lists() == []


def test_a_definition_that_is_not_there_is_no_crd_and_one_that_is_forbidden_is_unknown(
    sim: Simulator, transport: Transport
) -> None:
    other = Resource(group="metrics.example.com", version="v1", plural="pods", kind="PodMetrics")
    found = definition(transport, other)
    assert (found.known, found.body) == (True, None)
    sim.forbid("customresourcedefinitions.apiextensions.k8s.io")
    assert not definition(transport, other).known
    asked = len(sim.request_log)
    assert definition(transport, PODS).known
    assert len(sim.request_log) == asked


def test_a_cluster_is_known_by_kube_system(sim: Simulator, transport: Transport) -> None:
    found = identify(transport)
    namespace = sim.get("namespaces", "kube-system")
    assert namespace is not None
    assert (found.uid, found.verified) == (namespace["metadata"]["uid"], True)


def test_without_the_right_a_cluster_is_known_by_its_server(
    sim: Simulator, transport: Transport
) -> None:
    sim.forbid("namespaces")
    found = identify(transport)
    assert not found.verified
    assert found == identify(transport)
    before = Cluster(uid="u", verified=True, server=sim.url)
    assert identify(transport, before).uid == "u"
    moved = Cluster(uid="u", verified=True, server="https://other")
    assert identify(transport, moved).uid == found.uid


def test_an_unhealthy_extension_does_not_hide_the_rest() -> None:
    with old_server() as url:
        transport = to(url)
        found = discover(transport)
        transport.close()
    assert [resource.name for resource in found.resources] == ["pods", "x", "widgets.example.com"]
    assert [resource.version for resource in found.resources] == ["v1", "v1", "v2"]
    assert list(found.failures) == ["broken.example.com/v1"]
    assert "503" in found.failures["broken.example.com/v1"]


# --- TLS


def test_a_client_certificate_never_touches_a_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = make_certificate(tmp_path)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setattr("tempfile.tempdir", None)
    access = Access(
        origin="kc",
        context="c",
        server="https://x",
        authority=certificate,
        # Larger than a pipe holds: what comes after the first certificate is padding.
        certificate=(certificate + b"\n" * 100_000, key),
    )
    transport = Transport(access, Settings())
    assert list(scratch.iterdir()) == []
    transport.close()


def test_a_client_certificate_that_is_none_is_refused(tmp_path: Path) -> None:
    certificate, _ = make_certificate(tmp_path)
    access = Access(origin="kc", context="c", server="https://x")
    with pytest.raises(InvalidRequestError, match="kc: the client certificate and key are not"):
        tls_context(access, (certificate, b"nonsense"))
    wrong = Access(origin="kc", context="c", server="https://x", authority=b"nonsense")
    with pytest.raises(InvalidRequestError, match="certificate-authority is not a valid PEM"):
        tls_context(wrong, None)


def test_a_server_is_checked_against_the_given_authority(tmp_path: Path) -> None:
    with tls_server(tmp_path) as (url, authority):
        trusted = Transport(
            Access(origin="kc", context="c", server=url, authority=authority), Settings()
        )
        assert trusted.get_bytes("/version")[0] == b"{}"
        trusted.close()
        insecure = Transport(
            Access(origin="kc", context="c", server=url, insecure=True), Settings()
        )
        assert insecure.get_bytes("/version")[0] == b"{}"
        insecure.close()


def test_the_name_in_the_certificate_may_be_another_than_the_server_s(tmp_path: Path) -> None:
    with tls_server(tmp_path, name="api.example") as (url, authority):
        named = {"tls-server-name": "api.example"}
        for cluster, fits in ((named, True), ({}, False)):
            access = Access(
                origin="kc", context="c", server=url, authority=authority, cluster=cluster
            )
            transport = Transport(access, Settings())
            if fits:
                assert transport.get_bytes("/version")[0] == b"{}"
            else:
                with pytest.raises(OfflineError, match=r"TLS: .*(mismatch|doesn't match)"):
                    transport.get_bytes("/version")
            transport.close()


# --- servers


def make_certificate(folder: Path, name: str = "") -> tuple[bytes, bytes]:
    certificate, key = folder / "cert.pem", folder / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    san = f"DNS:{name}" if name else "IP:127.0.0.1"
    names = ["-subj", "/CN=127.0.0.1", "-addext", f"subjectAltName={san}"]
    subprocess.run(
        [*command.split(), *names, "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )
    return certificate.read_bytes(), key.read_bytes()


class _Quiet(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_arguments: Any) -> None:
        pass

    def answer(self, body: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _Plain(_Quiet):
    def do_GET(self) -> None:
        if self.path != "/hang":
            self.answer(b"{}")
            return
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.rfile.read(1)


@contextmanager
def serving(handler: type[_Quiet], context: Any = None) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    # What a client does when it is closed is not the server's business.
    server.handle_error = lambda *_arguments: None  # type: ignore[method-assign]
    if context is not None:
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"{'https' if context else 'http'}://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.socket.close()


@contextmanager
def tls_server(folder: Path, name: str = "") -> Iterator[tuple[str, bytes]]:
    import ssl

    certificate, _ = make_certificate(folder, name)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    with serving(_Plain, context) as url:
        yield url, certificate


class _Old(_Quiet):
    """Discovery of a server from before 1.27, with an extension that is down."""

    def do_GET(self) -> None:
        def entry(name: str, *verbs: str) -> dict[str, Any]:
            return {"name": name, "kind": "K", "namespaced": True, "verbs": list(verbs)}

        def group(name: str, *versions: str) -> dict[str, Any]:
            named = [{"version": version} for version in versions]
            return {"name": name, "versions": named, "preferredVersion": named[-1]}

        both = ("list", "watch")
        answers: dict[str, Any] = {
            "/api": {"versions": ["v1"]},
            "/apis": {
                "groups": [group("broken.example.com", "v1"), group("example.com", "v1", "v2")]
            },
            "/api/v1": {
                "resources": [entry("pods", *both), entry("pods/log", *both), entry("x", "list")]
            },
            "/apis/example.com/v1": {"resources": [entry("widgets", *both)]},
            "/apis/example.com/v2": {"resources": [entry("widgets", *both)]},
        }
        found = answers.get(self.path)
        self.answer(json.dumps(found or {}).encode(), 200 if found else 503)


@contextmanager
def old_server() -> Iterator[str]:
    with serving(_Old) as url:
        yield url
