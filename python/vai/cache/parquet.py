"""Parquet, through pyarrow: the one place that imports it, and only when it is asked for."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, BinaryIO, Final

import msgspec

from vai.errors import InvalidRequestError
from vai.store import ExportColumn

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
def writing(
    stream: BinaryIO, columns: Sequence[ExportColumn]
) -> Iterator[Callable[[bytes], object]]:
    """Takes pieces of columns as JSON, and writes them as one Parquet table."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {
        "text": pa.string(),
        "int": pa.int64(),
        "real": pa.float64(),
        "bool": pa.bool_(),
        "time": pa.timestamp("us", tz="UTC"),
    }
    fields = [pa.field(name, types["text"]) for name in _TEXTS]
    fields.insert(_TEXTS.index("labels"), pa.field("created", types["time"]))
    for column in columns:
        kind = types[column.type]
        fields.append(pa.field(column.name, pa.list_(kind) if column.many else kind))
    schema = pa.schema([*fields, pa.field("body", pa.large_string())])
    times = {column.name: column.many for column in columns if column.type == "time"}
    times["created"] = False
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
            found: dict[str, list[Any]] = msgspec.json.decode(piece)
            for name, many in times.items():
                found[name] = [_times(value) if many else _time(value) for value in found[name]]
            group.append(pa.RecordBatch.from_pydict(found, schema=schema))
            held += len(piece)
            if held >= _GROUP_BYTES:
                flush()

        yield write
        flush()


#: What every table has; the time of creation is between them.
_TEXTS: Final = ("namespace", "name", "uid", "resource_version", "labels")


def _times(texts: list[str] | None) -> list[datetime | None] | None:
    return None if texts is None else [_time(text) for text in texts]


def _time(text: str | None) -> datetime | None:
    """A time that can't be read is none: the body has what the server sent."""
    try:
        return None if text is None else datetime.fromisoformat(text)
    except ValueError:
        return None
