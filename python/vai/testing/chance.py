"""Faults by chance: a function of the seed, the request's kind and path, and its number there."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, Final

from vai.testing.kinds import Fault, Kind, Match

_STATUSES: Final = (Kind.THROTTLED, Kind.UNAVAILABLE, Kind.UNAUTHORIZED, Kind.ROTATED)
_ANYWHERE: Final = (*_STATUSES, Kind.HANG, Kind.SLOW, Kind.RESET, Kind.SKEW)
_LASTING: Final = (Kind.HANG, Kind.SLOW, Kind.STALL)
_IN_BODIES: Final = (Kind.RESET, Kind.CUT, Kind.STALL, Kind.MALFORMED, Kind.TRUNCATED)
_IN_WATCHES: Final = (
    *(Kind.EXPIRED, Kind.END, Kind.DUPLICATE, Kind.DROP, Kind.REORDER, Kind.BOOKMARK),
    *_IN_BODIES,
)


def _each(*kinds: Kind) -> tuple[Kind, ...]:
    return tuple(dict.fromkeys(kinds))


#: What can happen to a request of a kind.
_CAN: Final = {
    "list": _each(*_ANYWHERE, *_IN_BODIES, Kind.EXPIRED, Kind.SHUFFLED, Kind.EMPTY),
    "watch": _each(*_ANYWHERE, *_IN_WATCHES),
    "watchlist": _each(*_ANYWHERE, *_IN_WATCHES),
    "get": _each(*_ANYWHERE, *_IN_BODIES),
}
#: A storm of 429 goes on for so many requests at most.
_STORM: Final = 4
_FEW_EVENTS: Final = 6
#: How often what may come before the answer or in it comes before.
_AT_ONCE: Final = 0.3
_HOUR_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Chance:
    """See `Faults.random`."""

    seed: int | str
    rate: float
    kinds: tuple[Kind, ...]
    at: Match = None
    longest_s: float = 2.0

    def draw(self, kind: str, stream: str, nth: int) -> Fault | None:
        """What the nth request of a stream (of this kind) meets."""
        for back in range(min(nth, _STORM)):
            found, lasts = self._one(kind, stream, nth - back)
            if found is not None and back < lasts:
                return found
        return None

    def _one(self, kind: str, stream: str, nth: int) -> tuple[Fault | None, int]:
        """What begins with a request, and for how many requests it lasts."""
        dice = random.Random(f"{self.seed}/{stream}/{nth}")
        can = [one for one in _CAN.get(kind, _ANYWHERE) if one in self.kinds]
        if not can or dice.random() >= self.rate:
            return None, 0
        chosen = dice.choice(can)
        lasts = dice.randint(1, _STORM) if chosen is Kind.THROTTLED else 1
        return self._fault(chosen, dice, in_watch=kind.startswith("watch")), lasts

    def _fault(self, kind: Kind, dice: random.Random, *, in_watch: bool) -> Fault:
        # Each is drawn for every kind, so that one more number for one leaves the others alone.
        share, place, at_once = dice.random(), dice.random(), dice.random() < _AT_ONCE
        options: dict[str, Any] = {}
        if kind in _LASTING:
            options["seconds"] = round(self.longest_s * share, 3)
        elif kind is Kind.SKEW:
            options["seconds"] = round((share - 0.5) * 2 * _HOUR_S)
        elif kind is Kind.UNAVAILABLE:
            options["status"] = dice.choice((500, 502, 503, 504))
        elif kind is Kind.THROTTLED and self.longest_s >= 1:
            options["retry_after"] = 1
        if kind in {Kind.RESET, Kind.EXPIRED} and at_once:
            return Fault(kind, **options)
        if in_watch and kind in _IN_WATCHES:
            # Small numbers are more likely: most watches see few events.
            options["after"] = int(_FEW_EVENTS * place**2)
        elif not in_watch and kind in _IN_BODIES:
            options["part"] = round(place, 2)
        return Fault(kind, **options)
