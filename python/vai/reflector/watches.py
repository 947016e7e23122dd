"""The phases of a watch: how far is the server, resume from the position, read what comes."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import msgspec

from vai.errors import OfflineError, VaiError
from vai.reflector.failures import SHORT_S, failed, list_again, release
from vai.reflector.io import Io
from vai.reflector.protocol import REFUSAL, Refusal, RefusedError
from vai.reflector.states import Bookmarks, Open, Phase, Probe, Proof, Relist, Stream, Wait
from vai.types import State

#: Codes of a server that is busy or not ready: it says nothing about the position (client-go's
#: reflector lists again after any but 429; a list is what such a server needs least).
_BUSY: Final = frozenset({429, 503, 504})
#: Proof by list costs the server at most 50 objects a second, on average, per resource.
_PROOF_LIST_S: Final = 0.02
#: Of the liveness limit, the last tenth is for the list itself.
_NEARLY: Final = 0.9
#: A bookmark comes with every quick watch of a resource that gets any; two without are no accident.
_SILENT_WATCHES: Final = 2
#: Our choice: longer than servers behind one address usually lag behind each other, and short
#: enough not to matter when a restored backup is noticed a second later.
_LOWER_AGAIN_S: Final = 1.0
#: kube-apiserver sends a watch's last bookmark two seconds before its deadline (apiserver cacher,
#: nextBookmarkTime).
_BEFORE_THE_END_S: Final = 2.0
#: A bookmark, or the end of a watch, may be so late (apiserver cacher: timers of one second, a
#: quarter of jitter).
_LATE_S: Final = 1.3
_BY_SILENCE: Final = "quiet, and proven by that: the server sends no bookmarks for it"
#: A bookmark that does not come in time, because the server was busy, comes with the next watch.
_MISSED_BOOKMARKS: Final = 2
#: Of the liveness limit: a proof that is so old at the end of a watch did not come with it.
_SETTLED: Final = 0.25
#: One watch may end at once by chance; from the second on it is told.
_SHORT_WATCHES: Final = 2
#: A timer of the socket may be a moment ahead of the clock.
_EARLY_S: Final = 0.1


def probe(phase: Probe, io: Io) -> Phase:
    """Ask how far the server is."""
    if _wants_list(phase, io):
        reason = "the server sends no bookmark for it, so only a list proves it"
        return Relist(reason, proves=True)
    goal = _shared(phase, io)
    if goal is not None and _is_behind(goal, phase, io):
        # The stream has passed it long since; there is nothing to be learned of it.
        return Open(phase.position, phase.proofs, quick=_hurries(io))
    if goal is None:
        goal = io.ask_goal()
        io.answered()
    newest = goal.resource_version
    if _is_behind(goal, phase, io):
        return _lower(phase, newest, io)
    if newest == phase.position:
        io.proven(goal.asked_s)
        return Open(phase.position)
    proofs = (*phase.proofs, goal)
    if phase.silence is not None:
        io.proven(phase.silence.asked_s, _BY_SILENCE)
        proofs = (goal,)
    if not io.was(State.LIVE):
        io.tell(State.CATCHING_UP)
    return Open(phase.position, proofs, quick=_hurries(io))


def _shared(phase: Probe, io: Io) -> Proof | None:
    """What is known already of where the server is; None if the scope has to ask for itself."""
    goals = io.known_goals() if phase.reached_s is not None else []
    known = io.settings
    # The streams of the resource that asked for it end two seconds after their bookmarks; and where
    # nothing happens in the cluster, this is all that proves the scope until the next watch ends.
    lasts_s = min(
        known.goal_lasts_s + _BEFORE_THE_END_S, known.live_within_s - known.long_watch_s - _LATE_S
    )
    if not goals or io.boottime_s() - goals[-1].asked_s > lasts_s:
        return None
    newest = goals[-1]
    later = phase.reached_s is not None and newest.asked_s > phase.reached_s
    # Behind the position, though asked when it had been reached: the server went back, it seems.
    return None if later and _is_behind(newest, phase, io) else newest


def _is_behind(goal: Proof, phase: Probe, io: Io) -> bool:
    return (io.compare(goal.resource_version, phase.position) or 0) < 0


def _hurries(io: Io) -> bool:
    """Whether a long watch would prove too late, or nobody knows if it will."""
    by_silence = _is_proven_by_silence(io)
    if _sends_no_bookmarks(io) and not by_silence:
        return False
    settled = io.was(State.LIVE) and (io.bookmarks_seen or by_silence)
    return not settled or io.clock() - io.proven_at > io.settings.live_within_s * _SETTLED


def _lower(phase: Probe, newest: str, io: Io) -> Phase:
    """The server is behind us: asked twice, for much depends on it.

    Of several servers behind one address one may lag; a moment later, and over the connection that
    is free then, the answer is another one.
    """
    if not phase.lower:
        return Wait(replace(phase, lower=True, reached_s=None), _LOWER_AGAIN_S)
    reason = f"the server went back from resourceVersion {phase.position} to {newest}"
    io.hooks.went_back(reason)
    wait_s = io.relist_wait_s()
    why = Relist(reason, restored=True)
    return Wait(why, wait_s) if wait_s else why


def _sends_no_bookmarks(io: Io) -> bool:
    if io.bookmarks_seen:
        return False
    return io.bookmarks is Bookmarks.NONE or io.silent_watches >= _SILENT_WATCHES


def _is_proven_by_silence(io: Io) -> bool:
    return io.bookmarks is Bookmarks.NONE and not io.bookmarks_seen


def _wants_list(phase: Probe, io: Io) -> bool:
    """Whether nothing but a list can prove the scope, and the next chance would be too late.

    An extension server may send no bookmarks. Such a scope is proven by its next event, or else by
    a list: about one in 20 s at the default limit, fewer if it has many objects. And a bookmark
    must be past all that was there when its watch began, what the selector leaves out included
    (apiserver cacher, cacheWatcher.processInterval): on a server where nothing else happens it
    never comes.
    """
    missed = io.missed_bookmarks > _MISSED_BOOKMARKS
    if not phase.proofs or _is_proven_by_silence(io) or not (missed or _sends_no_bookmarks(io)):
        return False
    now, limit_s = io.clock(), io.settings.live_within_s
    too_late = now - io.proven_at + io.settings.long_watch_s > limit_s * _NEARLY
    affordable = io.listed_at is None or now - io.listed_at > io.objects * _PROOF_LIST_S
    return too_late and affordable


def open_watch(phase: Open, io: Io) -> Phase:
    """Resume the watch from the position."""
    timeout_s = io.watch_timeout_s(quick=phase.quick)
    silent = _is_proven_by_silence(io)
    if silent:
        timeout_s = min(timeout_s, io.settings.silent_watch_s)
    response = io.source.watch(phase.position, timeout_s)
    try:
        io.answered()
        watching = io.store.begin_watch(io.scope, gzip=response.gzip)
    except BaseException:
        response.close()
        raise
    if silent:
        io.want_goal(timeout_s - io.settings.silence_s)
    elif not phase.quick:
        io.want_goal(timeout_s - _BEFORE_THE_END_S)
    return Stream(
        position=phase.position,
        proofs=phase.proofs,
        quick=phase.quick,
        timeout_s=timeout_s,
        reached_s=io.boottime_s(),
        response=response,
        chunks=iter(response.chunks()),
        watching=watching,
        opened_s=io.clock(),
    )


def stream(phase: Stream, io: Io) -> Phase:
    """Read what comes next."""
    if phase.until_s is not None:
        left_s = phase.until_s - io.clock()
        if left_s <= 0:
            return _ended(phase, io)
        phase.response.limit(left_s)
    try:
        chunk = io.next_chunk(phase.chunks, phase.response)
    except OfflineError:
        if phase.until_s is not None and io.clock() >= phase.until_s - _EARLY_S:
            return _ended(phase, io)
        raise
    return _ended(phase, io) if chunk is None else take(phase, chunk, io)


def take(phase: Stream, chunk: bytes, io: Io) -> Phase:
    """What came, in the file."""
    progress = phase.watching.push(chunk)
    io.answered()
    io.bookmarks_seen = io.bookmarks_seen or progress.bookmarks > 0
    if progress.malformed is not None:
        reason = (
            f"malformed watch frame: {progress.malformed}; what serves it, or a proxy before that, "
            "breaks the Kubernetes API"
        )
        io.tell(State.STALE, reason)
        return list_again(phase, reason, io, least_s=io.failures.next_s())
    position, reached_s = phase.position, phase.reached_s
    if progress.resource_version:
        position, reached_s = progress.resource_version, io.boottime_s()
    read = replace(
        phase,
        position=position,
        reached_s=reached_s,
        proofs=io.reached(position, phase.proofs),
        events=phase.events + progress.events + progress.bookmarks,
    )
    if progress.status is not None:
        return _error_event(read, progress.status, io)
    return read


def _error_event(phase: Stream, status: bytes, io: Io) -> Phase:
    """The stream ended with a Status.

    A server may be unable to go past a position for ever, without calling it Expired: one that
    does not cache a resource says 500 for a deleted object whose last state is compacted. So a
    second error at the same position leads to a list; client-go's reflector lists at the first.
    """
    error = RefusedError(refusal(status))
    stuck, io.stuck_at = io.stuck_at == phase.position, phase.position
    if stuck and error.refusal.code not in _BUSY and not error.refusal.is_too_large():
        return list_again(phase, str(error), io)
    return failed(phase, error, io)


def refusal(status: bytes) -> Refusal:
    """What an ERROR event says."""
    try:
        return REFUSAL.decode(status)
    except msgspec.MsgspecError:
        # An ERROR event with something else in it than a Status.
        text = status[:200].decode("utf-8", "replace")
        return Refusal(message=f"the watch ended with an error that is no Status: {text}")


def _ended(phase: Stream, io: Io) -> Phase:
    """The server ended the watch, as it does at its deadline; or it was closed from here."""
    phase.response.close()
    if io.interrupted.is_set():
        return release(phase)
    try:
        phase.watching.finish()
    except VaiError as error:
        if "kind" not in error.details:
            raise
        # Inside a frame: the connection was cut. What came before it is whole and counts.
    if not phase.events and io.clock() - phase.opened_s < SHORT_S:
        io.short_watches += 1
        if io.short_watches >= _SHORT_WATCHES:
            io.tell(
                State.STALE,
                "watches end at once, with nothing in them: look at the time limits of what stands "
                "before the API server",
            )
        return Wait(Probe(phase.position, phase.proofs), io.failures.next_s())
    io.short_watches = 0
    if phase.quick:
        return _quick_ended(phase, io)
    if not _lasted(phase, io):
        # Somebody ended it; whoever answers next may be another one.
        return Probe(phase.position, phase.proofs)
    if phase.proofs and io.clock() - io.proven_at >= phase.timeout_s:
        # No more than that: each makes the quick watches longer.
        io.missed_bookmarks = _MISSED_BOOKMARKS + 1
    silence = _silence(phase, io)
    reached_s = phase.reached_s if silence is None else None
    return Probe(phase.position, phase.proofs, reached_s=reached_s, silence=silence)


def _quick_ended(phase: Stream, io: Io) -> Phase:
    """A watch that was there for its bookmark has ended."""
    if not phase.proofs:
        return Open(phase.position)
    if not io.bookmarks_seen and io.bookmarks is not Bookmarks.SENT:
        io.silent_watches += 1
        return Probe(phase.position, phase.proofs, silence=_silence(phase, io))
    if io.missed_bookmarks < _MISSED_BOOKMARKS:
        io.missed_bookmarks += 1
        return Open(phase.position, phase.proofs, quick=True)
    # A server that never gets there must not be asked every three seconds.
    return Open(phase.position, phase.proofs)


def _lasted(phase: Stream, io: Io) -> bool:
    """Whether the server ended it when it was to end."""
    lasted_s = io.clock() - phase.opened_s
    return phase.timeout_s > 0 and lasted_s >= phase.timeout_s - _EARLY_S


def _silence(phase: Stream, io: Io) -> Proof | None:
    """What a watch without bookmarks proves by having been quiet up to its own end.

    kube-apiserver does not cache events, by default, and sends no bookmarks of what it does not
    cache: such a watch is etcd's own, which has sent all that was there when it began within a
    tenth of a second (etcd mvcc, syncWatchersLoop) and what came later at once. So what the server
    was at while the watch was open, as etcd said then, has come when the watch stays quiet for some
    seconds more and is ended in time. That is weaker than a bookmark, which an etcd whose watches
    lag behind its reads would not send, nor a server that is cut off from etcd beside others that
    are not: hence the note, no checkpoint moves by it, and the self-check compares the scope like
    all others.
    """
    if not _is_proven_by_silence(io) or not _lasted(phase, io):
        return None
    before_s = io.boottime_s() - io.settings.silence_s + _EARLY_S
    known = [goal for goal in io.known_goals() if phase.reached_s < goal.asked_s <= before_s]
    return max(known, key=lambda goal: goal.asked_s, default=None)
