"""Exports: whole resources of one moment, as NDJSON, a plain SQLite database or Parquet.

The core hands out pieces of about 1 MB from a thread of its own; here they are written. A file
gets its name only when it is whole.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Final, Literal

import msgspec

from vai.cache.waits import SLICE_S
from vai.errors import DiskFullError, InvalidRequestError
from vai.store import Export, ExportAsk, ExportPart, ExportPiece, Store
from vai.types import Freshness, State

Format = Literal["ndjson", "sqlite", "parquet"]

#: Which format a name means.
SUFFIXES: Final[dict[str, Format]] = {
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".db": "sqlite",
    ".sqlite": "sqlite",
    ".sqlite3": "sqlite",
    ".parquet": "parquet",
}

#: Called with (objects written, objects of the whole export).
Progress = Callable[[int, int], object]
#: A path, or anything that bytes can be written to.
Target = str | os.PathLike[str] | BinaryIO

#: No space, or none that this user may take.
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
_PARTS: Final = msgspec.json.Decoder(tuple[ExportPart, ...])


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """One resource that was exported.

    Attributes:
        resource: `pods`, `deployments.apps`.
        table: its table in a SQLite database.
        objects: how many were written.
        redacted: how many of them are kept, and so were written, as metadata only.
        freshness: how old they were when they were read.
    """

    resource: str
    table: str
    objects: int
    redacted: int
    freshness: Freshness


def format_of(target: Target, chosen: Format | None) -> Format:
    """The format that was chosen, or that the target's name means.

    Raises:
        InvalidRequestError: neither says.
    """
    if chosen is not None:
        return chosen
    if not isinstance(target, (str, os.PathLike)):
        return "ndjson"
    found = SUFFIXES.get(Path(target).suffix.lower())
    if found is None:
        raise InvalidRequestError(
            f"{os.fspath(target)}: no known suffix ({', '.join(SUFFIXES)}): say the format, "
            "ndjson, sqlite or parquet"
        )
    return found


def export(
    store: Store,
    target: Target,
    asks: Sequence[ExportAsk],
    format: Format,  # noqa: A002 - what it is
    *,
    overwrite: bool = False,
    accept: Callable[[Sequence[Exported]], object] | None = None,
    progress: Progress | None = None,
) -> tuple[Exported, ...]:
    """Write what is asked for; `accept` sees what it will be, and may raise, before it is written.

    Raises:
        InvalidRequestError: the target exists, is a cluster file, or does not take the format.
        DiskFullError: there is no space for it; nothing was left there.
    """
    path = target if isinstance(target, (str, os.PathLike)) else None
    if path is not None:
        store.check_export_target(path, overwrite=overwrite)
    if format == "parquet":
        _one_table(asks)
    # Taken before the rows, the freshness can only understate how fresh they are.
    before = {status.id: status.freshness for status in store.scopes()}
    with contextlib.closing(_begin(store, asks, format, path)) as running:
        parts = _PARTS.decode(running.parts())
        exported = tuple(_exported(part, before) for part in parts)
        if accept is not None:
            accept(exported)
        with _sink(target, format, parts) as write:
            total = sum(part.objects for part in parts)
            done = 0
            for piece in _pieces(store, running):
                write(piece.data)
                done += piece.objects
                if progress is not None:
                    progress(done, total)
    return exported


def _one_table(asks: Sequence[ExportAsk]) -> None:
    if len(asks) != 1:
        names = ", ".join(ask.resource for ask in asks)
        raise InvalidRequestError(
            f"a Parquet file holds one table, not {names or 'none'}: export one resource per file, "
            "or all of them into a SQLite database"
        )


def _begin(
    store: Store, asks: Sequence[ExportAsk], form: Format, path: str | os.PathLike[str] | None
) -> Export:
    if form == "sqlite":
        if path is None:
            raise InvalidRequestError("a SQLite database needs a path, not a stream")
        return store.export(asks, "sqlite", path)
    if form == "parquet":
        # Before anything is read, for it may be missing.
        from vai.cache import parquet

        parquet.require()
        return store.export(asks, "columns")
    return store.export(asks, "lines")


def _exported(part: ExportPart, before: Mapping[int, Freshness]) -> Exported:
    unknown = Freshness(state=State.NEVER, complete=False)
    worst = Freshness.worst(before.get(scope, unknown) for scope in part.scopes)
    freshness = msgspec.structs.replace(worst, resource_version=part.resource_version or None)
    return Exported(
        resource=part.resource,
        table=part.table,
        objects=part.objects,
        redacted=part.redacted,
        freshness=freshness,
    )


def _pieces(store: Store, running: Export) -> Iterator[ExportPiece]:
    """What comes, until the end; signal handlers run at least every `SLICE_S`."""
    while True:
        piece = running.next_piece(SLICE_S)
        if piece is not None:
            yield piece
        elif running.ended:
            return
        else:
            store.check()


@contextlib.contextmanager
def _sink(
    target: Target, form: Format, parts: Sequence[ExportPart]
) -> Iterator[Callable[[bytes], object]]:
    """What takes the pieces; what it made is in its place when the block ends well."""
    if form == "sqlite":
        # The core writes it; the pieces only count.
        yield len
    elif isinstance(target, (str, os.PathLike)):
        with replacing(Path(target)) as stream, _sink(stream, form, parts) as write:
            yield write
    elif form == "parquet":
        from vai.cache import parquet

        with parquet.writing(target, parts[0].columns) as write:
            yield write
    else:
        yield target.write


@contextlib.contextmanager
def replacing(target: Path) -> Iterator[BinaryIO]:
    """A file beside the target, which takes its place when it is whole and durable."""
    made = target.with_name(f"{target.name}.{os.getpid()}.part")
    descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        made.replace(target)
    except BaseException as error:
        made.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in _FULL:
            raise DiskFullError(
                f"{target}: no space left on the device; nothing was left there. Free some space, "
                "or export to another one"
            ) from error
        raise
