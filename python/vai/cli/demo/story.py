"""The demo from its first to its last step."""

from __future__ import annotations

import contextlib
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import NoReturn

from vai.cli.demo.children import ChildError
from vai.cli.demo.screen import Screen
from vai.cli.demo.stage import Stage, StepError
from vai.cli.demo.steps import STEPS
from vai.errors import VaiError
from vai.testing.control import ControlError


def tell(screen: Screen, *, pods: int, keep: bool) -> bool:
    """Run all steps. Returns whether every one held."""
    folder = Path(tempfile.mkdtemp(prefix="vai-demo-"))
    started = time.monotonic()
    screen.title(
        "vai demo",
        "A simulated Kubernetes API, vai sync and this process, on loopback. Nothing is staged.",
    )
    with contextlib.ExitStack() as parts:
        if keep:
            parts.callback(screen.note, f"kept: {folder}")
        else:
            parts.callback(shutil.rmtree, folder, ignore_errors=True)
        parts.enter_context(_ending_on_signals())
        stage = Stage(screen, folder, pods, parts)
        try:
            for step in STEPS:
                step(stage)
        except (StepError, ChildError, ControlError, VaiError, OSError) as error:
            screen.failed(str(error))
            _explain(stage)
            screen.end("A step did not hold.")
            return False
    took = time.monotonic() - started
    screen.end(f"All {len(STEPS)} steps held, in {took:.0f} seconds.")
    return True


@contextlib.contextmanager
def _ending_on_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end the demo as Ctrl-C does, with its children."""

    def end(_number: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _explain(stage: Stage) -> None:
    said = "" if stage.sync is None else stage.sync.said()
    if said:
        stage.screen.output(["vai sync said last:", *said.splitlines()])
