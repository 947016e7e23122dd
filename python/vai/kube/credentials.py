"""The Authorization header: what it is now, and a new one when it is no longer accepted.

Token files and exec plugins are handled here as client-go does, because the `kubernetes` package
reads a token file only once, and logs a failing plugin on the root logger instead of raising.
Everything else (OIDC, GCP, basic, the Pod's service account) is that package's own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any, Final

from vai.errors import InvalidRequestError, OfflineError
from vai.kube.kubeconfig import Access
from vai.kube.tls import tls_context

#: client-go transport/token_source.go (NewCachedFileTokenSource): a minute, ten seconds early. Of
#: certificates too, which client-go looks at every five minutes (transport/cert_rotation.go).
_FILES_S: Final = 50.0
#: A token that expires while the request is under way is answered 401, which renews it too.
_EARLY_S: Final = 10.0
#: Of a failing plugin's last line: enough to see what it wants.
_MOST_SAID: Final = 200


class Credentials:
    """The client's credentials. Thread-safe: a plugin runs once for all who wait for it."""

    def __init__(self, access: Access, configuration: Callable[[], Any]) -> None:
        """Nothing is run or read yet.

        Args:
            access: the chosen context.
            configuration: makes the `kubernetes.client.Configuration`, loaded.
        """
        self._access = access
        self._configuration = configuration
        self._lock = threading.Lock()
        self._token: str | None = access.user.get("token")
        #: By the wall clock, which is the plugin's; files by one that does not jump.
        self._good_until = float("-inf")
        self._read_again_s = float("-inf")
        self._certificate = access.certificate
        self._generation = 0

    @property
    def certificate(self) -> tuple[bytes, bytes] | None:
        """The client's certificate and key; a plugin may bring them, and files be renewed."""
        return self._certificate

    @property
    def generation(self) -> int:
        """Grows with each renewal."""
        return self._generation

    def headers(self) -> list[tuple[str, str]]:
        """What authenticates a request made now; a name may come several times.

        Raises:
            OfflineError: a token can't be had right now; one line with the remedy.
        """
        with self._lock:
            self._renew(forced=False)
            found = self._authorization()
        return [*found.items(), *_impersonation(self._access)]

    def renew(self, seen: int) -> bool:
        """After a 401: get new ones, unless somebody did since generation `seen`.

        Returns:
            Whether there is something new to try.
        """
        with self._lock:
            if self._generation == seen:
                self._renew(forced=True)
            return self._generation != seen

    def _authorization(self) -> dict[str, str]:
        if self._token:
            return {"Authorization": f"Bearer {self._token}"}
        try:
            settings = self._configuration().auth_settings()
        # Whatever an auth-provider does wrong; its text may quote what it was given.
        except Exception as error:  # noqa: BLE001
            raise OfflineError(
                f"{self._access.origin}: credentials can't be refreshed ({type(error).__name__}); "
                "log in again with kubectl"
            ) from None
        return {
            str(found["key"]).title(): str(found["value"])
            for found in settings.values()
            if found.get("in") == "header" and found.get("value")
        }

    def _renew(self, *, forced: bool) -> None:
        user = self._access.user
        if forced or time.monotonic() >= self._read_again_s:
            self._read_again_s = time.monotonic() + _FILES_S
            if user.get("tokenFile"):
                self._read_token_file(str(user["tokenFile"]))
            if self._access.certificate_files:
                self._read_certificate(*self._access.certificate_files)
        if user.get("tokenFile") or (not forced and time.time() < self._good_until):
            return
        if user.get("exec") and not user.get("token"):
            self._run_plugin(user["exec"])
        elif self._access.in_cluster and forced:
            # The package reads the file each minute; a 401 means that it was too late.
            self._load_in_cluster()

    def _load_in_cluster(self) -> None:
        config: Any = import_module("kubernetes.config")
        config.load_incluster_config(client_configuration=self._configuration())
        self._generation += 1

    def _read_token_file(self, path: str) -> None:
        try:
            token = Path(path).read_text().strip()
        except OSError as error:
            if self._token is None:
                raise OfflineError(
                    f"{self._access.origin}: tokenFile {path}: {error.strerror}"
                ) from None
            return
        if token != self._token:
            self._token = token
            self._generation += 1

    def _read_certificate(self, certificate: str, key: str) -> None:
        try:
            found = (Path(certificate).read_bytes(), Path(key).read_bytes())
        except OSError:
            # The last one is of use until it expires, and the files may be on their way.
            return
        if found == self._certificate:
            return
        try:
            tls_context(self._access, found)
        except InvalidRequestError:
            # One of the two is written already, the other one not yet.
            return
        self._certificate = found
        self._generation += 1

    def _run_plugin(self, plugin: Any) -> None:
        status = _plugin_status(plugin, self._access)
        token = status.get("token")
        certificate, key = status.get("clientCertificateData"), status.get("clientKeyData")
        if not token and not (certificate and key):
            raise OfflineError(
                f"{self._access.origin}: exec plugin {plugin.get('command')!r} gave neither "
                "a token nor a certificate with its key"
            )
        self._token = token
        if certificate and key:
            self._certificate = (certificate.encode(), key.encode())
        self._good_until = _expiry(status.get("expirationTimestamp")) - _EARLY_S
        self._generation += 1


def _plugin_status(plugin: Any, access: Access) -> dict[str, Any]:
    from kubernetes.config.config_exception import ConfigException

    exec_provider: Any = import_module("kubernetes.config.exec_provider")
    kube_config: Any = import_module("kubernetes.config.kube_config")
    if not isinstance(plugin, dict) or not plugin.get("command"):
        raise InvalidRequestError(f"{access.origin}: users[].user.exec names no command")
    what = f"{access.origin}: exec plugin {plugin['command']!r}"
    try:
        node = kube_config.ConfigNode("exec", plugin)
        cluster = kube_config.ConfigNode("cluster", {**access.cluster, "server": access.server})
        # `provideClusterInfo` came with 30.
        takes = signature(exec_provider.ExecProvider).parameters
        more = (cluster,) if "cluster" in takes else ()
        status = exec_provider.ExecProvider(node, access.folder, *more).run()
    except FileNotFoundError:
        hint = " ".join(str(plugin.get("installHint") or "install it").split())
        raise OfflineError(f"{what} is not there; {hint[:_MOST_SAID]}") from None
    except ConfigException as error:
        said = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise OfflineError(
            f"{what} failed: {said[-1][:_MOST_SAID] if said else 'no word'}"
        ) from None
    except OSError as error:
        raise OfflineError(f"{what} can't be run: {error.strerror}") from None
    return dict(status)


def _expiry(stamp: str | None) -> float:
    """Unix time of an RFC 3339 stamp; never, if there is none (client-go: until a 401)."""
    if not stamp:
        return float("inf")
    try:
        moment = datetime.fromisoformat(stamp)
    except ValueError:
        return float("inf")
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _impersonation(access: Access) -> list[tuple[str, str]]:
    """`as` and its like of the kubeconfig, which the `kubernetes` package ignores."""
    user = access.user
    found = [("Impersonate-User", str(user["as"]))] if user.get("as") else []
    found += [("Impersonate-Uid", str(user["as-uid"]))] if user.get("as-uid") else []
    found += [("Impersonate-Group", str(group)) for group in user.get("as-groups") or []]
    for key, values in (user.get("as-user-extra") or {}).items():
        found += [(f"Impersonate-Extra-{key}", str(value)) for value in values]
    return found
