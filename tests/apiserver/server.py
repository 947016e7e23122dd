"""A kube-apiserver with its etcd, on free ports of 127.0.0.1, in a folder of its own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.apiserver.access import (
    ADMIN,
    NOBODY,
    READ_ALL,
    READERS,
    ROLE_ONLY,
    USERS,
    VAI,
    Rules,
    access_review,
    kubeconfig,
    role_and_binding,
)
from tests.apiserver.audit import read_audit
from tests.apiserver.build import Binaries, ensure_built
from tests.apiserver.client import Client, RequestError, Response, in_parallel
from tests.apiserver.etcd import PUTS_PER_TRANSACTION, Etcd, EtcdError, stored_form
from tests.apiserver.kinds import Json, Kinds
from tests.apiserver.launch import Files, Ports, write_private
from tests.apiserver.processes import ProcessError, ServerProcess, free_ports

__all__ = ["ADMIN", "NOBODY", "READ_ALL", "ROLE_ONLY", "USERS", "VAI", "ApiServer"]

START_TIMEOUT_S = 90.0
"""4-5 s on an idle machine; the rest is for a busy one."""

RETRIES_OF_429 = 10
"""client-go's number (rest/request.go, maxRetries)."""

START_ATTEMPTS = 3
"""Each with new ports: another process may take one between the choice and the bind."""


