"""Which cluster file a command uses, and how a reader opens it.

`--file`, else `VAI_FILE`, else one file per context in the user's data folder. The kubeconfig is
read here without `kubernetes`, and only its current context, the context's cluster and the
cluster's server: a read must stay fast, and works without any kubeconfig once the file is named.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vai.cli.failures import Failure
from vai.errors import NotFoundError

if TYPE_CHECKING:
    from vai.store import Store

_IN_POD = "KUBERNETES_SERVICE_HOST"

file_option = click.option(
    "--file",
    "file",
    type=click.Path(dir_okay=False),
    envvar="VAI_FILE",
    show_envvar=True,
    help="Cluster file.  [default: one per context, in the user's data folder]",
)
kubeconfig_option = click.option(
    "--kubeconfig",
    type=click.Path(dir_okay=False),
    envvar="VAI_KUBECONFIG",
    help="Kubeconfig file.  [default: KUBECONFIG, else ~/.kube/config]",
)
context_option = click.option(
    "--context",
    envvar="VAI_CONTEXT",
    help="Context of the kubeconfig.  [default: its current one]",
)


def file_of(file: str | None, context: str | None = None, kubeconfig: str | None = None) -> Path:
    """The cluster file that is meant."""
    return Path(file) if file else default_file(context, kubeconfig)


def open_reader(path: Path) -> Store:
    """Open a file for reading.

    Raises:
        Failure: there is none.
    """
    from vai.config import load_settings
    from vai.store import Store

    try:
        return Store(path, "reader", live_within=load_settings().live_within_s)
    except NotFoundError:
        raise no_file(path) from None


def no_file(path: Path) -> Failure:
    """There is no such file; what makes it."""
    return Failure(f"no cluster file {path}; `vai sync --file {path} --resources …` makes it")


def default_file(
    context: str | None = None,
    kubeconfig: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> Path:
    """`<user data dir>/vai/<context>-<8 hex of sha256(server URL)>.db`.

    The hash keeps apart contexts that have one name in two kubeconfigs.

    Raises:
        Failure: there is no context to name it after; the message says what to give instead.
    """
    environment = os.environ if environ is None else environ
    name, server = _context(context, kubeconfig, environment)
    digest = hashlib.sha256(server.encode()).hexdigest()[:8]
    # Context names may hold anything (those of EKS hold slashes and colons).
    safe = re.sub(r"[^A-Za-z0-9._-]+", "_", name).lstrip(".") or "context"
    return data_folder(environment) / "vai" / f"{safe}-{digest}.db"


def data_folder(environ: Mapping[str, str]) -> Path:
    """Where programs keep a user's data: XDG's base directory, or Apple's."""
    home = Path(environ.get("HOME") or Path.home())
    if sys.platform == "darwin":
        return home / "Library" / "Application Support"
    # https://specifications.freedesktop.org/basedir-spec: a relative path is to be ignored.
    named = environ.get("XDG_DATA_HOME", "")
    return Path(named) if named.startswith("/") else home / ".local" / "share"


def _context(
    context: str | None, kubeconfig: str | None, environ: Mapping[str, str]
) -> tuple[str, str]:
    """(name, server) of a context, in kubectl's order."""
    paths = _kubeconfig_paths(kubeconfig, environ)
    existing = [path for path in paths if path.is_file()]
    if not existing:
        raise Failure(_nothing_to_name(kubeconfig, environ))
    configs = [_load(path) for path in existing]
    # client-go, clientcmd: of several files, the first that sets a value wins.
    name = context or next(
        (str(one["current-context"]) for one in configs if one.get("current-context")), ""
    )
    where = ", ".join(map(str, existing))
    if not name:
        raise Failure(f"{where} has no current context: name one with --context, or give --file")
    found = _named(configs, "contexts", name)
    if found is None:
        known = sorted(_names(configs, "contexts"))
        raise Failure(f"no context {name!r} in {where}; it has {', '.join(known) or 'none'}")
    cluster = _named(configs, "clusters", str((found.get("context") or {}).get("cluster", "")))
    server = str(((cluster or {}).get("cluster") or {}).get("server") or "")
    if not server:
        raise Failure(f"context {name!r} of {where} names no cluster with a server")
    return name, server.rstrip("/")


def _kubeconfig_paths(kubeconfig: str | None, environ: Mapping[str, str]) -> list[Path]:
    if kubeconfig:
        return [Path(part) for part in kubeconfig.split(os.pathsep) if part]
    named = [Path(part) for part in environ.get("KUBECONFIG", "").split(os.pathsep) if part]
    return named or [Path(environ.get("HOME") or Path.home()) / ".kube" / "config"]


def _nothing_to_name(kubeconfig: str | None, environ: Mapping[str, str]) -> str:
    if kubeconfig:
        return f"no such kubeconfig: {kubeconfig}"
    if environ.get(_IN_POD):
        return (
            "in a Pod there is no default cluster file: give --file or set VAI_FILE, to a path on"
            " an emptyDir (survives restarts of the container) or on a PersistentVolumeClaim"
            " (survives the Pod)"
        )
    return "no kubeconfig to name a default file after: give --file or set VAI_FILE"


def _load(path: Path) -> dict[str, Any]:
    import yaml

    # The C parser where PyYAML was built with it: ten times as fast.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        content = yaml.load(path.read_bytes(), Loader=loader)  # noqa: S506 - both are safe loaders
    except yaml.YAMLError as error:
        raise Failure(f"{path} is not a kubeconfig: {' '.join(str(error).split())}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise Failure(f"{path} is not a kubeconfig: it holds no mapping")
    return content


def _entries(configs: list[dict[str, Any]], section: str) -> list[dict[str, Any]]:
    return [one for config in configs for one in config.get(section) or () if isinstance(one, dict)]


def _names(configs: list[dict[str, Any]], section: str) -> set[str]:
    return {str(one.get("name")) for one in _entries(configs, section)}


def _named(configs: list[dict[str, Any]], section: str, name: str) -> dict[str, Any] | None:
    return next((one for one in _entries(configs, section) if one.get("name") == name), None)
