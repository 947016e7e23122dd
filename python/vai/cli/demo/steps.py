"""The demo's steps. Each shows something, and raises where it does not hold."""

from __future__ import annotations

import http.client
import json
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from vai.cache import open as open_cache
from vai.cli.demo.children import addresses, start_simulator, start_sync, vai
from vai.cli.demo.stage import Stage, StepError, versions_of
from vai.cli.status import megabytes
from vai.errors import NotAVaiFileError, NotFoundError
from vai.testing.control import Control
from vai.types import State

_PAUSE_S: Final = 2.0
_RUNS: Final = 20
_SHOWN_LINES: Final = 4
_STARTED_WITHIN_S: Final = 5.0
_STOPPED_WITHIN_S: Final = 3.0
# Two clocks are read one after the other.
_SLACK_S: Final = 0.5
# What downloads a collection: a list, or a watch that begins with all objects.
_LISTS: Final = frozenset({"list", "watchlist"})
_COMPARED: Final = {"pods": "/api/v1/pods", "deployments.apps": "/apis/apps/v1/deployments"}
_CHECKER: Final = "vai-demo-check"


def serve(stage: Stage) -> None:
    """Start the simulated API server."""
    screen = stage.screen
    screen.step("A Kubernetes API server, simulated")
    simulator = start_simulator(stage.folder, stage.pods, stage.rate_per_s, stage.kubeconfig)
    stage.parts.callback(simulator.close)
    found = addresses(simulator)
    stage.server, stage.control = found["url"], Control(found["control"])
    counts: dict[str, int] = stage.control.state()["objects"]
    total = sum(counts.values())
    screen.note(
        f"process {simulator.pid}, {stage.server}: {counts['pods']:,} pods and"
        f" {total - counts['pods']:,} other objects, {stage.rate_per_s} changes per second"
    )
    stage.held(counts["pods"] >= stage.pods, "it serves list and watch over HTTP")


def first_sync(stage: Stage) -> None:
    """Sync everything for the first time."""
    screen = stage.screen
    screen.step("The first sync")
    screen.command(f"vai sync --file demo.db --resources {','.join(stage.resources)} &")
    started = time.monotonic()
    _start(stage)
    stage.reader = stage.wait("the file is there", lambda: _opened(stage))
    stage.parts.callback(stage.reader.close)
    total = sum(stage.control.state()["objects"].get(name, 0) for name in stage.resources)
    with screen.bar("first sync") as bar:

        def synced() -> float | None:
            scopes = stage.reader.status()
            bar.show(sum(one.objects for one in scopes), total)
            done = len(scopes) == len(stage.resources) and all(one.complete for one in scopes)
            return time.monotonic() - started if done else None

        took_s = stage.wait("the first sync", synced)
        objects = sum(one.objects for one in stage.reader.status())
        bar.show(total, total)
    stage.wait_states(State.LIVE)
    stage.asked = stage.control.state()["requests"]
    size = megabytes(stage.file.stat().st_size)
    stage.held(
        objects >= stage.pods,
        f"{objects:,} objects in {took_s:.1f}s, starting the process included; the file has {size}",
    )
    stage.held(_lists(stage, 0), "the server saw one list per resource, then watches")


def query(stage: Stage) -> None:
    """Ask the file."""
    screen = stage.screen
    screen.step("Queries, answered from the file")
    pod = stage.reader.list("pods", label_selector="tier=frontend", limit=1).items[0]
    space, name = str(pod.namespace), pod.name
    _show(stage, "get", "pods", "-n", space, "-l", "tier=frontend", "-o", "wide")
    cache = stage.reader
    questions: list[tuple[str, Callable[[], int]]] = [
        (f"pod {name}", lambda: len(cache.get("pods", name, namespace=space) or {})),
        ("10 pods with tier=frontend", lambda: _bytes(stage, "tier=frontend", "", 10)),
        (
            "100 pods with status.phase=Running",
            lambda: _bytes(stage, "", "status.phase=Running", 100),
        ),
        ("all pods, as JSON bytes", lambda: _bytes(stage, "", "", None)),
    ]
    rows: list[tuple[str, str]] = []
    for text, ask in questions:
        if not ask():
            raise StepError(f"no answer to: {text}")
        times = [_timed(ask) for _ in range(_RUNS)]
        rows.append((text, f"{statistics.median(times) * 1000:.2f} ms"))
    screen.note(f"in this process, median of {_RUNS}:")
    screen.figures(rows)
    before = cache.position()
    stage.wait("changes", lambda: cache.position() if cache.position() > before else None)
    with cache.changes("pods", since=before) as changes:
        change = next(iter(changes))
    fresh = stage.freshness()
    stage.held(
        fresh.state is State.LIVE, f"changes keep arriving: {change.op} {change.key}; {fresh}"
    )


