"""One Kubernetes object as a frozen mapping over the bytes that the API server sent.

`Object` decodes nothing until it is touched, and never hands out what it does not have: an object
that is kept as metadata only (`redacted`) refuses to be read beyond its metadata.
"""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Iterator, Mapping
from typing import Any, Final, NoReturn, Protocol, Self, TypeAlias, TypeVar, cast

import msgspec

from vai.errors import NotKeptError

#: A JSON value. `Any`, so that `obj["status"]["podIP"]` passes a strict type checker.
JsonValue: TypeAlias = Any

T = TypeVar("T")

#: What whoever meets a redacted object can do.
TO_KEEP_THE_REST: Final = (
    "sync with secret_values=True (--secret-values) to keep the rest of Secrets and their like, "
    "anything else without Redaction.METADATA (--metadata-only)"
)
#: What a redacted object still has: the fields of PartialObjectMetadata
#: (https://kubernetes.io/docs/reference/using-api/api-concepts/#metadata-only-fetches).
_METADATA_KEYS = frozenset({"apiVersion", "kind", "metadata"})
_PARTIAL = "PartialObjectMetadata"


class Body(Protocol):
    """Where an object's bytes come from: a stored row, or plain bytes."""

    @property
    def key(self) -> str:
        """`namespace/name` or `name`."""
        ...

    @property
    def uid(self) -> str:
        """metadata.uid."""
        ...

    @property
    def resource_version(self) -> str:
        """metadata.resourceVersion."""
        ...

    @property
    def redacted(self) -> bool:
        """Whether only metadata is kept."""
        ...

    @property
    def raw(self) -> bytes:
        """The JSON."""
        ...


