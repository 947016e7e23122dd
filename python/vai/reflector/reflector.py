"""The thread that keeps one scope of the file current."""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import Final

from vai.errors import ClosedError, VaiError
from vai.reflector.counts import Counts
from vai.reflector.io import Io
from vai.reflector.journal import Journal
from vai.reflector.machine import release, step
from vai.reflector.states import Phase, Relist, Start, Stopped, Wait
from vai.types import State

_log: Final = logging.getLogger("vai")


class Reflector:
    """Runs the watch loop of one scope on a thread of its own until it is stopped.

    Args:
        name: of the scope, for the thread and the log.
        io: the scope's surroundings.

    Attributes:
        counts: what it did so far.
    """

    def __init__(self, name: str, io: Io) -> None:
        self.name = name
        self.scope = io.scope
        self._io = io
        self._relists: deque[Relist] = deque(maxlen=1)
        self._logged: set[str] = set()
        self.counts = Counts()
        self._journal = Journal(name, io.clock)
        self._thread = threading.Thread(target=self._run, name=f"vai-reflector {name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Tell the thread to end, and wake it wherever it waits; see `join`."""
        self._io.stopping.set()
        self._interrupt()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end. Returns whether it came."""
        if self._thread.ident is not None:
            self._thread.join(max(0.0, timeout_s))
        return not self._thread.is_alive()

    def relist(self, reason: str, *, restored: bool = False) -> None:
        """Have the scope listed again, whatever its checkpoint says.

        Args:
            reason: for the log.
            restored: the cluster went back, so a list of an earlier resourceVersion counts too.
        """
        self._relists.append(Relist(reason, restored=restored))
        self._interrupt()

    def _interrupt(self) -> None:
        self._io.interrupted.set()
        response = self._io.response
        if response is not None:
            response.close()
        self._io.link.wake()

    def _run(self) -> None:
        phase: Phase = Start()
        try:
            while not isinstance(phase, Stopped) and not self._io.stopping.is_set():
                phase = self._step(phase)
        except ClosedError:
            return
        finally:
            self._let_go(phase)

    def _step(self, phase: Phase) -> Phase:
        self._io.interrupted.clear()
        # Not before it is known where the scope stands: a start would go on from the checkpoint.
        wanted = self._relists and not isinstance(phase, Start)
        relist = self._relists.popleft() if wanted else None
        if self._io.stopping.is_set():
            self._let_go(phase)
            return Stopped()
        try:
            if relist is not None:
                release(phase)
                phase = relist
            return self._went(phase, step(phase, self._io))
        except ClosedError:
            raise
        # Whatever it is, the scope must not stop being synced without a word: it is told to the
        # file and the log, and tried again.
        except Exception as error:  # noqa: BLE001
            return self._unexpected(phase, error)

    def _went(self, phase: Phase, following: Phase) -> Phase:
        self.counts.went(phase, following, self._io.clock(), self._io.objects)
        self._journal.see(self._io.told)
        return following

    def _unexpected(self, phase: Phase, error: Exception) -> Phase:
        what = str(error) if isinstance(error, VaiError) else f"{type(error).__name__}: {error}"
        if what not in self._logged:
            self._logged.add(what)
            _log.error("sync of %s failed, trying again: %s", self.name, what, exc_info=error)
        self._let_go(phase)
        try:
            self._io.tell(State.STALE, f"sync failed: {what}")
        except ClosedError:
            raise
        except VaiError as second:
            # The file itself does not take it (a full disk): its readers see the age grow.
            _log.debug("state of %s not recorded: %s", self.name, second)
        return Wait(Start(), self._io.failures.next_s())

    def _let_go(self, phase: Phase) -> None:
        try:
            release(phase)
        except VaiError as error:
            _log.debug("closing of %s: %s", self.name, error)
        self._io.end_listing()
