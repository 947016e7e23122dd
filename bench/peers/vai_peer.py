"""vai through its Python API, the writer and a reader in one process.

    python -m bench.peers.vai_peer DATA_FOLDER WORK_FOLDER

A question becomes the arguments of `Cache.list`; namespaces that somebody may see are `access`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import vai
from bench.contenders import Vai as Writing
from bench.peers.questions import Question
from bench.peers.serve import Answer, Peer, serve

#: Of each facet all values, as the others count them.
_ALL_VALUES: Final = 100_000


class Vai(Peer):
    """The cluster file."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self._writing: Writing | None = None
        self._opened: vai.Cache | None = None

    def load(self, pages: Iterator[bytes]) -> None:
        self._writing = Writing(self.work)
        self._writing.load(pages)
        self._writing.settle()

    def open(self) -> None:
        self._reader()

    def apply(self, lines: list[bytes]) -> None:
        assert self._writing is not None, "only what loaded writes"
        self._writing.apply(b"".join(lines))
        self._writing.settle()

    def ask(self, question: Question) -> Answer:
        if question.gets:
            namespace, _, name = question.gets[0].partition("/")
            found = self._reader().get("pods", name, namespace=namespace)
            raw = b"" if found is None else found.raw
            return int(found is not None), b'{"kind":"PodList","items":[%s]}' % raw, {}
        arguments = _arguments(question)
        page = self._list(arguments)
        return page.total, page.raw, _facets(page) if question.facets else {}

    def walk(self, question: Question) -> Iterator[Answer]:
        arguments = _arguments(question)
        for _ in range(question.walk):
            page = self._list(arguments)
            yield page.total, page.raw, {}
            if page.cursor is None:
                return
            arguments["cursor"] = page.cursor
            arguments.pop("offset", None)

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()
        if self._writing is not None:
            self._writing.close()

    def _list(self, arguments: dict[str, Any]) -> vai.Page:
        return self._reader().list("pods", **arguments)

    def _reader(self) -> vai.Cache:
        if self._opened is None:
            self._opened = vai.open(self.work / "vai.db")
        return self._opened


def _arguments(question: Question) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if question.labels:
        found["label_selector"] = ",".join(map(str, question.labels))
    if question.fields:
        found["field_selector"] = ",".join(f"{one.path}={one.value}" for one in question.fields)
    if question.namespaces is not None:
        found["access"] = [vai.Partition(namespace=name) for name in question.namespaces]
    if where := _where(question):
        found["where"] = where
    if question.sort:
        by = question.sort
        name = f"labels[{by.label}]" if by.label else by.path
        found["sort"] = [f"-{name}" if by.descending else name]
    if question.limit:
        found["limit"] = question.limit
    if question.offsets != [0]:
        found["offset"] = question.offsets[0]
    if question.facets:
        found["facets"] = question.facets
        found["facet_limit"] = _ALL_VALUES
    return found


def _where(question: Question) -> str:
    tests: list[str] = []
    if question.name_contains:
        tests.append(f"metadata.name contains {json.dumps(question.name_contains)}")
    if question.unindexed:
        tests.append(f".{question.unindexed.path} = {json.dumps(question.unindexed.value)}")
    return " and ".join(tests)


def _facets(page: vai.Page) -> dict[str, dict[str, int]]:
    return {field: counts.as_dict() for field, counts in page.facets.items()}


def _main() -> None:
    data, work = sys.argv[1:]
    os.chdir(work)
    serve(Vai, Path(data), Path(work))


if __name__ == "__main__":
    _main()
