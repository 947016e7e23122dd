"""etcd through its JSON gateway: revisions, compaction, and writing objects directly."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Iterable, Iterator
from typing import Any

from tests.apiserver.client import Client, in_parallel

# etcd refuses a transaction of more than 128 operations (--max-txn-ops) and a request of more
# than 1.5 MiB (--max-request-bytes); base64 makes 4 bytes of 3.
PUTS_PER_TRANSACTION = 100
_VALUE_BYTES_PER_TRANSACTION = 1_000_000
_CONNECTIONS = 4


class EtcdError(Exception):
    """etcd refused a request."""


class Etcd:
    """A client of one etcd server."""

    def __init__(self, url: str) -> None:
        """Does not connect yet."""
        self._client = Client(url)

    def call(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """One request to the gateway, such as ``call("/v3/kv/range", {"key": ...})``."""
        response = self._client.request("POST", path, body)
        if response.status != 200:
            msg = f"etcd answered {response.status} to {path}: {response.body[:500]!r}"
            raise EtcdError(msg)
        answer: dict[str, Any] = response.json()
        return answer

    def revision(self) -> int:
        """The current revision, which is the newest resourceVersion."""
        return int(
            self.call("/v3/kv/range", {"key": encode(b"\0"), "limit": 1})["header"]["revision"]
        )

    def compact(self, revision: int) -> None:
        """Forgets every revision before this one, physically."""
        self.call("/v3/kv/compaction", {"revision": str(revision), "physical": True})

    def put_all(
        self, items: Iterable[tuple[str, bytes]], *, per_transaction: int = PUTS_PER_TRANSACTION
    ) -> int:
        """Writes keys and values and returns how many.

        All puts of one transaction get the same revision; `per_transaction=1` gives each its own,
        at a third of the speed.
        """
        written = 0
        batches = _batches(items, per_transaction)
        # A few batches at a time: `map` would read the whole generator at once.
        while some := list(itertools.islice(batches, 8 * _CONNECTIONS)):
            written += sum(in_parallel(self._transaction, some, _CONNECTIONS))
        return written

    def _transaction(self, puts: list[tuple[str, bytes]]) -> int:
        operations = [
            {"requestPut": {"key": encode(key.encode()), "value": encode(value)}}
            for key, value in puts
        ]
        self.call("/v3/kv/txn", {"success": operations})
        return len(puts)

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()


def encode(data: bytes) -> str:
    """Bytes as the gateway wants them."""
    return base64.b64encode(data).decode()


def _batches(items: Iterable[tuple[str, bytes]], count: int) -> Iterator[list[tuple[str, bytes]]]:
    batch: list[tuple[str, bytes]] = []
    size = 0
    for item in items:
        if batch and (len(batch) == count or size + len(item[1]) > _VALUE_BYTES_PER_TRANSACTION):
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += len(item[1])
    if batch:
        yield batch


def stored_form(item: dict[str, Any]) -> bytes:
    """The object as kube-apiserver finds it in etcd: JSON without a resourceVersion."""
    metadata = {k: v for k, v in item["metadata"].items() if k != "resourceVersion"}
    return json.dumps(item | {"metadata": metadata}, separators=(",", ":")).encode()
