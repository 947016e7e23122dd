"""One table: what, and each peer's median (p99) beside the ratio to the first one's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.peers.measured import Cell, Row
from bench.peers.processes import Kind

_FACTOR = {"s": 1.0, "ms": 1e3, "MB": 1e-6, "": 1.0}


def render(rows: Sequence[Row], kinds: Mapping[str, Kind], head: str) -> str:
    """Markdown that can be read as it is; below it what the marks in it say."""
    notes: dict[str, int] = {}
    first = next(iter(kinds))
    lines = [["work", *(kind.name for kind in kinds.values())]]
    for row in rows:
        title = f"{row.name}, {row.unit}" if row.unit else row.name
        base = row.cell(first).median
        lines.append([title, *(_cell(row, row.cell(name), base, notes) for name in kinds)])
    widths = [max(len(line[at]) for line in lines) for at in range(len(lines[0]))]
    lines.insert(1, ["-" * width for width in widths])
    drawn = [
        "| "
        + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True))
        + " |"
        for line in lines
    ]
    head = f"{head} Median (p99), x: ratio to {kinds[first].name}'s."
    below = [f"[{number}] {text}" for text, number in notes.items()]
    legend = [f"{kind.name}: {kind.about}" for kind in kinds.values()]
    return "\n".join([head, "", *drawn, "", *below, "", *legend])


def _cell(row: Row, cell: Cell, base: float | None, notes: dict[str, int]) -> str:
    if cell.trouble == "-":
        return cell.trouble
    if cell.trouble or cell.median is None:
        return f"no [{_number(cell.trouble or 'not measured', notes)}]"
    median, factor = cell.median, _FACTOR[row.unit]
    text = _figure(median * factor)
    if cell.p99 is not None:
        text += f" ({_figure(cell.p99 * factor)})"
    if row.per_s:
        text += f" {row.per_s / median:,.0f}/s"
    if row.gigabytes:
        text += f" {row.gigabytes / median:.2f} GB/s"
    if base and cell.median != base:
        text += f" x{_figure(median / base)}"
    if cell.wrong:
        text += f" WRONG[{_number(cell.wrong, notes)}]"
    return text


def _number(text: str, notes: dict[str, int]) -> int:
    return notes.setdefault(text, len(notes) + 1)


def _figure(value: float) -> str:
    """Three digits that count."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"
