"""What many scopes cost while nothing happens: threads, sockets, memory, CPU, requests, disk.

    python -m bench.idle [--scopes N] [--seconds S] [--churn WRITES_PER_S]

A real kube-apiserver on the same machine; vai syncs N scopes (five resources in N/5 namespaces) in
this process. With `--churn` somebody writes Leases meanwhile, as every real cluster's nodes do:
the server's resourceVersion moves on, though nothing changes in what is kept.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import vai
from bench.memory import peak_bytes
from tests.apiserver import objects
from tests.apiserver.server import VAI, ApiServer

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


def measure(server: ApiServer, count: int, seconds: float, churn_per_s: float) -> dict[str, Any]:
    """Sync, let it come to rest, and look for some seconds."""
    with tempfile.TemporaryDirectory(prefix="vai-idle-") as folder:
        file = Path(folder) / "cluster.db"
        with vai.connect(file, scopes(count), kubeconfig=server.write_kubeconfig(VAI)) as cache:
            cache.wait_synced(timeout=300)
            with churn(server, churn_per_s):
                time.sleep(20)
                before = _look(server, file)
                time.sleep(seconds)
                after = _look(server, file)
            stale = [str(found) for found in cache.status() if found.state != "live"]
            found = {name: round((after[name] - before[name]) / seconds, 4) for name in before}
            return {
                "scopes": count,
                "live": count - len(stale),
                "threads": threading.active_count(),
                "sockets": _sockets(),
                "peak_mb": round(peak_bytes() / 1e6, 1),
                **found,
            }


def _look(server: ApiServer, file: Path) -> dict[str, float]:
    """What only grows."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    asked = server.audit(VAI)
    return {
        "cpu_of_a_core": used.ru_utime + used.ru_stime,
        "requests_per_s": len(asked),
        "lists_per_s": sum(entry["verb"] == "list" for entry in asked),
        "database_moved_s": _written(file),
    }


def _written(file: Path) -> float:
    """When the database or its log was last written: stands still while nothing changes."""
    names = (file, file.with_name(f"{file.name}-wal"))
    return max(path.stat().st_mtime for path in names if path.exists())


def _sockets() -> int:
    links = Path("/proc/self/fd").iterdir()
    return sum(str(link.readlink()).startswith("socket:") for link in links if link.is_symlink())


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scopes", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--churn", type=float, default=0.0)
    given = parser.parse_args()
    with ApiServer() as server:
        server.populate_etcd(objects.namespaces(10))
        found = measure(server, given.scopes, given.seconds, given.churn)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    _main()
