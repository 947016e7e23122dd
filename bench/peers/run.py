"""Peers side by side, each in its own process, over the same objects; one table at the end.

    python -m bench.peers.run [--pods N] [--labels shared|unique] [--peers vai,steve,...]

All peers stay up, and their rounds alternate, so that a noisy minute hits all of them. Every answer
is checked: the total, the page in its order, the facets. What is wrong or cannot be done stands in
the table.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.peers import data, processes
from bench.peers.measured import Cell, Row, check
from bench.peers.processes import KINDS, FailedError, Process
from bench.peers.questions import Question
from bench.peers.table import render

#: Rounds of each question, and how long one peer's round may go on (at least one call).
ROUNDS = 5
ROUND_S = 0.2
CALLS = 40
#: A peer that has spent so much on a question is not asked again.
ENOUGH_S = 10.0
#: Loads of each peer, for the median; one that takes longer than SLOW_S loads once.
LOADS = 3
SLOW_S = 8.0


class Race:
    """All peers over one folder of data."""

    def __init__(self, names: list[str], folder: Path, scratch: Path) -> None:
        self.names = names
        self.folder = folder
        self.scratch = scratch
        self.about = data.read_about(folder)
        self.up: dict[str, Process] = {}
        self.rows: list[Row] = []

    def run(self) -> list[Row]:
        """Load, send the events, ask, weigh, open again."""
        try:
            self._load()
            self._weigh("memory after the load", "rss")
            self._weigh("files after the load", "disk")
            self._once("burst", f"{self.about.burst:,} events in bursts", self.about.burst)
            self._once("lone", "one event alone, until kept")
            for number, question in enumerate(data.read_questions(self.folder)):
                self._ask(number, question)
            self._weigh("memory after all questions", "rss")
            self._weigh("memory at its peak", "peak")
            self._weigh("files after all", "disk")
        finally:
            self._end_all()
        self._open("open to first page, new process", 0)
        self._open("open to first label page, new process", 3)
        return self.rows

    def _row(self, name: str, **more: Any) -> Row:
        row = Row(name, **more)
        self.rows.append(row)
        print(name, file=sys.stderr, flush=True)
        return row

    def _load(self) -> None:
        row = self._row(f"load of {self.about.pods:,} pods", per_s=self.about.pods, unit="s")
        for turn in range(LOADS):
            for name in self._in_turn(turn):
                cell = row.cell(name)
                if sum(cell.seconds) > SLOW_S:
                    continue
                if name in self.up:
                    self.up.pop(name).end()
                work = self.scratch / name
                shutil.rmtree(work, ignore_errors=True)
                self.up[name] = Process(KINDS[name], self.folder, work)
                self._note(cell, name, "load")

    def _once(self, what: str, title: str, per_s: int | None = None) -> None:
        row = self._row(title, per_s=per_s, unit="s" if per_s else "ms")
        for name in self._in_turn(0):
            self._note(row.cell(name), name, what)

    def _weigh(self, title: str, size: str) -> None:
        row = self._row(title, unit="MB")
        for name in self._in_turn(0):
            cell = row.cell(name)
            found = self._say(cell, name, "sizes").get(size)
            if found:
                cell.bytes = found
            elif not cell.trouble:
                cell.trouble = "-"

    def _ask(self, number: int, question: Question) -> None:
        assert question.expected is not None
        title = f"{question.name}: {question.expected.total:,}"
        whole = self.about.json_bytes * self.about.left // self.about.pods
        row = self._row(title, unit="ms", gigabytes=whole / 1e9 if not question.limit else None)
        for turn in range(ROUNDS):
            for name in self._in_turn(turn):
                cell = row.cell(name)
                if cell.trouble or sum(cell.seconds) > ENOUGH_S:
                    continue
                more = {"question": number, "calls": CALLS, "budget_s": ROUND_S}
                answer = self._note(cell, name, "ask", **more)
                if turn == 0 and "total" in answer:
                    cell.wrong = check(question, answer, self.scratch / name)

    def _open(self, title: str, number: int) -> None:
        row = self._row(title, unit="ms")
        question = data.read_questions(self.folder)[number]
        for turn in range(ROUNDS):
            for name in self._in_turn(turn):
                cell = row.cell(name)
                if not cell.trouble:
                    self._open_once(cell, name, number, question)

    def _open_once(self, cell: Cell, name: str, number: int, question: Question) -> None:
        """Opened and asked for the first time in a new process; its imports don't count."""
        self.up[name] = Process(KINDS[name], self.folder, self.scratch / name)
        opened = self._say(cell, name, "open")
        if "cannot" not in opened:
            answer = self._say(cell, name, "ask", question=number, calls=1, budget_s=0)
            if "total" in answer:
                cell.seconds.append(opened["seconds"] + answer["seconds"][0])
                cell.wrong = check(question, answer, self.scratch / name)
        self.up.pop(name).end()

    def _note(self, cell: Cell, name: str, what: str, **more: Any) -> dict[str, Any]:
        answer = self._say(cell, name, what, **more)
        seconds = answer.get("seconds", [])
        cell.seconds.extend(seconds if isinstance(seconds, list) else [seconds])
        return answer

    def _say(self, cell: Cell, name: str, what: str, **more: Any) -> dict[str, Any]:
        if name not in self.up:
            cell.trouble = "failed before"
            return {"cannot": cell.trouble}
        try:
            answer = self.up[name].do(what, **more)
        except FailedError as why:
            print(why, file=sys.stderr, flush=True)
            self.up.pop(name).end()
            answer = {"cannot": "failed"}
        if "cannot" in answer:
            cell.trouble = str(answer["cannot"])
        return answer

    def _in_turn(self, turn: int) -> list[str]:
        return self.names[:: -1 if turn % 2 else 1]

    def _end_all(self) -> None:
        for process in self.up.values():
            process.end()
        self.up.clear()


def _head(about: data.About) -> str:
    return (
        f"{about.pods:,} pods, {about.json_bytes / 1e6:,.0f} MB of JSON, labels {about.labels}, "
        f"{about.burst:,} events, {about.left:,} pods asked."
    )


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pods", type=int, default=10_000)
    parser.add_argument("--labels", choices=["shared", "unique"], default="shared")
    parser.add_argument("--peers", default=",".join(KINDS), help="names, comma between them")
    parser.add_argument("--data", type=Path, help="keep the data here and use it again")
    parser.add_argument("--json", type=Path, help="write all figures there")
    given = parser.parse_args()
    names = given.peers.split(",")
    if unknown := set(names) - set(KINDS):
        parser.error(
            f"no peer is called {', '.join(sorted(unknown))}; there are {', '.join(KINDS)}"
        )
    kinds = {name: KINDS[name] for name in names}
    processes.build(kinds.values())
    with tempfile.TemporaryDirectory(prefix="vai-peers-") as scratch:
        folder = data.prepare(given.data or Path(scratch), given.pods, given.labels)
        race = Race(names, folder, Path(scratch).resolve() / "work")
        rows = race.run()
        print(render(rows, kinds, _head(race.about)))
        if given.json:
            given.json.write_text(json.dumps([row.plain() for row in rows], indent=1))


if __name__ == "__main__":
    _main()
