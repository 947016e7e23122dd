"""Page cursors: opaque text that names the file, the query and the last key of a page.

A cursor by key needs no memory in the server and survives restarts: the next page starts after
that key, among the objects that match by then.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence

import msgspec

from vai.errors import InvalidCursorError

#: Raised with every change of the token's meaning.
_RELEASE = 1


class _Token(msgspec.Struct, array_like=True):
    release: int
    query: str
    after: str


def fingerprint(
    cluster: str, resource: str, namespaces: Sequence[str] | None, labels: str, fields: str
) -> str:
    """A short hash of what a cursor belongs to. Selectors in canonical form."""
    chosen = None if namespaces is None else sorted(namespaces)
    parts = msgspec.json.encode([cluster, resource, chosen, labels, fields])
    return hashlib.sha256(parts).hexdigest()[:16]


def encode(query: str, after: str) -> str:
    """The cursor of the page that starts after this key."""
    raw = msgspec.json.encode(_Token(_RELEASE, query, after))
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def decode(cursor: str, query: str) -> str:
    """The key after which the page starts.

    Raises:
        InvalidCursorError: no cursor at all, or one of another file, query or release.
    """
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        token = msgspec.json.decode(raw, type=_Token)
    except (binascii.Error, msgspec.DecodeError, ValueError) as error:
        raise InvalidCursorError(f"not a cursor of vai: {cursor[:40]!r}") from error
    if token.release != _RELEASE:
        raise InvalidCursorError("the cursor is of another release of vai; start at the first page")
    if token.query != query:
        raise InvalidCursorError(
            "the cursor belongs to another file or query (resource, namespaces and selectors "
            "must be those of the first page)"
        )
    return token.after
