"""Control of a simulator from another process, on a port that a cut link does not cut.

The server side is ``ControlServer``; ``Control`` is its client. Requests are POST (or GET for
``/state`` and ``/log``) with a JSON object of arguments, answers are JSON.
"""

from __future__ import annotations

import http.client
import http.server
import json
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from vai.testing.faults import Faults
from vai.testing.kinds import Fault
from vai.testing.objects import Json

if TYPE_CHECKING:
    from vai.testing.simulator import Simulator

_Action = Callable[..., Any]


class ControlServer:
    """Serves the control port of a simulator on loopback."""

    def __init__(self, simulator: Simulator, *, port: int = 0) -> None:
        self.simulator = simulator
        self.stopped = threading.Event()
        actions = self._actions()

        class _Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Nothing is printed."""

            def do_GET(self) -> None:
                self._answer({})

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                self._answer(json.loads(self.rfile.read(length)) if length else {})

            def _answer(self, arguments: Json) -> None:
                target = urlsplit(self.path)
                action = actions.get(target.path.strip("/"))
                status, result = 200, None
                if action is None:
                    status, result = 404, {"error": f"actions: {', '.join(sorted(actions))}"}
                else:
                    try:
                        result = action(**{**dict(parse_qsl(target.query)), **arguments})
                    except (TypeError, ValueError, LookupError) as error:
                        status, result = 400, {"error": str(error)}
                body = json.dumps(result).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), _Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="vai-simulator-control", daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """``http://127.0.0.1:PORT``."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=2)

    def _actions(self) -> dict[str, _Action]:
        sim = self.simulator
        return {
            "state": self._state,
            "log": self._log,
            "clear-log": sim.request_log.clear,
            "cut": sim.cut,
            "restore": sim.restore,
            "drop-connections": sim.drop_connections,
            "churn": self._churn,
            "compact": lambda rv=None: sim.compact(None if rv is None else int(rv)),
            "expire-continue-tokens": sim.expire_continue_tokens,
            "backup": sim.backup,
            "restore-backup": lambda rv=None: sim.restore_backup(None if rv is None else int(rv)),
            "fail-next": lambda status, **more: sim.fail_next(int(status), **more),
            "corrupt-next": sim.corrupt_next,
            "lie-next-list": sim.lie_next_list,
            "inject": lambda **fault: sim.inject(Fault(**fault)),
            "random-faults": self._random_faults,
            "clear-faults": self._clear_faults,
            "fault-log": lambda: [str(entry) for entry in sim.faults.log],
            "forbid": sim.forbid,
            "allow": sim.allow,
            "expire-credentials": sim.expire_credentials,
            "apply": self._apply,
            "delete": sim.delete,
            "stop": self.stopped.set,
        }

    def _apply(self, obj: Json) -> None:
        self.simulator.apply(obj)

    def _random_faults(self, **how: Any) -> None:
        self.simulator.faults = Faults.random(**how)

    def _clear_faults(self) -> None:
        # Those of this moment: chance may have taken the place of others.
        self.simulator.faults.clear()

    def _state(self) -> Json:
        sim = self.simulator
        counts = {r.full_name: sim.count(r.full_name) for r in sim.resources if r.listable}
        return {
            "url": sim.url,
            "up": sim.link.up,
            "connections": sim.link.connections,
            "resource_version": sim.resource_version,
            "objects": {name: count for name, count in counts.items() if count},
            "requests": len(sim.request_log),
        }

    def _log(self, since: int | str = 0) -> list[Json]:
        return [entry.as_dict() for entry in sim_entries(self.simulator, int(since))]

    def _churn(self, rate: float | str = 50) -> None:
        if float(rate) <= 0:
            self.simulator.stop_churn()
        else:
            self.simulator.churn(float(rate))


def sim_entries(simulator: Simulator, since: int) -> list[Any]:
    """The logged requests from a position on."""
    return simulator.request_log.entries()[since:]


class ControlError(RuntimeError):
    """The control port refused an action."""


class Control:
    """Steers a simulator that runs in another process."""

    def __init__(self, url: str, *, timeout: float = 10.0) -> None:
        address = urlsplit(url)
        self._host, self._port = address.hostname or "127.0.0.1", address.port or 80
        self._timeout = timeout

    def call(self, action: str, **arguments: Any) -> Any:
        """Run an action by name.

        Raises:
            ControlError: It is unknown, or its arguments are not.
        """
        connection = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)
        try:
            headers = {"Content-Type": "application/json"}
            connection.request("POST", f"/{action}", json.dumps(arguments), headers)
            response = connection.getresponse()
            result = json.loads(response.read())
        finally:
            connection.close()
        if response.status != http.client.OK:
            raise ControlError(result["error"])
        return result

    def state(self) -> Json:
        """URL, link state, connections, resourceVersion, number of objects and requests."""
        found: Json = self.call("state")
        return found

    def log(self, since: int = 0) -> list[Json]:
        """The request log from a position on, as dicts of ``LoggedRequest``."""
        found: list[Json] = self.call("log", since=since)
        return found

    def cut(self, mode: str = "reset") -> None:
        """Take the link down."""
        self.call("cut", mode=mode)

    def restore(self) -> None:
        """Bring the link up again."""
        self.call("restore")

    def churn(self, rate: float) -> None:
        """Change objects at a rate; 0 stops."""
        self.call("churn", rate=rate)

    def stop(self) -> None:
        """End the process."""
        self.call("stop")