def cut(stage: Stage) -> None:
    """Cut the link."""
    screen = stage.screen
    screen.step("The link to the server is cut")
    stage.control.cut()
    stage.missed = stage.control.state()["resource_version"]
    fresh = stage.wait_states(State.OFFLINE)
    stage.answer = stage.fingerprint()
    began, age_s = time.monotonic(), _age(stage)
    _show(stage, "get", "nodes")
    time.sleep(_PAUSE_S)
    grown_s, passed_s = _age(stage) - age_s, time.monotonic() - began
    stage.held(fresh.complete, "the answers go on, and say how old they are")
    stage.held(stage.fingerprint() == stage.answer, "the same pods as before, byte by byte")
    stage.held(
        abs(grown_s - passed_s) < _SLACK_S,
        f"their age grew by {grown_s:.1f}s in {passed_s:.1f}s: {stage.freshness()}",
    )


def kill(stage: Stage) -> None:
    """Kill the writer."""
    screen = stage.screen
    screen.step("vai sync is killed")
    if stage.sync is None:
        raise StepError("vai sync does not run")
    pid = stage.sync.pid
    screen.command(f"kill -9 {pid}")
    stage.sync.kill()
    stage.sync = None
    fresh = stage.wait_states(State.STALE)
    stage.held(stage.fingerprint() == stage.answer, "the same pods, from the file alone")
    stage.held(fresh.state is not State.LIVE, f"and no pretending: {fresh}")


def restart(stage: Stage) -> None:
    """Start it again while the server is out of reach."""
    screen = stage.screen
    screen.step("vai sync is started again, the link still cut")
    before = stage.control.state()["requests"]
    screen.command(f"vai sync --file demo.db --resources {','.join(stage.resources)} &")
    started = time.monotonic()
    _start(stage)
    output, _, code, took_s = vai("get", "pods", "-A", "-o", "name", "--file", str(stage.file))
    stage.held(
        code == 0 and len(output) == len(stage.reader.snapshot("pods")),
        f"`vai get pods -A` answers at once: {len(output):,} pods in {took_s:.2f}s,"
        " starting the process included",
    )
    fresh = stage.wait_states(State.OFFLINE)
    took_s = time.monotonic() - started
    stage.held(stage.fingerprint() == stage.answer, "the same pods, byte by byte")
    stage.held(
        stage.control.state()["requests"] == before,
        f"no request reached the server; after {took_s:.1f}s the new process says: {fresh}",
    )


def restore(stage: Stage) -> None:
    """Restore the link, and prove that it catches up without a list."""
    screen = stage.screen
    screen.step("The link is restored")
    behind = stage.control.state()["resource_version"] - stage.missed
    stage.control.restore()
    started = time.monotonic()
    stage.wait_states(State.LIVE)
    screen.note(
        f"live again after {time.monotonic() - started:.1f}s; {behind:,} changes were missed"
    )
    log = _requests(stage, stage.asked)
    watches = [entry for entry in log if entry["kind"] == "watch" and _resumed(entry)]
    screen.note("what the server saw since the first sync:")
    screen.output([_line(entry) for entry in watches[-_SHOWN_LINES:]])
    kinds = [f"{len(watches)} watches that resumed", f"{_count(log, 'probe')} probes"]
    lists = [entry for entry in log if entry["kind"] in _LISTS]
    stage.held(not lists and watches, f"not one list: {', '.join(kinds)}, 0 lists")
    stage.control.churn(0)
    for resource, path in (
        ("pods", "/api/v1/pods"),
        ("deployments.apps", "/apis/apps/v1/deployments"),
    ):
        served = versions_of(_listed(stage, path))
        same = stage.wait(
            f"{resource} equal to the server's",
            lambda r=resource, s=served: s if stage.versions(r) == s else None,  # type: ignore[misc]
        )
        stage.held(same, f"all {len(served):,} {resource} equal to what the server lists now")


