"""Steps of the machine, for tests."""

from __future__ import annotations

from typing import Any, TypeVar

from tests.unit.reflector.fakes import World
from vai.reflector import Refusal, RefusedError
from vai.reflector.machine import step
from vai.reflector.protocol import Cause, Details
from vai.reflector.states import Open, Phase, Stream

_P = TypeVar("_P", bound=Phase)
ROWS = {"a": "1", "b": "2", "c": "3", "d": "4"}


def go(world: World, phase: Phase, kind: type[_P], most: int = 10) -> _P:
    """Steps until a phase of that kind; at least one."""
    for _ in range(most):
        phase = step(phase, world.io)
        if isinstance(phase, kind):
            return phase
    raise AssertionError(f"after {most} steps: {phase}")


def refused(code: int, retry_after_s: float | None = None, reason: str = "") -> RefusedError:
    return RefusedError(Refusal(code=code, reason=reason, message="said no"), retry_after_s)


def too_large() -> RefusedError:
    """The server has not got to that resourceVersion yet, as kube-apiserver says it since 1.18."""
    details = Details(causes=[Cause(reason="ResourceVersionTooLarge", message="Too large")])
    said = "Timeout: Too large resource version: 60, current: 50"
    return RefusedError(Refusal(code=504, reason="Timeout", message=said, details=details), 1.0)


def stream(world: World, chunks: list[Any], phase: Open | None = None) -> Stream:
    """An open watch that has these chunks before it."""
    world.server.watches.append(chunks)
    return go(world, phase or Open("50"), Stream, most=1)
