"""The copy that vai keeps: in this process, or in a child that is killed; and who reads it."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final

import msgspec

import vai
import vai.metrics
from tests.model.consumer import Consumer
from tests.model.short import Short
from tests.model.told import Told
from tests.model.world import SCOPES, State, World, state_of
from vai.config import Settings
from vai.reflector import selfcheck

#: The least that vai takes, so that proofs come soon.
LIVE_WITHIN_S: Final = 8.0
#: Between a proof and what a reader makes of it: ages are rounded, and clocks are read twice.
TOLERANCE_S: Final = 0.05
#: Handlers that come while it runs.
_MOST_LATE: Final = 4

# It waits for proofs, which take seconds elsewhere.
selfcheck._LOOK_S = 0.02  # type: ignore[misc]


def settings(kubeconfig: Path, short: Short | None) -> Settings:
    """Short waits: what takes seconds in a cluster takes hundredths here."""
    chosen = Settings(
        kubeconfig=str(kubeconfig),
        live_within_s=LIVE_WITHIN_S,
        page_size=5,
        connect_timeout_s=1.0,
        answer_timeout_s=0.5,
        list_timeout_s=0.5,
        backoff_base_s=0.01,
        backoff_cap_s=0.05,
        offline_cap_s=0.05,
        forbidden_cap_s=0.05,
        self_check_s=1.0,
    )
    if short is not None:
        chosen = msgspec.structs.replace(chosen, **msgspec.structs.asdict(short))
    return chosen


def connect(file: Path, kubeconfig: Path, short: Short | None) -> vai.Cache:
    chosen = settings(kubeconfig, short)
    return vai.connect(file, SCOPES.values(), role="writer", settings=chosen)


def sync_until_killed(file: Path, kubeconfig: Path, short: Short | None) -> None:
    """The child."""
    with connect(file, kubeconfig, short):
        signal.pause()


class Copy:
    """A file, who syncs it, its consumers, and an observer of how fresh it says it is."""

    def __init__(
        self, folder: Path, world: World, short: Short | None, *, killed: bool, honest: bool
    ) -> None:
        self._file = folder / "copy.db"
        self._world = world
        self._short = short
        self._killed = killed
        self._honest = honest
        self._child: BaseProcess | None = None
        self._lock = threading.RLock()
        self._stopped = threading.Event()
        self._again = threading.Event()
        self.error: BaseException | None = None
        self.looks = 0
        self.changes = 0
        self.cache = self._start()
        self.consumers: list[Consumer] = []
        # From before there is anything to tell; some of their calls raise.
        self.handlers: list[Told] = []
        self._late = 0
        for name in SCOPES:
            self.handler(name, raises=True)
        self._threads = [
            threading.Thread(target=self._guard, args=(work,), daemon=True)
            for work in (self._observe, self._consume)
        ]

    def follow(self) -> None:
        """Begin to look and to consume; everything was listed before."""
        may_expire = self._short is not None and not self._short.waits
        self.consumers = [Consumer(self.cache, name, may_expire=may_expire) for name in SCOPES]
        for thread in self._threads:
            thread.start()

    def _start(self) -> vai.Cache:
        if not self._killed:
            return connect(self._file, self._world.kubeconfig, self._short)
        self._spawn()
        deadline = time.monotonic() + 30
        cache: vai.Cache | None = None
        # A reader knows only of the scopes that the file has.
        while cache is None or len(cache.status()) < len(SCOPES):
            assert time.monotonic() < deadline, "the child makes no file"
            time.sleep(0.01)
            with contextlib.suppress(vai.NotFoundError):
                cache = cache or self._open()
        return cache

    def _open(self) -> vai.Cache:
        if self._short is None:
            return vai.open(self._file)
        return self._short.open(self._file, settings(self._world.kubeconfig, self._short))

    def _spawn(self) -> None:
        context = multiprocessing.get_context("forkserver")
        arguments = (self._file, self._world.kubeconfig, self._short)
        self._child = context.Process(target=sync_until_killed, args=arguments, daemon=True)
        self._child.start()

    def restart(self) -> None:
        """vai ends, by itself or by SIGKILL, and begins again on its file."""
        if self._child is not None:
            self._child.kill()
            self._child.join()
            self._spawn()
            return
        # A loop that is told to stop gives its last change out again: at least once.
        self.cache.close()
        with self._lock:
            self.cache = self._start()
            for one in self.consumers:
                one.reopen(self.cache)
            for told in self.handlers:
                told.begin(self.cache)

    def late_handler(self, name: str, resync: float | None) -> None:
        """One more, of a cache that has been there for long."""
        if self._late < _MOST_LATE:
            self._late += 1
            self.handler(name, resync=resync)

    def handler(self, name: str, **options: Any) -> None:
        """One more; `options` as of `Told`."""
        short = self._short is not None
        self.handlers.append(Told(self._world, name, self._wrong, short=short, **options))
        self.handlers[-1].begin(self.cache)

    def consumers_again(self) -> None:
        """The consumers end in the middle of what they do, and begin again."""
        with self._lock:
            for one in self.consumers:
                one.reopen(self.cache)

    def close(self) -> None:
        """End everything."""
        self._stopped.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(10)
        self.cache.close()
        if self._child is not None:
            self._child.kill()
            self._child.join()

    def _wrong(self, error: BaseException) -> None:
        self.error = self.error or error

    def _guard(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - told by the run
            self._wrong(error)

    # --- what the self-check found

    def findings(self) -> dict[str, selfcheck.Finding | None]:
        """The last drift of each scope, as the file has it for `vai status`."""
        store = self.cache._reads.store
        return {one.resource: selfcheck.finding_of(store, one.id) for one in self.cache.status()}

    def drifted(self) -> dict[str, float]:
        """`vai_drift_objects_total` of each scope; of the process that syncs."""
        found: dict[str, float] = {}
        for family in vai.metrics.collector(self.cache).collect():
            for sample in family.samples if family.name == "vai_drift_objects" else ():
                name = sample.labels["scope"].partition(" ")[0]
                found[name] = found.get(name, 0.0) + sample.value
        return found

    def lists(self, name: str) -> tuple[int, int]:
        """How many lists of a scope were published, and how many the self-check has asked for."""
        measures = self.cache.measures()
        (scope,) = (one.id for one in measures.scopes if one.resource == name)
        counts = measures.counts[scope]
        return counts.list_items.count, counts.lists["self-check"]

    # --- what is looked at all the time

    def state(self, name: str) -> State:
        return state_of(self.cache.snapshot(name))

    def _observe(self) -> None:
        while not self._stopped.wait(0.02):
            for name in SCOPES:
                # Closed for a restart: the next one answers.
                with contextlib.suppress(vai.ClosedError):
                    self.look(name)

    def look(self, name: str) -> None:
        """No answer may be older than it says."""
        asked = time.monotonic()
        snapshot = self.cache.snapshot(name)
        state, fresh = state_of(snapshot), snapshot.freshness
        self.looks += 1
        assert fresh.complete, f"{name}: {fresh} after it was complete"
        if fresh.age_s is None:
            # Nothing is claimed: the server went back, or vai was killed before its first proof
            # was in the file.
            assert fresh.state is not vai.State.LIVE
            return
        if fresh.state is vai.State.LIVE:
            assert fresh.age_s <= LIVE_WITHIN_S + 0.5, f"{name} is live with an age of {fresh}"
        if not self._honest:
            return
        left = self._world.left(name, state)
        assert left is not None, f"{name} never was what is answered: {sorted(state)}"
        late_s = asked - fresh.age_s - left
        assert late_s <= TOLERANCE_S, (
            f"{name}: {fresh} at {fresh.resource_version}, "
            f"but the server left that state {late_s:.3f} s before"
        )

    def _consume(self) -> None:
        while not self._stopped.is_set():
            with self._lock:
                for one in self.consumers:
                    # Closed, and about to be opened again.
                    with contextlib.suppress(vai.ClosedError):
                        one.take()
            time.sleep(0.002)