class _Names(msgspec.Struct, rename="camel"):
    """What an object is known by: read of any that the core took, however odd the rest."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""


class _Identity(msgspec.Struct):
    kind: str = ""
    metadata: _Names = msgspec.field(default_factory=_Names)


class _Meta(msgspec.Struct):
    """The part of metadata that is read without decoding the rest."""

    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class _Head(msgspec.Struct):
    metadata: _Meta = msgspec.field(default_factory=_Meta)


class _Metadata(msgspec.Struct):
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)


class _Status(msgspec.Struct):
    status: Any = None


class _Bytes:
    """A body that is no stored row; its head is read when it is made."""

    __slots__ = ("key", "raw", "redacted", "resource_version", "uid")

    def __init__(self, raw: bytes) -> None:
        head = _decode(raw, _Identity)
        meta = head.metadata
        self.raw = raw
        self.key = f"{meta.namespace}/{meta.name}" if meta.namespace else meta.name
        self.uid = meta.uid
        self.resource_version = meta.resource_version
        self.redacted = head.kind == _PARTIAL


class Object(Mapping[str, JsonValue]):
    """One object as it was at one resourceVersion: frozen, hashable, picklable.

    A mapping of the decoded JSON: `pod["status"]["podIP"]`. What is nested in it is decoded once
    per `Object` and shared: change a copy (`to_dict()`) instead. Nothing done to it reaches the
    cache or another `Object`, which all start from the stored bytes.

    Two objects are equal when their content is. The hash comes from key, uid and
    resourceVersion.

    Costs, for a pod of 5 KB: `key`, `namespace`, `name`, `uid`, `resource_version` none; `raw`
    one decompression; `labels`, `annotations` and `condition` a scan of the bytes that makes no
    other Python value; the first `obj[...]`, `to_dict` and `decode` a full decoding.
    """

    __slots__ = ("_body", "_meta", "_value")

    _body: Body
    _meta: _Meta | None
    _value: dict[str, Any] | None

    def __init__(self, raw: bytes) -> None:
        """Wrap an object's JSON, as the API server sends it."""
        _start(self, _Bytes(bytes(raw)))

    @classmethod
    def of(cls, body: Body) -> Self:
        """Wrap a stored row; its bytes are fetched when something asks for them."""
        made = cls.__new__(cls)
        _start(made, body)
        return made

    # identity: read without decoding

    @property
    def key(self) -> str:
        """`namespace/name`, or `name` of a cluster-scoped object."""
        return self._body.key

    @property
    def namespace(self) -> str:
        """The namespace; empty for a cluster-scoped object."""
        return self._body.key.rpartition("/")[0]

    @property
    def name(self) -> str:
        """metadata.name."""
        return self._body.key.rpartition("/")[2]

    @property
    def uid(self) -> str:
        """metadata.uid."""
        return self._body.uid

    @property
    def resource_version(self) -> str:
        """metadata.resourceVersion."""
        return self._body.resource_version

    @property
    def redacted(self) -> bool:
        """Whether only metadata is kept of it (Secrets and their like, unless asked for)."""
        return self._body.redacted

    # metadata: also there when redacted

    @property
    def labels(self) -> Mapping[str, str]:
        """metadata.labels; empty if there are none."""
        return self._head().labels or {}

    @property
    def annotations(self) -> Mapping[str, str]:
        """metadata.annotations; empty if there are none."""
        return self._head().annotations or {}

    @property
    def metadata(self) -> Mapping[str, JsonValue]:
        """The whole of metadata; readable for a redacted object too."""
        if self._value is not None:
            found: dict[str, Any] = self._value["metadata"]
            return found
        return _decode(self._body.raw, _Metadata).metadata

    def partial(self) -> bytes:
        """The object as PartialObjectMetadata JSON: all that is kept of a redacted one."""
        parts = {"kind": _PARTIAL, "apiVersion": "meta.k8s.io/v1", "metadata": self.metadata}
        return msgspec.json.encode(parts)

    # all of it: refused when redacted

    @property
    def raw(self) -> bytes:
        """The JSON as the API server sent it.

        Raises:
            NotKeptError: the object is kept as metadata only.
        """
        self._whole()
        return self._body.raw

    def to_dict(self) -> dict[str, JsonValue]:
        """A plain dict of one's own, decoded anew.

        Raises:
            NotKeptError: the object is kept as metadata only.
        """
        return _loads(self.raw)

    def decode(self, shape: type[T], /) -> T:
        """The object as a `msgspec.Struct` (or any other type that msgspec can decode into).

        Fields that the type lacks are skipped, so a small Struct costs little.

        Raises:
            NotKeptError: the object is kept as metadata only.
            msgspec.ValidationError: the object does not fit the type.
        """
        return _decode(self.raw, shape)

    def condition(self, name: str, /) -> bool:
        """Whether `status.conditions` has one of this type with status "True".

        A missing, "False" or "Unknown" condition is False.

        Raises:
            NotKeptError: the object is kept as metadata only.
        """
        if self._value is not None:
            status = self._value.get("status")
        else:
            status = _decode(self.raw, _Status).status
        conditions = status.get("conditions") if isinstance(status, dict) else None
        return any(
            isinstance(item, dict) and item.get("type") == name and item.get("status") == "True"
            for item in (conditions if isinstance(conditions, list) else ())
        )

    # Mapping

    def __getitem__(self, name: str) -> JsonValue:
        if self._body.redacted and name not in _METADATA_KEYS:
            self._refuse(f"{name!r}")
        return self._decoded()[name]

    def __iter__(self) -> Iterator[str]:
        self._whole()
        return iter(self._decoded())

    def __len__(self) -> int:
        self._whole()
        return len(self._decoded())

    def __bool__(self) -> bool:
        """True, without decoding: an object has at least a name."""
        return True

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Object):
            return NotImplemented if self.redacted else super().__eq__(other)
        mine, its = self._body, other._body
        if mine is its:
            return True
        if self._identity() != other._identity() or mine.redacted != its.redacted:
            return False
        left, right = mine.raw, its.raw
        return left == right or _loads(left) == _loads(right)

    def __hash__(self) -> int:
        return hash(self._identity())

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"an Object is frozen: {name!r} can't be set; change a to_dict()")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"an Object is frozen: {name!r} can't be deleted")

    def __reduce__(self) -> tuple[Any, ...]:
        return _whole_object if not self.redacted else _redacted_object, (self._body.raw,)

    def __repr__(self) -> str:
        note = " (metadata only)" if self.redacted else ""
        return f"<Object {self.key} resourceVersion={self.resource_version}{note}>"

    # inside

    def _identity(self) -> tuple[str, str, str]:
        body = self._body
        return body.key, body.uid, body.resource_version

    def _head(self) -> _Meta:
        meta = self._meta
        if meta is None:
            meta = _decode(self._body.raw, _Head).metadata
            object.__setattr__(self, "_meta", meta)
        return meta

    def _decoded(self) -> dict[str, Any]:
        value = self._value
        if value is None:
            value = _loads(self._body.raw)
            object.__setattr__(self, "_value", value)
        return value

    def _whole(self) -> None:
        if self._body.redacted:
            self._refuse("more than metadata")

    def _refuse(self, what: str) -> NoReturn:
        raise NotKeptError(
            f"{what} of {self.key!r} can't be read: only its metadata is kept; {TO_KEEP_THE_REST}",
            key=self.key,
        )


def _start(made: Object, body: Body) -> None:
    object.__setattr__(made, "_body", body)
    object.__setattr__(made, "_meta", None)
    object.__setattr__(made, "_value", None)


class _Redacted(_Bytes):
    """Bytes of an object that was redacted where it was pickled."""

    __slots__ = ()

    def __init__(self, raw: bytes) -> None:
        super().__init__(raw)
        self.redacted = True


def _whole_object(raw: bytes) -> Object:
    return Object.of(_Bytes(raw))


def _redacted_object(raw: bytes) -> Object:
    return Object.of(_Redacted(raw))


_making: Final = threading.Lock()


@functools.lru_cache(maxsize=128)
def _decoder(shape: Any) -> msgspec.json.Decoder[Any]:
    """A decoder per type: making one costs more than decoding a small object."""
    # msgspec 0.22 crashes when two threads are the first to look at a type at once.
    with _making:
        return msgspec.json.Decoder(shape)


def _decode(raw: bytes, shape: type[T]) -> T:
    decoder: msgspec.json.Decoder[T] = _decoder(cast("Any", shape))
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        return msgspec.convert(_lenient(raw), shape)


def _loads(raw: bytes) -> dict[str, Any]:
    try:
        value: dict[str, Any] = msgspec.json.decode(raw)
    except msgspec.DecodeError:
        value = _lenient(raw)
    return value


def _lenient(raw: bytes) -> dict[str, Any]:
    """Python's own parser: msgspec refuses lone surrogates, which Kubernetes may store."""
    value: dict[str, Any] = json.loads(raw)
    return value
