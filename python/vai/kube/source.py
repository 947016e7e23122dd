"""The requests of one scope: the reflector's ListerWatcher."""

from __future__ import annotations

from typing import Final, TypeVar
from urllib.parse import quote_plus, urlencode

import msgspec

from vai.kube.failures import Rule, no_json
from vai.kube.meter import CLUSTER, Verb
from vai.kube.transport import JSON, HttpResponse, Transport
from vai.reflector import Refusal, RefusedError
from vai.reflector.protocol import REFUSAL, drain
from vai.types import Redaction, Resource

_T = TypeVar("_T")

_TABLE: Final = f"{JSON};as=Table;g=meta.k8s.io;v=v1"
_PARTIAL: Final = f"{JSON};as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_PARTIAL_LIST: Final = f"{JSON};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
#: No DNS subdomain, so no object of nearly any kind; if one has it, the probe carries one object.
_NOBODY: Final = "vai_probe"
#: KEP-3157, streaming lists: the bookmark that ends the initial events.
_END: Final = "k8s.io/initial-events-end"
#: What servers answer to parameters that they know, but do not allow (validation of ListOptions).
_NOT_ALLOWED: Final = frozenset({400, 422})
#: What makes a watch a streaming list; resourceVersion is left unset, which is a quorum read.
_INITIAL_EVENTS: Final = {
    "watch": "true",
    "sendInitialEvents": "true",
    "resourceVersionMatch": "NotOlderThan",
    "allowWatchBookmarks": "true",
}
#: Of a web page, as much as its title needs.
_PAGE_BYTES: Final = 4096
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
        self._group = resource.group
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
        # Encoded once: every scope is watched anew every few seconds.
        self._watched = urlencode(
            {**self._selectors, **self._content(), "watch": "true", "allowWatchBookmarks": "true"}
        )

    @property
    def group(self) -> str:
        """The resource's API group."""
        return self._group

    def list_page(self, limit: int, continue_token: str = "") -> HttpResponse:
        """One page; resourceVersion is left unset, which is a quorum read."""
        query = {**self._selectors, **self._content()}
        if limit:
            query["limit"] = str(limit)
        if continue_token:
            query["continue"] = continue_token
        return self._ask(
            query,
            accept=self._accept(_PARTIAL_LIST),
            read_timeout_s=self._transport.settings.list_timeout_s,
            compress=True,
            verb="list",
        )

    def stream_list(self, timeout_s: int) -> HttpResponse:
        """Everything there is as events, as of a quorum read, then what happens."""
        query = {
            **self._selectors,
            **self._content(),
            **_INITIAL_EVENTS,
            "timeoutSeconds": str(timeout_s),
        }
        return self._ask(
            query,
            accept=self._accept(_PARTIAL),
            read_timeout_s=self._transport.settings.list_timeout_s,
            compress=True,
            verb="list",
        )

    def list_metadata(self, limit: int, continue_token: str = "", at: str = "") -> HttpResponse:
        """One page of metadata only: as a quorum reads it, or of exactly a resourceVersion."""
        query = dict(self._selectors)
        if limit:
            query["limit"] = str(limit)
        if continue_token:
            query["continue"] = continue_token
        elif at:
            query |= {"resourceVersion": at, "resourceVersionMatch": "Exact"}
        return self._ask(
            query,
            # Never plain JSON: it would bring what must stay there, and cost what a list costs.
            accept=_PARTIAL_LIST,
            read_timeout_s=self._transport.settings.list_timeout_s,
            compress=True,
            verb="list",
        )

    def watch(self, resource_version: str, timeout_s: int) -> HttpResponse:
        """Events after `resource_version`, with bookmarks."""
        position = quote_plus(resource_version)
        return self._ask(
            f"{self._watched}&resourceVersion={position}&timeoutSeconds={timeout_s}",
            accept=self._accept(_PARTIAL),
            read_timeout_s=timeout_s + self._transport.settings.watch_margin_s,
            compress=self._edge,
            verb="watch",
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
            **_INITIAL_EVENTS,
            "fieldSelector": f"metadata.name={_NOBODY}",
            "timeoutSeconds": "1",
        }
        response = self._ask(
            query,
            accept=_PARTIAL,
            read_timeout_s=self._transport.settings.link_timeout_s,
            verb="probe",
        )
        try:
            newest = _initial_events_end(response)
        except BaseException:
            response.close()
            raise
        self._transport.linger(response)
        return newest

    def _newest_by_list(self) -> str:
        with self._ask(
            {"limit": "1"},
            accept=_PARTIAL_LIST,
            read_timeout_s=self._transport.settings.answer_timeout_s,
            verb="probe",
        ) as response:
            body = drain(response.chunks(), _PROBE_BYTES)
        newest = _decoded(body, _OBJECT).metadata.resource_version
        if not newest:
            raise RefusedError(Refusal(message="a list of one object has no resourceVersion"))
        return newest

    def _ask(
        self,
        query: dict[str, str] | str,
        *,
        accept: str,
        read_timeout_s: float,
        verb: Verb,
        compress: bool = False,
    ) -> HttpResponse:
        response = self._transport.request(
            self._path,
            query,
            accept=accept,
            read_timeout_s=read_timeout_s,
            rule=self._rule,
            compress=compress,
            verb=verb,
            scope=self._scope,
        )
        kind = response.content_type.partition(";")[0].strip().lower()
        if not kind or kind.endswith("json") or kind == "text/plain":
            return response
        with response:
            raise no_json(kind, drain(response.chunks(), _PAGE_BYTES))

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


def _decoded(body: bytes | msgspec.Raw, decoder: msgspec.json.Decoder[_T]) -> _T:
    try:
        return decoder.decode(body)
    except msgspec.MsgspecError as error:
        raise no_json("", bytes(body)[:_PAGE_BYTES], str(error)) from None


#: Made while this is imported, see `vai.reflector.protocol`.
_OBJECT: Final = msgspec.json.Decoder(_Object)
_EVENT: Final = msgspec.json.Decoder(_Event)


def _initial_events_end(response: HttpResponse) -> str | None:
    """The resourceVersion of the bookmark that ends the initial events; None if none came."""
    buffered = b""
    for chunk in response.chunks():
        buffered += chunk
        *lines, buffered = buffered.split(b"\n")
        for line in lines:
            if not line.strip():
                continue
            event = _decoded(line, _EVENT)
            if event.type == "ERROR":
                raise RefusedError(_decoded(event.object, REFUSAL))
            if event.type == "BOOKMARK":
                found = _decoded(event.object, _OBJECT).metadata
                if _END in found.annotations:
                    return found.resource_version
        if len(buffered) > _PROBE_BYTES:
            break
    return None
