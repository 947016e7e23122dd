"""One table: what, and each peer's median (p99) beside the ratio to the first one's."""

from __future__ import annotations

from collections.abc import Sequence

from bench.peers.data import About
from bench.peers.measured import Cell, Row
from bench.peers.processes import KINDS

_FACTOR = {"s": 1.0, "ms": 1e3, "MB": 1e-6}


def render(rows: Sequence[Row], names: Sequence[str], about: About) -> str:
    """Markdown that can be read as it is; below it what the marks in it say."""
    notes: dict[str, int] = {}
    lines = [["work", *(KINDS[name].name for name in names)]]
    for row in rows:
        title = f"{row.name}, {row.unit}"
        base = row.cell(names[0]).median
        lines.append([title, *(_cell(row, row.cell(name), base, notes) for name in names)])
    widths = [max(len(line[at]) for line in lines) for at in range(len(lines[0]))]
    lines.insert(1, ["-" * width for width in widths])
    drawn = [
        "| "
        + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True))
        + " |"
        for line in lines
    ]
    head = (
        f"{about.pods:,} pods, {about.json_bytes / 1e6:,.0f} MB of JSON, labels {about.labels}, "
        f"{about.burst:,} events, {about.left:,} pods asked. Median (p99), x: ratio to "
        f"{KINDS[names[0]].name}'s."
    )
    below = [f"[{number}] {text}" for text, number in notes.items()]
    legend = [f"{KINDS[name].name}: {KINDS[name].about}" for name in names]
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
