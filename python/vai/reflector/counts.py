"""What a reflector did, counted from outside: by the phases that its machine went through.

The numbers are those of client-go's reflectors (tools/cache/reflector_metrics.go), so that whoever
charts these finds the same here; and why lists were made, which is what vai promises to be few.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from vai.reflector.states import Open, Phase, Publish, Relist, Start, Stream, Wait

#: client-go reflector.go (VeryShortWatchError): a watch that ends sooner, without an event.
_SHORT_S: Final = 1.0
#: How reasons of lists begin, or what they contain; in this order. Few, for they become labels.
_REASONS: Final = (
    ("self-check", "self-check"),
    ("410", "expired"),
    ("Expired", "expired"),
    ("the server went back", "restored"),
    ("malformed", "malformed"),
    ("sends no bookmarks", "proof"),
    ("polled", "proof"),
    ("the checkpoint does not count", "checkpoint"),
    ("the resource was gone", "gone"),
)


def kind_of(relist: Relist) -> str:
    """Why a list is made, in one word: `first`, `expired`, `confirming` and some more."""
    if relist.confirming:
        return "confirming"
    if relist.proves:
        return "proof"
    if not relist.reason:
        return "first"
    return next((kind for text, kind in _REASONS if text in relist.reason), "other")


@dataclass(slots=True)
class Observed:
    """Values that were observed: how many, and their sum."""

    count: int = 0
    sum: float = 0.0

    def add(self, value: float) -> None:
        """One more."""
        self.count += 1
        self.sum += value


@dataclass(slots=True)
class Counts:
    """One reflector's numbers since it began. Written by its thread alone.

    Attributes:
        lists: lists that were begun, by why.
        expired: how often the server no longer had what was asked to go on from (410).
        list_duration_s: of lists that were published.
        list_items: objects of lists that were published.
        watches: watches that were opened.
        short_watches: watches that ended within a second, without an event.
        watch_duration_s: of watches that ended.
        watch_items: events and bookmarks of watches that ended.
        events: of all watches, those that run included.
    """

    lists: Counter[str] = field(default_factory=Counter)
    expired: int = 0
    list_duration_s: Observed = field(default_factory=Observed)
    list_items: Observed = field(default_factory=Observed)
    watches: int = 0
    short_watches: int = 0
    watch_duration_s: Observed = field(default_factory=Observed)
    watch_items: Observed = field(default_factory=Observed)
    events: int = 0
    _list_began_s: float | None = None

    def went(self, phase: Phase, following: Phase, now_s: float, objects: int) -> None:
        """The machine went from one phase to the next; `objects` is what the last list had."""
        self._count_list(phase, following, now_s, objects)
        self._count_watch(phase, following, now_s)

    def _count_list(self, phase: Phase, following: Phase, now_s: float, objects: int) -> None:
        then = following.then if isinstance(following, Wait) else following
        if isinstance(then, Relist) and not isinstance(phase, Relist | Wait):
            self.expired += kind_of(then) == "expired"
        if isinstance(phase, Relist) and not isinstance(following, Relist | Start | Wait):
            self.lists[kind_of(phase)] += 1
            self._list_began_s = now_s
        if isinstance(phase, Publish) and isinstance(following, Open | Stream):
            self.list_items.add(objects)
            if self._list_began_s is not None:
                self.list_duration_s.add(now_s - self._list_began_s)

    def _count_watch(self, phase: Phase, following: Phase, now_s: float) -> None:
        if isinstance(following, Stream):
            before = phase.events if isinstance(phase, Stream) else 0
            self.watches += not isinstance(phase, Stream)
            self.events += max(0, following.events - before)
        elif isinstance(phase, Stream):
            lasted_s = now_s - phase.opened_s
            self.watch_duration_s.add(lasted_s)
            self.watch_items.add(phase.events)
            self.short_watches += lasted_s < _SHORT_S and not phase.events
