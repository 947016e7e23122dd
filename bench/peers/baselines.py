"""What one writes in Python without vai: a dict of parsed objects; sqlite3 with a table of JSON.

python -m bench.peers.baselines dict|sqlite DATA_FOLDER WORK_FOLDER
"""

from __future__ import annotations

import heapq
import os
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from bench.peers.oracle import key, lookup, passes
from bench.peers.questions import LabelTest, PathTest, Question, SortKey
from bench.peers.serve import Answer, Peer, serve

_encode: Final = msgspec.json.Encoder().encode


class _Meta(msgspec.Struct):
    name: str
    namespace: str


class _Head(msgspec.Struct):
    metadata: _Meta


class _List(msgspec.Struct):
    items: list[msgspec.Raw]


class _Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


class Dict(Peer):
    """namespace/name → parsed object, filtered and sorted in Python; gone with the process."""

    def __init__(self, _work: Path) -> None:
        self.objects: dict[str, Any] = {}

    def load(self, pages: Iterator[bytes]) -> None:
        for page in pages:
            for pod in msgspec.json.decode(page)["items"]:
                self.objects[key(pod)] = pod

    def apply(self, lines: list[bytes]) -> None:
        for line in lines:
            event = msgspec.json.decode(line)
            pod = event["object"]
            if event["type"] == "DELETED":
                self.objects.pop(key(pod), None)
            else:
                self.objects[key(pod)] = pod

    def ask(self, question: Question) -> Answer:
        if question.gets:
            found = self.objects.get(question.gets[0])
            pods = [] if found is None else [found]
            return len(pods), _list(pods), {}
        test = _test(question)
        matches = [(name, pod) for name, pod in self.objects.items() if test(pod)]
        end = question.offsets[0] + question.limit if question.limit else len(matches)
        pods = [pod for _, pod in _first(matches, question.sort, end)[question.offsets[0] :]]
        facets = {path: _counts(path, matches) for path in question.facets}
        return len(matches), _list(pods), facets

    def close(self) -> None:
        self.objects.clear()


def _list(pods: list[Any]) -> bytes:
    return _encode({"kind": "PodList", "apiVersion": "v1", "items": pods})


def _test(question: Question) -> Callable[[Any], bool]:
    tests: list[Callable[[Any], bool]] = []
    if question.namespaces is not None:
        allowed = set(question.namespaces)
        tests.append(lambda pod: pod["metadata"]["namespace"] in allowed)
    if question.name_contains:
        tests.append(lambda pod: question.name_contains in pod["metadata"]["name"])
    tests += [_has_label(test) for test in question.labels]
    paths = [*question.fields, *([question.unindexed] if question.unindexed else [])]
    tests += [_has_value(test) for test in paths]
    match tests:
        case []:
            return lambda _: True
        case [only]:
            return only
        case _:
            return lambda pod: all(test(pod) for test in tests)


def _has_label(test: LabelTest) -> Callable[[Any], bool]:
    return lambda pod: passes(pod["metadata"]["labels"], test)


def _has_value(test: PathTest) -> Callable[[Any], bool]:
    return lambda pod: lookup(pod, test.path) == test.value


def _first(
    matches: list[tuple[str, Any]], order: SortKey | None, end: int
) -> list[tuple[str, Any]]:
    """The first so many in order."""
    if order is None:
        return heapq.nsmallest(end, matches) if end < len(matches) else sorted(matches)
    by_key = sorted(matches)

    def value(entry: tuple[str, Any]) -> Any:
        if order.label:
            return entry[1]["metadata"]["labels"].get(order.label)
        return lookup(entry[1], order.path)

    present = [(value(entry), entry) for entry in by_key]
    found = [one for one in present if one[0] is not None]
    found.sort(key=lambda one: one[0], reverse=order.descending)
    return [entry for _, entry in [*found, *(one for one in present if one[0] is None)][:end]]


def _counts(path: str, matches: list[tuple[str, Any]]) -> dict[str, int]:
    counts = Counter(lookup(pod, path) for _, pod in matches)
    counts.pop(None, None)
    return dict(counts)


