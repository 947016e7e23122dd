"""First sync of whole clients from one real kube-apiserver, each in its own process, in turn.

    python -m bench.peers.sync [--pods N] [--clients vai,clientgo,...] [--rounds R]

Beside them a bare download of the same pages: what the server and the network take alone.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.peers import processes
from bench.peers.measured import Row
from bench.peers.processes import BUILT, CARGO, Kind, go, python
from bench.peers.table import render
from tests.apiserver import objects
from tests.apiserver.server import VAI, ApiServer
from tests.faults.proxy import Proxy

_ROOT: Final = Path(__file__).parent.parent.parent
_CLIENTS: Final = "bench.peers.sync_clients"
#: A client that is not in step by then is given up with the run.
TOO_LONG_S: Final = 900.0

KINDS: Final = {
    "vai": Kind("vai", "vai.connect, until rows are durable and live", python(_CLIENTS, "vai")),
    "download": Kind(
        "download",
        "the pages that vai asks for (Table with whole objects), kept nowhere",
        python(_CLIENTS, "download"),
    ),
    "clientgo": Kind(
        "client-go",
        "k8s.io/client-go v0.37.2, a shared pod informer with its defaults, until HasSynced",
        (str(BUILT / "informer"),),
        go("clientgo", "./informer"),
    ),
    "kubers": Kind(
        "kube-rs",
        "kube-runtime 5.0, reflector over watcher with its defaults, until ready",
        (str(BUILT / "cargo" / "release" / "kubers-informer"),),
        CARGO,
    ),
    "SharedInformer": Kind(
        "SharedInformer",
        "kubernetes.informer's, until its handlers have had every pod",
        python(_CLIENTS, "SharedInformer"),
    ),
}


@dataclass(frozen=True)
class Run:
    """What one first sync took.

    Attributes:
        seconds: as the client says, its imports done.
        cpu_s: of its process since its start, imports included, of all threads.
        peak: bytes of its largest resident set.
    """

    seconds: float
    cpu_s: float
    peak: int


def sync(kind: Kind, kubeconfig: Path, count: int) -> Run:
    """Run a client until it has all objects."""
    path = os.pathsep.join([str(_ROOT / "python"), str(_ROOT)])
    with subprocess.Popen(
        [*kind.command, str(kubeconfig), str(count)],
        cwd=_ROOT,
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        late = threading.Timer(TOO_LONG_S, process.kill)
        late.start()
        said = json.loads(process.stdout.readline())
        late.cancel()
        assert said["objects"] == count, f"{kind.name}: {said}"
        found = Run(said["seconds"], _cpu_s(process.pid), _peak(process.pid))
        process.stdin.close()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
    return found


def traffic(kind: Kind, server: ApiServer, count: int) -> tuple[int, int]:
    """(requests, bytes received) of one first sync, TLS records and all."""
    with Proxy(server.port) as proxy:
        kubeconfig = server.write_kubeconfig(
            VAI, server.files.folder / "kubeconfig-proxy", server=proxy.url
        )
        before = len(server.audit(VAI))
        sync(kind, kubeconfig, count)
        return len(server.audit(VAI)) - before, proxy.received


def _cpu_s(pid: int) -> float:
    # After the name, which may hold anything: state is field 3, utime 14, stime 15 (proc(5)).
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    line = next(line for line in lines if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pods", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clients", default=",".join(KINDS), help="names, comma between them")
    given = parser.parse_args()
    names = given.clients.split(",")
    if unknown := set(names) - set(KINDS):
        parser.error(f"no client is called {', '.join(sorted(unknown))}: {', '.join(KINDS)}")
    kinds = {name: KINDS[name] for name in names}
    processes.build(kinds.values())
    wall, cpu = Row("first sync", "s", per_s=given.pods), Row("CPU of the client", "s")
    peak, asked, taken = Row("peak memory", "MB"), Row("requests", ""), Row("received", "MB")
    with ApiServer() as server:
        server.populate_etcd(objects.namespaces(10))
        server.populate_etcd(objects.pods(given.pods))
        kubeconfig = server.write_kubeconfig(VAI)
        for name, kind in kinds.items():
            print(name, file=sys.stderr, flush=True)
            # Not timed: the proxy takes time. Afterwards the server's caches are warm.
            requests, received = traffic(kind, server, given.pods)
            asked.cell(name).bytes, taken.cell(name).bytes = requests, received
        for turn in range(given.rounds):
            print(f"round {turn + 1}", file=sys.stderr, flush=True)
            for name in names[:: -1 if turn % 2 else 1]:
                run = sync(kinds[name], kubeconfig, given.pods)
                wall.cell(name).seconds.append(run.seconds)
                cpu.cell(name).seconds.append(run.cpu_s)
                peak.cell(name).seconds.append(run.peak)
    head = f"{given.pods:,} pods from kube-apiserver 1.36 on the same machine."
    print(render([wall, cpu, peak, asked, taken], kinds, head))


if __name__ == "__main__":
    _main()
