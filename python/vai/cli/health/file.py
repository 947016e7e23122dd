"""What a cluster file and the files beside it are like. Only reads."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Literal, TypeVar

from vai.cli.health.verdict import Line, failure, ok, skipped, warning
from vai.cli.status import megabytes
from vai.errors import (
    CorruptError,
    FileError,
    NotAVaiFileError,
    ReadOnlyError,
    SchemaTooNewError,
    VaiError,
)
from vai.store import Store
from vai.types import State

_T = TypeVar("_T")

#: What may lie beside the file; docs/architecture.md says what each is.
_BESIDE: Final = ("", "-wal", "-shm", ".lock", ".live", ".consumers")
#: storage: a log is moved into the file from 52 MB, and stays below this.
_MOST_WAL_BYTES: Final = 64_000_000
_MOST_TOLD: Final = 3
_RESTORE: Final = "put a backup in its place, or delete it: `vai sync` lists everything anew"

#: Runs something that may take long, and shows what it is meanwhile.
Slowly = Callable[[str, Callable[[], _T]], _T]


def unopened(path: Path, error: VaiError) -> Line:
    """The file can't be opened: what to do, by why."""
    match error:
        case SchemaTooNewError():
            remedy = "pip install -U vai-cache"
        case NotAVaiFileError():
            remedy = "name another file; this one was not touched"
        case CorruptError():
            remedy = _RESTORE
        case ReadOnlyError():
            remedy = "give this user the rights, or move it to a local disk, as the text says"
        case _:
            remedy = "`vai sync --file … --resources …` makes one"
    text = str(error)
    return failure("file", text if str(path) in text else f"{path}: {text}", remedy)


def opened(path: Path, store: Store) -> Iterator[Line]:
    """What can be told at once."""
    stats = store.stats()
    # A network filesystem is refused when the file is opened.
    yield ok("file", f"{path}, {megabytes(stats['file_bytes'])}, on a local filesystem")
    yield _permissions(path)
    yield _log(stats["wal_bytes"], running=bool(stats["writer_running"]))
    yield _writer(store, stats["writer_pid"], running=bool(stats["writer_running"]))
    yield _scopes(store)
    yield from _consumers(store)


def contents(store: Store, slowly: Slowly[list[str]]) -> Iterator[Line]:
    """All of the file is read: pages, rows, bodies."""
    parts: tuple[tuple[str, Literal["integrity", "rows", "bodies"], str], ...] = (
        ("integrity", "integrity", "SQLite finds the file sound"),
        ("rows", "rows", "objects, versions and scopes agree with each other"),
        ("bodies", "bodies", "every body can be read, and what queries use agrees with it"),
    )
    for name, part, good in parts:

        def look(part: Literal["integrity", "rows", "bodies"] = part) -> list[str]:
            return store.check_part(part)

        try:
            wrong = slowly(f"reading the file: {name}", look)
        except FileError as error:
            wrong = [str(error)]
        if wrong:
            yield failure(name, _some(wrong), _RESTORE)
            # A damaged tree makes the rest of the questions meaningless.
            return
        yield ok(name, good)


def _permissions(path: Path) -> Line:
    wide, foreign = [], []
    for suffix in _BESIDE:
        beside = path.with_name(path.name + suffix)
        try:
            found = beside.stat()
        except FileNotFoundError:
            continue
        if stat.S_IMODE(found.st_mode) & 0o077:
            wide.append(f"{beside.name} is {stat.S_IMODE(found.st_mode):04o}")
        if found.st_uid != os.geteuid():
            foreign.append(beside.name)
    if wide:
        return failure(
            "permissions",
            f"others can read the cluster's objects: {', '.join(wide)}",
            f"chmod 600 {path}*",
        )
    if foreign:
        return warning(
            "permissions",
            f"{', '.join(foreign)} belongs to another user",
            f"chown {os.geteuid()} {path}*, or sync as that user",
        )
    return ok("permissions", "only this user can read it (0600)")


def _log(wal_bytes: int, *, running: bool) -> Line:
    text = f"a write-ahead log of {megabytes(wal_bytes)}"
    if wal_bytes <= _MOST_WAL_BYTES:
        return ok("log", text)
    remedy = (
        "some reader holds an old moment of the file: end long exports and hanging readers"
        if running
        else "the process that wrote it did not end well: `vai sync` moves it into the file"
    )
    return warning("log", text, remedy)


def _writer(store: Store, pid: int | None, *, running: bool) -> Line:
    if not running:
        return warning(
            "writer", "no process syncs the file: it only grows older", "start `vai sync`"
        )
    who = "a process" if pid is None else f"process {pid}"
    silent = [one.reason for one in store.scopes() if "has told nothing for" in one.reason]
    if silent:
        return failure(
            "writer", f"{who} syncs it, but {silent[0]}: it hangs", "kill it, and start it again"
        )
    return ok("writer", f"{who} syncs it, and is alive")


def _scopes(store: Store) -> Line:
    scopes = store.scopes()
    if not scopes:
        return warning("scopes", "nothing was ever synced into it", "start `vai sync`")
    states = Counter(one.state for one in scopes)
    text = ", ".join(f"{count} {state}" for state, count in states.items())
    alike: dict[str, list[str]] = {}
    for one in scopes:
        if one.state is not State.LIVE:
            alike.setdefault(one.reason or one.state.value, []).append(str(one))
    if not alike:
        return ok("scopes", f"{text}: {sum(one.objects for one in scopes):,} objects")
    amiss = [f"{why} ({_some(names, ', ')})" for why, names in alike.items()]
    return warning("scopes", f"{text}: {_some(amiss)}", "`vai status` has all of them, with why")


def _consumers(store: Store) -> Iterator[Line]:
    consumers = store.consumers()
    if not consumers:
        yield skipped("consumers", "there are no named consumers")
        return
    late = []
    for one in consumers:
        try:
            oldest = store.oldest([store.resolve(name) for name in one.resources])
        except VaiError as error:
            late.append(f"{one.name}: {error}")
            continue
        if one.position < oldest:
            late.append(f"{one.name} is behind what the history still has")
    if late:
        yield warning(
            "consumers", _some(late),
            "it will be told (ExpiredError); `vai forget --consumer NAME` lets it begin anew",
        )  # fmt: skip
    else:
        names = ", ".join(one.name for one in consumers[:_MOST_TOLD])
        yield ok("consumers", f"{len(consumers)} can go on where they stopped: {names}")


def _some(texts: list[str], joint: str = "; ") -> str:
    more = len(texts) - _MOST_TOLD
    return joint.join(texts[:_MOST_TOLD]) + (f"{joint}and {more:,} more" if more > 0 else "")


__all__ = ["Slowly", "contents", "opened", "unopened"]
