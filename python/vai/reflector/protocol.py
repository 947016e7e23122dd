"""What a reflector asks of the API server, and how that may fail."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Final, Protocol, Self

import msgspec


class Response(Protocol):
    """An answer whose body is read as it arrives."""

    @property
    def status(self) -> int:
        """The HTTP status; always a success, failures are raised."""

    @property
    def gzip(self) -> bool:
        """Whether the bytes are gzip members."""

    def chunks(self) -> Iterator[bytes]:
        """Bytes as they arrive, undecoded; ends early once closed.

        Raises:
            OfflineError: the connection broke or stayed silent for too long.
        """

    def limit(self, timeout_s: float) -> None:
        """Wait no longer than this for more bytes: then the chunks raise OfflineError."""

    def close(self) -> None:
        """Give it up. From any thread: a blocked reader wakes and its chunks end."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class ListerWatcher(Protocol):
    """The requests that a reflector makes, for one scope.

    All of them raise OfflineError (the server is not heard), ForbiddenError (after credentials
    were refreshed once; it names the missing rule) or RefusedError (any other refusal).
    """

    @property
    def group(self) -> str:
        """The API group: what one server of it can't do, none of it can."""

    def list_page(self, limit: int, continue_token: str = "") -> Response:
        """One page, resourceVersion unset (a quorum read). `limit` 0 asks for everything."""

    def stream_list(self, timeout_s: int) -> Response:
        """A watch that begins with all there is, as of a quorum read, and says where that ends.

        KEP-3157: a bookmark annotated `k8s.io/initial-events-end` does. A server that does not
        know it refuses (400, 422), or leaves the bookmark out.
        """

    def watch(self, resource_version: str, timeout_s: int) -> Response:
        """The events after that resourceVersion, with bookmarks, for at most that long."""

    def probe(self) -> str:
        """The newest resourceVersion, without objects: a quorum read too."""


class Cause(msgspec.Struct, frozen=True):
    """One of a Status' `details.causes`."""

    reason: str = ""
    message: str = ""


class Details(msgspec.Struct, frozen=True):
    """Of a Status."""

    causes: list[Cause] | None = None


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """What a Kubernetes Status says of a refused request."""

    code: int = 0
    reason: str = ""
    message: str = ""
    details: Details | None = None

    def is_too_large(self) -> bool:
        """Whether the server has not got yet to a resourceVersion that it was asked for.

        As client-go tells it (reflector.go, isTooLargeResourceVersionError): by the cause, which
        servers before 1.17 and up to 1.18.5 gave only as a message.
        """
        causes = (self.details.causes if self.details is not None else None) or []
        texts = [self.message, *(cause.message for cause in causes)]
        return any(cause.reason == "ResourceVersionTooLarge" for cause in causes) or any(
            "too large resource version" in text.lower() for text in texts
        )

    def __str__(self) -> str:
        words = [str(self.code)] if self.code else []
        words += [self.reason] if self.reason else []
        return " ".join(words) + (f": {self.message}" if self.message else "")


#: Made while modules are imported, by one thread: msgspec 0.22 crashes when two threads are the
#: first to decode a type at once, as all reflectors are at a start.
REFUSAL: Final = msgspec.json.Decoder(Refusal)


class RefusedError(Exception):
    """The server answered, but not with what was asked for. Never leaves the sync side."""

    def __init__(self, refusal: Refusal, retry_after_s: float | None = None) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal
        self.retry_after_s = retry_after_s


def drain(chunks: Iterable[bytes], most_bytes: int = 65536) -> bytes:
    """A small body as a whole, cut off beyond `most_bytes`."""
    body = b""
    for chunk in chunks:
        body += chunk
        if len(body) >= most_bytes:
            break
    return body[:most_bytes]
