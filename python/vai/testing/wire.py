"""What faults do to an answer and its connection."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from vai.testing.faults import Taken
from vai.testing.kinds import STATUSES, Kind
from vai.testing.link import Connection, LinkDownError
from vai.testing.listing import expired_page
from vai.testing.requests import Request
from vai.testing.status import ApiError, injected, unauthorized

if TYPE_CHECKING:
    from vai.testing.simulator import Simulator

#: How often a waiting answer looks whether it has to wait on.
_LOOK_S: Final = 0.02
_DRIPS_PER_S: Final = 20


def before_answer(
    simulator: Simulator, connection: Connection, request: Request, taken: Taken
) -> None:
    """Do what comes before, or instead of, the answer.

    Raises:
        ApiError: Instead.
        LinkDownError: The connection ends.
    """
    fault = taken.fault
    if fault.after is not None:
        return
    match fault.kind:
        case Kind.HANG:
            pause(connection, taken)
        case Kind.RESET if fault.part is None:
            reset(connection)
        case Kind.SKEW:
            simulator.skew_s = fault.seconds or 0.0
        case Kind.ROTATED:
            simulator.rotate_token(fault.token)
            raise unauthorized()
        case Kind.EXPIRED if request.query.get("continue"):
            raise expired_page(request.query["continue"])
        case kind if kind in STATUSES:
            raise status_of(taken)
        case _:
            pass


def status_of(taken: Taken) -> ApiError:
    """The error that a fault stands for."""
    fault = taken.fault
    kind = Kind(fault.kind)
    code = fault.status if kind is Kind.UNAVAILABLE else STATUSES[kind]
    return injected(code, retry_after=fault.retry_after, message=fault.message)


def reset(connection: Connection) -> None:
    """End the connection with a RST."""
    connection.kill()
    raise LinkDownError


def pause(connection: Connection, taken: Taken) -> None:
    """Say nothing for as long as the fault lasts.

    Raises:
        LinkDownError: The client gave up.
    """
    seconds = taken.fault.seconds
    deadline = None if seconds is None else time.monotonic() + seconds
    while not taken.over() and (deadline is None or time.monotonic() < deadline):
        if connection.dead or connection.hung_up():
            raise LinkDownError
        time.sleep(_LOOK_S)


def drips(data: bytes, taken: Taken, until: float) -> Iterator[bytes]:
    """The data in small pieces with pauses, until the fault is over; then the rest of it."""
    size = max(1, taken.fault.bytes_per_s // _DRIPS_PER_S)
    position = 0
    while position < len(data) and not taken.over() and time.monotonic() < until:
        yield data[position : position + size]
        position += size
        time.sleep(1 / _DRIPS_PER_S)
    if position < len(data):
        yield data[position:]
