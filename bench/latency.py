"""From a write to a handler: how much later than a bare watch hears of it.

    python -m bench.latency server [--writes N] [--per-second R]
    python -m bench.latency simulator [--writes N] [--per-second R]

Against a real kube-apiserver (50 writes a second) or `vai.testing`'s (2,000 a second; it keeps up
with a handler's process beside it). Each listener is a process of its own, all at the same time:
vai's handler, and a socket whose lines are searched for the label, with nothing kept. A write
carries its moment in a label (CLOCK_MONOTONIC, which processes share).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import vai
from tests.apiserver.client import Client
from tests.apiserver.server import VAI, ApiServer
from vai.testing import Simulator

_ROOT: Final = Path(__file__).parent.parent
_PATH: Final = "/api/v1/namespaces/default/configmaps"
_LABEL: Final = "bench"
_STAMP: Final = re.compile(rb'"bench": ?"t(\d+)"')
#: Objects that the writes go round.
_OBJECTS: Final = 100
#: Longer than the last event can take.
_LAST_S: Final = 3.0

Note = Callable[[int], None]


def handler(kubeconfig: Path, note: Note) -> Callable[[], None]:
    """vai's, on its own thread; returns what ends it."""
    cache = vai.connect(vai.TEMPORARY, ["configmaps"], kubeconfig=kubeconfig)

    def update(_old: vai.Object, new: vai.Object) -> None:
        if (stamp := new.labels.get(_LABEL)) is not None:
            note(int(stamp[1:]))

    cache.add_handler("configmaps", on_update=update).wait_synced(60)
    return cache.close


def socket(kubeconfig: Path, note: Note) -> Callable[[], None]:
    """A watch of the same objects whose lines are only searched."""
    from kubernetes.config import new_client_from_config

    configured: Any = new_client_from_config
    found = configured(str(kubeconfig)).configuration
    context = ssl.create_default_context(cafile=found.ssl_ca_cert) if found.ssl_ca_cert else None
    headers = {one["key"]: one["value"] for one in found.auth_settings().values()}
    lines = Client(found.host, context=context, headers=headers).stream(
        f"{_PATH}?watch=1&resourceVersion=0", timeout_s=60
    )

    def read() -> None:
        for line in lines:
            if (stamp := _STAMP.search(line)) is not None:
                note(int(stamp[1]))

    threading.Thread(target=read, daemon=True).start()
    return lambda: None


LISTENERS: Final = {"vai, add_handler": handler, "socket": socket}


def listen(name: str, kubeconfig: Path) -> None:
    """In a process of its own, until its stdin ends."""
    heard: dict[int, float] = {}

    def note(stamp: int) -> None:
        heard.setdefault(stamp, (time.monotonic_ns() - stamp) / 1e6)

    close = LISTENERS[name](kubeconfig, note)
    print("ready", flush=True)
    sys.stdin.read()
    print(json.dumps([*heard.values()]), flush=True)
    close()


def measure(kubeconfig: Path, write: Callable[[int, str], object], count: int, rate: float) -> None:
    """Print how long each listener took."""
    path = os.pathsep.join([str(_ROOT / "python"), str(_ROOT)])
    running = {
        name: subprocess.Popen(
            (sys.executable, "-m", "bench.latency", "listen", name, kubeconfig),
            cwd=_ROOT,
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in LISTENERS
    }
    for process in running.values():
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    started = time.monotonic()
    for number in range(count):
        time.sleep(max(0.0, started + number / rate - time.monotonic()))
        write(number % _OBJECTS, f"t{time.monotonic_ns()}")
    took_s = time.monotonic() - started
    time.sleep(_LAST_S)
    print(f"{count} writes, {count / took_s:,.0f}/s")
    for name, process in running.items():
        heard = sorted(json.loads(process.communicate(input="")[0]))
        at = {share: heard[min(len(heard) - 1, int(len(heard) * share))] for share in (0.5, 0.99)}
        print(
            f"{name:20} p50 {at[0.5]:6.1f} ms, p99 {at[0.99]:6.1f} ms, "
            f"at most {heard[-1]:6.1f} ms; heard of {len(heard)}"
        )


def _name(number: int) -> str:
    return f"c{number:03d}"


def _config_map(number: int) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"namespace": "default", "name": _name(number)},
        "data": {"text": "x" * 1_000},
    }


def server(count: int, rate: float) -> None:
    """A real kube-apiserver."""
    with ApiServer() as made:
        made.create_many([_config_map(number) for number in range(_OBJECTS)])

        def write(number: int, stamp: str) -> None:
            made.patch(f"{_PATH}/{_name(number)}", {"metadata": {"labels": {_LABEL: stamp}}})

        measure(made.write_kubeconfig(VAI), write, count, rate)


def simulator(count: int, rate: float) -> None:
    """The simulated one, in this process."""
    with Simulator(seed=1) as sim, tempfile.TemporaryDirectory() as folder:
        for number in range(_OBJECTS):
            sim.add(_config_map(number))

        def write(number: int, stamp: str) -> None:
            labels = {"metadata": {"labels": {_LABEL: stamp}}}
            sim.patch("configmaps", _name(number), labels, namespace="default")

        measure(sim.kubeconfig(Path(folder) / "kubeconfig"), write, count, rate)


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name, rate in (("server", 50.0), ("simulator", 2_000.0)):
        command = commands.add_parser(name)
        command.add_argument("--per-second", type=float, default=rate)
        command.add_argument("--writes", type=int, default=int(20 * rate))
    child = commands.add_parser("listen")
    child.add_argument("name", choices=LISTENERS)
    child.add_argument("kubeconfig", type=Path)
    given = parser.parse_args()
    if given.command == "listen":
        listen(given.name, given.kubeconfig)
    else:
        run = server if given.command == "server" else simulator
        run(given.writes, given.per_second)


if __name__ == "__main__":
    _main()
