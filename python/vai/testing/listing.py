"""LIST: which state to show, which page of it, and the bytes.

Sources: apiserver ``pkg/storage/cacher/{cacher,delegator,watch_cache}.go``,
``pkg/storage/continue.go`` and ``pkg/storage/etcd3/errors.go``.
"""

from __future__ import annotations

import base64
import binascii
import bisect
import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NoReturn

from vai.testing.encode import Encoder
from vai.testing.negotiate import Form
from vai.testing.objects import Stored, dumps
from vai.testing.requests import ListOptions
from vai.testing.status import (
    ApiError,
    bad_request,
    expired,
    too_large_resource_version,
)
from vai.testing.store import Snapshot, Store, Table

# watch_cache.go: blockTimeout, the wait for a cache to become fresh enough.
FRESHNESS_WAIT_S = 3.0
_CHUNK_BYTES = 64 * 1024
_INCONSISTENT = (
    "The provided continue parameter is too old to display a consistent list result. You can "
    "start a new list without the continue parameter, or use the continue token in this response "
    "to retrieve the remainder of the results. Continuing with the provided token results in an "
    "inconsistent list - objects that were created, modified, or deleted between the time the "
    "first chunk was returned and now may show up in the list."
)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list."""

    rv: int
    items: list[Stored]
    continue_token: str = ""
    remaining: int | None = None


def encode_continue(rv: int, start: str) -> str:
    """The token of a page that begins at key ``start``; -1 means "at the latest version"."""
    text = dumps({"v": "meta.k8s.io/v1", "rv": rv, "start": start})
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def decode_continue(token: str) -> tuple[int, str]:
    """The version and the first key of a continue token.

    Raises:
        ApiError: 400.
    """
    prefix = "invalid continue token: continue key is not valid"
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        data = json.loads(raw if raw.startswith(b"{") else _not_json(raw))
        version, rv, start = data.get("v"), int(data.get("rv", 0)), str(data.get("start", ""))
    except (binascii.Error, ValueError, AttributeError, TypeError) as error:
        raise bad_request(f"{prefix}: {error}") from None
    if version != "meta.k8s.io/v1":
        raise bad_request(
            f"{prefix}: server does not recognize this encoded version {version or ''}"
        )
    if rv == 0:
        raise bad_request(
            f"{prefix}: incorrect encoded start resourceVersion (version meta.k8s.io/v1)"
        )
    if not start:
        raise bad_request(f"{prefix}: encoded start key empty (version meta.k8s.io/v1)")
    return rv, start


def _not_json(raw: bytes) -> NoReturn:
    """Refuse what is no JSON object in the words of Go's decoder."""
    first = raw[:1].decode("latin-1")
    raise ValueError(f"invalid character {first!r} looking for beginning of value")


def wait_fresh(store: Store, rv: int, wait_s: float) -> None:
    """Wait until the cluster has reached ``rv``.

    Raises:
        ApiError: 504, it has not.
    """
    deadline = time.monotonic() + wait_s
    while store.rv < rv:
        if time.monotonic() >= deadline:
            raise too_large_resource_version(rv, store.rv)
        time.sleep(0.01)


def _choose(store: Store, table: Table, options: ListOptions, wait_s: float) -> Snapshot:
    legacy_exact = not options.match and options.limit > 0 and options.rv > 0
    if options.match == "Exact" or legacy_exact:
        wait_fresh(store, options.rv, wait_s)
        with store.lock:
            if options.rv == store.rv:
                return store.snapshot(table)
            return store.snapshot(table, options.rv)
    if options.resource_version == "0":
        with store.lock:
            return table.now(table.cache_rv)
    if options.rv:
        wait_fresh(store, options.rv, wait_s)
        with store.lock:
            return table.now(max(table.cache_rv, options.rv))
    return store.snapshot(table)


