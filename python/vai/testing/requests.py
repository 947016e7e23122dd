"""What a request asks for: the path taken apart, and the options of a list or watch.

Sources: apiserver ``pkg/endpoints/request/requestinfo.go``, apimachinery
``pkg/apis/meta/internalversion`` (defaults.go, validation/validation.go).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote

from vai.testing.fields import check_field
from vai.testing.resources import Resource
from vai.testing.selectors import (
    FieldSelector,
    FieldTerm,
    LabelSelector,
    SelectorError,
    parse_fields,
    parse_labels,
)
from vai.testing.status import ApiError, bad_request, invalid


@dataclass(slots=True)
class Request:
    """One request, as the log, the faults and the handlers see it.

    Attributes:
        verb: Kubernetes' verb: get, list, watch, create, update, patch, delete,
            deletecollection; for paths outside resources the lower-case HTTP method.
        kind: ``list``, ``watch``, ``watchlist`` (a watch that sends the initial objects),
            ``probe`` (the same for one name: asks only for the resourceVersion), ``get``,
            ``write``, ``discovery`` or ``other``.
    """

    method: str
    path: str
    query: dict[str, str]
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    group: str = ""
    version: str = ""
    resource: str = ""
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    watch_path: bool = False
    verb: str = ""
    kind: str = "other"

    @property
    def user_agent(self) -> str:
        """The User-Agent header."""
        return self.headers.get("User-Agent", "")


def flag(text: str) -> bool:
    """A boolean query parameter: all but ``false`` and ``0`` is true (runtime/conversion.go)."""
    return text.lower() not in ("false", "0")


def read_request(
    method: str, target: str, headers: Mapping[str, str], body: bytes = b""
) -> Request:
    """Take a request line apart."""
    path, _, query_text = target.partition("?")
    query = {k: v[0] for k, v in parse_qs(query_text, keep_blank_values=True).items()}
    request = Request(method, unquote(path), query, headers, body)
    parts = [unquote(part) for part in path.strip("/").split("/") if part]
    request.verb = method.lower()
    if parts[:1] == ["api"] and len(parts) > 1:
        request.version = parts[1]
        rest = parts[2:]
    elif parts[:1] == ["apis"] and len(parts) > 2:
        request.group, request.version = parts[1], parts[2]
        rest = parts[3:]
    else:
        request.kind = "discovery" if parts[:1] in (["api"], ["apis"], ["version"]) else "other"
        return request
    if not rest:
        request.kind = "discovery"
        return request
    _read_resource(request, rest)
    _classify(request)
    return request


def _read_resource(request: Request, rest: list[str]) -> None:
    request.watch_path = rest[0] == "watch"
    if request.watch_path:
        rest = rest[1:]
    # /namespaces/NS/status and /namespaces/NS/finalize are the namespace itself.
    inner = len(rest) > 2 and rest[0] == "namespaces" and rest[2] not in ("status", "finalize")
    if inner:
        request.namespace = rest[1]
        rest = rest[2:]
    request.resource = rest[0] if rest else ""
    request.name = rest[1] if len(rest) > 1 else ""
    request.subresource = rest[2] if len(rest) > 2 else ""


def _classify(request: Request) -> None:
    query = request.query
    if request.method == "GET":
        # ?watch on one object's path is ignored; only /watch/…/NAME watches one.
        wanted = request.watch_path or (
            not request.name and "watch" in query and flag(query["watch"])
        )
        if wanted:
            request.verb = "watch"
            request.kind = _watch_kind(request)
        else:
            request.verb = request.kind = "get" if request.name else "list"
        return
    request.kind = "write"
    request.verb = {
        "POST": "create",
        "PUT": "update",
        "PATCH": "patch",
        "DELETE": "delete" if request.name else "deletecollection",
    }.get(request.method, request.method.lower())


def _watch_kind(request: Request) -> str:
    query = request.query
    explicit = query.get("sendInitialEvents")
    if explicit is not None:
        initial = flag(explicit)
    else:
        # Kubernetes 1.36 (defaults.go): a watch from nowhere or "0" sends the initial objects.
        legacy = query.get("resourceVersion", "") in ("", "0")
        initial = legacy and not query.get("resourceVersionMatch")
    if not initial:
        return "watch"
    one_name = request.name or "metadata.name=" in query.get("fieldSelector", "")
    return "probe" if one_name else "watchlist"


@dataclass(frozen=True, slots=True)
class ListOptions:
    """The options of a list or a watch, defaulted and validated."""

    watch: bool
    labels: LabelSelector
    fields: FieldSelector
    resource_version: str
    match: str
    limit: int
    continue_token: str
    bookmarks: bool
    timeout_s: int | None
    send_initial: bool | None

    @property
    def rv(self) -> int:
        """The resourceVersion as a number; 0 when unset."""
        return int(self.resource_version or 0)

    @property
    def selective(self) -> bool:
        """True when a selector may leave objects out."""
        return bool(self.labels) or bool(self.fields)


def _integer(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    if not text.lstrip("+-").isascii() or not text.lstrip("+-").isdigit():
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    return int(text)


def list_options(request: Request, resource: Resource) -> ListOptions:
    """The options in a request's query.

    Raises:
        ApiError: 400 or 422 with the server's message.
    """
    query = request.query
    watch = request.verb == "watch"
    try:
        labels = parse_labels(query.get("labelSelector", ""))
        fields = parse_fields(
            query.get("fieldSelector", ""), lambda name: check_field(resource, name)
        )
    except SelectorError as error:
        raise bad_request(str(error)) from None
    fields = _with_name(request, fields)
    version = query.get("resourceVersion", "")
    match = query.get("resourceVersionMatch", "")
    initial = query.get("sendInitialEvents")
    send_initial = None if initial is None else flag(initial)
    if watch and send_initial is None and not match and version in ("", "0"):
        send_initial, match = True, "NotOlderThan"
    options = ListOptions(
        watch=watch,
        labels=labels,
        fields=fields,
        resource_version=version,
        match=match,
        limit=max(_integer(query, "limit") or 0, 0),
        continue_token=query.get("continue", ""),
        bookmarks=flag(query["allowWatchBookmarks"]) if "allowWatchBookmarks" in query else False,
        timeout_s=_integer(query, "timeoutSeconds"),
        send_initial=send_initial,
    )
    _validate(options)
    _check_version(options)
    return options


def _with_name(request: Request, fields: FieldSelector) -> FieldSelector:
    if not request.name:
        return fields
    if fields and fields.exact("metadata.name") != request.name:
        raise bad_request("fieldSelector metadata.name doesn't match requested name")
    return fields or FieldSelector((FieldTerm("metadata.name", request.name),))


def _check_version(options: ListOptions) -> None:
    text = options.resource_version
    if not text or (text.isascii() and text.isdigit()):
        return
    problem = f'Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax'
    if options.watch:
        # The cacher's error reaches the handler unconverted: a bare 500 without a reason.
        raise ApiError(500, "", f"resourceVersion: {problem}")
    raise bad_request(f"invalid resource version: resourceVersion: {problem}")


_EXACT, _NOT_OLDER = "Exact", "NotOlderThan"
_Cause = tuple[str, str, str]


def _forbidden(field: str, why: str) -> _Cause:
    return ("FieldValueForbidden", field, f"Forbidden: {why}")


def _unsupported(match: str, supported: str) -> _Cause:
    return (
        "FieldValueNotSupported",
        "resourceVersionMatch",
        f'Unsupported value: "{match}": supported values: {supported}',
    )


def _list_causes(options: ListOptions) -> list[_Cause]:
    causes: list[_Cause] = []
    match = options.match
    name = "resourceVersionMatch"
    if match:
        if not options.resource_version:
            causes.append(
                _forbidden(name, f"{name} is forbidden unless resourceVersion is provided")
            )
        if options.continue_token:
            causes.append(_forbidden(name, f"{name} is forbidden when continue is provided"))
        if match not in (_EXACT, _NOT_OLDER):
            causes.append(_unsupported(match, '"Exact", "NotOlderThan", ""'))
        if match == _EXACT and options.resource_version == "0":
            causes.append(_forbidden(name, f'{name} "exact" is forbidden for resourceVersion "0"'))
    if options.send_initial is not None:
        causes.append(_forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"))
    return causes


def _watch_causes(options: ListOptions) -> list[_Cause]:
    causes: list[_Cause] = []
    match = options.match
    name = "resourceVersionMatch"
    if options.send_initial is not None and match != _NOT_OLDER:
        causes.append(
            _forbidden(name, f"sendInitialEvents requires setting {name} to {_NOT_OLDER}")
        )
    if match:
        if options.send_initial is None:
            causes.append(
                _forbidden(
                    name, f"{name} is forbidden for watch unless sendInitialEvents is provided"
                )
            )
        if match != _NOT_OLDER:
            causes.append(_unsupported(match, '"NotOlderThan"'))
        if options.continue_token:
            causes.append(_forbidden(name, f"{name} is forbidden when continue is provided"))
    return causes


def _validate(options: ListOptions) -> None:
    causes = _watch_causes(options) if options.watch else _list_causes(options)
    if causes:
        raise _invalid_options(causes)


def _invalid_options(causes: list[_Cause]) -> ApiError:
    return invalid("meta.k8s.io", "ListOptions", "", causes)
