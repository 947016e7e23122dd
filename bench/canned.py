"""The prepared pages and events over HTTP from a process of its own, as kube-apiserver sends them.

    python -m bench.canned PAGES_FOLDER

Prints its port. It answers what vai and the `kubernetes` package ask for pods, with bytes that
were made before, so that next to no time goes into the server: discovery, the list (with `limit`
page by page, without as one), watches and probes. `POST /push?count=N` sends the next N events to
every watch that is open and returns when they are with the kernel.
"""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from bench.prepared import PAGE_OBJECTS, Prepared

_VERBS: Final = ["get", "list", "watch"]
_DISCOVERY: Final[dict[str, Any]] = {
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
    "/api/v1": {
        "kind": "APIResourceList",
        "groupVersion": "v1",
        "resources": [{"name": "pods", "kind": "Pod", "namespaced": True, "verbs": _VERBS}],
    },
    "/api/v1/namespaces/kube-system": {
        "kind": "Namespace",
        "apiVersion": "v1",
        "metadata": {"name": "kube-system", "uid": "5f4c1f9e-0000-4000-8000-000000000001"},
    },
}
_END: Final = {"k8s.io/initial-events-end": "true"}


class _State:
    """What all connections share."""

    def __init__(self, prepared: Prepared) -> None:
        self.version = prepared.resource_version
        self.pages = list(prepared.pages())
        self.whole = _joined(self.pages)
        self.events = prepared.events()
        self.sent = 0
        self.lock = threading.Lock()
        self.watches: set[socket.socket] = set()

    def push(self, count: int) -> int:
        """Send the next events to all watches, if there are any; returns how many there are."""
        with self.lock:
            if not self.watches:
                return 0
            lines = self.events[self.sent : self.sent + count]
            self.sent += len(lines)
            self.version = _version_of(lines[-1])
            for watch in list(self.watches):
                try:
                    for line in lines:
                        watch.sendall(_chunk(line))
                except OSError:
                    self.watches.discard(watch)
            return len(self.watches)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: _State

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing is printed."""

    def do_POST(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        watches = self.state.push(int(query["count"][0]))
        self._answer(json.dumps({"watches": watches}).encode())

    def do_GET(self) -> None:
        target = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(target.query).items()}
        if target.path in _DISCOVERY:
            self._answer(json.dumps(_DISCOVERY[target.path]).encode())
        elif target.path != "/api/v1/pods":
            status = {"kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound"}
            self._answer(json.dumps(status).encode(), 404)
        elif query.get("watch", "").lower() == "true":
            self._watch(is_probe="sendInitialEvents" in query)
        elif "limit" in query:
            self._answer(self.state.pages[int(query.get("continue", 0))])
        else:
            self._answer(self.state.whole)

    def _answer(self, body: bytes, code: int = 200) -> None:
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _watch(self, *, is_probe: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if is_probe:
            self.wfile.write(_chunk(_bookmark(self.state.version, _END)))
            self.wfile.write(b"0\r\n\r\n")
            return
        self.close_connection = True
        with self.state.lock:
            # vai counts as caught up, and both know a version to go on from.
            self.connection.sendall(_chunk(_bookmark(self.state.version, {})))
            self.state.watches.add(self.connection)
        with contextlib.suppress(OSError):
            # Nothing comes from a client that watches but the end of its connection.
            self.connection.recv(1)
        with self.state.lock:
            self.state.watches.discard(self.connection)


def _joined(pages: list[bytes]) -> bytes:
    """One page of them all."""
    start = b'"items":['
    items = [page[page.index(start) + len(start) : page.rindex(b"]}")] for page in pages]
    meta = re.sub(rb'"continue":"\d+","remainingItemCount":\d+', b"", pages[0].split(start)[0])
    return meta.replace(b'",}', b'"}') + start + b",".join(items) + b"]}"


def _version_of(line: bytes) -> str:
    return str(json.loads(line)["object"]["metadata"]["resourceVersion"])


def _bookmark(version: str, annotations: dict[str, str]) -> bytes:
    meta = {"resourceVersion": version, "annotations": annotations, "name": ""}
    pod = {"kind": "Pod", "apiVersion": "v1", "metadata": meta, "spec": {"containers": []}}
    return json.dumps({"type": "BOOKMARK", "object": pod}).encode() + b"\n"


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


class Canned:
    """The server as its clients know it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def push(self, count: int) -> int:
        """Send the next events; how many watches got them."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        with contextlib.closing(connection):
            connection.request("POST", f"/push?count={count}")
            return int(json.loads(connection.getresponse().read())["watches"])

    def download(self) -> int:
        """Only read the pages; how many objects they hold."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        pages, token = 0, b"0"
        with contextlib.closing(connection):
            while token:
                path = f"/api/v1/pods?limit={PAGE_OBJECTS}&continue={token.decode()}"
                connection.request("GET", path)
                head = connection.getresponse().read()[:1000]
                found = re.search(rb'"continue":"(\d+)"', head)
                token = found[1] if found else b""
                pages += 1
        return pages * PAGE_OBJECTS

    def kubeconfig(self, path: Path) -> Path:
        """Write one that leads here."""
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "canned",
            "contexts": [{"name": "canned", "context": {"cluster": "canned", "user": "canned"}}],
            "clusters": [{"name": "canned", "cluster": {"server": self.url}}],
            "users": [{"name": "canned", "user": {}}],
        }
        path.write_text(json.dumps(config))
        return path


@contextlib.contextmanager
def serving(prepared: Prepared) -> Iterator[Canned]:
    """Start it, and end it."""
    command = [sys.executable, "-m", "bench.canned", str(prepared.folder)]
    root = Path(__file__).parent.parent
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Canned(int(process.stdout.readline()))
        finally:
            process.kill()


def _main(folder: Path) -> None:
    _Handler.state = _State(Prepared(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
