"""The HTTP side: reads requests, routes them, and says what is answered."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping

from vai.testing import discovery
from vai.testing.answers import JSON, Answerer, PlainNotFoundError, Reply, indented
from vai.testing.encode import Encoder, error_event, include_object
from vai.testing.events import events_v1
from vai.testing.faults import Taken
from vai.testing.kinds import Kind
from vai.testing.link import LinkDownError
from vai.testing.listing import empty_page, page, render_page, shuffled_page
from vai.testing.negotiate import STREAMED, Form, negotiate, routed
from vai.testing.objects import Json, Stored, dumps
from vai.testing.patches import json_patch, merge, strategic
from vai.testing.requests import Request, list_options, read_request
from vai.testing.resources import Resource
from vai.testing.spoil import Spoiler
from vai.testing.status import (
    ApiError,
    bad_request,
    expired,
    invalid,
    method_not_allowed,
    not_acceptable,
    not_found,
    not_routed,
    not_routed_patch,
    unauthorized,
    unknown_resource,
    unsupported_media_type,
)
from vai.testing.watching import Watch
from vai.testing.wire import before_answer, pause, reset, status_of

_ACCEPTED = "application/json, application/yaml, application/vnd.kubernetes.protobuf"
_STRATEGIC = "application/strategic-merge-patch+json"
_PATCH_TYPES = {"application/json-patch+json", "application/merge-patch+json", _STRATEGIC}
# What the real server names; server-side apply is not simulated and gets the same answer.
_CUSTOM_PATCHES = (
    "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
)
# The kinds whose DELETE answers with the object (ReturnDeletedObject in pkg/registry).
_RETURN_DELETED = {
    "namespaces",
    "persistentvolumes",
    "persistentvolumeclaims",
    "pods",
    "podtemplates",
    "resourcequotas",
    "services",
    "serviceaccounts",
    "deviceclasses.resource.k8s.io",
    "resourceclaims.resource.k8s.io",
    "resourceclaimtemplates.resource.k8s.io",
    "resourceslices.resource.k8s.io",
    "csidrivers.storage.k8s.io",
    "csinodes.storage.k8s.io",
    "storageclasses.storage.k8s.io",
    "volumeattachments.storage.k8s.io",
    "volumeattributesclasses.storage.k8s.io",
}


class Handler(Answerer):
    """One connection. ``server`` is the Simulator."""

    def setup(self) -> None:  # noqa: D102 - see the base class
        super().setup()
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"):
            setattr(self, f"do_{method}", self._serve)

    def handle_one_request(self) -> None:
        """As the base class, but a hanging link reads and answers nothing."""
        super().handle_one_request()
        if self.connection_.dead:
            self.close_connection = True

    # Requests ---------------------------------------------------------------------------------

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else b""
        headers: Mapping[str, str] = self.headers  # type: ignore[assignment]
        request = read_request(self.command, self.path, headers, body)
        self.entry = self.simulator.request_log.add(request)
        self.taken = None
        try:
            self.simulator.link.gate(self.connection_)
            self._route(request)
        except ApiError as error:
            self._error(request, error)
        except LinkDownError:
            self.close_connection = True
        finally:
            self.entry.finished = time.time()

    def _route(self, request: Request) -> None:
        simulator = self.simulator
        self._authenticate()
        simulator.rights.check(request)
        self.taken = taken = simulator.faults.at_request(request)
        if taken is not None:
            self.slow_until = time.monotonic() + (taken.fault.seconds or 0.0)
            before_answer(simulator, self.connection_, request, taken)
        if not request.resource:
            self._reply(request, self._document(request))
            return
        resource = self._resource(request)
        if request.verb in ("list", "watch"):
            self._collection(request, resource)
        else:
            self._reply(request, self._object(request, resource))

    def _authenticate(self) -> None:
        token = self.simulator.token
        if token and self.headers.get("Authorization") != f"Bearer {token}":
            raise unauthorized()

    def _resource(self, request: Request) -> Resource:
        registry = self.simulator.registry
        resource = registry.find(request.group, request.version, request.resource)
        if resource is None:
            if registry.has_routes(request.group):
                raise unknown_resource()
            raise PlainNotFoundError
        wrong_scope = request.namespace and not resource.namespaced
        sub = request.subresource
        unknown_sub = sub and sub not in resource.subresources and sub != "finalize"
        if wrong_scope or unknown_sub or not resource.listable:
            raise unknown_resource()
        if request.name and resource.namespaced and not request.namespace:
            raise unknown_resource()
        return resource

    # Documents that are not objects -----------------------------------------------------------

    def _document(self, request: Request) -> Reply:
        simulator = self.simulator
        path = request.path.rstrip("/") or "/"
        if path in ("/healthz", "/readyz", "/livez"):
            nosniff = (("X-Content-Type-Options", "nosniff"),)
            return Reply(200, b"ok", "text/plain; charset=utf-8", nosniff)
        if request.method != "GET":
            raise method_not_allowed()
        if path == "/version":
            body = json.dumps(discovery.version_document(simulator.version), indent=2)
            return Reply(200, body.encode())
        if path in ("/api", "/apis"):
            return self._roots(path)
        parts = path.strip("/").split("/")
        document: Json | None = None
        if parts[0] == "api" and len(parts) == 2:
            document = discovery.resource_list(simulator.registry, "", parts[1])
        elif parts[0] == "apis" and len(parts) == 2:
            document = discovery.group_document(simulator.registry, parts[1])
        elif parts[0] == "apis" and len(parts) == 3:
            document = discovery.resource_list(simulator.registry, parts[1], parts[2])
        if document is None:
            known = {group for group, _ in discovery.groups(simulator.registry)}
            group = "" if parts[0] == "api" else parts[1] if len(parts) > 2 else None
            if group in known and len(parts) > 1:
                raise unknown_resource()
            raise PlainNotFoundError
        return Reply(200, dumps(document) + b"\n")

    def _roots(self, path: str) -> Reply:
        registry = self.simulator.registry
        accepted = negotiate(self.headers.get("Accept", ""), discovery=True)
        if accepted is None:
            raise not_acceptable(_ACCEPTED)
        if accepted.form is Form.DISCOVERY:
            document = discovery.aggregated(registry, core=path == "/api")
            tag = discovery.etag(document)
            # aggregated/handler.go: clients may cache it and ask again with the ETag.
            headers = (("Cache-Control", "public"), ("ETag", tag), ("Vary", "Accept"))
            if self.headers.get("If-None-Match") == tag:
                return Reply(304, b"", discovery.AGGREGATED_TYPE, headers)
            return Reply(200, dumps(document) + b"\n", discovery.AGGREGATED_TYPE, headers)
        if path == "/api":
            document = discovery.api_versions(f"{self.simulator.host}:{self.simulator.port}")
        else:
            document = discovery.group_list(registry)
        return Reply(200, dumps(document) + b"\n")

    # Collections ------------------------------------------------------------------------------

    def _encoder(self, request: Request, resource: Resource) -> Encoder:
        header = self.headers.get("Accept", "")
        # Custom resources are served without go-restful's routes.
        if not resource.custom and not routed(header):
            streamed = STREAMED if request.verb == "list" else ()
            raise not_routed(", ".join((_ACCEPTED, *streamed)))
        accepted = negotiate(header)
        if accepted is None:
            raise not_acceptable(_ACCEPTED)
        include = include_object(request.query) if accepted.form is Form.TABLE else "Metadata"
        convert = None
        if (resource.group, resource.name) == ("events.k8s.io", "events"):
            convert = events_v1
        return Encoder(resource, request.version, accepted, include, convert)

    def _stored_as(self, resource: Resource) -> Resource:
        """events.k8s.io/v1 shows the core events."""
        if (resource.group, resource.name) == ("events.k8s.io", "events"):
            return self.simulator.registry.lookup("events")
        return resource

    def _collection(self, request: Request, resource: Resource) -> None:
        encoder = self._encoder(request, resource)
        options = list_options(request, self._stored_as(resource))
        if request.verb == "watch":
            encoder.check_single()
            self._watch(request, resource, encoder)
            return
        encoder.check_list()
        simulator = self.simulator
        store = simulator.store
        table = store.table(self._stored_as(resource))
        found = page(store, table, options, request.namespace, simulator.wait_s)
        taken = self.taken
        if taken is not None and taken.fault.kind is Kind.EMPTY:
            found = empty_page(found)
        elif taken is not None and taken.fault.kind is Kind.SHUFFLED:
            found = shuffled_page(found)
        pretty = self._pretty(request)
        pieces = render_page(found, encoder)
        if pretty or taken is not None:
            body = b"".join(pieces)
            self._whole(200, indented(body) if pretty else body, taken=taken)
            return
        self._stream(pieces)

    def _watch(self, request: Request, resource: Resource, encoder: Encoder) -> None:
        simulator = self.simulator
        options = list_options(request, self._stored_as(resource))
        bookmark = encoder.bookmark if options.bookmarks else None
        watch = Watch(
            store=simulator.store,
            table=simulator.store.table(self._stored_as(resource)),
            options=options,
            namespace=request.namespace,
            encoder=encoder,
            send=self._chunk,
            gone=self._gone,
            spoiler=Spoiler(simulator.faults, request, self.taken, bookmark),
            stop=self._stop,
            bookmark_every_s=simulator.bookmark_every_s,
            wait_s=simulator.wait_s,
        )
        # Registered before the answer begins: who has seen the headers misses nothing after.
        watch.register()
        self._begin(200, [("Transfer-Encoding", "chunked")])
        if not watch.run():
            # Cut off in the middle of an event: no final chunk, as a dying server leaves it.
            self.close_connection = True
            return
        if not self._gone():
            self._write(b"0\r\n\r\n")

    def _gone(self) -> bool:
        return self.connection_.dead or self.simulator.closed or self.connection_.hung_up()

    def _stop(self, taken: Taken) -> bool | None:
        """Do what a fault does to a running watch; None: it goes on, else as `Watch.run`."""
        match taken.fault.kind:
            case Kind.END | Kind.TRUNCATED:
                return True
            case Kind.CUT:
                return False
            case Kind.STALL:
                pause(self.connection_, taken)
                return None
            case Kind.RESET:
                reset(self.connection_)
            case Kind.EXPIRED:
                self._chunk(error_event(expired("too old resource version")))
            case _:
                self._chunk(error_event(status_of(taken)))
        return True

    # Objects ----------------------------------------------------------------------------------

    def _object(self, request: Request, resource: Resource) -> Reply:
        verbs: dict[str, Callable[[Request, Resource, Encoder], Reply]] = {
            "get": self._get,
            "create": self._create,
            "update": self._update,
            "patch": self._patch,
            "delete": self._delete,
            "deletecollection": self._delete_collection,
        }
        verb = verbs.get(request.verb)
        needs_name = request.verb in ("update", "patch")
        if (
            verb is None
            or (needs_name and not request.name)
            or (request.verb == "create" and request.name)
        ):
            raise method_not_allowed()
        if resource.name == "events" and resource.group and request.verb != "get":
            raise method_not_allowed()
        return verb(request, resource, self._encoder(request, resource))

    def _key(self, request: Request) -> str:
        return f"{request.namespace}/{request.name}" if request.namespace else request.name

    def _single(self, encoder: Encoder, stored: Stored, status: int = 200) -> Reply:
        encoder.check_single()
        return Reply(status, encoder.single(stored) + b"\n")

    def _get(self, request: Request, resource: Resource, encoder: Encoder) -> Reply:
        store = self.simulator.store
        with store.lock:
            stored = store.table(self._stored_as(resource)).objects.get(self._key(request))
        if stored is None:
            raise not_found(resource.group, resource.name, request.name)
        return self._single(encoder, stored)

    def _body(self, request: Request) -> Json:
        media = request.headers.get("Content-Type", JSON).partition(";")[0].strip()
        if media != JSON:
            raise unsupported_media_type(JSON)
        try:
            body = json.loads(request.body or b"")
        except ValueError as error:
            raise bad_request(f"the object provided is unrecognized: {error}") from None
        if not isinstance(body, dict):
            raise bad_request("the object provided is unrecognized (must be of type object)")
        return body

    def _typed(self, request: Request, resource: Resource) -> Json:
        body = self._body(request)
        kind, version = body.get("kind", resource.kind), body.get("apiVersion")
        group = resource.group
        served = f"{group}/{request.version}" if group else request.version
        if kind != resource.kind or version not in (None, served):
            raise bad_request(
                f"the API version in the data ({version}) does not match the expected API version "
                f"({served})"
                if kind == resource.kind
                else f"the object provided is a {kind}, but a {resource.kind} is expected"
            )
        return {**body, "kind": resource.kind, "apiVersion": resource.api_version}

    def _create(self, request: Request, resource: Resource, encoder: Encoder) -> Reply:
        obj = self._typed(request, resource)
        asked = obj.get("metadata", {}).get("namespace")
        if resource.namespaced and asked and asked != request.namespace:
            raise bad_request(
                "the namespace of the provided object does not match the namespace sent on the "
                "request"
            )
        stored = self.simulator.writer.create(resource, obj, request.namespace, strict=True)
        return self._single(encoder, stored, 201)

    def _update(self, request: Request, resource: Resource, encoder: Encoder) -> Reply:
        obj = self._typed(request, resource)
        name = obj.get("metadata", {}).get("name")
        if name != request.name:
            raise bad_request(
                f"the name of the object ({name}) does not match the name on the URL "
                f"({request.name})"
            )
        if resource.custom and not obj["metadata"].get("resourceVersion"):
            raise invalid(
                resource.group,
                resource.name,
                request.name,
                [
                    (
                        "FieldValueInvalid",
                        "metadata.resourceVersion",
                        "Invalid value: 0: must be specified for an update",
                    )
                ],
            )
        stored = self.simulator.writer.change(
            resource, self._key(request), lambda _: obj, subresource=_sub(request)
        )
        return self._single(encoder, stored)

    def _patch(self, request: Request, resource: Resource, encoder: Encoder) -> Reply:
        media = request.headers.get("Content-Type", "").partition(";")[0].strip()
        if media not in _PATCH_TYPES:
            raise not_routed_patch()
        if resource.custom and media == _STRATEGIC:
            raise unsupported_media_type(_CUSTOM_PATCHES)
        try:
            patch = json.loads(request.body)
        except ValueError as error:
            raise bad_request(f"error decoding patch: {error}") from None

        def apply(old: Json) -> Json:
            if media == "application/json-patch+json":
                return json_patch(old, patch)
            new: Json = (strategic if media == _STRATEGIC else merge)(old, patch)
            return new

        stored = self.simulator.writer.change(
            resource, self._key(request), apply, subresource=_sub(request)
        )
        return self._single(encoder, stored)

    def _delete(self, request: Request, resource: Resource, encoder: Encoder) -> Reply:
        options = self._body(request) if request.body else {}
        wanted = options.get("preconditions") or {}
        stored = self.simulator.writer.delete(
            resource,
            self._key(request),
            uid=wanted.get("uid", ""),
            version=wanted.get("resourceVersion", ""),
        )
        waits = b'"deletionTimestamp"' in stored.metadata_json
        if resource.full_name in _RETURN_DELETED or waits:
            return self._single(encoder, stored)
        details: Json = {"name": request.name}
        if resource.group:
            details["group"] = resource.group
        details.update(kind=resource.name, uid=stored.uid)
        success: Json = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Success",
            "details": details,
        }
        return Reply(200, dumps(success) + b"\n")

    def _delete_collection(self, request: Request, resource: Resource, encoder: Encoder) -> Reply:
        simulator = self.simulator
        options = list_options(request, resource)
        with simulator.store.lock:
            table = simulator.store.table(resource)
            found = page(simulator.store, table, options, request.namespace, simulator.wait_s)
            for stored in found.items:
                simulator.writer.delete(resource, stored.key)
        encoder.check_list()
        return Reply(200, b"".join(render_page(found, encoder)))


def _sub(request: Request) -> str:
    return "status" if request.subresource == "status" else ""


__all__ = ["Handler"]
