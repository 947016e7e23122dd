"""What the log has of a scope: one line when its state changes, none for a retry.

A link that comes and goes makes a scope try again and again: it is catching up for a moment, or
even live, and offline once more. All of that is told to the file, for it is true, but not to the
log: it has each state that a scope came to in an outage once, and `live again` once it has lasted.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from vai.types import State, duration

_log: Final = logging.getLogger("vai")

#: On the way to another state.
_PASSING: Final = frozenset({State.LISTING, State.CATCHING_UP, State.NEVER})
#: Live for less than that is a flicker of the same outage. Our choice: longer than the first waits
#: between tries, and shorter than the watch of 20 s after which a journal hears again.
_SETTLED_S: Final = 5.0


class Journal:
    """Logs the states of one scope.

    Args:
        name: of the scope.
        clock: monotonic seconds.
    """

    def __init__(self, name: str, clock: Callable[[], float]) -> None:
        self._name = name
        self._clock = clock
        self._was_live = False
        self._live_since: float | None = None
        self._amiss: list[State] = []
        self._amiss_since = 0.0

    def see(self, told: tuple[State, str] | None) -> None:
        """What was told of the scope last; called again and again."""
        if told is None or told[0] in _PASSING:
            return
        if told[0] is State.LIVE:
            self._live()
        else:
            self._live_since = None
            self._not_live(*told)

    def _not_live(self, state: State, reason: str) -> None:
        if state in self._amiss:
            return
        if not self._amiss:
            self._amiss_since = self._clock()
        self._amiss.append(state)
        _log.warning("%s: %s%s", self._name, state.value, f": {reason}" if reason else "")

    def _live(self) -> None:
        now = self._clock()
        if self._live_since is None:
            self._live_since = now
        if not self._amiss:
            if not self._was_live:
                _log.info("%s: live", self._name)
        elif now - self._live_since < _SETTLED_S:
            return
        else:
            lasted = duration(self._live_since - self._amiss_since)
            before = " and ".join(state.value for state in self._amiss)
            _log.info("%s: live again, it was %s for %s", self._name, before, lasted)
        self._was_live = True
        self._amiss.clear()
