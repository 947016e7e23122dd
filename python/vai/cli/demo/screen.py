"""How the demo looks: restrained in a terminal, plain text elsewhere."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


class Bar(Protocol):
    """A progress bar; in plain text, nothing until it is done."""

    def show(self, done: int, total: int) -> None:
        """How far it is."""


class Screen:
    """Prints the story."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        if not self.console.is_terminal:
            # Lines of a log are not cut at a width that nobody has.
            self.console.width = max(self.console.width, 120)
        if isinstance(sys.stdout, io.TextIOWrapper):
            # A name that the terminal's encoding lacks must not end the story.
            sys.stdout.reconfigure(errors="replace")
        self._check, self._cross, self._dot = self._signs()
        self._steps = 0

    def _signs(self) -> tuple[str, str, str]:
        try:
            "✓✗·".encode(self.console.encoding)
        except (UnicodeEncodeError, LookupError):
            return "[ok]", "[failed]", "-"
        return "✓", "✗", "·"

    def title(self, text: str, below: str) -> None:
        """What this is."""
        self.console.print(f"[bold]{escape(text)}[/]")
        self.console.print(escape(below), style="dim")

    def step(self, title: str) -> None:
        """A new step begins."""
        self._steps += 1
        self.console.print()
        self.console.print(f"[bold cyan]{self._steps}[/]  [bold]{escape(title)}[/]")

    def command(self, text: str) -> None:
        """A command that is run."""
        self.console.print(f"   [green]$[/] {escape(text)}", soft_wrap=True)

    def output(self, lines: Sequence[str]) -> None:
        """What a command printed."""
        for line in lines:
            self.console.print(f"   {escape(line)}", style="dim", soft_wrap=True)

    def note(self, text: str) -> None:
        """Something to know."""
        self.console.print(f"   {self._dot} {escape(text)}", soft_wrap=True)

    def held(self, text: str) -> None:
        """Something that was checked, and held."""
        self.console.print(
            f"   [bold green]{escape(self._check)}[/] {escape(text)}", soft_wrap=True
        )

    def failed(self, text: str) -> None:
        """Something that was checked, and did not hold."""
        self._sign("bold red", self._cross, text)

    def _sign(self, style: str, sign: str, text: str) -> None:
        self.console.print(f"   [{style}]{escape(sign)}[/] {escape(text)}", soft_wrap=True)

    def end(self, text: str) -> None:
        """The last line."""
        self.console.print()
        self.console.print(f"[bold]{escape(text)}[/]")

    def figures(self, rows: Sequence[tuple[str, str]]) -> None:
        """What was measured, and the figures one below the other."""
        left = max(len(name) for name, _ in rows)
        right = max(len(figure) for _, figure in rows)
        for name, figure in rows:
            self.console.print(f"   {escape(name):<{left}}   [bold]{escape(figure):>{right}}[/]")

    @contextmanager
    def bar(self, text: str) -> Iterator[Bar]:
        """A bar that stays on the screen."""
        progress = Progress(
            TextColumn("   {task.description}"),
            BarColumn(bar_width=40),
            MofNCompleteColumn(),
            TextColumn("objects"),
            TimeElapsedColumn(),
            console=self.console,
        )
        with progress:
            yield _RichBar(progress, text)


class _RichBar:
    def __init__(self, progress: Progress, text: str) -> None:
        self._progress = progress
        self._task = progress.add_task(text, total=None)

    def show(self, done: int, total: int) -> None:
        self._progress.update(self._task, completed=min(done, total), total=total)
