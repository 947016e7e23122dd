"""What `vai sync` says on stderr while it runs.

In a terminal, a bar while a sync lasts longer than a moment. In any case a line when the state of
something changes: few, since what changes together is said together.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any, Final

from vai.cli.failures import is_terminal, warn
from vai.types import ScopeStatus, State, duration

if TYPE_CHECKING:
    from vai.cli.sync import Standing

# A bar that flashes up and is gone tells nothing.
_BAR_AFTER_S: Final = 2.0
_MOST_NAMES: Final = 3
#: States on the way to another one; they are said only by the bar.
_PASSING: Final = frozenset({State.LISTING, State.CATCHING_UP, State.NEVER})


class Reporter:
    """Tells a person, or a log, how a sync goes."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._started = time.monotonic()
        self._bar: _Bar | None = None
        self._told: dict[int, State] = {}
        self._problems: dict[str, str] = {}
        self._synced = False
        warn(f"syncing into {path} (pid {os.getpid()})")

    def show(self, standing: Standing) -> None:
        """Say what is new since the last time."""
        self._say_problems(standing)
        self._say_changes(standing.scopes)
        if standing.synced and not self._synced:
            self._synced = True
            self._hide_bar()
            self._say(_summary(standing, time.monotonic() - self._started))
        elif not self._synced:
            self._show_bar(standing)

    def close(self) -> None:
        """Take the bar away."""
        self._hide_bar()

    def _say(self, line: str) -> None:
        if self._bar is None:
            warn(line)
        else:
            self._bar.say(f"vai: {line}")

    def _say_problems(self, standing: Standing) -> None:
        current = {name: str(error) for name, error in standing.problems.items()}
        news: dict[str, list[str]] = {}
        for name, why in current.items():
            if self._problems.get(name) != why:
                news.setdefault(why, []).append(name)
        for why, names in news.items():
            self._say(f"{_joined(names)}: {why}")
        self._problems = current

    def _say_changes(self, scopes: list[ScopeStatus] | Any) -> None:
        news: dict[str, list[str]] = {}
        for one in scopes:
            before = self._told.get(one.id)
            if one.state in _PASSING or one.state is before:
                continue
            self._told[one.id] = one.state
            if one.state is State.LIVE and before is None:
                continue  # the summary says it
            news.setdefault(_what(one), []).append(str(one))
        for what, names in news.items():
            self._say(f"{_joined(names)}: {what}")

    def _show_bar(self, standing: Standing) -> None:
        if self._bar is None:
            waited = time.monotonic() - self._started
            if waited < _BAR_AFTER_S or not is_terminal(sys.stderr):
                return
            self._bar = _Bar()
        self._bar.show(standing)

    def _hide_bar(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _what(one: ScopeStatus) -> str:
    if one.state is State.LIVE:
        return "live again"
    return f"{one.state.value}: {one.reason}" if one.reason else one.state.value


def _joined(names: list[str]) -> str:
    if len(names) <= _MOST_NAMES:
        return ", ".join(names)
    return f"{', '.join(names[:_MOST_NAMES])} and {len(names) - _MOST_NAMES} more"


def _summary(standing: Standing, took_s: float) -> str:
    live = [one for one in standing.scopes if one.state is State.LIVE]
    resources = len({one.resource for one in live})
    noun = "resource" if resources == 1 else "resources"
    objects = sum(one.objects for one in live)
    return f"synced: {objects:,} objects of {resources} {noun}, after {duration(took_s)}"


class _Bar:
    """A rich progress bar: scopes done, and objects so far."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[objects]:>9,} objects"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._progress.add_task("syncing", total=None, objects=0)
        self._progress.start()

    def show(self, standing: Standing) -> None:
        total = len(standing.scopes)
        done = sum(one.state not in _PASSING for one in standing.scopes)
        waiting = [one.resource for one in standing.scopes if one.state is State.LISTING]
        text = f"listing {waiting[0]}" if waiting else "syncing"
        if total:
            text += f" ({done} of {total})"
        self._progress.update(
            self._task,
            description=text,
            total=total if total > 1 else None,
            completed=done,
            objects=standing.objects,
        )

    def say(self, line: str) -> None:
        self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        self._progress.stop()
