"""Parquet, through pyarrow: the one place that imports it, and only when it is asked for."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, BinaryIO, Final

import msgspec

from vai.errors import InvalidRequestError

#: JSON that becomes one row group; pyarrow's advice is 10^5 rows or some tens of megabytes
#: (https://arrow.apache.org/docs/python/parquet.html#finer-grained-reading-and-writing), and what
#: is held meanwhile is to stay small.
_GROUP_BYTES: Final = 16 * 1024 * 1024


def require() -> None:
    """Check that pyarrow is there.

    Raises:
        InvalidRequestError: with the remedy.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise InvalidRequestError(
            "Parquet needs pyarrow: pip install 'vai-cache[parquet]', or export to .ndjson or .db"
        )


@contextlib.contextmanager
def writing(stream: BinaryIO) -> Iterator[Callable[[bytes], object]]:
    """Takes pieces of columns as JSON, and writes them as one Parquet table."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        [
            pa.field("namespace", pa.string()),
            pa.field("name", pa.string()),
            pa.field("uid", pa.string()),
            pa.field("resource_version", pa.string()),
            pa.field("created", pa.timestamp("us", tz="UTC")),
            pa.field("labels", pa.string()),
            pa.field("body", pa.large_string()),
        ]
    )
    # zstd: bodies of one kind are much alike.
    with pq.ParquetWriter(stream, schema, compression="zstd") as writer:
        group: list[Any] = []
        held = 0

        def flush() -> None:
            nonlocal held
            if group:
                writer.write_table(pa.Table.from_batches(group))
                group.clear()
                held = 0

        def write(piece: bytes) -> None:
            nonlocal held
            columns: dict[str, list[Any]] = msgspec.json.decode(piece)
            columns["created"] = [_time(text) for text in columns["created"]]
            group.append(pa.RecordBatch.from_pydict(columns, schema=schema))
            held += len(piece)
            if held >= _GROUP_BYTES:
                flush()

        yield write
        flush()


def _time(text: str | None) -> datetime | None:
    """A time that can't be read is none: the body has what the server sent."""
    try:
        return None if text is None else datetime.fromisoformat(text)
    except ValueError:
        return None
