"""The requests of one scope: the reflector's ListerWatcher."""

from __future__ import annotations

from typing import Final

import msgspec

from vai.kube.failures import Rule
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
    ) -> None:
        self._transport = transport
        self._redacted = redaction is Redaction.METADATA
        self._table = table or self._redacted
        self._rule = Rule.of(resource, namespace)
        scope = f"/namespaces/{namespace}" if namespace is not None else ""
        self._path = f"{resource.path}{scope}/{resource.plural}"
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
        ) as response:
            body = b"".join(response.chunks())
        return _OBJECT.decode(body).metadata.resource_version

    def _accept(self, metadata_only: str) -> str:
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


#: Made while modules are imported, by one thread: msgspec 0.22 crashes when two threads are the
#: first to decode a type at once, as all reflectors are at a start.
_OBJECT: Final = msgspec.json.Decoder(_Object)
_EVENT: Final = msgspec.json.Decoder(_Event)
_REFUSAL: Final = msgspec.json.Decoder(Refusal)


def _initial_events_end(response: HttpResponse) -> str | None:
    """The resourceVersion of the bookmark that ends the initial events; None if none came."""
    buffered = b""
    for chunk in response.chunks():
        buffered += chunk
        *lines, buffered = buffered.split(b"\n")
        for line in lines:
            if not line.strip():
                continue
            event = _EVENT.decode(line)
            if event.type == "ERROR":
                raise RefusedError(_REFUSAL.decode(event.object))
            if event.type == "BOOKMARK":
                found = _OBJECT.decode(event.object).metadata
                if _END in found.annotations:
                    return found.resource_version
        if len(buffered) > _PROBE_BYTES:
            break
    return None
