"""What syncing costs the server and the link.

`python -m bench.gentle day` runs 20 quiet scopes against a real kube-apiserver in both profiles for
some minutes, and says what a day would take. `python -m bench.gentle drop DATA` loads the pages of
pods of `make bench-peers` into two files, with and without `metadata.managedFields`.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import vai
from tests.apiserver import objects
from tests.apiserver.server import VAI, ApiServer
from tests.faults.proxy import Proxy
from vai.config import Settings
from vai.store import Store
from vai.types import Resource, Traffic

_DAY_S: Final = 86400
_SCOPES: Final = (
    "pods", "services", "configmaps", "namespaces", "nodes", "serviceaccounts",
    "persistentvolumes", "persistentvolumeclaims", "limitranges", "resourcequotas",
    "deployments.apps", "replicasets.apps", "statefulsets.apps", "daemonsets.apps", "jobs.batch",
    "cronjobs.batch", "ingresses.networking.k8s.io", "roles.rbac.authorization.k8s.io",
    "rolebindings.rbac.authorization.k8s.io", "storageclasses.storage.k8s.io",
)  # fmt: skip


@dataclass(frozen=True)
class _Moment:
    at_s: float
    traffic: Traffic
    received_bytes: int
    sent_bytes: int


@dataclass(frozen=True)
class _Run:
    file: Path
    proxy: Proxy

    def now(self) -> _Moment:
        with Store(self.file, "reader") as store:
            traffic = store.traffic()
        assert traffic is not None
        return _Moment(time.monotonic(), traffic, self.proxy.received, self.proxy.sent)


@contextmanager
def _running(server: ApiServer, folder: Path, profile: str) -> Iterator[_Run]:
    with Proxy(server.port) as proxy:
        config = server.write_kubeconfig(VAI, folder / f"{profile}.kubeconfig", server=proxy.url)
        settings = Settings(
            kubeconfig=str(config),
            profile="edge" if profile == "edge" else "standard",
            compress=True,
        )
        file = folder / f"{profile}.db"
        with vai.connect(file, _SCOPES, settings=settings) as cache:
            cache.wait_synced(timeout=120)
            yield _Run(file, proxy)


def day(seconds: float) -> None:
    """Print what both profiles ask for in a day of 20 quiet scopes."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(ApiServer(folder / "server"))
        server.create_many([*objects.namespaces(10)])
        server.create_many(objects.pods(50))
        runs = {
            profile: stack.enter_context(_running(server, folder, profile))
            for profile in ("standard", "edge")
        }
        time.sleep(20)
        before = {profile: run.now() for profile, run in runs.items()}
        time.sleep(seconds)
        for profile, run in runs.items():
            _print_day(profile, before[profile], run.now())


def _print_day(profile: str, before: _Moment, after: _Moment) -> None:
    factor = _DAY_S / (after.at_s - before.at_s)
    asked = after.traffic.total.requests - before.traffic.total.requests
    counted = after.traffic.total.received_bytes - before.traffic.total.received_bytes
    print(
        f"{profile:9} {asked * factor:8,.0f} requests, {counted * factor / 1e6:5.1f} MB counted; "
        f"with TLS {(after.received_bytes - before.received_bytes) * factor / 1e6:5.1f} MB received"
        f", {(after.sent_bytes - before.sent_bytes) * factor / 1e6:5.1f} MB sent a day"
    )


def drop(data: Path) -> None:
    """Print what a file of pods takes with and without managedFields."""
    pages = [path.read_bytes() for path in sorted(data.glob("page-*.json"))]
    pods = Resource(group="", version="v1", plural="pods", kind="Pod", verbs=("list", "watch"))
    for paths in ((), ("metadata.managedFields",)):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "c.db"
            with Store(file, "writer") as store:
                store.put_resources([pods])
                began = time.process_time()
                listing = store.begin_list(store.ensure_scope(pods, drop=paths))
                version = "1"
                for page in pages:
                    listing.begin_page(gzip=False)
                    listing.push(page)
                    version = listing.end_page().resource_version or version
                listing.publish(version)
                store.flush()
                took_s = time.process_time() - began
                bodies = store.stats()["body_bytes"]
            size = file.stat().st_size
        print(
            f"without {', '.join(paths) or 'nothing':24} file {size / 1e6:5.1f} MB, bodies "
            f"{bodies / 1e6:4.1f} MB, {took_s:4.2f} s of CPU"
        )


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("day").add_argument("--seconds", type=float, default=430)
    commands.add_parser("drop").add_argument("data", type=Path)
    given = parser.parse_args()
    if given.command == "day":
        day(given.seconds)
    else:
        drop(given.data)


if __name__ == "__main__":
    main()
