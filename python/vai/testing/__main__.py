"""``python -m vai.testing``: a simulated Kubernetes API as a process of its own."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from vai.testing.control import ControlServer
from vai.testing.faults import Faults
from vai.testing.simulator import Simulator

_COUNTS = ("namespaces", "nodes", "deployments", "services", "configmaps", "secrets", "events",
           "leases")  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m vai.testing", description=__doc__)
    parser.add_argument("--pods", type=int, default=100, help="generated pods (default 100)")
    for name in _COUNTS:
        parser.add_argument(f"--{name}", type=int, help="default: in proportion to the pods")
    parser.add_argument("--churn", type=float, default=0.0, metavar="N", help="changes per second")
    parser.add_argument("--seed", type=int, default=0, help="same seed, same objects")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port (default)")
    parser.add_argument("--control-port", type=int, default=0, help="0 takes a free port (default)")
    parser.add_argument("--token", help="a bearer token that requests must carry")
    parser.add_argument("--history", type=int, default=10_000, help="changes kept per resource")
    parser.add_argument("--faults", metavar="SEED", help="random faults, all of them legal")
    parser.add_argument("--fault-rate", type=float, default=0.1, help="of the requests (0.1)")
    parser.add_argument("--kubeconfig-out", type=Path, metavar="FILE", help="write a kubeconfig")
    parser.add_argument("--json", action="store_true", help="print the addresses as JSON")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGINT, SIGTERM or the control port's ``stop``."""
    options = _parser().parse_args(arguments)
    faults = None
    if options.faults is not None:
        faults = Faults.random(options.faults, rate=options.fault_rate)
    simulator = Simulator(
        seed=options.seed,
        host=options.host,
        port=options.port,
        token=options.token,
        history=options.history,
        faults=faults,
    )
    with simulator:
        simulator.populate(options.pods, **{name: getattr(options, name) for name in _COUNTS})
        control = ControlServer(simulator, port=options.control_port)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: control.stopped.set())
        if options.kubeconfig_out is not None:
            simulator.kubeconfig(options.kubeconfig_out)
        if options.churn > 0:
            simulator.churn(options.churn)
        addresses = {"url": simulator.url, "control": control.url}
        if options.json:
            lines = json.dumps(addresses)
        else:
            lines = "\n".join(f"{name}: {address}" for name, address in addresses.items())
        sys.stdout.write(lines + "\n")
        sys.stdout.flush()
        control.stopped.wait()
        control.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
