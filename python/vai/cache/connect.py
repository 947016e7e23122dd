"""`connect` and `open`: how a cache comes to be."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final, Literal, final

from vai.cache.cache import Cache
from vai.cache.engine import Connector, Engine, Role, Syncing
from vai.cache.fieldfile import read_fields
from vai.cache.query import wanted_scopes
from vai.config import Settings, load_settings
from vai.errors import InvalidRequestError
from vai.store import Store
from vai.types import Scope


@final
class Temporary:
    """The type of `TEMPORARY`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "vai.TEMPORARY"


#: Instead of a path: a file in a folder of its own that is removed when the cache is closed.
TEMPORARY: Final = Temporary()

File = str | os.PathLike[str] | Temporary


def connect(
    file: File | None = None,
    scopes: Iterable[Scope | str] | Scope | str = (),
    *,
    role: Role = "auto",
    kubeconfig: str | os.PathLike[str] | None = None,
    context: str | None = None,
    secret_values: bool = False,
    live_within: float | timedelta | None = None,
    settings: Settings | None = None,
    fields: str | os.PathLike[str] | None = None,
    exclude: Sequence[str] = (),
) -> Cache:
    """Open a cluster file and keep these scopes of it current in the background.

    Returns as soon as the file is open, whether or not the API server can be reached: a file that
    was synced before answers at once, with its age. `wait_synced` waits for the first answer.

    Where the cluster is comes from the arguments, then `VAI_*` variables, then kubectl's order:
    the kubeconfig if there is one, else the service account of the Pod.

    Args:
        file: the cluster file, made if there is none (0600); `vai.TEMPORARY` for one that is
            removed at close; None for `VAI_FILE`.
        scopes: what to keep: `Scope`s, or names as kubectl takes them; "*" (or "all") is every
            resource but leases. Scopes of the file that are not named stay, stale.
        role: "writer" syncs, and fails if another process does; "reader" follows the process that
            syncs; "auto" syncs if nobody does, else follows and takes over when the other ends.
        kubeconfig: path of a kubeconfig.
        context: name of one of its contexts.
        secret_values: keep the values of Secrets and their like; by default only their metadata
            ever leaves the server.
        live_within: age of the last proof up to which a scope counts as live.
        settings: everything that can be set, in place of the environment.
        fields: a TOML file of fields to index besides vai's own, a table per resource:
            `[pods]`, then `".spec.priority" = "int"`. What the file no longer names stays until
            `Cache.unindex`. A process that only follows another one does not index.
        exclude: left out of every scope: names, or shell-style patterns against `plural.group`
            (`["events", "*.metrics.k8s.io"]`).

    Raises:
        InvalidRequestError: a selector, a kubeconfig, the file of fields or another argument is
            wrong.
        WriterRunningError: role "writer", and another process (`.pid`) writes the file.
        OtherClusterError: the file holds another cluster.
        FileError: the file can't be used; it was not touched.
    """
    chosen = _settings(settings, kubeconfig, context, live_within)
    wanted = wanted_scopes(scopes, secret_values=secret_values, exclude=exclude)
    asked = () if fields is None else read_fields(fields)
    if not wanted and role != "reader":
        raise InvalidRequestError("say what to keep: scopes=['pods'], or ['*'] for everything")

    def connector(store: Store) -> Syncing:
        # Not before something is to be synced: a reader needs none of it.
        from vai.informer import Informer
        from vai.kube import connect as transport_of

        return Informer(store, transport_of(chosen), wanted, chosen, asked)

    place = file if file is not None else chosen.file
    if place is None:
        raise InvalidRequestError("say where the file is: vai.connect('cluster.db', …) or VAI_FILE")
    return cache_over(place, connector, role, chosen, wanted)


def open(file: str | os.PathLike[str]) -> Cache:  # noqa: A001 - as io.open, sqlite3's is connect
    """Open a cluster file to read it: no network, no lock, no import of `kubernetes`.

    Any number of processes of one user may do so while another one syncs the file.

    Raises:
        NotFoundError: there is no such file.
        FileError: the file can't be used.
    """
    return cache_over(file, None, "reader", load_settings(), ())


def _settings(
    settings: Settings | None,
    kubeconfig: str | os.PathLike[str] | None,
    context: str | None,
    live_within: float | timedelta | None,
) -> Settings:
    path = None if kubeconfig is None else os.fspath(kubeconfig)
    if settings is None:
        return load_settings(kubeconfig=path, context=context, live_within_s=live_within)
    if not (path is None and context is None and live_within is None):
        raise InvalidRequestError("give either settings= or kubeconfig=, context=, live_within=")
    return settings


def cache_over(
    place: File,
    connector: Connector | None,
    role: Role,
    settings: Settings,
    wanted: tuple[Scope, ...],
) -> Cache:
    """A cache over a file that is kept current by what `connector` makes, if it makes anything."""
    folder: Path | None = None
    if isinstance(place, Temporary):
        folder = Path(tempfile.mkdtemp(prefix="vai-"))
        place = folder / "cluster.db"
    path = os.fspath(place)

    def opener(mode: Literal["writer", "reader"]) -> Store:
        return store_over(path, mode, settings)

    return Cache(Engine(opener, connector, role, folder), wanted, settings)


def store_over(
    path: str | os.PathLike[str], mode: Literal["writer", "reader"], settings: Settings
) -> Store:
    """The file, opened with what the settings say of it."""
    return Store(
        path,
        mode,
        live_within=settings.live_within_s,
        history_s=settings.history_s,
        history_bytes=settings.history_bytes,
    )
