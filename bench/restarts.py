"""A service that is restarted again and again over a large file: what it asks, how soon it answers.

    python -m bench.restarts [--objects N] [--restarts R]

A real kube-apiserver with every resource it serves, four custom ones and N objects. Each restart is
a process of its own (`--child`), whose imports are done before its clock starts: `vai.connect` →
the first page of pods → every scope live. The server's audit log says what was asked meanwhile.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import vai
from tests.apiserver import objects
from tests.apiserver.server import VAI, ApiServer
from tests.apiserver.widgets import widget_crd

_ROOT: Final = Path(__file__).parent.parent
#: With the server's own they are 60.
_CUSTOM: Final = 4
#: More than one restart may take on a busy machine.
TOO_LONG_S: Final = 120.0


def restart(file: Path, kubeconfig: Path) -> dict[str, Any]:
    """In this process."""
    # Imports are no part of it.
    import vai.informer
    import vai.kube

    started = time.perf_counter()
    with vai.connect(file, ["*"], kubeconfig=kubeconfig) as cache:
        total = cache.list("pods", limit=100).total
        answered = time.perf_counter() - started
        while any(scope.state != "live" for scope in cache.status()):
            if time.perf_counter() - started > TOO_LONG_S:
                raise TimeoutError([str(scope) for scope in cache.status()])
            time.sleep(0.01)
        live = time.perf_counter() - started
        scopes = len(cache.status())
    return {"total": total, "answered_s": answered, "live_s": live, "scopes": scopes}


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--objects", type=int, default=50_000)
    parser.add_argument("--restarts", type=int, default=20)
    parser.add_argument("--child", nargs=2, type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(restart(*given.child)), flush=True)
        return
    pods = given.objects // 2
    found = []
    with ApiServer() as server, tempfile.TemporaryDirectory(prefix="vai-restarts-") as folder:
        items = itertools.chain(
            objects.namespaces(10),
            objects.pods(pods),
            objects.config_maps(given.objects - pods),
        )
        server.populate_etcd(items)
        for number in range(_CUSTOM):
            crd, group = widget_crd(), f"bench{number}.example.com"
            crd["metadata"]["name"], crd["spec"]["group"] = f"widgets.{group}", group
            server.install_crd(crd)
        file, kubeconfig = Path(folder) / "cluster.db", server.write_kubeconfig(VAI)
        with vai.connect(file, ["*"], kubeconfig=kubeconfig) as cache:
            cache.wait_synced(timeout=600)
        asked = len(server.audit(VAI))
        for turn in range(given.restarts):
            path = os.pathsep.join([str(_ROOT / "python"), str(_ROOT)])
            command = (sys.executable, "-m", "bench.restarts", "--child", file, kubeconfig)
            done = subprocess.run(
                command,
                cwd=_ROOT,
                env={**os.environ, "PYTHONPATH": path},
                check=True,
                stdout=subprocess.PIPE,
            )
            found.append(json.loads(done.stdout))
            assert found[-1]["total"] == pods, found[-1]
            print(f"restart {turn + 1}: {found[-1]}", file=sys.stderr, flush=True)
        # Of a watch the log has its start and its end.
        entries = {one["auditID"]: one for one in server.audit(VAI)[asked:]}.values()
    verbs = sorted(entry["verb"] for entry in entries)
    print(
        json.dumps(
            {
                "restarts": given.restarts,
                "scopes": found[-1]["scopes"],
                "requests": {verb: verbs.count(verb) for verb in sorted(set(verbs))},
                "answered_ms": _spread([1e3 * one["answered_s"] for one in found]),
                "live_s": _spread([one["live_s"] for one in found]),
            },
            indent=1,
        )
    )


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": round(statistics.median(values), 2), "most": round(max(values), 2)}


if __name__ == "__main__":
    _main()
