"""How a peer is driven: one line of JSON in, one line of JSON out, until its stdin ends.

Every peer speaks this, in Python here, in Go in `goserve/`, in Rust in `kubers/src/main.rs`.
It is started as `PEER... DATA_FOLDER WORK_FOLDER`; the working directory is WORK_FOLDER.

| in | out |
| --- | --- |
| `{"do":"load"}` | `{"seconds":S}`: the pages read, all of it kept as safely as it keeps anything |
| `{"do":"open"}` | `{"seconds":S}`: what a load before left on disk can be asked |
| `{"do":"burst"}` | `{"seconds":S}`: the events of burst.jsonl, all kept |
| `{"do":"lone"}` | `{"seconds":[S,...]}`: those of lone.jsonl, one by one with pauses |
| `{"do":"ask","question":N,"calls":C,"budget_s":B}` | `{"seconds":[S,...],"total":T,"bytes":L}` |
| `{"do":"sizes"}` | `{"rss":BYTES,"peak":BYTES,"disk":BYTES}` |

An `ask` runs the question up to C times within the budget, at least once; the first answer is left
as answer.json in WORK_FOLDER, facets as facets.json, for the driver to check. A walk counts each
page. What a peer cannot do it answers with `{"cannot":"why"}`.
"""

from __future__ import annotations

import contextlib
import gc
import json
import sys
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

from msgspec import structs

from bench.memory import peak_bytes
from bench.peers.data import read_questions
from bench.peers.questions import Question

#: What a burst hands over at a time: whole lines, as a kernel hands over what a server flushed.
CHUNK_BYTES: Final = 64 * 1024
#: Between two lone events, so that each is alone.
PAUSE_S: Final = 0.02

#: (number of all matches, Kubernetes List, counts by field and value)
Answer = tuple[int, bytes, dict[str, dict[str, int]]]


class CannotError(Exception):
    """The peer has no way to do it; the message stands in the table."""


class Peer(ABC):
    """One way to keep pods and to answer from them."""

    @abstractmethod
    def load(self, pages: Iterator[bytes]) -> None:
        """Take a whole list."""

    def open(self) -> None:
        """Take up what a load left on disk."""
        raise CannotError("lists again: keeps nothing over a restart")

    @abstractmethod
    def apply(self, lines: list[bytes]) -> None:
        """Take watch events; returns when they are kept."""

    @abstractmethod
    def ask(self, question: Question) -> Answer:
        """Answer it once."""

    def walk(self, question: Question) -> Iterator[Answer]:
        """Page by page; by offset where a peer knows no other way."""
        for number in range(question.walk):
            offset = question.offsets[0] + number * question.limit
            yield self.ask(structs.replace(question, offsets=[offset], walk=0))

    @abstractmethod
    def close(self) -> None:
        """The end."""


def serve(make: Callable[[Path], Peer], data: Path, work: Path) -> None:
    """Do what stdin says."""
    peer = make(work)
    questions = read_questions(data)
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer = _done(peer, command, questions, data, work)
        except CannotError as why:
            answer = {"cannot": str(why)}
        except Exception as why:  # noqa: BLE001 - what one question breaks stands in the table
            traceback.print_exc()
            answer = {"cannot": f"failed: {type(why).__name__}: {why}"[:100]}
        print(json.dumps(answer), flush=True)
    peer.close()


def _done(
    peer: Peer, command: dict[str, Any], questions: list[Question], data: Path, work: Path
) -> dict[str, Any]:
    match command["do"]:
        case "load":
            pages = (path.read_bytes() for path in sorted(data.glob("page-*.json")))
            seconds = _seconds(lambda: peer.load(pages))
            # Or every collection would look through what was loaded; a program does this once too.
            gc.collect()
            gc.freeze()
            return {"seconds": seconds}
        case "open":
            return {"seconds": _seconds(peer.open)}
        case "burst":
            chunks = list(_chunks((data / "burst.jsonl").read_bytes()))
            return {"seconds": _seconds(lambda: [peer.apply(lines) for lines in chunks])}
        case "lone":
            return {"seconds": list(_lone(peer, (data / "lone.jsonl").read_bytes()))}
        case "ask":
            return _ask(peer, questions[command["question"]], command, work)
        case "sizes":
            disk = sum(path.stat().st_size for path in work.glob("*.db*"))
            return {"rss": _resident_bytes(), "peak": peak_bytes(), "disk": disk}
        case other:
            raise ValueError(f"nobody can {other}")


def _ask(peer: Peer, question: Question, command: dict[str, Any], work: Path) -> dict[str, Any]:
    seconds: list[float] = []
    first: list[Answer] = []
    began = time.perf_counter()
    while not first or (
        len(seconds) < command["calls"] and time.perf_counter() - began < command["budget_s"]
    ):
        one = _variant(question, len(seconds))
        answers = peer.walk(one) if one.walk else (peer.ask(only) for only in (one,))
        got: list[Answer] = []
        for _ in range(max(1, one.walk)):
            started = time.perf_counter()
            answer = next(answers, None)
            if answer is None:
                break
            seconds.append(time.perf_counter() - started)
            got.append(answer)
        first = first or got
    total, body, facets = first[0]
    if question.limit:
        pages = [page for _, page, _ in first]
        (work / "answer.json").write_bytes(b"[" + b",".join(pages) + b"]")
        (work / "facets.json").write_text(json.dumps(facets))
    return {"seconds": seconds, "total": total, "bytes": len(body)}


def _variant(question: Question, number: int) -> Question:
    """The next offset and key."""
    offset = question.offsets[number % len(question.offsets)]
    gets = question.gets and [question.gets[number % len(question.gets)]]
    return structs.replace(question, offsets=[offset], gets=gets)


def _lone(peer: Peer, lines: bytes) -> Iterator[float]:
    for line in lines.splitlines(keepends=True):
        time.sleep(PAUSE_S)
        yield _seconds(partial(peer.apply, [line]))


def _chunks(lines: bytes) -> Iterator[list[bytes]]:
    some: list[bytes] = []
    size = 0
    for line in lines.splitlines(keepends=True):
        some.append(line)
        size += len(line)
        if size >= CHUNK_BYTES:
            yield some
            some, size = [], 0
    if some:
        yield some


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _resident_bytes() -> int:
    with contextlib.suppress(FileNotFoundError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    return peak_bytes()
