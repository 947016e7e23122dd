"""Compares scopes with the server now and then, and has what differs listed again.

Watches lose events that nobody notices: a proxy that drops or reorders frames, a server whose
bookmarks run ahead of its events. What is missed so stays wrong for ever, for nothing in the
protocol tells. So each scope is compared once in `self_check_s` with a list of metadata only:

1. The list is of one moment, its resourceVersion. Its objects are looked up while it arrives; all
   that stands as listed, and all that changed after it, is done with (`vai._core.Comparison`).
2. If anything is left, it may be an event that is on its way. The reflector proves the scope every
   some seconds; a proof as of a moment after the list says that the rows have reached the list.
3. What is left then is drift, unless the server or its list was odd for a moment. So a second list
   is compared in the same way: only what differs in both, with the same row, counts.

Drift is logged once, recorded in the file (`vai status`), and repaired by a list that the reflector
publishes as a difference. A scope of more than a page is only counted (`limit=1`), and compared
as a whole every sixth time or when the counts differ. One scope is checked at a time.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from vai.config import Settings
from vai.errors import (
    ClosedError,
    ForbiddenError,
    InvalidRequestError,
    OfflineError,
    VaiError,
)
from vai.reflector.protocol import RefusedError, Response
from vai.store import Compared, Difference, boottime_s, compare_resource_versions
from vai.types import ScopeStatus, State

if TYPE_CHECKING:
    from vai.store import Comparison, Store

_log: Final = logging.getLogger("vai")

#: A scope that does not fit a page is compared as a whole every so many checks: hourly by default.
WHOLE_EVERY: Final = 6
#: How often a wait for a proof looks: a proof takes seconds.
_LOOK_S: Final = 0.5
#: Of the interval, at random: scopes that began together must not be checked together for ever.
_SPREAD: Final = 0.2
#: So many keys of what was found are kept.
_MOST_KEYS: Final = 10
_GONE: Final = 410
_NOT_ACCEPTABLE: Final = 406
_FINDINGS: Final = "selfcheck/"


class MetadataLister(Protocol):
    """The one request that a comparison makes."""

    def list_metadata(self, limit: int, continue_token: str = "", at: str = "") -> Response:
        """A page of metadata only: of the newest moment, or of exactly the resourceVersion `at`."""


class NotCheckedError(Exception):
    """A scope could not be compared; the message says why."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """The last drift that was found in a scope, as the file remembers it.

    Attributes:
        at_s: Unix time.
        missing: objects that the file lacked.
        extra: objects that only the file had.
        older: objects of which it had another state.
        keys: the first ten, as `missing shop/web-0`.
        times: how often drift was found in this scope so far.
        repaired: whether a list has replaced the rows since.
    """

    at_s: float
    missing: int = 0
    extra: int = 0
    older: int = 0
    keys: tuple[str, ...] = ()
    times: int = 1
    repaired: bool = False

    def __str__(self) -> str:
        """`1 missing, 2 older: missing shop/web-0, older shop/web-1, older shop/web-2`."""
        parts = {"missing": self.missing, "extra": self.extra, "older": self.older}
        told = ", ".join(f"{count} {what}" for what, count in parts.items() if count)
        more = sum(parts.values()) - len(self.keys)
        return f"{told}: {', '.join(self.keys)}" + (f" and {more} more" if more > 0 else "")


def finding_of(store: Store, scope: int) -> Finding | None:
    """The last drift found in a scope of the file; None if there never was any."""
    raw = store.document(f"{_FINDINGS}{scope}")
    return None if not raw else msgspec.json.decode(raw, type=Finding)


@dataclass(frozen=True, slots=True)
class Checker:
    """Compares one scope with the server.

    Args:
        store: the file; a reader's handle does.
        settings: page size and times.
        pause: waits; whether to give up.
    """

    store: Store
    settings: Settings
    pause: Callable[[float], bool]

    def check(self, scope: int, source: MetadataLister, *, whole: bool = True) -> list[Difference]:
        """What differs; empty if nothing does.

        Args:
            scope: its id.
            source: lists it.
            whole: compare every object; else those of a large scope are only counted.

        Raises:
            NotCheckedError: why it can't be told.
        """
        status = self._status(scope)
        if status.state is not State.LIVE:
            raise NotCheckedError(f"it is not live: {status.freshness}")
        if whole or status.objects <= self.settings.page_size:
            return self._differences(scope, source)
        if status.label_selector or status.field_selector:
            # API concepts: no remainingItemCount with selectors; the next whole check tells.
            return []
        return [] if self._counts_agree(scope, source) else self._differences(scope, source)

    def check_at_rest(self, scope: int, source: MetadataLister) -> list[Difference]:
        """The same of a file that nobody writes, as of its own resourceVersion.

        Raises:
            NotCheckedError: why it can't be told; the server keeps the past for minutes only.
        """
        status = self._status(scope)
        if not status.complete or not status.resource_version:
            raise NotCheckedError(f"it is not complete: {status.freshness}")
        comparison = self._listed(scope, source, at=status.resource_version)
        return list(_finish(comparison).differences)

    def _differences(self, scope: int, source: MetadataLister) -> list[Difference]:
        first = self._compare(scope, source)
        if not first:
            return []
        again = {(one.what, one.key, one.kept) for one in self._compare(scope, source)}
        return [one for one in first if (one.what, one.key, one.kept) in again]

    def _compare(self, scope: int, source: MetadataLister) -> tuple[Difference, ...]:
        comparison = self._listed(scope, source)
        listed_s = boottime_s()
        found = _finish(comparison)
        if not found.differences:
            return ()
        self._wait_proven(scope, listed_s)
        return _finish(comparison).differences

    def _counts_agree(self, scope: int, source: MetadataLister) -> bool:
        comparison = self._begin(scope)
        page = self._page(comparison, source, 1, "", "")
        listed_s = boottime_s()
        if page[1] and page[2] is None:
            return False
        total = 1 + (page[2] or 0)
        if comparison.count() == total:
            return True
        self._wait_proven(scope, listed_s)
        return comparison.count() == total

    def _listed(self, scope: int, source: MetadataLister, at: str = "") -> Comparison:
        """A comparison that has read the whole list."""
        before = self._status(scope).resource_version
        for limit in (self.settings.page_size, 0):
            comparison = self._begin(scope)
            try:
                version = self._pages(comparison, source, limit, at)
            except RefusedError as error:
                if error.refusal.code == _GONE and limit and not at:
                    # As a reflector's list: it takes longer than the server keeps its snapshot.
                    continue
                raise _refused(error) from None
            if before and (compare_resource_versions(version, before) or 0) < 0:
                raise NotCheckedError(
                    f"the server's list is of resourceVersion {version}, the file is at {before}: "
                    "servers behind one address disagree, or it is being restored"
                )
            return comparison
        raise NotCheckedError("the pages of the list expired")

    def _pages(self, comparison: Comparison, source: MetadataLister, limit: int, at: str) -> str:
        token, version = "", ""
        while True:
            version, token, _ = self._page(comparison, source, limit, token, at)
            if not token:
                return version

    def _page(
        self, comparison: Comparison, source: MetadataLister, limit: int, token: str, at: str
    ) -> tuple[str, str, int | None]:
        """(resourceVersion, continue token, remaining items) of a page."""
        if self.pause(0):
            raise NotCheckedError("it was stopped")
        try:
            with source.list_metadata(limit, token, at) as response:
                comparison.begin_page(response.gzip)
                for chunk in response.chunks():
                    comparison.push(chunk)
                page = comparison.end_page()
        except (ForbiddenError, OfflineError) as error:
            raise NotCheckedError(str(error)) from None
        except VaiError as error:
            if "kind" not in error.details and not isinstance(error, InvalidRequestError):
                raise
            raise NotCheckedError(f"the server's list can't be read: {error}") from None
        return page.resource_version, page.continue_token, page.remaining

    def _begin(self, scope: int) -> Comparison:
        try:
            return self.store.begin_comparison(scope)
        except InvalidRequestError as error:
            raise NotCheckedError(str(error)) from None

    def _wait_proven(self, scope: int, since_s: float) -> None:
        """Wait until the scope is proven as of a moment after `since_s` (CLOCK_BOOTTIME)."""
        limit_s = 2 * self.settings.live_within_s
        deadline = time.monotonic() + limit_s
        while True:
            now = boottime_s()
            status = self._status(scope)
            if status.age_s is not None and now - status.age_s > since_s:
                return
            if time.monotonic() > deadline:
                raise NotCheckedError(
                    f"it was not proven within {limit_s:g}s of the list: {status.freshness}"
                )
            if self.pause(_LOOK_S):
                raise NotCheckedError("it was stopped")

    def _status(self, scope: int) -> ScopeStatus:
        status = self.store.scope(scope)
        if status is None:
            raise NotCheckedError("it is no longer in the file")
        return status


def _finish(comparison: Comparison) -> Compared:
    try:
        return msgspec.json.decode(comparison.finish(), type=Compared)
    except InvalidRequestError as error:
        raise NotCheckedError(str(error)) from None


def _refused(error: RefusedError) -> NotCheckedError:
    match error.refusal.code:
        case 410:
            return NotCheckedError(
                "the server no longer has the moment that the file is of; "
                "`vai sync` brings it up to date"
            )
        case 406:
            return NotCheckedError("the server has no metadata-only lists of it")
        case _:
            return NotCheckedError(str(error))


@dataclass(slots=True)
class Tally:
    """What the checks of one scope came to, since the start."""

    checks: int = 0
    unchecked: int = 0
    drift: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class _Target:
    name: str
    source: MetadataLister
    repair: Callable[[str], None]
    due_s: float
    rounds: int = 0
    tally: Tally = field(default_factory=Tally)


class SelfCheck:
    """Checks the scopes of one cluster in turn, on one thread, until it is stopped.

    Args:
        store: the file, as its writer.
        settings: `check_every_s` is how often each scope is checked; 0 never.
        draw: a number in [0, 1).
    """

    def __init__(
        self, store: Store, settings: Settings, *, draw: Callable[[], float] = random.random
    ) -> None:
        self._store = store
        self._settings = settings
        self._draw = draw
        self._interval_s = settings.check_every_s
        self._stopping = threading.Event()
        self._changed = threading.Condition()
        self._targets: dict[int, _Target] = {}
        self._checker = Checker(store, settings, self._stopping.wait)
        self._thread = threading.Thread(target=self._run, name="vai-selfcheck", daemon=True)

    def add(
        self, scope: int, name: str, source: MetadataLister, repair: Callable[[str], None]
    ) -> None:
        """Check this scope from now on (again, with another source).

        Args:
            scope: its id.
            name: for the log.
            source: lists it.
            repair: has it listed again, for a reason.
        """
        if self._interval_s <= 0:
            return
        with self._changed:
            # Not at once: who has just started has other things to ask for.
            first_s = self._interval_s * max(_SPREAD, self._draw())
            target = _Target(name, source, repair, time.monotonic() + first_s)
            before = self._targets.get(scope)
            if before is not None:
                target.tally = before.tally
            self._targets[scope] = target
            self._changed.notify_all()
            if self._thread.ident is None and not self._stopping.is_set():
                self._thread.start()

    def remove(self, scope: int) -> None:
        """Check this scope no more."""
        with self._changed:
            self._targets.pop(scope, None)

    def tallies(self) -> dict[int, Tally]:
        """What the checks came to so far, by scope."""
        with self._changed:
            return {scope: target.tally for scope, target in self._targets.items()}

    def stop(self) -> None:
        """Tell the thread to end; a request under way is ended by closing the transport."""
        self._stopping.set()
        with self._changed:
            self._changed.notify_all()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end. Returns whether it came."""
        if self._thread.ident is not None:
            self._thread.join(max(0.0, timeout_s))
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while (scope := self._next()) is not None:
                self._turn(scope)
        except ClosedError:
            return

    def _next(self) -> int | None:
        """The scope whose turn it is, once it is; None at the end."""
        with self._changed:
            while not self._stopping.is_set():
                if not self._targets:
                    self._changed.wait()
                    continue
                scope = min(self._targets, key=lambda found: self._targets[found].due_s)
                left_s = self._targets[scope].due_s - time.monotonic()
                if left_s <= 0:
                    return scope
                self._changed.wait(left_s)
            return None

    def _turn(self, scope: int) -> None:
        with self._changed:
            target = self._targets.get(scope)
        if target is None:
            return
        try:
            status = self._store.scope(scope)
            if status is None:
                # Forgotten, or it is another file's by now.
                self.remove(scope)
                return
            # What the server serves no longer has nothing to be compared with, and may come back.
            if status.state is not State.GONE:
                self._check(scope, target)
        except ClosedError:
            raise
        # Whatever it is: checking goes on, and says so where it can be seen.
        except Exception as error:  # noqa: BLE001
            self._not_checked(scope, target, f"{type(error).__name__}: {error}")
        pause_s = self._interval_s * (1 + _SPREAD * (self._draw() - 0.5))
        target.due_s = time.monotonic() + pause_s

    def _check(self, scope: int, target: _Target) -> None:
        whole = target.rounds % WHOLE_EVERY == 0
        try:
            found = self._checker.check(scope, target.source, whole=whole)
        except NotCheckedError as error:
            self._not_checked(scope, target, str(error))
            return
        target.rounds += 1
        target.tally.checks += 1
        self._store.checked(scope)
        if found:
            # The next one looks at all of it again, whatever the counts say.
            target.rounds = 0
            self._repair(scope, target, found)
        elif whole:
            self._settle(scope)

    def _not_checked(self, scope: int, target: _Target, why: str) -> None:
        if self._stopping.is_set():
            return
        target.tally.unchecked += 1
        self._store.checked(scope, why)

    def _repair(self, scope: int, target: _Target, found: list[Difference]) -> None:
        kinds = Counter(one.what for one in found)
        before = finding_of(self._store, scope)
        finding = Finding(
            at_s=time.time(),
            missing=kinds["missing"],
            extra=kinds["extra"],
            older=kinds["older"],
            keys=tuple(f"{one.what} {one.key}" for one in found[:_MOST_KEYS]),
            times=1 if before is None else before.times + 1,
        )
        target.tally.drift.update(kinds)
        _log.warning("%s differed from the server: %s; listing it again", target.name, finding)
        self._record(scope, finding)
        reason = f"the self-check found {finding}"
        # In the file first: a process that dies now lists when it comes back.
        self._store.void_checkpoint(scope, reason)
        target.repair(reason)
        if self._is_listed(scope):
            self._record(scope, msgspec.structs.replace(finding, repaired=True))

    def _settle(self, scope: int) -> None:
        """What was found before is no more, though its list came later than it was waited for."""
        before = finding_of(self._store, scope)
        if before is not None and not before.repaired:
            self._record(scope, msgspec.structs.replace(before, repaired=True))

    def _record(self, scope: int, finding: Finding) -> None:
        self._store.put_document(f"{_FINDINGS}{scope}", msgspec.json.encode(finding))

    def _is_listed(self, scope: int) -> bool:
        """Wait for the list; whether it came within a few tries of it."""
        deadline = time.monotonic() + 4 * self._settings.list_timeout_s
        while self._store.checkpoint(scope)[1]:
            if time.monotonic() > deadline or self._stopping.wait(_LOOK_S):
                return False
        return True
