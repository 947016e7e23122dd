"""Which cluster, as whom: kubeconfig files in kubectl's order, else the Pod's service account.

Files are found, merged and checked here, so that every mistake is named with its file and remedy;
what they say of authentication is then left to the `kubernetes` package. Certificates and keys are
taken out first: that package would write them to temporary files that outlive a `kill -9`.
"""

from __future__ import annotations

import base64
import binascii
import copy
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from vai.errors import InvalidRequestError

_SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_REMEDY: Final = "name one with --kubeconfig, VAI_KUBECONFIG or KUBECONFIG"


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """One context of the configuration, checked and resolved.

    Attributes:
        origin: where it comes from, for messages.
        context: the context's name; "in-cluster" in a Pod.
        server: URL of the API server, without a slash at the end.
        namespace: the context's default namespace.
        authority: CA certificates in PEM; None for the system's.
        certificate: the client's certificate and key in PEM.
        certificate_files: where they were read from, if from files: those may be renewed.
        insecure: the server's certificate is not checked.
        user: the rest of the kubeconfig's user, authentication included; never shown.
        cluster: the rest of the kubeconfig's cluster.
        in_cluster: the Pod's service account is used.
        folder: what relative commands of exec plugins are relative to.
    """

    origin: str
    context: str
    server: str
    namespace: str = "default"
    authority: bytes | None = None
    certificate: tuple[bytes, bytes] | None = field(default=None, repr=False)
    certificate_files: tuple[str, str] | None = None
    insecure: bool = False
    user: Mapping[str, Any] = field(default_factory=dict, repr=False)
    cluster: Mapping[str, Any] = field(default_factory=dict, repr=False)
    in_cluster: bool = False
    folder: str = ""

    @property
    def compress(self) -> bool:
        """Whether the kubeconfig allows gzip (`disable-compression`)."""
        return not self.cluster.get("disable-compression", False)


def load_access(kubeconfig: str | None = None, context: str | None = None) -> Access:
    """The chosen context: the named files, else $KUBECONFIG, else ~/.kube/config, else in-cluster.

    Raises:
        InvalidRequestError: nothing to be found, or a mistake in a file; one line with the remedy.
    """
    if kubeconfig is not None:
        return _from_files(_named(kubeconfig), context)
    variable = os.environ.get("KUBECONFIG", "")
    candidates = variable.split(os.pathsep) if variable else ["~/.kube/config"]
    # As kubectl: files of the list that are not there are passed over.
    paths = [path for name in candidates if name and (path := Path(name).expanduser()).exists()]
    if paths:
        return _from_files(paths, context)
    if (_SERVICE_ACCOUNT / "token").exists():
        return _in_cluster(context)
    where = f"KUBECONFIG={variable}" if variable else "~/.kube/config"
    raise InvalidRequestError(f"no kubeconfig: {where} is not there, and this is no Pod; {_REMEDY}")


def _named(kubeconfig: str) -> list[Path]:
    paths = [Path(name).expanduser() for name in kubeconfig.split(os.pathsep) if name]
    for path in paths:
        if not path.exists():
            raise InvalidRequestError(f"kubeconfig {path}: no such file; {_REMEDY}")
    if not paths:
        raise InvalidRequestError(f"kubeconfig is an empty path; {_REMEDY}")
    return paths


def _in_cluster(context: str | None) -> Access:
    if context is not None:
        raise InvalidRequestError(
            f"context {context!r} needs a kubeconfig, and there is none in this Pod; {_REMEDY}"
        )
    host = os.environ.get("KUBERNETES_SERVICE_HOST", "")
    port = os.environ.get("KUBERNETES_SERVICE_PORT", "")
    if not host or not port:
        raise InvalidRequestError(
            f"in a Pod, but KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set; "
            f"{_REMEDY}"
        )
    namespace = _SERVICE_ACCOUNT / "namespace"
    return Access(
        origin=f"the service account in {_SERVICE_ACCOUNT}",
        context="in-cluster",
        server=f"https://{f'[{host}]' if ':' in host else host}:{port}",
        namespace=namespace.read_text().strip() if namespace.exists() else "default",
        authority=_read(_SERVICE_ACCOUNT / "ca.crt", "the service account's CA"),
        in_cluster=True,
    )


def service_account_is_whole() -> bool:
    """Whether the Pod's service account has what it takes: a token and a CA that are not empty."""
    try:
        return all((_SERVICE_ACCOUNT / name).stat().st_size for name in ("token", "ca.crt"))
    except OSError:
        return False


