"""The simulated Kubernetes API as one object."""

from __future__ import annotations

import copy
import json
import os
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from vai.testing.faults import Faults
from vai.testing.generate import Counts, Generator
from vai.testing.generate_pods import Workload
from vai.testing.kinds import Damage, Fault, Kind, Match
from vai.testing.link import Connection, Cut, Link
from vai.testing.log import RequestLog
from vai.testing.objects import Json
from vai.testing.patches import merge
from vai.testing.populate import Churn, populate
from vai.testing.resources import Registry, Resource
from vai.testing.rights import Rights
from vai.testing.server import Handler
from vai.testing.store import DEFAULT_HISTORY, Store
from vai.testing.watching import BOOKMARK_EVERY_S
from vai.testing.writes import CRDS, Writer

# The release whose discovery and columns the data files come from.
KUBERNETES_VERSION = "v1.36.3"
_KINDS = {410: Kind.EXPIRED, 429: Kind.THROTTLED, 401: Kind.UNAUTHORIZED}
_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")


class Simulator:
    """A Kubernetes API server on loopback, for tests of code that lists and watches.

    ```python
    with Simulator(seed=1) as sim:
        sim.populate(pods=100)
        config = sim.kubeconfig(tmp_path / "kubeconfig")
    ```

    Args:
        seed: Makes names, uids and generated objects the same in every run.
        host: The address to listen on.
        port: The port; 0 takes a free one.
        token: A bearer token that every request must carry; None asks for none.
        token_file: Where a token that takes its place is written, as kubelet does in a Pod.
        faults: What goes wrong; `inject` adds to it.
        history: How many changes of each resource are kept for watches and past lists.
        gzip: Whether answers above 128 KB are compressed for clients that accept it.
        bookmark_every_s: How often a watch gets a bookmark (a real server: every minute).
        wait_s: How long a request for a future resourceVersion waits (a real server: 3 s).
        version: What ``/version`` says.
        now: The clock of creationTimestamps and generated times.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        host: str = "127.0.0.1",
        port: int = 0,
        token: str | None = None,
        token_file: str | os.PathLike[str] | None = None,
        faults: Faults | None = None,
        history: int = DEFAULT_HISTORY,
        gzip: bool = True,
        bookmark_every_s: float = BOOKMARK_EVERY_S,
        wait_s: float = 3.0,
        version: str = KUBERNETES_VERSION,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.seed = seed
        self.token = token
        self.gzip = gzip
        self.bookmark_every_s = bookmark_every_s
        self.wait_s = wait_s
        self.version = version
        self.skew_s = 0.0
        self._now = now
        self.closed = False
        self.request_log = RequestLog()
        self.faults = faults if faults is not None else Faults()
        self.rights = Rights()
        self._token_file = None if token_file is None else Path(token_file)
        self._rotations = 0
        if token is not None:
            self._write_token(token)
        self.store = Store(history=history)
        self.registry = Registry()
        self.rng = random.Random(seed)
        self.writer = Writer(self.store, self.registry, self.rng, self.now)
        for name in _NAMESPACES:
            self.add({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        self._churn: Churn | None = None
        self._generation = 0
        self._workloads: list[Workload] = []
        self._lock = threading.Lock()
        self.link = Link(host, port, self._serve)

    # Life -----------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop serving; every connection is reset. May be called again."""
        with self._lock:
            if self.closed:
                return
            self.closed = True
        self.stop_churn()
        self._wake_watches()
        self.link.close()

    def _serve(self, connection: Connection) -> None:
        Handler(connection, self)

    def _wake_watches(self) -> None:
        with self.store.lock:
            for table in self.store.tables():
                table.changed.notify_all()

    def now(self) -> float:
        """The server's clock: seconds since the epoch, and what it is ahead by."""
        return self._now() + self.skew_s

    # Address --------------------------------------------------------------------------------------

    @property
    def host(self) -> str:
        """The address it listens on."""
        return str(self.link.host)

    @property
    def port(self) -> int:
        """The port it listens on, the same after a cut."""
        return int(self.link.port)

    @property
    def url(self) -> str:
        """``http://127.0.0.1:PORT``."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    def kubeconfig(self, path: str | os.PathLike[str], *, context: str = "simulated") -> Path:
        """Write a kubeconfig that leads here; returns its path."""
        user: Json = {"token": self.token} if self.token else {}
        if self._token_file is not None:
            user = {"tokenFile": str(self._token_file)}
        config: Json = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": context, "cluster": {"server": self.url}}],
            "users": [{"name": context, "user": user}],
            "contexts": [
                {
                    "name": context,
                    "context": {"cluster": context, "user": context, "namespace": "default"},
                }
            ],
            "current-context": context,
        }
        target = Path(path)
        # JSON is YAML; 0600 because it may hold the token.
        with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(config, file, indent=1)
        return target

    # Objects --------------------------------------------------------------------------------------

    @property
    def resource_version(self) -> int:
        """The cluster's current resourceVersion."""
        return self.store.rv

    @property
    def resources(self) -> list[Resource]:
        """The resources served now."""
        return list(self.registry)

    def add(self, obj: Mapping[str, Any]) -> Json:
        """Create an object; its namespace is created with it. Returns it as stored."""
        resource = self.registry.for_object(dict(obj))
        return self.writer.create(resource, dict(obj)).load()

    def update(self, obj: Mapping[str, Any]) -> Json:
        """Replace an object, spec and status, whatever its resourceVersion."""
        resource = self.registry.for_object(dict(obj))
        new = copy.deepcopy(dict(obj))
        metadata = new["metadata"]
        if resource.namespaced:
            metadata.setdefault("namespace", "default")
        key = _key(resource, metadata["name"], metadata.get("namespace", ""))
        return self.writer.change(resource, key, lambda _: new, subresource="*", version="").load()

    def apply(self, *objects: Mapping[str, Any]) -> None:
        """Create or replace many objects."""
        for obj in objects:
            resource = self.registry.for_object(dict(obj))
            metadata = obj["metadata"]
            namespace = metadata.get("namespace") or "default"
            with self.store.lock:
                present = self.store.table(resource).objects
                known = _key(resource, metadata["name"], namespace) in present
                (self.update if known else self.add)(obj)

    def patch(
        self, what: str, name: str, patch: Mapping[str, Any], *, namespace: str = "default"
    ) -> Json:
        """Merge-patch an object, spec and status; ``what`` is ``pods`` or ``deployments.apps``."""
        resource = self.registry.lookup(what)
        return self.writer.change(
            resource,
            _key(resource, name, namespace),
            lambda old: dict(merge(old, patch)),
            subresource="*",
            version="",
        ).load()

    def delete(self, what: str, name: str, *, namespace: str = "default") -> None:
        """Delete an object; one with finalizers is only marked."""
        resource = self.registry.lookup(what)
        self.writer.delete(resource, _key(resource, name, namespace))

    def get(self, what: str, name: str, *, namespace: str = "default") -> Json | None:
        """An object, or None."""
        resource = self.registry.lookup(what)
        with self.store.lock:
            found = self.store.table(resource).objects.get(_key(resource, name, namespace))
        return found.load() if found is not None else None

    def list(self, what: str, *, namespace: str | None = None) -> list[Json]:
        """The objects of a resource in key order."""
        resource = self.registry.lookup(what)
        snapshot = self.store.snapshot(self.store.table(resource))
        return [o.load() for o in snapshot.items if namespace in (None, o.namespace)]

    def count(self, what: str) -> int:
        """How many objects of a resource there are."""
        with self.store.lock:
            return len(self.store.table(self.registry.lookup(what)).objects)

    def install_crd(
        self,
        crd: Mapping[str, Any] | None = None,
        *,
        group: str = "example.com",
        kind: str = "Widget",
        plural: str | None = None,
        scope: str = "Namespaced",
        columns: Iterable[Mapping[str, Any]] = (),
    ) -> Resource:
        """Serve a custom resource: from a whole definition, or from its names."""
        if crd is None:
            name = plural or kind.lower() + "s"
            version: Json = {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "x-kubernetes-preserve-unknown-fields": True,
                    }
                },
                "subresources": {"status": {}},
            }
            if columns:
                version["additionalPrinterColumns"] = [dict(column) for column in columns]
            crd = {
                "apiVersion": "apiextensions.k8s.io/v1",
                "kind": "CustomResourceDefinition",
                "metadata": {"name": f"{name}.{group}"},
                "spec": {
                    "group": group,
                    "names": {
                        "plural": name,
                        "singular": kind.lower(),
                        "kind": kind,
                        "listKind": f"{kind}List",
                    },
                    "scope": scope,
                    "versions": [version],
                },
            }
        self.writer.create(self.registry.lookup(CRDS), dict(crd))
        names = crd["spec"]["names"]
        return self.registry.lookup(f"{names['plural']}.{crd['spec']['group']}")

    # Generated objects ----------------------------------------------------------------------------

    def _generator(self) -> Generator:
        self._generation += 1
        return Generator(f"{self.seed}/{self._generation}", self.now())

    def populate(self, pods: int = 100, **counts: int | None) -> None:
        """Add generated objects: this many pods, and other kinds in a common proportion.

        Args:
            pods: How many pods, about 5 KB each.
            counts: Other numbers than the usual proportion for ``namespaces``, ``nodes``,
                ``deployments`` (with a ReplicaSet each), ``services``, ``configmaps``,
                ``secrets``, ``events`` and ``leases``.
        """
        self._workloads += populate(self, self._generator(), Counts.for_pods(pods, **counts))

    def churn(self, rate_per_s: float = 50) -> Churn:
        """Start changing objects at a steady rate; a running churn is stopped first.

        Returns:
            The churn: a context manager with ``stop()``, ``changes`` and ``rate_per_s``.
        """
        self.stop_churn()
        self._churn = Churn(self, self._generator(), self._workloads, rate_per_s)
        return self._churn

    def stop_churn(self) -> None:
        """Stop changing objects."""
        if self._churn is not None:
            self._churn.stop()
            self._churn = None

    # Faults ---------------------------------------------------------------------------------------

    def cut(self, mode: Cut | str = Cut.RESET) -> None:
        """Take the link down: ``reset`` (connections reset, refused) or ``hang`` (silent)."""
        self.link.cut(mode)
        self._wake_watches()

    def restore(self) -> None:
        """Bring the link up again on the same port."""
        self.link.restore()
        self._wake_watches()

    def drop_connections(self) -> None:
        """Reset the open connections once; new ones are accepted."""
        self.link.drop_connections()
        self._wake_watches()

    def compact(self, rv: int | None = None) -> None:
        """Forget history: watches and pages from before ``rv`` (now) get 410."""
        self.store.compact(rv)

    def expire_continue_tokens(self) -> None:
        """Let every continue token given so far get 410 with an inconsistent one."""
        with self.store.lock:
            for table in self.store.tables():
                table.cache_rv = self.store.rv
                table.forget_past()

    def backup(self) -> int:
        """Save the cluster's state as a backup of etcd would; returns its resourceVersion."""
        return self.store.backup()

    def restore_backup(self, rv: int | None = None) -> int:
        """Bring an older state back: the resourceVersion goes back, kube-system keeps its uid.

        All connections are reset, since the server was restarted for it.

        Args:
            rv: What ``backup`` returned; the newest backup by default. Without a backup at
                ``rv`` the state is rebuilt from the history, if that reaches back so far.
        """
        found = self.store.restore(rv)
        self.drop_connections()
        return found

    def inject(self, *faults: Fault) -> None:
        """Plan faults, see `Fault`; ``sim.faults = Faults.random(…)`` lets chance plan them."""
        self.faults.add(*faults)

    def fail_next(
        self,
        status: int,
        *,
        retry_after: int | None = None,
        match: Match = None,
        times: int = 1,
        message: str | None = None,
    ) -> None:
        """Answer the next matching requests with an error."""
        kind = _KINDS.get(status, Kind.UNAVAILABLE)
        self.inject(
            Fault(
                kind,
                at=match,
                times=times,
                status=status,
                retry_after=retry_after,
                message=message,
            )
        )

    def corrupt_next(
        self, damage: Damage | str = Damage.MALFORMED, *, match: Match = None, times: int = 1
    ) -> None:
        """Damage the next matching answers or watch events: ``malformed`` or ``truncated``."""
        self.inject(Fault(Damage(damage).value, at=match, times=times))

    def lie_next_list(self, *, match: Match = "list", times: int = 1) -> None:
        """Answer the next matching lists with no items, at the current resourceVersion."""
        self.inject(Fault(Kind.EMPTY, at=match, times=times))

    def rotate_token(self, token: str | None = None) -> str | None:
        """Let the token expire; the new one is written to the token file, if there is one.

        Returns:
            The new token; None where no token is asked for.
        """
        if self.token is None:
            return None
        self._rotations += 1
        self.token = token if token is not None else f"{self.seed}-token-{self._rotations}"
        self._write_token(self.token)
        return self.token

    def _write_token(self, token: str) -> None:
        if self._token_file is not None:
            # Whole or not at all, as the kubelet's atomic writer has it.
            new = self._token_file.with_name(f"{self._token_file.name}.new")
            new.write_text(token)
            new.replace(self._token_file)

    def forbid(
        self, resource: str, namespace: str | None = None, *, verb: str | None = None
    ) -> None:
        """Answer 403 for a resource, see ``Rights.forbid``."""
        self.rights.forbid(resource, namespace, verb=verb)

    def allow(self, resource: str | None = None) -> None:
        """Take back what was forbidden."""
        self.rights.allow(resource)

    def expire_credentials(self, expired: bool = True) -> None:  # noqa: FBT001, FBT002
        """Answer 401 to everything until called with False."""
        self.rights.expire_credentials(expired)


def _key(resource: Resource, name: str, namespace: str) -> str:
    return f"{namespace}/{name}" if resource.namespaced else name