class ApiServer:
    """A running kube-apiserver and etcd; a context manager that starts and ends both.

    ::

        with ApiServer() as server:
            server.create_many(objects.pods(100))
            kubeconfig = server.write_kubeconfig("vai")
            ...
            server.kill()
            server.restart()
            assert not server.audit("vai")[-1]["requestURI"].startswith("/api/v1/pods")
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        extra_flags: Sequence[str] = (),
        etcd_flags: Sequence[str] = (),
        binaries: Binaries | None = None,
    ) -> None:
        """Nothing is started yet.

        Args:
            folder: for data, certificates and logs; a temporary one, removed at the end, if None.
            extra_flags: for kube-apiserver, at every start.
            etcd_flags: for etcd, at every start.
            binaries: what to run; built first if None and not there yet.
        """
        self._binaries = binaries or ensure_built()
        self._temporary = None if folder else tempfile.TemporaryDirectory(prefix="apiserver-")
        self.files = Files(Path(self._temporary.name if self._temporary else folder or "."))
        self.files.write_static()
        self.extra_flags = tuple(extra_flags)
        self.etcd_flags = tuple(etcd_flags)
        self.tokens = {user: f"{user}-token" for user in USERS}
        """Bearer tokens by user; a changed one counts from the next `restart`."""
        self.kinds = Kinds()
        self.shared = False
        """Whether other tests use it too: then it refuses to be killed."""
        self.start_s = 0.0
        """How long kube-apiserver's last start took, until /readyz."""
        self._ports = Ports()
        self._etcd_process: ServerProcess | None = None
        self._process: ServerProcess | None = None
        self._clients: dict[str, Client] = {}
        self._etcd = Etcd("http://127.0.0.1:1")

    # --- life

    def __enter__(self) -> Self:
        """Starts both."""
        return self.start()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Ends both."""
        self.stop()

    def start(self) -> Self:
        """Starts etcd and kube-apiserver and returns when /readyz says yes."""
        for attempt in range(1, START_ATTEMPTS + 1):
            self._ports = Ports(*free_ports(3))
            try:
                self.restart_etcd()
                self.restart()
            except ProcessError as error:
                self._end_processes()
                if attempt == START_ATTEMPTS or "address already in use" not in str(error):
                    raise
            except BaseException:
                self._end_processes()
                raise
            else:
                break
        return self

    def stop(self) -> None:
        """Ends both and removes the data; logs stay if the folder was given."""
        self._end_processes()
        shutil.rmtree(self.files.etcd_data, ignore_errors=True)
        if self._temporary:
            self._temporary.cleanup()

    def kill(self) -> None:
        """SIGKILLs kube-apiserver."""
        self._refuse_if_shared()
        self._end_apiserver()

    def restart(self, extra_flags: Sequence[str] = ()) -> None:
        """Starts kube-apiserver again at the same port, killing it first if it runs.

        Args:
            extra_flags: added to those of the construction, for this run only.
        """
        self._refuse_if_shared()
        self._end_apiserver()
        self.files.write_tokens(self.tokens, USERS)
        started = time.monotonic()
        command = self.files.apiserver_command(self._binaries, self._ports)
        log = self.files.folder / "kube-apiserver.log"
        flags = [*self.extra_flags, *extra_flags]
        self._process = ServerProcess("kube-apiserver", [*command, *flags], log)
        self._wait_until("/readyz", self._is_ready)
        self.start_s = time.monotonic() - started
        # Each time, since the data may be another cluster's.
        self._bind(role_and_binding(READERS, "Group", READERS, READ_ALL, None))
        self._wait_for_rights(VAI, READ_ALL, None)

    def kill_etcd(self) -> None:
        """SIGKILLs etcd. A kube-apiserver that runs on then hangs, in /readyz too."""
        self._refuse_if_shared()
        if self._etcd_process:
            self._etcd_process.kill()
        self._etcd.close()

    def restart_etcd(self) -> None:
        """Starts etcd again on its data and at its port, killing it first if it runs."""
        self._refuse_if_shared()
        if self._etcd_process:
            self._etcd_process.kill()
        self._etcd = Etcd(self.etcd_url)
        command = self.files.etcd_command(self._binaries, self._ports)
        log = self.files.folder / "etcd.log"
        self._etcd_process = ServerProcess("etcd", [*command, *self.etcd_flags], log)
        self._wait_until("etcd", self._etcd_is_ready)

    def pause(self) -> None:
        """SIGSTOPs kube-apiserver: its connections stay open and nothing answers."""
        self._refuse_if_shared()
        self._running().pause()

    def resume(self) -> None:
        """Lets it go on after `pause`."""
        self._running().resume()

    @property
    def alive(self) -> bool:
        """Whether kube-apiserver runs."""
        return self._process is not None and self._process.alive

    @property
    def pid(self) -> int:
        """kube-apiserver's process id."""
        return self._running().pid

    @property
    def etcd_pid(self) -> int:
        """etcd's process id."""
        if self._etcd_process is None:
            raise ProcessError("etcd was not started")
        return self._etcd_process.pid

    # --- where it is and who may ask

    @property
    def url(self) -> str:
        """kube-apiserver's address."""
        return f"https://127.0.0.1:{self._ports.apiserver}"

    @property
    def etcd_url(self) -> str:
        """etcd's address for clients."""
        return f"http://127.0.0.1:{self._ports.etcd}"

    @property
    def port(self) -> int:
        """kube-apiserver's port."""
        return self._ports.apiserver

    @property
    def ca_file(self) -> Path:
        """What to verify kube-apiserver's certificate against."""
        return self.files.certificates / "apiserver.crt"

    @property
    def admin_token(self) -> str:
        """The token of `admin`, who is in system:masters."""
        return self.tokens[ADMIN]

    def write_kubeconfig(
        self,
        user: str = VAI,
        path: Path | None = None,
        *,
        server: str | None = None,
        namespace: str | None = None,
    ) -> Path:
        """Writes a kubeconfig with one context, named after the user, and returns its path.

        Args:
            user: one of `USERS`.
            path: where; ``kubeconfig-USER`` in the server's folder if None.
            server: another address, such as that of a proxy before this server.
            namespace: the context's default namespace.
        """
        config = kubeconfig(
            user,
            self.tokens[user],
            server=server or self.url,
            authority=self.ca_file.read_bytes(),
            namespace=namespace,
        )
        result = path or self.files.folder / f"kubeconfig-{user}"
        write_private(result, json.dumps(config, indent=1))
        return result

    def kubectl(self, *arguments: str, user: str = ADMIN, timeout_s: float = 60) -> str:
        """What real kubectl prints to stdout; RequestError with its stderr if it fails."""
        home = self.files.folder / "kubectl-home"
        home.mkdir(exist_ok=True)
        config = f"--kubeconfig={self.write_kubeconfig(user)}"
        result = subprocess.run(
            [self._binaries.kubectl, config, *arguments],
            env=os.environ | {"HOME": str(home), "KUBECACHEDIR": str(home / "cache")},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        if result.returncode != 0:
            raise RequestError(result.stderr)
        return result.stdout

    def grant(self, user: str, rules: Rules = READ_ALL, *, namespace: str | None = None) -> None:
        """Gives a user rights in one namespace (a Role), or in all (a ClusterRole).

        Returns when the server's authorizer has seen it.
        """
        self._bind(role_and_binding(f"granted-{user}", "User", user, rules, namespace))
        self._wait_for_rights(user, rules, namespace)

    # --- requests

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        user: str = ADMIN,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """One request over a kept connection; any status is returned (see `Response.ok`)."""
        return self._client(user).request(method, path, body, headers=headers)

    def get(self, path: str, *, user: str = ADMIN) -> Any:
        """The decoded answer to a GET, which must succeed."""
        return self.must("GET", path, user=user)

    def must(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        user: str = ADMIN,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """The decoded answer to a request that must succeed.

        429 is asked again after what Retry-After says, as client-go does: a server that was just
        restarted answers so for custom resources ("storage is (re)initializing").
        """
        for _ in range(RETRIES_OF_429):
            response = self.request(method, path, body, user=user, headers=headers)
            if response.status != 429:
                return response.ok().json()
            time.sleep(float(response.headers.get("Retry-After", "1")))
        raise RequestError(f"still 429 after {RETRIES_OF_429} tries: {method} {path}")

    def patch(self, path: str, body: object, *, user: str = ADMIN) -> Any:
        """A JSON merge patch, which must succeed; the decoded answer."""
        content = {"Content-Type": "application/merge-patch+json"}
        return self.must("PATCH", path, body, user=user, headers=content)

    def delete(self, path: str, *, user: str = ADMIN) -> Any:
        """Deletes at once (no grace period, which nothing here would end)."""
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0}
        return self.must("DELETE", path, options, user=user)

    def watch(self, path: str, *, user: str = ADMIN, timeout_s: float = 30) -> Generator[Json]:
        """The events of a watch, decoded, as they come; `path` with its query parameters.

        Ends when the server ends the watch; `timeout_s` of silence raises TimeoutError.
        """
        separator = "&" if "?" in path else "?"
        stream = self._client(user).stream(f"{path}{separator}watch=1", timeout_s=timeout_s)
        with contextlib.closing(stream) as lines:
            for line in lines:
                yield json.loads(line)

    # --- filling

    def create_many(
        self, items: Iterable[Json], *, workers: int = 12, with_status: bool = False
    ) -> list[Json]:
        """Creates objects through the API, 300-500 a second, and returns what the server made.

        Args:
            items: of any kinds of `kinds`; namespaces and CRDs first.
            workers: connections.
            with_status: write `status` too, with a second request each; a create ignores it.
        """

        def create(item: Json) -> Json:
            # The server writes its own managedFields of what it is sent, beside any it is given.
            metadata = {k: v for k, v in item["metadata"].items() if k != "managedFields"}
            sent = item | {"metadata": metadata}
            created: Json = self.must("POST", self.kinds.collection(item), sent)
            if with_status and "status" in item:
                updated = created | {"status": item["status"]}
                path = f"{self.kinds.path(item)}/status"
                created = self.must("PUT", path, updated)
            return created

        return in_parallel(create, items, workers)

    def install_crd(self, crd: Json) -> None:
        """Creates a CustomResourceDefinition and returns when its resources are served."""
        self.kinds.register(crd)
        self.create_many([crd])
        plural = crd["spec"]["names"]["plural"]
        for version in crd["spec"]["versions"]:
            path = f"/apis/{crd['spec']['group']}/{version['name']}/{plural}?limit=1"
            self._wait_until(path, partial(self._answers, path))

    def delete_namespace(self, name: str) -> None:
        """Deletes a namespace for good, without its contents: no controller empties it here."""
        path = f"/api/v1/namespaces/{name}"
        self.delete(path)
        namespace = self.get(path)
        namespace["spec"]["finalizers"] = []
        self.must("PUT", f"{path}/finalize", namespace)

    def populate_etcd(
        self, items: Iterable[Json], *, per_transaction: int = PUTS_PER_TRANSACTION
    ) -> int:
        """Writes whole objects, status included, straight into etcd; thousands a second.

        kube-apiserver is killed first if it runs and started again after. CRDs must have been
        registered with `kinds`.

        Args:
            items: objects with apiVersion, kind, metadata.uid and metadata.creationTimestamp.
            per_transaction: objects that share one resourceVersion; 1 where versions matter.

        Returns:
            How many were written.
        """
        ran = self.alive
        self.kill()
        pairs = ((self.kinds.etcd_key(item), stored_form(item)) for item in items)
        count = self._etcd.put_all(pairs, per_transaction=per_transaction)
        if ran:
            self.restart()
        return count

    # --- etcd

    def revision(self) -> int:
        """etcd's revision: the newest resourceVersion of all."""
        return self._etcd.revision()

    def compact(self, revision: int | None = None) -> int:
        """Makes etcd forget what came before a revision (the current one if None).

        The watch cache still answers from memory: for a 410, `restart` after this, or run with
        ``--watch-cache=false``.

        Returns:
            The revision compacted at.
        """
        self._refuse_if_shared()
        at = self.revision() if revision is None else revision
        self._etcd.compact(at)
        return at

    def save_data(self, to: Path) -> None:
        """Copies etcd's data: both servers are killed and started again."""
        self._with_etcd_down(lambda: shutil.copytree(self.files.etcd_data, to))

    def load_data(self, source: Path) -> None:
        """Puts back what `save_data` copied, as a cluster is restored from a backup."""

        def replace() -> None:
            shutil.rmtree(self.files.etcd_data)
            shutil.copytree(source, self.files.etcd_data)

        self._with_etcd_down(replace)

    # --- audit

    def audit(self, user: str = VAI, *, since: int = 0) -> list[Json]:
        """The requests of a user so far, in order; see `audit.read_audit`.

        Args:
            user: one of `USERS`.
            since: an earlier `audit_position`.
        """
        return read_audit(self.files.audit_log, user, since)

    def audit_position(self) -> int:
        """Where the audit log ends now, for `audit(since=...)`."""
        return self.files.audit_log.stat().st_size if self.files.audit_log.exists() else 0

    # --- inside

    def _running(self) -> ServerProcess:
        if self._process is None or not self._process.alive:
            msg = "kube-apiserver does not run"
            raise ProcessError(msg)
        return self._process

    def _client(self, user: str) -> Client:
        token = self.tokens[user]
        client = self._clients.get(token)
        if client is None:
            context = ssl.create_default_context(cafile=str(self.ca_file))
            headers = {
                "Authorization": f"Bearer {token}",
                "Accept": "application/json",
                "User-Agent": "vai-tests/1.0",
            }
            client = self._clients[token] = Client(self.url, context=context, headers=headers)
        return client

    def _refuse_if_shared(self) -> None:
        if self.shared:
            msg = "this server is shared with other tests: take the fixture fresh_apiserver"
            raise RuntimeError(msg)

    def _end_apiserver(self) -> None:
        if self._process:
            self._process.kill()
            self._process = None
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    def _end_processes(self) -> None:
        self._end_apiserver()
        self._etcd.close()
        if self._etcd_process:
            self._etcd_process.kill()
            self._etcd_process = None

    def _with_etcd_down(self, work: Callable[[], object]) -> None:
        self.kill()
        self.kill_etcd()
        work()
        self.restart_etcd()
        self.restart()

    def _wait_until(self, what: str, done: Callable[[], bool]) -> None:
        """Polls; a server that ended is an error at once, and so is no success in time."""
        deadline = time.monotonic() + START_TIMEOUT_S
        last: Exception | None = None
        while True:
            for process in (self._etcd_process, self._process):
                if process:
                    process.check()
            try:
                if done():
                    return
            except (OSError, RequestError, EtcdError) as error:
                last = error
            if time.monotonic() > deadline:
                tail = self._process.log_tail() if self._process else ""
                msg = f"waited {START_TIMEOUT_S:.0f} s for {what} in vain ({last})\n{tail}"
                raise ProcessError(msg)
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        # Verified against this server's own certificate, so no other at this port can answer.
        return self.ca_file.exists() and self._answers("/readyz")

    def _answers(self, path: str) -> bool:
        return self.request("GET", path).ok().status == 200

    def _etcd_is_ready(self) -> bool:
        return bool(self._etcd.call("/v3/maintenance/status", {})["leader"] != "0")

    def _bind(self, items: Iterable[Json]) -> None:
        for item in items:
            self._wait_until(self.kinds.path(item), partial(self._post_or_exists, item))

    def _post_or_exists(self, item: Json) -> bool:
        response = self.request("POST", self.kinds.collection(item), item)
        return response.status == 409 or response.ok().status == 201

    def _wait_for_rights(self, user: str, rules: Rules, namespace: str | None) -> None:
        review = access_review(user, rules, namespace)
        self._wait_until(f"the rights of {user}", partial(self._allowed, review))

    def _allowed(self, review: Json) -> bool:
        path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
        return bool(self.must("POST", path, review)["status"]["allowed"])