def _from_files(paths: list[Path], context: str | None) -> Access:
    merged = _Merged(paths)
    name, chosen = merged.context(context)
    origin = f"kubeconfig {merged.origin('contexts', name)}, context {name!r}"
    cluster_name, user_name = chosen.get("cluster"), chosen.get("user")
    cluster = dict(merged.find("clusters", cluster_name, origin))
    user = dict(merged.find("users", user_name, origin)) if user_name else {}
    if not cluster.get("server"):
        raise InvalidRequestError(f"{origin}: cluster {cluster_name!r} names no server")
    cluster_folder = merged.folder("clusters", cluster_name)
    user_folder = merged.folder("users", user_name)
    authority = _material(cluster, "certificate-authority", cluster_folder, origin)
    files = _files(user, ("client-certificate", "client-key"), user_folder)
    certificate = _material(user, "client-certificate", user_folder, origin)
    key = _material(user, "client-key", user_folder, origin)
    if (certificate is None) != (key is None):
        raise InvalidRequestError(
            f"{origin}: user {user_name!r} needs client-certificate and client-key, it has one"
        )
    if user.get("tokenFile"):
        user["tokenFile"] = str(Path(user_folder, user["tokenFile"]))
    has_tls = authority is not None or certificate is not None
    return Access(
        origin=origin,
        context=name,
        server=_url(str(cluster["server"]), tls=has_tls),
        namespace=chosen.get("namespace") or "default",
        authority=authority,
        certificate=(certificate, key) if certificate is not None and key is not None else None,
        certificate_files=files,
        insecure=bool(cluster.get("insecure-skip-tls-verify")),
        user=user,
        cluster=cluster,
        folder=user_folder,
    )


def _url(server: str, *, tls: bool) -> str:
    """With a scheme (client-go rest/url_utils.go: https if TLS is configured) and no slash."""
    if "://" not in server:
        server = f"{'https' if tls else 'http'}://{server}"
    return server.rstrip("/")


def _files(part: dict[str, Any], names: tuple[str, str], folder: str) -> tuple[str, str] | None:
    """The paths of both, if both are files."""
    paths = [str(Path(folder, part[n])) for n in names if part.get(n) and not part.get(f"{n}-data")]
    return (paths[0], paths[1]) if len(paths) == len(names) else None


def _material(part: dict[str, Any], name: str, folder: str, origin: str) -> bytes | None:
    """Takes PEM data, inline or from a file, out of a part of the kubeconfig."""
    data, file = part.pop(f"{name}-data", None), part.pop(name, None)
    if data:
        try:
            return base64.b64decode(data, validate=True)
        except (binascii.Error, TypeError, ValueError):
            raise InvalidRequestError(f"{origin}: {name}-data is not valid base64") from None
    return _read(Path(folder, file), f"{origin}: {name}") if file else None


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidRequestError(f"{what}: {path}: {error.strerror}") from None


class _Merged:
    """Several kubeconfig files as one: the first that sets a value wins (kubectl's rule)."""

    def __init__(self, paths: list[Path]) -> None:
        self._paths = paths
        self._entries: dict[tuple[str, str], tuple[Path, dict[str, Any]]] = {}
        self._current = ""
        for path in paths:
            self._add(path, _parse(path))

    def _add(self, path: Path, content: dict[str, Any]) -> None:
        self._current = self._current or content.get("current-context") or ""
        for section, inner in (("contexts", "context"), ("clusters", "cluster"), ("users", "user")):
            entries = content.get(section) or []
            if not isinstance(entries, list):
                raise InvalidRequestError(f"kubeconfig {path}: {section} is not a list")
            for entry in entries:
                if not isinstance(entry, dict) or not entry.get("name"):
                    raise InvalidRequestError(
                        f"kubeconfig {path}: an entry of {section} has no name"
                    )
                value = entry.get(inner) or {}
                if not isinstance(value, dict):
                    raise InvalidRequestError(
                        f"kubeconfig {path}: {inner} of {entry['name']!r} is not a mapping"
                    )
                self._entries.setdefault(
                    (section, str(entry["name"])), (path, copy.deepcopy(value))
                )

    def context(self, name: str | None) -> tuple[str, dict[str, Any]]:
        known = [entry for section, entry in self._entries if section == "contexts"]
        files = os.pathsep.join(map(str, self._paths))
        has = f"it has: {', '.join(sorted(known))}" if known else "it has no contexts"
        chosen = name or self._current
        if not chosen:
            raise InvalidRequestError(
                f"kubeconfig {files}: no current-context; name one with --context ({has})"
            )
        if chosen not in known:
            raise InvalidRequestError(f"kubeconfig {files}: no context {chosen!r}; {has}")
        return chosen, self._entries["contexts", chosen][1]

    def find(self, section: str, name: str | None, origin: str) -> dict[str, Any]:
        found = self._entries.get((section, name or ""))
        if found is None:
            raise InvalidRequestError(f"{origin}: there is no {section[:-1]} {name!r}")
        return found[1]

    def origin(self, section: str, name: str) -> Path:
        return self._entries[section, name][0]

    def folder(self, section: str, name: str | None) -> str:
        """Paths in a kubeconfig are relative to the file that they stand in."""
        found = self._entries.get((section, name or ""))
        return str(found[0].absolute().parent) if found else ""


def _parse(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise InvalidRequestError(f"kubeconfig {path}: {error.strerror}") from None
    except yaml.YAMLError as error:
        # Not the error's own text: it quotes the line, and the line may be a token.
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise InvalidRequestError(f"kubeconfig {path}: not valid YAML{where}") from None
    if not content:
        raise InvalidRequestError(f"kubeconfig {path}: the file is empty; {_REMEDY}")
    if not isinstance(content, dict):
        raise InvalidRequestError(f"kubeconfig {path}: not a kubeconfig (no mapping at its top)")
    return content
