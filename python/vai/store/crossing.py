"""What Python can hold and the core can't take: refused with its place, not with a traceback."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

from vai.errors import InvalidRequestError

P = ParamSpec("P")
R = TypeVar("R")

#: Of a long text as much is shown before the place and behind it.
_SHOWN: Final = 20


def crossing(call: Callable[P, R]) -> Callable[P, R]:
    """A method that hands what a user gave to the core.

    It raises InvalidRequestError where a text has half of a surrogate pair (at
    `.details["position"]`), as arguments of a command line that are not UTF-8 have, and where a
    number is beyond 64 bits.
    """

    @functools.wraps(call)
    def crossed(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return call(*args, **kwargs)
        except UnicodeEncodeError as error:
            text, at = error.object, error.start
            shown = text[max(0, at - _SHOWN) : at + _SHOWN]
            raise InvalidRequestError(
                f"{shown!r} is no text: character {at} is half of a surrogate pair", position=at
            ) from None
        except OverflowError as error:
            raise InvalidRequestError(f"a number is out of range: {error}") from None

    return crossed
