"""Fill a simulator with generated objects, and keep changing them."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Self

from vai.testing.durations import micro_timestamp, timestamp
from vai.testing.generate import Counts, Generator
from vai.testing.generate_pods import Workload
from vai.testing.objects import Json

if TYPE_CHECKING:
    from vai.testing.resources import Resource
    from vai.testing.simulator import Simulator


def populate(simulator: Simulator, generator: Generator, counts: Counts) -> list[Workload]:
    """Create the objects; returns the workloads, from which more pods can be made."""
    store, registry = simulator.store, simulator.registry

    def load(what: str, objects: list[Json]) -> None:
        resource = registry.lookup(what)
        with store.lock:
            present = store.table(resource).objects
            store.put_many(resource, [o for o in objects if _key(o) not in present])

    load("namespaces", list(generator.namespaces(counts.namespaces)))
    names = sorted(simulator.store.table(registry.lookup("namespaces")).objects)
    spaces = [n for n in names if not n.startswith("kube-")] or ["default"]
    load("serviceaccounts", [_account(generator, name) for name in names])
    load("nodes", [generator.node(i) for i in range(counts.nodes)])
    nodes = sorted(store.table(registry.lookup("nodes")).objects)
    load("leases.coordination.k8s.io", [generator.lease(n) for n in nodes[: counts.leases]])
    work = generator.workloads(counts.deployments or min(counts.pods, 1), spaces)
    rng = generator.rng
    pods = [generator.pod(rng.choice(work), rng.choice(nodes or [""])) for _ in range(counts.pods)]
    if counts.deployments:
        load("deployments.apps", [generator.deployment(w) for w in work])
        load("replicasets.apps", [generator.replica_set(w) for w in work])
    load("pods", pods)
    load("services", [generator.service(w) for w in work[: counts.services]])
    load("configmaps", [generator.config_map(i, spaces) for i in range(counts.configmaps)])
    load("secrets", [generator.secret(i, spaces) for i in range(counts.secrets)])
    if pods:
        load("events", [generator.event(rng.choice(pods)) for _ in range(counts.events)])
    return work


def _account(generator: Generator, namespace: str) -> Json:
    created = timestamp(generator.past(60))
    return {
        "metadata": {
            "name": "default",
            "namespace": namespace,
            "uid": generator.uid(),
            "creationTimestamp": created,
        }
    }


def _key(obj: Json) -> str:
    metadata = obj["metadata"]
    namespace = metadata.get("namespace")
    return f"{namespace}/{metadata['name']}" if namespace else str(metadata["name"])


class Churn:
    """A thread that changes objects at a steady rate until it is stopped.

    Of a hundred changes about 70 are status changes of pods, 10 new pods, 10 deleted pods, 5 new
    events and 5 renewed leases. ``changes`` counts what was done.
    """

    def __init__(
        self,
        simulator: Simulator,
        generator: Generator,
        workloads: list[Workload],
        rate_per_s: float,
    ) -> None:
        if rate_per_s <= 0:
            raise ValueError("rate_per_s must be above 0")
        self.rate_per_s = rate_per_s
        self.changes = 0
        self._simulator = simulator
        self._generator = generator
        self._rng = generator.rng
        self._workloads = workloads
        self._stop = threading.Event()
        self._pods = self._resource("pods")
        self._events = self._resource("events")
        self._leases = self._resource("leases.coordination.k8s.io")
        with simulator.store.lock:
            self._keys = sorted(simulator.store.table(self._pods).objects)
            self._nodes = sorted(simulator.store.table(self._resource("nodes")).objects)
        self._young: deque[str] = deque()
        self._balance = 0
        self._thread = threading.Thread(target=self._run, name="vai-simulator-churn", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop changing; returns when the last change is done."""
        self._stop.set()
        self._thread.join()

    def _resource(self, what: str) -> Resource:
        return self._simulator.registry.lookup(what)

    def _run(self) -> None:
        started = time.monotonic()
        done = 0
        while not self._stop.is_set() and not self._simulator.closed:
            due = int((time.monotonic() - started) * self.rate_per_s)
            # After a pause of the machine, go on from now instead of in one burst.
            if due - done > self.rate_per_s:
                done = due - int(self.rate_per_s)
            while done < due and not self._stop.is_set():
                self.step()
                done += 1
            self._stop.wait(min(max((done + 1) / self.rate_per_s - (time.monotonic() - started),
                                    0.001), 0.5))  # fmt: skip

    def step(self) -> None:
        """Make one change."""
        self._generator.now = self._simulator.now()
        chance = self._rng.random()
        action: Callable[[], None]
        if chance < 0.20 and self._workloads:
            # Add and delete in turn, so that the number of pods stays.
            action = self._add_pod if self._balance <= 0 else self._delete_pod
        elif chance < 0.25:
            action = self._add_event
        elif chance < 0.30:
            action = self._renew_lease
        else:
            action = self._change_pod
        action()
        self.changes += 1

    def _add_pod(self) -> None:
        work = self._rng.choice(self._workloads)
        node = self._rng.choice(self._nodes) if self._nodes else ""
        stored = self._simulator.store.put(self._pods, self._generator.pod(work, node, new=True))
        self._keys.append(stored.key)
        self._young.append(stored.key)
        self._balance += 1

    def _take_key(self) -> str | None:
        if not self._keys:
            return None
        position = self._rng.randrange(len(self._keys))
        self._keys[position], self._keys[-1] = self._keys[-1], self._keys[position]
        return self._keys.pop()

    def _delete_pod(self) -> None:
        key = self._take_key()
        if key is not None:
            self._simulator.store.remove(self._pods, key)
        self._balance -= 1

    def _change_pod(self) -> None:
        if self._young:
            key = self._young.popleft()
        elif self._keys:
            key = self._rng.choice(self._keys)
        else:
            return
        self._simulator.store.modify(self._pods, key, self._next_status)

    def _next_status(self, pod: Json) -> None:
        generator, rng = self._generator, self._rng
        status = pod["status"]
        now = timestamp(generator.now)
        containers = status.get("containerStatuses")
        if status.get("phase") != "Running" or not containers:
            image = pod["spec"]["containers"][0]["image"]
            pod["status"] = generator.running_status(
                image, generator.now, 0, f"{image}@sha256:{rng.randbytes(32).hex()}"
            )
            return
        container = containers[0]
        ready = not container["ready"]
        container["ready"] = ready
        if ready:
            container["state"] = {"running": {"startedAt": now}}
        else:
            container["restartCount"] += 1
            container["state"] = {
                "waiting": {"reason": rng.choice(("CrashLoopBackOff", "ContainerCreating"))}
            }
        for condition in status["conditions"]:
            if condition["type"] in ("Ready", "ContainersReady"):
                condition["status"] = "True" if ready else "False"
                condition["lastTransitionTime"] = now

    def _add_event(self) -> None:
        if not self._keys:
            return
        store = self._simulator.store
        with store.lock:
            pod = store.table(self._pods).objects.get(self._rng.choice(self._keys))
        if pod is not None:
            store.put(self._events, self._generator.event(pod.load()))

    def _renew_lease(self) -> None:
        if not self._nodes:
            return
        moment = micro_timestamp(self._generator.now)

        def renew(lease: Json) -> None:
            lease["spec"]["renewTime"] = moment

        key = f"kube-node-lease/{self._rng.choice(self._nodes)}"
        self._simulator.store.modify(self._leases, key, renew)
