"""Every error that vai raises, in one tree.

```
VaiError                                .reason .code .details
├─ InvalidRequestError (ValueError)     400  the caller's input is wrong
│  ├─ InvalidSelectorError              .position
│  ├─ InvalidExpressionError            .position
│  ├─ UnknownFieldError                 .nearest .position
│  └─ InvalidCursorError
├─ NotFoundError (LookupError)          404  proven absent
│  └─ UnknownResourceError              .nearest
├─ NotSyncedError                       503  asked for, but never listed yet
├─ NotKeptError                         503  outside every scope of the file  .scopes
├─ StaleError                           503  older than `max_age`  .freshness
├─ ExpiredError                         410  history does not reach back  .oldest_seq
├─ VaiTimeoutError (TimeoutError)       504
│  ├─ SyncTimeoutError                  .scopes
│  └─ QueryTimeoutError
├─ ForbiddenError (PermissionError)     403  .rule
├─ OfflineError (ConnectionError)       503  the API server is not heard
└─ FileError                            500
   ├─ WriterRunningError                409  .pid
   ├─ OtherClusterError                 409
   ├─ ConsumerBusyError                 409  .pid
   ├─ NotAVaiFileError  SchemaTooNewError  CorruptError  DiskFullError  ReadOnlyError
   └─ ForkedError  ClosedError
```

The base classes are catch sites: `except vai.FileError` is everything about the file. The Rust
core imports these classes and raises them itself. `reason` and `code` are those that a Kubernetes
`Status` would carry
(https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/).
"""

from __future__ import annotations

from typing import Any, ClassVar


class VaiError(Exception):
    """Base of all errors of vai.

    Attributes:
        reason: the Kubernetes Status reason, such as ``"NotFound"``.
        code: the HTTP status code that belongs to it.
        details: what else is known, by name (JSON values only).
    """

    reason: ClassVar[str] = "InternalError"
    code: ClassVar[int] = 500

    def __init__(self, message: str, /, **details: Any) -> None:
        super().__init__(message)
        self.details = details

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), str(self), self.details)


def _rebuild(cls: type[VaiError], message: str, details: dict[str, Any]) -> VaiError:
    return cls(message, **details)


class InvalidRequestError(VaiError, ValueError):
    """The caller's input is wrong; the message says where and what to do."""

    reason = "BadRequest"
    code = 400


class InvalidSelectorError(InvalidRequestError):
    """A label or field selector does not parse."""

    @property
    def position(self) -> int:
        """Offset of the offending token in the selector, in characters."""
        return int(self.details.get("position", 0))


class InvalidExpressionError(InvalidRequestError):
    """A `where` expression or a sort key does not parse or makes no sense: `phase > 3`.

    `details["text"]` is the one that it is about.
    """

    @property
    def position(self) -> int:
        """Offset of the offending token in that text, in characters."""
        return int(self.details.get("position", 0))


class UnknownFieldError(InvalidRequestError):
    """A field is not known for this resource.

    `details["text"]` is the expression, sort key or field to count by that names it.
    """

    @property
    def position(self) -> int | None:
        """Offset of its name in that text, in characters; None in a field selector."""
        position = self.details.get("position")
        return None if position is None else int(position)

    @property
    def nearest(self) -> list[str]:
        """Known names closest to the one asked for, best first."""
        return list(self.details.get("nearest", ()))


class InvalidCursorError(InvalidRequestError):
    """A page cursor belongs to another file, query or release."""


class NotFoundError(VaiError, LookupError):
    """Proven absent: a complete scope covers the name and does not have it."""

    reason = "NotFound"
    code = 404


class UnknownResourceError(NotFoundError):
    """No resource of this name is known to the cluster (or to the file)."""

    @property
    def nearest(self) -> list[str]:
        """Known names closest to the one asked for, best first."""
        return list(self.details.get("nearest", ()))


class NotSyncedError(VaiError):
    """The scope is asked for, but was never listed completely."""

    reason = "ServiceUnavailable"
    code = 503