def _continued(
    store: Store, table: Table, options: ListOptions, prefix: str, wait_s: float
) -> tuple[Snapshot, str]:
    rv, start = decode_continue(options.continue_token)
    if options.resource_version not in ("", "0"):
        raise bad_request("specifying resource version is not allowed when using continue")
    if rv < 0:
        return store.snapshot(table), prefix + start
    # A token of before a restore: refused until the server has come so far, and taken then.
    wait_fresh(store, rv, wait_s)
    with store.lock:
        past = table.at(rv) if rv < store.rv else store.snapshot(table)
    if past is None:
        raise expired_page(options.continue_token)
    return past, prefix + start


def expired_page(token: str) -> ApiError:
    """410 for a continue token, with the one that goes on inconsistently."""
    _, start = decode_continue(token)
    return expired(_INCONSISTENT, continue_token=encode_continue(-1, start))


def page(store: Store, table: Table, options: ListOptions, namespace: str, wait_s: float) -> Page:
    """The page of objects that a LIST asks for.

    Raises:
        ApiError: 400, 410 or 504.
    """
    prefix = f"{namespace}/" if namespace else ""
    if options.continue_token:
        snapshot, start = _continued(store, table, options, prefix, wait_s)
    else:
        snapshot, start = _choose(store, table, options, wait_s), prefix
    keys = snapshot.keys
    first = bisect.bisect_left(keys, start) if start else 0
    last = bisect.bisect_left(keys, f"{namespace}0") if namespace else len(keys)
    # computeListLimit: a list from "0" is answered whole, whatever its limit.
    limit = 0 if options.resource_version == "0" else options.limit
    if not options.selective and not limit:
        return Page(snapshot.rv, snapshot.items[first:last])
    return _filtered(store, table, snapshot, options, (first, last, limit, len(prefix)))


def _filtered(
    store: Store,
    table: Table,
    snapshot: Snapshot,
    options: ListOptions,
    bounds: tuple[int, int, int, int],
) -> Page:
    first, last, limit, prefix = bounds
    chosen: list[Stored] = []
    more = False
    for position in range(first, last):
        stored = snapshot.items[position]
        if options.labels.matches(stored.labels) and options.fields.matches(stored.fields):
            chosen.append(stored)
        if limit and len(chosen) >= limit:
            more = position < last - 1
            break
    if not more:
        return Page(snapshot.rv, chosen)
    with store.lock:
        table.remember(snapshot)
    token = encode_continue(snapshot.rv, chosen[-1].key[prefix:] + "\0")
    remaining = None if options.selective else last - first - limit
    return Page(snapshot.rv, chosen, token, remaining)


def render_page(page_: Page, encoder: Encoder) -> Iterator[bytes]:
    """The list's bytes in pieces of about 64 KB."""
    head, tail = encoder.list_parts(
        page_.rv, page_.continue_token, page_.remaining, empty=not page_.items
    )
    parts = [head]
    size = len(head)
    table = encoder.accepted.form is Form.TABLE
    one = encoder.row if table else encoder.item
    comma = b""
    for stored in _in_row_order(page_.items, encoder) if table else page_.items:
        item = one(stored)
        parts.append(comma)
        parts.append(item)
        comma = b","
        size += len(item) + 1
        if size >= _CHUNK_BYTES:
            yield b"".join(parts)
            parts.clear()
            size = 0
    parts.append(tail)
    yield b"".join(parts)


def _in_row_order(items: list[Stored], encoder: Encoder) -> list[Stored]:
    """Rows come in key order, but FlowSchemas as they are tried (printFlowSchemaList)."""
    if encoder.resource.full_name != "flowschemas.flowcontrol.apiserver.k8s.io":
        return items
    return sorted(items, key=lambda found: (found.load()["spec"]["matchingPrecedence"], found.name))


def empty_page(page_: Page) -> Page:
    """The lie of a list that shows nothing, at an honest resourceVersion."""
    return Page(page_.rv, [])


def shuffled_page(page_: Page) -> Page:
    """The same page with its objects in another order, the same one each time."""
    items = page_.items.copy()
    random.Random(page_.rv).shuffle(items)
    return replace(page_, items=items)


__all__ = [
    "ApiError",
    "Page",
    "empty_page",
    "expired_page",
    "page",
    "render_page",
    "shuffled_page",
    "wait_fresh",
]
