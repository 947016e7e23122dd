"""The requests of one scope: the reflector's ListerWatcher."""

from __future__ import annotations

from typing import Final

import msgspec

from vai.kube.failures import Rule
from vai.kube.meter import CLUSTER
from vai.kube.transport import JSON, HttpResponse, Transport
from vai.reflector import Refusal, RefusedError
from vai.types import Redaction, Resource

_TABLE: Final = f"{JSON};as=Table;g=meta.k8s.io;v=v1"
_PARTIAL: Final = f"{JSON};as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_PARTIAL_LIST: Final = f"{JSON};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
#: No DNS subdomain, so no object of nearly any kind; if one has it, the probe carries one object.
_NOBODY: Final = "vai_probe"
#: KEP-3157, streaming lists: the bookmark that ends the initial events.
_END: Final = "k8s.io/initial-events-end"
#: What servers answer to parameters that they know, but do not allow (validation of ListOptions).
_NOT_ALLOWED: Final = frozenset({400, 422})
#: A probe's answer is one bookmark, or the Status of an error.
_PROBE_BYTES: Final = 1 << 20


class Source:
    """Lists and watches one scope.

    Args:
        transport: to the server.
        resource: what.
        namespace: of one namespace, or of all.
        label_selector: sent as it is.
        field_selector: the same.
        redaction: METADATA never asks for values.
        table: ask for Tables, which carry the server's printer cells; CRDs whose definition is
            known are asked for as they are, their columns are evaluated from the definition.
        scope: its id in the file, for the counts.
    """

    def __init__(
        self,
        transport: Transport,
        resource: Resource,
        *,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
        redaction: Redaction = Redaction.NONE,
        table: bool = True,
        scope: int = CLUSTER,
    ) -> None:
        self._transport = transport
        self._redacted = redaction is Redaction.METADATA
        # On a metered link (edge) nothing is asked for that can be done without: cells can be
        # made from the objects, and metadata alone need no Table around it.
        self._edge = transport.settings.is_edge
        self._table = (table or self._redacted) and not self._edge
        self._scope = scope
        self._rule = Rule.of(resource, namespace)
        within = f"/namespaces/{namespace}" if namespace is not None else ""
        self._path = f"{resource.path}{within}/{resource.plural}"
        self._selectors = {
            name: value
            for name, value in (
                ("labelSelector", label_selector),
                ("fieldSelector", field_selector),
            )
            if value
        }
        self._probe_by_list = False

    def list_page(self, limit: int, continue_token: str = "") -> HttpResponse:
        """One page; resourceVersion is left unset, which is a quorum read."""
        query = {**self._selectors, **self._content()}
        if limit:
            query["limit"] = str(limit)
        if continue_token:
            query["continue"] = continue_token
        return self._transport.request(
            self._path,
            query,
            accept=self._accept(_PARTIAL_LIST),
            read_timeout_s=self._transport.settings.list_timeout_s,
            rule=self._rule,
            compress=True,
            verb="list",
            scope=self._scope,
        )

    def watch(self, resource_version: str, timeout_s: int) -> HttpResponse:
        """Events after `resource_version`, with bookmarks."""
        query = {
            **self._selectors,
            **self._content(),
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(timeout_s),
        }
        return self._transport.request(
            self._path,
            query,
            accept=self._accept(_PARTIAL),
            read_timeout_s=timeout_s + self._transport.settings.watch_margin_s,
            rule=self._rule,
            compress=self._edge,
            verb="watch",
            scope=self._scope,
        )

    def probe(self) -> str:
        """The newest resourceVersion, from a watch whose first and only event is a bookmark.

        Servers without streaming lists are asked for a list of one object's metadata instead.
        """
        if not self._probe_by_list:
            try:
                newest = self._probe_by_watch()
            except RefusedError as error:
                if error.refusal.code not in _NOT_ALLOWED:
                    raise
                newest = None
            if newest is not None:
                return newest
        newest = self._newest_by_list()
        self._probe_by_list = True
        return newest

    def _probe_by_watch(self) -> str | None:
        query = {
            "watch": "true",
            "sendInitialEvents": "true",
            "resourceVersionMatch": "NotOlderThan",
            "allowWatchBookmarks": "true",
            "fieldSelector": f"metadata.name={_NOBODY}",
            "timeoutSeconds": "1",
        }
        response = self._transport.request(
            self._path,
            query,
            accept=_PARTIAL,
            read_timeout_s=self._transport.settings.link_timeout_s,
            rule=self._rule,
            verb="probe",
            scope=self._scope,
        )
        try:
            newest = _initial_events_end(response)
        except BaseException:
            response.close()
            raise
        self._transport.linger(response)
        return newest

    def _newest_by_list(self) -> str:
        with self._transport.request(
            self._path,
            {"limit": "1"},
            accept=_PARTIAL_LIST,
            read_timeout_s=self._transport.settings.answer_timeout_s,
            rule=self._rule,
            verb="probe",
            scope=self._scope,
        ) as response:
            body = b"".join(response.chunks())
        return msgspec.json.decode(body, type=_Object).metadata.resource_version

    def _accept(self, metadata_only: str) -> str:
        if self._redacted and self._edge:
            return metadata_only
        if self._redacted:
            # Never plain JSON: a server without Tables must not send values instead.
            return f"{_TABLE},{metadata_only}"
        return f"{_TABLE},{JSON}" if self._table else JSON

    def _content(self) -> dict[str, str]:
        if not self._table:
            return {}
        return {"includeObject": "Metadata" if self._redacted else "Object"}


class _Metadata(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    annotations: dict[str, str] = {}


class _Object(msgspec.Struct):
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)


class _Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


def _initial_events_end(response: HttpResponse) -> str | None:
    """The resourceVersion of the bookmark that ends the initial events; None if none came."""
    buffered = b""
    for chunk in response.chunks():
        buffered += chunk
        *lines, buffered = buffered.split(b"\n")
        for line in lines:
            if not line.strip():
                continue
            event = msgspec.json.decode(line, type=_Event)
            if event.type == "ERROR":
                raise RefusedError(msgspec.json.decode(event.object, type=Refusal))
            if event.type == "BOOKMARK":
                found = msgspec.json.decode(event.object, type=_Object).metadata
                if _END in found.annotations:
                    return found.resource_version
        if len(buffered) > _PROBE_BYTES:
            break
    return None
