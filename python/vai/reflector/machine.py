"""The watch loop: `step(phase, io)` makes one request, or takes one chunk, and says what is next.

All I/O is behind `io`. Each function handles one phase: those of a list are in `lists`, those of a
watch in `watches`; what a failure means is decided in one place, `failures`, for all of them.
"""

from __future__ import annotations

from vai.errors import ForbiddenError, OfflineError
from vai.reflector import lists, watches
from vai.reflector.failures import failed, missing, release
from vai.reflector.io import Io
from vai.reflector.protocol import RefusedError
from vai.reflector.states import (
    Initial,
    Missing,
    Open,
    Page,
    Phase,
    Probe,
    Publish,
    Relist,
    Start,
    Stopped,
    Stream,
    Wait,
)
from vai.types import State, duration


def step(phase: Phase, io: Io) -> Phase:
    """One step of the loop.

    Raises:
        VaiError: about the file, never about the server.
    """
    try:
        following = _go(phase, io)
    except (ForbiddenError, OfflineError, RefusedError) as error:
        following = failed(phase, error, io)
    if not isinstance(following, Page | Initial | Publish):
        io.end_listing()
    return following


def _go(phase: Phase, io: Io) -> Phase:  # noqa: C901, PLR0911 - one line per phase
    match phase:
        case Start():
            return _start(io)
        case Relist():
            return lists.relist(phase, io)
        case Page():
            return lists.page(phase, io)
        case Initial():
            return lists.initial(phase, io)
        case Publish():
            return lists.publish(phase, io)
        case Probe():
            return watches.probe(phase, io)
        case Open():
            return watches.open_watch(phase, io)
        case Stream():
            return watches.stream(phase, io)
        case Missing():
            return missing(phase, io)
        case Wait():
            io.wait(phase.seconds, offline=phase.offline)
            return phase.then
        case Stopped():
            return phase


def _start(io: Io) -> Phase:
    status = io.store.scope(io.scope)
    io.complete = status is not None and status.complete
    if io.polls:
        return _polled_again(io)
    position, needs_relist = io.store.resume(io.scope)
    if position is None or needs_relist:
        return Relist("the checkpoint does not count" if io.complete else "")
    io.tell(State.CATCHING_UP)
    return Probe(position)


def _polled_again(io: Io) -> Phase:
    """The first list, or the next one when it is due: the file knows when the last one was."""
    if not io.complete:
        return Relist()
    again = Relist(lists.POLLED, proves=True)
    status = io.store.scope(io.scope)
    io.objects, age_s = (0, None) if status is None else (status.objects, status.freshness.age_s)
    left_s = 0.0 if age_s is None else io.poll_s - age_s
    if left_s <= 0:
        return again
    io.tell(State.CATCHING_UP, f"polled every {duration(io.poll_s)}")
    return Wait(again, left_s)


__all__ = ["release", "step"]
