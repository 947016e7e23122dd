"""What was measured, and whether the answer was right."""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from bench.peers.questions import Question


@dataclass
class Cell:
    """One peer at one kind of work."""

    #: Samples: seconds, mostly; bytes and numbers where the row says so.
    seconds: list[float] = field(default_factory=list)
    bytes: int | None = None
    #: Why there is nothing to measure.
    trouble: str = ""
    #: What its answer had wrong; empty when all was right.
    wrong: str = ""

    @property
    def median(self) -> float | None:
        """Seconds, or bytes."""
        if self.bytes is not None:
            return float(self.bytes)
        return statistics.median(self.seconds) if self.seconds else None

    @property
    def p99(self) -> float | None:
        """Nearest rank; below a hundred samples that is the largest."""
        if len(self.seconds) < 2:
            return None
        ranked = sorted(self.seconds)
        return ranked[-(-99 * len(ranked) // 100) - 1]


@dataclass
class Row:
    """One kind of work."""

    name: str
    #: Nothing for numbers of things.
    unit: Literal["s", "ms", "MB", ""] = "ms"
    #: Shown as so many per second.
    per_s: int | None = None
    #: Shown as so many gigabytes of JSON per second.
    gigabytes: float | None = None
    cells: dict[str, Cell] = field(default_factory=dict)

    def cell(self, name: str) -> Cell:
        """Of a peer."""
        return self.cells.setdefault(name, Cell())

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        cells = {
            name: {
                "median": cell.median,
                "p99": cell.p99,
                "samples": len(cell.seconds),
                "trouble": cell.trouble,
                "wrong": cell.wrong,
            }
            for name, cell in self.cells.items()
        }
        return {"work": self.name, "unit": "B" if self.unit == "MB" else "s", "peers": cells}


def check(question: Question, answer: dict[str, Any], work: Path) -> str:
    """What the answer has wrong, in a word."""
    expected = question.expected
    assert expected is not None
    if answer["total"] != expected.total:
        return f"total {answer['total']:,}"
    if not question.limit:
        return ""
    pages = json.loads((work / "answer.json").read_bytes())
    pods = [pod for page in pages for pod in page["items"]]
    keys = [f"{pod['metadata']['namespace']}/{pod['metadata']['name']}" for pod in pods]
    facets = json.loads((work / "facets.json").read_bytes())
    if facets != expected.facets:
        return "other counts"
    if keys == expected.keys:
        return ""
    if sorted(keys) == sorted(expected.keys):
        return "other order"
    return f"other page ({len(set(keys) & set(expected.keys))} of {len(expected.keys)})"