class NotKeptError(VaiError):
    """What was asked for lies outside every scope of the file."""

    reason = "ServiceUnavailable"
    code = 503

    @property
    def scopes(self) -> list[str]:
        """What the file keeps instead, as text."""
        return list(self.details.get("scopes", ()))


class StaleError(VaiError):
    """The answer would be older than `max_age`."""

    reason = "ServiceUnavailable"
    code = 503

    @property
    def freshness(self) -> Any:
        """The `Freshness` of the refused answer, or None."""
        return self.details.get("freshness")


class ExpiredError(VaiError):
    """History does not reach back to the position asked for."""

    reason = "Expired"
    code = 410

    @property
    def oldest_seq(self) -> int:
        """The oldest position that can still be resumed from."""
        return int(self.details.get("oldest_seq", 0))


class VaiTimeoutError(VaiError, TimeoutError):
    """A wait ended before its condition held."""

    reason = "Timeout"
    code = 504


class SyncTimeoutError(VaiTimeoutError):
    """Not everything was synced in time."""

    @property
    def scopes(self) -> dict[str, str]:
        """Why, per scope not yet synced."""
        return dict(self.details.get("scopes", {}))


class QueryTimeoutError(VaiTimeoutError):
    """A query passed its deadline and was interrupted."""


class ForbiddenError(VaiError, PermissionError):
    """The API server refuses; the message names the missing rule."""

    reason = "Forbidden"
    code = 403

    @property
    def rule(self) -> dict[str, Any]:
        """The missing RBAC rule: apiGroups, resources, verbs and namespace."""
        return dict(self.details.get("rule", {}))


class OfflineError(VaiError, ConnectionError):
    """The API server is not heard."""

    reason = "ServiceUnavailable"
    code = 503


class FileError(VaiError):
    """Something about the cluster file itself."""


class WriterRunningError(FileError):
    """Another process writes this file."""

    reason = "Conflict"
    code = 409

    @property
    def pid(self) -> int | None:
        """The process that holds the writer's lock, if the system tells."""
        pid = self.details.get("pid")
        return None if pid is None else int(pid)


class OtherClusterError(FileError):
    """The file holds another cluster's resources."""

    reason = "Conflict"
    code = 409


class ConsumerBusyError(FileError):
    """Another process, or another loop of this one, is the consumer of that name."""

    reason = "Conflict"
    code = 409

    @property
    def pid(self) -> int | None:
        """Its process id, or None where the system does not tell."""
        pid = self.details.get("pid")
        return None if pid is None else int(pid)


class NotAVaiFileError(FileError):
    """The file is something else; it was not touched."""


class SchemaTooNewError(FileError):
    """A newer release of vai wrote the file; it was not touched."""


class CorruptError(FileError):
    """SQLite or a checksum says that the file is damaged."""


class DiskFullError(FileError):
    """No space was left; what was committed before is intact."""


class ReadOnlyError(FileError):
    """The file or its folder can't be written (or not safely)."""


class ForkedError(FileError):
    """A handle opened before `fork` was used in the child."""


class ClosedError(FileError):
    """The cache or file was closed."""


__all__ = [
    "ClosedError",
    "ConsumerBusyError",
    "CorruptError",
    "DiskFullError",
    "ExpiredError",
    "FileError",
    "ForbiddenError",
    "ForkedError",
    "InvalidCursorError",
    "InvalidExpressionError",
    "InvalidRequestError",
    "InvalidSelectorError",
    "NotAVaiFileError",
    "NotFoundError",
    "NotKeptError",
    "NotSyncedError",
    "OfflineError",
    "OtherClusterError",
    "QueryTimeoutError",
    "ReadOnlyError",
    "SchemaTooNewError",
    "StaleError",
    "SyncTimeoutError",
    "UnknownFieldError",
    "UnknownResourceError",
    "VaiError",
    "VaiTimeoutError",
    "WriterRunningError",
]