class Sqlite(Peer):
    """One table of JSON bodies with the key beside them, searched with SQLite's JSON functions."""

    _page: Final = msgspec.json.Decoder(_List)
    _head: Final = msgspec.json.Decoder(_Head)
    _line: Final = msgspec.json.Decoder(_Event)

    def __init__(self, work: Path) -> None:
        self.path = work / "sqlite.db"
        self._connection: sqlite3.Connection | None = None

    @property
    def _db(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = sqlite3.connect(self.path)
            self._connection.executescript(
                """
                PRAGMA journal_mode = WAL;
                PRAGMA synchronous = NORMAL;
                CREATE TABLE IF NOT EXISTS pod (key TEXT PRIMARY KEY, namespace TEXT, name TEXT,
                                                body TEXT) WITHOUT ROWID;
                """
            )
        return self._connection

    def load(self, pages: Iterator[bytes]) -> None:
        for page in pages:
            with self._db:
                for body in self._page.decode(page).items:
                    self._put(body)

    def open(self) -> None:
        self._db.execute("SELECT 1 FROM pod LIMIT 1").fetchone()

    def apply(self, lines: list[bytes]) -> None:
        with self._db:
            for line in lines:
                event = self._line.decode(line)
                if event.type == "DELETED":
                    meta = self._head.decode(event.object).metadata
                    where = f"{meta.namespace}/{meta.name}"
                    self._db.execute("DELETE FROM pod WHERE key = ?", (where,))
                else:
                    self._put(event.object)

    def _put(self, body: msgspec.Raw) -> None:
        meta = self._head.decode(body).metadata
        row = (f"{meta.namespace}/{meta.name}", meta.namespace, meta.name, str(body, "utf-8"))
        self._db.execute("REPLACE INTO pod VALUES (?, ?, ?, ?)", row)

    def ask(self, question: Question) -> Answer:
        where, values = _where(question)
        (total,) = self._db.execute(f"SELECT count(*) {where}", values).fetchone()
        order = "key"
        if question.sort is not None:
            by = f'$.metadata.labels."{question.sort.label}"' if question.sort.label else ""
            direction = "DESC" if question.sort.descending else "ASC"
            path = by or f"$.{question.sort.path}"
            order = f"body ->> '{path}' {direction} NULLS LAST, key"
        page = f"ORDER BY {order} LIMIT {question.limit or -1} OFFSET {question.offsets[0]}"
        items = ",".join(
            body for (body,) in self._db.execute(f"SELECT body {where} {page}", values)
        )
        facets = {path: self._counts(path, where, values) for path in question.facets}
        return total, f'{{"kind":"PodList","apiVersion":"v1","items":[{items}]}}'.encode(), facets

    def _counts(self, path: str, where: str, values: list[str]) -> dict[str, int]:
        value = f"body ->> '$.{path}'"
        sql = f"SELECT {value} AS value, count(*) {where} GROUP BY 1 HAVING value IS NOT NULL"
        return dict(self._db.execute(sql, values))

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


def _where(question: Question) -> tuple[str, list[str]]:
    conditions, values = ["1"], []
    if question.gets:
        conditions.append("key = ?")
        values.append(question.gets[0])
    if question.namespaces is not None:
        conditions.append("namespace IN (SELECT value FROM json_each(?))")
        values.append(_encode(question.namespaces).decode())
    if question.name_contains:
        conditions.append("instr(name, ?) > 0")
        values.append(question.name_contains)
    for label in question.labels:
        conditions.append(_label(label))
        values.extend(label.values)
    for one in [*question.fields, *([question.unindexed] if question.unindexed else [])]:
        conditions.append(f"body ->> '$.{one.path}' = ?")
        values.append(one.value)
    return f"FROM pod WHERE {' AND '.join(conditions)}", values


def _label(test: LabelTest) -> str:
    value = f"body ->> '$.metadata.labels.\"{test.key}\"'"
    marks = ", ".join("?" * len(test.values))
    match test.op:
        case "exists":
            return f"{value} IS NOT NULL"
        case "!":
            return f"{value} IS NULL"
        case "=" | "in":
            return f"{value} IN ({marks})"
        case "!=" | "notin":
            return f"({value} IS NULL OR {value} NOT IN ({marks}))"


def _main() -> None:
    which, data, work = sys.argv[1:]
    os.chdir(work)
    serve({"dict": Dict, "sqlite": Sqlite}[which], Path(data), Path(work))


if __name__ == "__main__":
    _main()
