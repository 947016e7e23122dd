"""What the cluster serves, as far as the scopes of one file need to know it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec

from vai.errors import (
    ForbiddenError,
    NotKeptError,
    NotSyncedError,
    OfflineError,
    UnknownResourceError,
)
from vai.kube import Discovery, Transport
from vai.kube.discovery import Definition, defined, definition, discover, is_built_in
from vai.reflector import RefusedError
from vai.store import Catalogue, Store, nearest
from vai.types import Resource

_log: Final = logging.getLogger("vai")

#: A CRD whose fields change is noticed by then (our choice: one small request per CRD); at the next
#: discovery where the file keeps the CRDs themselves.
_DEFINITION_AGAIN_S: Final = 600.0
_CRDS: Final = "customresourcedefinitions.apiextensions.k8s.io"
#: Reflectors that meet the same 404 together share one discovery.
_DISCOVERY_SHARED_S: Final = 2.0


class Serving:
    """Discovery and the definitions of CRDs, remembered and recorded in the file.

    Args:
        transport: to the server.
        store: the file, opened as its writer.
    """

    def __init__(self, transport: Transport, store: Store) -> None:
        self._transport = transport
        self._store = store
        self._discovery = _SharedDiscovery(transport)
        self._definitions: dict[str, Definition] = {}
        self._defined_at: dict[tuple[str, str], float] = {}
        self._unread: dict[str, str] = {}

    def catalogue(self) -> Catalogue:
        """What is served, with what was served before where a part does not answer right now."""
        recorded = list(self._store.resources())
        try:
            found = discover(self._transport)
        except (ForbiddenError, RefusedError):
            if not recorded:
                raise
            return Catalogue(recorded, nearest)
        names = {resource.name for resource in found.resources}
        kept = [
            resource
            for resource in recorded
            if resource.name not in names and resource.api_version in found.failures
        ]
        for version, why in found.failures.items():
            if self._unread.get(version) != why:
                _log.warning("discovery of %s failed, its scopes go stale: %s", version, why)
        self._unread = dict(found.failures)
        return Catalogue([*found.resources, *kept], nearest)

    def record(self, catalogue: Catalogue, synced: Iterable[Resource]) -> None:
        """Have the file know the catalogue, with the fields that CRDs of what is synced declare.

        A definition that can't be read keeps the fields that are recorded: to drop them would mean
        to build them again.
        """
        for resource in {resource.name: resource for resource in synced}.values():
            if not is_built_in(resource):
                self._define(resource)
        recorded = {resource.name: resource for resource in self._store.resources()}

        def complete(resource: Resource) -> Resource:
            found = self._definitions.get(resource.name)
            source = found if found is not None and found.known else recorded.get(resource.name)
            if source is None:
                return resource
            return msgspec.structs.replace(
                resource,
                selectable_fields=source.selectable_fields,
                printer_columns=source.printer_columns,
            )

        self._store.put_resources([complete(resource) for resource in catalogue])

    def _define(self, resource: Resource) -> None:
        """Read a CRD, and again once what is known of it may have changed."""
        now, key = time.monotonic(), (resource.name, resource.version)
        found = self._kept_definition(resource)
        if found is None:
            if now - self._defined_at.get(key, float("-inf")) < _DEFINITION_AGAIN_S:
                return
            try:
                found = definition(self._transport, resource)
            except (OfflineError, RefusedError) as error:
                _log.debug("definition of %s: %s", resource.name, error)
                return
        before = self._definitions.get(resource.name)
        self._defined_at[key], self._definitions[resource.name] = now, found
        if found.body is not None and (before is None or before.body != found.body):
            self._store.put_document(f"crd/{resource.name}", found.body)

    def _kept_definition(self, resource: Resource) -> Definition | None:
        """The CRD as the file has it, which costs no request; None if it does not."""
        crds = self._store.resources().get(_CRDS)
        if crds is None:
            return None
        try:
            row = self._store.get(crds, None, resource.name)
        except (NotKeptError, NotSyncedError):
            return None
        return None if row is None or row.redacted else defined(row.raw, resource)

    def explained(
        self, unknown: Mapping[str, UnknownResourceError]
    ) -> dict[str, UnknownResourceError]:
        """With a hint where the resource may be one of an API whose server is away."""
        if not self._unread:
            return dict(unknown)
        away = "; ".join(f"{version} ({why})" for version, why in sorted(self._unread.items()))
        return {
            scope: UnknownResourceError(
                f"{error}; what these serve is not known right now: {away}",
                resource=error.details.get("resource", ""),
                nearest=list(error.nearest),
            )
            for scope, error in unknown.items()
        }

    def is_defined(self, resource: Resource) -> bool:
        """Whether a CRD says which columns it has, as far as is known."""
        if is_built_in(resource):
            return False
        known = self._definitions.get(resource.name)
        if known is None:
            return self._store.document(f"crd/{resource.name}") is not None
        return known.body is not None

    def is_aggregated(self, resource: Resource) -> bool:
        """Whether it is an extension server's, with resourceVersions of its own."""
        known = self._definitions.get(resource.name)
        return not is_built_in(resource) and (known is None or known.body is None)

    def is_served(self, resource: Resource, moved: Callable[[], None]) -> bool | None:
        """Whether the server still serves it; None if that can't be known right now.

        Args:
            resource: in the version that was asked for.
            moved: called if another version is preferred by now.
        """
        found = self._discovery.get()
        now = [served for served in found.resources if served.name == resource.name]
        if now and now[0].version != resource.version:
            moved()
            return None
        if now:
            return True
        group = f"{resource.group}/"
        if any(version.startswith(group) for version in found.failures):
            return None
        known = self._definitions.get(resource.name)
        if known is not None and known.body is not None:
            still = definition(self._transport, resource)
            return None if still.body is not None else False
        return False


class _SharedDiscovery:
    """Full discovery, for those who ask for it at the same moment."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._lock = threading.Lock()
        self._found: Discovery | None = None
        self._at = float("-inf")

    def get(self) -> Discovery:
        """What is served, at most a moment ago; raises as `discover`."""
        with self._lock:
            if self._found is None or time.monotonic() - self._at > _DISCOVERY_SHARED_S:
                self._found = discover(self._transport)
                self._at = time.monotonic()
            return self._found
