"""What one whole self-check costs: bytes and time, against a simulated API server.

python -m bench.selfcheck 5000
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import msgspec

from vai.config import Settings
from vai.informer import Informer
from vai.kube import Source, connect
from vai.store import Compared, Store
from vai.testing import Simulator
from vai.types import Scope, State


def measure(pods: int, *, compress: bool) -> str:
    """One line of figures."""
    with tempfile.TemporaryDirectory() as folder, Simulator(seed=3) as sim:
        sim.populate(pods=pods)
        settings = Settings(
            kubeconfig=str(sim.kubeconfig(Path(folder) / "kc")), self_check_s=0, compress=compress
        )
        with Store(Path(folder) / "c.db", "writer") as store:
            transport = connect(settings)
            informer = Informer(store, transport, [Scope("pods")], settings)
            informer.start()
            while not any(one.state is State.LIVE for one in store.scopes()):
                time.sleep(0.05)
            listed = sum(entry.bytes_sent for entry in sim.request_log.lists("pods"))
            began = time.perf_counter()
            found, own_s = compare(store, Source(transport, store.resolve("pods")))
            took_s = time.perf_counter() - began
            informer.stop()
        sent = sum(entry.bytes_sent for entry in sim.request_log.lists("pods")) - listed
        assert found.equal == pods
        how = "gzip" if compress else "plain"
        return (
            f"{pods:,} pods, {how}: {sent / pods:,.0f} bytes an object, of a list"
            f" {listed / pods:,.0f}; {took_s:.2f} s, {own_s:.2f} s of it here"
        )


def compare(store: Store, source: Source) -> tuple[Compared, float]:
    """As the self-check does it; and the seconds that comparing took."""
    comparison = store.begin_comparison(store.scopes()[0].id)
    token, own_s = "", 0.0
    while True:
        with source.list_metadata(500, token) as response:
            comparison.begin_page(response.gzip)
            for chunk in response.chunks():
                began = time.perf_counter()
                comparison.push(chunk)
                own_s += time.perf_counter() - began
            token = comparison.end_page().continue_token
        if not token:
            break
    began = time.perf_counter()
    found = msgspec.json.decode(comparison.finish(), type=Compared)
    return found, own_s + time.perf_counter() - began


if __name__ == "__main__":
    for compressed in (False, True):
        print(measure(int(sys.argv[1]), compress=compressed))
