"""Columns padded with spaces as kubectl pads them.

The part of github.com/liggitt/tabwriter (Go's text/tabwriter with remembered widths) that
kubectl's table printer uses: cells end with a tab, the last one of a line is not padded, and a
column lasts as long as lines in a row have it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

# k8s.io/cli-runtime/pkg/printers/tabwriter.go: minimal width 6, padding 3.
_MIN_WIDTH: Final = 6
_PADDING: Final = 3


def lines_of(rows: Iterable[Sequence[str]]) -> list[str]:
    """The rows as aligned lines. Rows of one table have equally many cells."""
    table = [[_flat(cell) for cell in row] for row in rows]
    width = max((len(row) for row in table), default=0)
    widths = [
        max([_MIN_WIDTH, *(len(row[index]) + _PADDING for row in table if index < len(row) - 1)])
        for index in range(max(width - 1, 0))
    ]
    return [_line(row, widths) for row in table]


def _flat(cell: str) -> str:
    """A tab or a vertical tab inside a cell would end it; kubectl's columns shift there."""
    return cell.replace("\t", " ").replace("\v", " ") if "\t" in cell or "\v" in cell else cell


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    padded = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)]
    return "".join([*padded, row[-1]]) if row else ""
