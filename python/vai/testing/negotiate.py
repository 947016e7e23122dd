"""What a client accepts: plain objects, Tables, or metadata alone.

Sources: apiserver ``pkg/endpoints/handlers/negotiation/negotiate.go`` and munnerz/goautoneg.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from functools import lru_cache


class Form(enum.Enum):
    """The form in which objects are sent."""

    OBJECT = "object"
    TABLE = "Table"
    METADATA = "PartialObjectMetadata"
    METADATA_LIST = "PartialObjectMetadataList"
    DISCOVERY = "APIGroupDiscoveryList"


@dataclass(frozen=True, slots=True)
class Accepted:
    """A negotiated form; ``version`` is v1 or v1beta1 of meta.k8s.io, or v2 of apidiscovery."""

    form: Form
    version: str = "v1"
    pretty: bool = False


@dataclass(frozen=True, slots=True)
class _Clause:
    main: str
    sub: str
    quality: float
    parameters: tuple[tuple[str, str], ...]


def _clauses(header: str) -> list[_Clause]:
    found: list[_Clause] = []
    for part in header.split(","):
        media, *rest = [piece.strip() for piece in part.split(";")]
        main, slash, sub = media.partition("/")
        if not slash and main != "*":
            continue
        quality = 1.0
        parameters: list[tuple[str, str]] = []
        for piece in rest:
            name, _, value = piece.partition("=")
            value = value.strip().strip('"')
            if name.strip() == "q":
                try:
                    quality = float(value)
                except ValueError:
                    quality = 1.0
            else:
                parameters.append((name.strip(), value))
        found.append(_Clause(main, sub or "*", quality, tuple(parameters)))
    # goautoneg sorts by quality, then by specificity; the order of the header breaks ties.
    return sorted(
        found,
        key=lambda c: (-c.quality, c.main == "*", c.sub == "*"),
    )


_META_FORMS = {
    "Table": Form.TABLE,
    "PartialObjectMetadata": Form.METADATA,
    "PartialObjectMetadataList": Form.METADATA_LIST,
}


def _form(clause: _Clause, *, discovery: bool) -> Accepted | None:
    if clause.main not in ("application", "*") or clause.sub not in ("json", "*"):
        return None
    parameters = dict(clause.parameters)
    kind = parameters.get("as", "")
    group = parameters.get("g", "")
    version = parameters.get("v", "")
    pretty = parameters.get("pretty") == "1"
    if parameters.get("stream") not in (None, "", "watch"):
        return None
    if not kind and not group and not version:
        return Accepted(Form.OBJECT, pretty=pretty)
    if discovery:
        if (group, version, kind) == ("apidiscovery.k8s.io", "v2", "APIGroupDiscoveryList"):
            return Accepted(Form.DISCOVERY, "v2", pretty)
        return None
    if group != "meta.k8s.io" or version not in ("v1", "v1beta1") or kind not in _META_FORMS:
        return None
    return Accepted(_META_FORMS[kind], version, pretty)


_PRODUCED = ("application/json", "application/yaml", "application/vnd.kubernetes.protobuf")
STREAMED = ("application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch")


def routed(header: str) -> bool:
    """Whether go-restful lets a request through to its handler: by media type alone.

    It knows ``*/*`` but no ``application/*``, so that one is refused before negotiation.
    """
    media = [part.partition(";")[0].strip() for part in header.split(",")]
    return not header.strip() or any(m == "*/*" or m in _PRODUCED for m in media)


@lru_cache(maxsize=256)
def negotiate(header: str, *, discovery: bool = False) -> Accepted | None:
    """The first acceptable form in the Accept header's order of preference; None is a 406."""
    if not header.strip():
        return Accepted(Form.OBJECT)
    for clause in _clauses(header):
        found = _form(clause, discovery=discovery)
        if found is not None:
            return found
    return None


@lru_cache(maxsize=256)
def takes_plain_json(header: str) -> bool:
    """Whether the client accepts JSON that was not transformed, as errors are sent."""
    if not header.strip():
        return True
    forms = (_form(clause, discovery=False) for clause in _clauses(header))
    return any(found is not None and found.form is Form.OBJECT for found in forms)