def stop(stage: Stage) -> None:
    """End it."""
    screen = stage.screen
    screen.step("vai sync is stopped")
    if stage.sync is None:
        raise StepError("vai sync does not run")
    screen.command(f"kill {stage.sync.pid}")
    code, took_s = stage.sync.stop()
    stage.held(
        code == 0 and took_s < _STOPPED_WITHIN_S, f"it ended with exit code {code} in {took_s:.1f}s"
    )


STEPS: Final[Sequence[Callable[[Stage], None]]] = (
    serve,
    first_sync,
    query,
    cut,
    kill,
    restart,
    restore,
    stop,
)


# --- Inside ---------------------------------------------------------------------------------------


def _start(stage: Stage) -> None:
    stage.sync = start_sync(stage.folder, stage.file, stage.kubeconfig, stage.resources)
    stage.parts.callback(stage.sync.close)


def _opened(stage: Stage) -> Any:
    try:
        return open_cache(stage.file)
    except (NotFoundError, NotAVaiFileError):
        # Not there yet, or just being created.
        return None


def _show(stage: Stage, *arguments: str) -> None:
    """Run a command as a person would, and show the head of what it prints."""
    stage.screen.command(f"vai {' '.join(arguments)} --file demo.db")
    output, said, code, _ = vai(*arguments, "--file", str(stage.file))
    if code != 0 or not output:
        raise StepError(f"vai {arguments[0]} ended with {code}: {' '.join(said)}")
    head = output[: _SHOWN_LINES + 1]
    more = len(output) - len(head)
    stage.screen.output([*said, *head, *([f"... and {more:,} more"] if more else [])])


def _bytes(stage: Stage, labels: str, fields: str, limit: int | None) -> int:
    page = stage.reader.list("pods", label_selector=labels, field_selector=fields, limit=limit)
    return len(page.raw)


def _timed(ask: Callable[[], int]) -> float:
    started = time.perf_counter()
    ask()
    return time.perf_counter() - started


def _age(stage: Stage) -> float:
    age_s = stage.freshness().age_s
    if age_s is None:
        raise StepError("the answer has no age")
    return age_s


def _requests(stage: Stage, since: int) -> list[dict[str, Any]]:
    """What vai asked the server for."""
    return [
        entry for entry in stage.control.log(since) if not entry["user_agent"].startswith(_CHECKER)
    ]


def _lists(stage: Stage, since: int) -> bool:
    """Whether each resource was listed once, page after page, and is watched."""
    log = _requests(stage, since)
    first = [e for e in log if e["kind"] == "list" and "continue" not in e["query"]]
    listed = sorted(e["resource"] for e in first if e["query"].get("limit") != "1")
    watched = {e["resource"] for e in log if e["kind"] == "watch"}
    return (
        set(stage.resources) <= set(listed)
        and set(stage.resources) <= watched
        and len(listed) == len(set(listed))
    )


def _count(log: Sequence[dict[str, Any]], kind: str) -> int:
    return sum(entry["kind"] == kind for entry in log)


def _resumed(entry: dict[str, Any]) -> bool:
    """Whether a watch went on from where the file stood."""
    accepted: bool = entry["status"] == http.client.OK
    return accepted and entry["query"].get("resourceVersion", "0") not in {"", "0"}


def _line(entry: dict[str, Any]) -> str:
    query = {k: v for k, v in entry["query"].items() if k in {"watch", "resourceVersion"}}
    return f"{entry['method']} {entry['path']}?{urlencode(query)}  {entry['status']}"


def _listed(stage: Stage, path: str) -> list[Any]:
    """The server's own answer, asked for by this process."""
    address = urlsplit(stage.server)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=10)
    try:
        connection.request("GET", path, headers={"User-Agent": _CHECKER})
        response = connection.getresponse()
        items: list[Any] = json.loads(response.read())["items"]
    finally:
        connection.close()
    return items
