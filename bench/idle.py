"""What many scopes cost while nothing happens: threads, sockets, memory, CPU, requests, disk.

    python -m bench.idle [--scopes N] [--seconds S] [--churn WRITES_PER_S]

A real kube-apiserver on the same machine; vai syncs N scopes (five resources in N/5 namespaces) in
a process of its own, which alone is counted. With `--churn` somebody writes Leases meanwhile, as
every real cluster's nodes do: the server's resourceVersion moves on, though nothing changes in what
is kept.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import vai
from tests.apiserver import objects
from tests.apiserver.server import VAI, ApiServer

_ROOT: Final = Path(__file__).parent.parent
#: Two cycles of proofs: what a start costs is over.
_REST_S: Final = 35.0
#: Of the watches of a scope, which began together: what is no multiple counts one more or one less.
_CYCLE_S: Final = 19.0
RESOURCES: Final = ("pods", "configmaps", "services", "deployments.apps", "secrets")
#: Beside the scopes' own, written by nobody.
_LEASES: Final = "/apis/coordination.k8s.io/v1/namespaces/default/leases"


def scopes(count: int) -> list[vai.Scope]:
    """So many, all different."""
    names = [f"team-{number:03d}" for number in range(-(-count // len(RESOURCES)))]
    return [vai.Scope(kind, namespace=name) for name in names for kind in RESOURCES][:count]


@contextmanager
def churn(server: ApiServer, per_s: float) -> Iterator[None]:
    """Renews a Lease so many times a second."""
    ended = threading.Event()

    def renew() -> None:
        lease: dict[str, Any] = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": "node", "namespace": "default"},
            "spec": {"holderIdentity": "node"},
        }
        server.must("POST", _LEASES, lease)
        turn = 0
        while not ended.wait(1 / per_s):
            turn += 1
            server.patch(f"{_LEASES}/node", {"spec": {"leaseTransitions": turn}})

    thread = threading.Thread(target=renew, daemon=True)
    if per_s:
        thread.start()
    yield
    ended.set()
    if per_s:
        thread.join()


def sync(file: Path, kubeconfig: Path, count: int) -> None:
    """In this process, until nobody listens any more."""
    with vai.connect(file, scopes(count), kubeconfig=kubeconfig) as cache:
        cache.wait_synced(timeout=300)
        print("synced", flush=True)
        sys.stdin.read()


@contextmanager
def syncing(file: Path, kubeconfig: Path, count: int) -> Iterator[int]:
    """A process of its own, so that nothing else is counted; its pid."""
    command = (sys.executable, "-m", "bench.idle", "--scopes", str(count))
    path = os.pathsep.join([str(_ROOT / "python"), str(_ROOT)])
    with subprocess.Popen(
        [*command, "--child", file, kubeconfig],
        cwd=_ROOT,
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        assert child.stdout is not None
        if child.stdout.readline() != b"synced\n":
            raise RuntimeError("the process that syncs ended")
        yield child.pid
        child.communicate()


def measure(server: ApiServer, count: int, seconds: float, churn_per_s: float) -> dict[str, Any]:
    """Sync, let it come to rest, and look for some seconds."""
    with tempfile.TemporaryDirectory(prefix="vai-idle-") as folder:
        file, kubeconfig = Path(folder) / "cluster.db", server.write_kubeconfig(VAI)
        with syncing(file, kubeconfig, count) as pid, churn(server, churn_per_s):
            time.sleep(_REST_S)
            before = _look(server, file, pid)
            time.sleep(seconds)
            after = _look(server, file, pid)
            with vai.open(file) as cache:
                found = cache.status()
                assert len(found) == count, len(found)
                not_live = [str(scope) for scope in found if scope.state != "live"]
                oldest = max(scope.freshness.age_s or 0.0 for scope in found)
            process = Path(f"/proc/{pid}")
            lasted = after["at_s"] - before["at_s"]
            rates = {
                name: round((after[name] - before[name]) / lasted, 4)
                for name in before
                if name != "at_s"
            }
            return {
                "scopes": count,
                "live": count - len(not_live),
                "oldest_s": round(oldest, 1),
                "threads": len(list((process / "task").iterdir())),
                "sockets": _sockets(process),
                "peak_mb": _peak_mb(process),
                **rates,
            }


def _look(server: ApiServer, file: Path, pid: int) -> dict[str, float]:
    """What only grows."""
    # After the name, which may have blanks: the times are the 14th and 15th of proc(5).
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    used_s = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    at_s = time.monotonic()
    # Of a watch the log has its start and its end.
    asked = {entry["auditID"]: entry for entry in server.audit(VAI)}.values()
    return {
        "at_s": at_s,
        "cpu_of_a_core": used_s,
        "requests_per_s": len(asked),
        "lists_per_s": sum(entry["verb"] == "list" for entry in asked),
        "database_moved_s": _written(file),
    }


def _written(file: Path) -> float:
    """When the database or its log was last written: stands still while nothing changes."""
    names = (file, file.with_name(f"{file.name}-wal"))
    return max(path.stat().st_mtime for path in names if path.exists())


def _sockets(process: Path) -> int:
    links = (process / "fd").iterdir()
    return sum(str(link.readlink()).startswith("socket:") for link in links if link.is_symlink())


def _peak_mb(process: Path) -> float:
    status = (process / "status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return round(int(line.split()[1]) * 1024 / 1e6, 1)


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scopes", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=10 * _CYCLE_S)
    parser.add_argument("--churn", type=float, default=0.0)
    parser.add_argument("--child", nargs=2, type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        file, kubeconfig = given.child
        sync(file, kubeconfig, given.scopes)
        return
    with ApiServer() as server:
        server.populate_etcd(objects.namespaces(10))
        found = measure(server, given.scopes, given.seconds, given.churn)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    _main()
