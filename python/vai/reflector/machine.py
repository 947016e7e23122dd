"""The watch loop: `step(phase, io)` makes one request, or takes one chunk, and says what is next.

All I/O is behind `io`. Each function handles one phase; what a failure means is decided in one
place, `_failed`, for all of them.
"""

from __future__ import annotations

import gzip
from dataclasses import replace
from typing import Final

import msgspec

from vai.errors import ForbiddenError, OfflineError, VaiError
from vai.reflector.io import Io
from vai.reflector.protocol import Refusal, RefusedError, Response, drain
from vai.reflector.states import (
    Missing,
    Open,
    Page,
    Phase,
    Probe,
    Proof,
    Publish,
    Relist,
    Start,
    Stopped,
    Stream,
    Wait,
)
from vai.types import State

_GONE: Final = 410
_NOT_FOUND: Final = 404
_BAD_REQUEST: Final = 400
_TOO_MANY: Final = 429
#: client-go reflector.go (VeryShortWatchError): a watch that ends sooner, without an event, failed.
_SHORT_S: Final = 1.0
#: A CRD that is being served for the first time answers 404 for a moment; kube-apiserver's own
#: discovery of CRDs is at most a resync of seconds behind.
_GONE_AGAIN_S: Final = 5.0
_NOT_SERVED: Final = "the server serves the resource no longer"
#: Proof by list costs the server at most 50 objects a second, on average, per resource.
_PROOF_LIST_S: Final = 0.02
#: Of the liveness limit, the last tenth is for the list itself.
_NEARLY: Final = 0.9
#: A bookmark comes with every quick watch of a resource that gets any; two without are no accident.
_SILENT_WATCHES: Final = 2
#: Only one object at most is in it; etcd takes none above 1.5 MiB (--max-request-bytes).
_ONE_OBJECT_BYTES: Final = 4 << 20


class _Few(msgspec.Struct):
    """Of a List or Table: just whether there is anything in it."""

    items: list[msgspec.Raw] | None = None
    rows: list[msgspec.Raw] | None = None


def step(phase: Phase, io: Io) -> Phase:
    """One step of the loop.

    Raises:
        VaiError: about the file, never about the server.
    """
    try:
        following = _go(phase, io)
    except (ForbiddenError, OfflineError, RefusedError) as error:
        following = _failed(phase, error, io)
    if not isinstance(following, Page | Publish):
        io.end_listing()
    return following


def release(phase: Phase) -> Phase:
    """Let go of what a phase holds open; the phase to begin again from."""
    match phase:
        case Page() | Publish():
            phase.listing.abort()
            return phase.why
        case Stream():
            phase.response.close()
            return Probe(phase.position, phase.proofs)
        case Open():
            return Probe(phase.position, phase.proofs)
        case Wait() | Missing():
            return release(phase.then if isinstance(phase, Wait) else phase.resume)
        case _:
            return phase


def _go(phase: Phase, io: Io) -> Phase:  # noqa: C901 - one line per phase
    match phase:
        case Start():
            return _start(io)
        case Relist():
            return _relist(phase, io)
        case Page():
            return _page(phase, io)
        case Publish():
            return _publish(phase, io)
        case Probe():
            return _probe(phase, io)
        case Open():
            return _open(phase, io)
        case Stream():
            return _stream(phase, io)
        case Missing():
            return _missing(phase, io)
        case Wait():
            io.wait(phase.seconds, offline=phase.offline)
            return phase.then
        case Stopped():
            return phase


def _start(io: Io) -> Phase:
    io.complete = any(found.complete for found in io.store.scopes() if found.id == io.scope)
    position, needs_relist = io.store.resume(io.scope)
    if position is None or needs_relist:
        return Relist("the checkpoint does not count" if io.complete else "")
    io.tell(State.CATCHING_UP)
    return Probe(position)


# --- list


def _relist(phase: Relist, io: Io) -> Phase:
    io.begin_listing()
    if io.interrupted.is_set():
        return phase
    # A list that only proves what stands leaves the scope live, as long as its last proof counts.
    if not io.gone and not (phase.proves and io.was(State.LIVE)):
        io.tell(State.CATCHING_UP, f"listing again: {phase.reason}" if phase.reason else "")
    return Page(phase, io.store.begin_list(io.scope), io.boottime_s())


def _page(phase: Page, io: Io) -> Phase:
    io.begin_listing()
    if io.interrupted.is_set():
        return phase
    limit = 0 if phase.why.unpaged else io.settings.page_size
    # A failure up to here leaves the page to be asked for again; one below, the whole list.
    response = io.source.list_page(limit, phase.token)
    try:
        with response:
            page = _take_page(phase, response, io)
    except OfflineError as error:
        phase.listing.abort()
        return _silent(phase.why, error, io)
    except VaiError as error:
        if "kind" not in error.details:
            raise
        phase.listing.abort()
        return _bad_page(phase, error, io)
    return page


def _take_page(phase: Page, response: Response, io: Io) -> Phase:
    phase.listing.begin_page(response.gzip)
    chunks = iter(response.chunks())
    while (chunk := io.next_chunk(chunks, response)) is not None:
        phase.listing.push(chunk)
        io.answered()
    if io.interrupted.is_set():
        # The page is not whole, though nothing failed.
        return release(phase)
    # Its objects are still being taken apart: what is wrong with them is told by a later call.
    page = phase.listing.end_page()
    if page.continue_token:
        return replace(phase, token=page.continue_token)
    return Publish(phase.why, phase.listing, phase.asked_s, page.resource_version)


def _bad_page(phase: Page | Publish, error: VaiError, io: Io) -> Phase:
    """A page that is malformed, or a Status under a 200."""
    if error.details["kind"] == "status":
        said = msgspec.convert(error.details, Refusal, strict=False)
        return _refused(phase.why, RefusedError(said), io)
    io.tell(State.STALE, f"malformed page: {error}")
    return Wait(phase.why, io.failures.next_s())


def _publish(phase: Publish, io: Io) -> Phase:
    try:
        plan = phase.listing.plan()
    except VaiError as error:
        if "kind" not in error.details:
            raise
        phase.listing.abort()
        return _bad_page(phase, error, io)
    if not phase.resource_version:
        phase.listing.abort()
        io.tell(State.STALE, "malformed list: it has no resourceVersion")
        return Wait(phase.why, io.failures.next_s())
    empty = plan[0] + plan[1] == 0
    if not phase.why.confirming and _removes_most(plan, io) and not (empty and _is_empty(io)):
        phase.listing.abort()
        return replace(phase.why, confirming=not empty)
    phase.listing.publish(phase.resource_version)
    io.complete, io.gone = True, False
    # Not only with the proof: between that and the word of it the list would look like a relist.
    if not io.was(State.LIVE):
        io.tell(State.CATCHING_UP)
    io.listed_at, io.objects = io.clock(), plan[0] + plan[1]
    # The list was a quorum read: complete as of the moment that it was asked for.
    io.proven(phase.asked_s)
    return Open(phase.resource_version)


def _removes_most(plan: tuple[int, int, int], io: Io) -> bool:
    """Whether the list empties a scope that had objects, or removes more than half of them.

    Such a list may come from a server that has lost its sight (an aggregated API whose backend
    is away), so it is confirmed by another request before it counts.
    """
    unchanged, changed, removed = plan
    if not removed:
        return False
    before = next((found.objects for found in io.store.scopes() if found.id == io.scope), 0)
    return unchanged + changed == 0 or removed * 2 > before


def _is_empty(io: Io) -> bool:
    """Ask once more, for one object: none, as of a quorum, settles an empty list."""
    with io.source.list_page(1) as response:
        body = drain(response.chunks(), _ONE_OBJECT_BYTES)
        few = msgspec.json.decode(gzip.decompress(body) if response.gzip else body, type=_Few)
    return not few.items and not few.rows


# --- watch


def _probe(phase: Probe, io: Io) -> Phase:
    if _wants_list(phase, io):
        reason = "the server sends no bookmarks for it, so only a list proves it"
        return Relist(reason, proves=True)
    asked_s = io.boottime_s()
    newest = io.source.probe()
    io.answered()
    if _went_back(newest, phase.position, io):
        reason = f"the server went back from resourceVersion {phase.position} to {newest}"
        io.hooks.went_back(reason)
        return Relist(reason)
    if newest == phase.position:
        io.proven(asked_s)
        return Open(phase.position)
    if not io.was(State.LIVE):
        io.tell(State.CATCHING_UP)
    proofs = (*phase.proofs, Proof(newest, asked_s))
    return Open(phase.position, proofs, quick=not _sends_no_bookmarks(io))


def _sends_no_bookmarks(io: Io) -> bool:
    return not io.bookmarks_seen and io.silent_watches >= _SILENT_WATCHES


def _went_back(newest: str, position: str, io: Io) -> bool:
    """Whether the server is behind us: asked twice, for much depends on it."""
    if (io.compare(newest, position) or 0) >= 0:
        return False
    return (io.compare(io.source.probe(), position) or 0) < 0


def _wants_list(phase: Probe, io: Io) -> bool:
    """Whether nothing but a list can prove the scope, and the next chance would be too late.

    kube-apiserver sends no bookmarks for what it does not cache (events, by default). Such a
    scope is proven by its next event, or else by a list: about one in 26 s at the default limit,
    fewer if it has many objects.
    """
    if not _sends_no_bookmarks(io) or not phase.proofs:
        return False
    now, limit_s = io.clock(), io.settings.live_within_s
    too_late = now - io.proven_at + io.settings.long_watch_s > limit_s * _NEARLY
    affordable = io.listed_at is None or now - io.listed_at > io.objects * _PROOF_LIST_S
    return too_late and affordable


def _open(phase: Open, io: Io) -> Phase:
    response = io.source.watch(phase.position, io.watch_timeout_s(quick=phase.quick))
    try:
        io.answered()
        watching = io.store.begin_watch(io.scope, gzip=response.gzip)
    except BaseException:
        response.close()
        raise
    return Stream(
        position=phase.position,
        proofs=phase.proofs,
        quick=phase.quick,
        response=response,
        chunks=iter(response.chunks()),
        watching=watching,
        opened_s=io.clock(),
    )


def _stream(phase: Stream, io: Io) -> Phase:
    chunk = io.next_chunk(phase.chunks, phase.response)
    if chunk is None:
        return _ended(phase, io)
    progress = phase.watching.push(chunk)
    io.answered()
    io.bookmarks_seen = io.bookmarks_seen or progress.bookmarks > 0
    if progress.malformed is not None:
        phase.response.close()
        reason = f"malformed watch frame: {progress.malformed}"
        io.tell(State.STALE, reason)
        return Wait(Relist(reason), io.failures.next_s())
    position = progress.resource_version or phase.position
    read = replace(
        phase,
        position=position,
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
    error = RefusedError(msgspec.json.decode(status, type=Refusal))
    stuck, io.stuck_at = io.stuck_at == phase.position, phase.position
    if stuck and error.refusal.code != _TOO_MANY:
        release(phase)
        return Relist(str(error))
    return _failed(phase, error, io)


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
    if not phase.events and io.clock() - phase.opened_s < _SHORT_S:
        return Wait(Probe(phase.position, phase.proofs), io.failures.next_s())
    if phase.quick and phase.proofs and not io.bookmarks_seen:
        io.silent_watches += 1
        return Probe(phase.position, phase.proofs)
    if phase.quick:
        return Open(phase.position, phase.proofs)
    return Probe(phase.position, phase.proofs)


# --- failures


def _failed(phase: Phase, error: ForbiddenError | OfflineError | RefusedError, io: Io) -> Phase:
    if isinstance(error, RefusedError):
        return _refused(phase, error, io)
    if isinstance(error, ForbiddenError):
        io.store.heard(io.scope)
        io.tell(State.FORBIDDEN, str(error))
        return Wait(_again(phase), io.denials.next_s())
    if isinstance(phase, Stream) and (phase.events or _lasted(phase, io)):
        # A stream that had worked broke: whether the server is still there, the probe will show.
        return release(phase)
    return _silent(_again(phase), error, io)


def _lasted(phase: Stream, io: Io) -> bool:
    return io.clock() - phase.opened_s >= _SHORT_S


def _again(phase: Phase) -> Phase:
    """The same once more: a page that was refused before it began, or what `release` says."""
    return phase if isinstance(phase, Page | Publish) else release(phase)


def _silent(then: Phase, error: OfflineError, io: Io) -> Phase:
    io.tell(State.OFFLINE, str(error))
    return Wait(then, io.silences.next_s(), offline=True)


def _refused(phase: Phase, error: RefusedError, io: Io) -> Phase:
    io.store.heard(io.scope)
    code = error.refusal.code
    if code == _GONE and isinstance(phase, Page):
        # client-go tools/pager/pager.go (FullListIfExpired): the token's snapshot is compacted,
        # and so would be the next one of a list that takes as long. The token that the server
        # offers to go on inconsistently would mix two moments under one resourceVersion.
        phase.listing.abort()
        return replace(phase.why, unpaged=True)
    if code == _GONE and isinstance(phase, Probe | Open | Stream):
        release(phase)
        return Relist(str(error))
    if code == _NOT_FOUND and not isinstance(phase, Missing):
        return Missing(release(phase))
    if code == _BAD_REQUEST and isinstance(phase, Open):
        # A resourceVersion that this server does not understand.
        return Wait(Relist(str(error)), io.failures.next_s())
    io.tell(State.STALE, str(error))
    return Wait(_again(phase), max(error.retry_after_s or 0.0, io.failures.next_s()))


def _missing(phase: Missing, io: Io) -> Phase:
    served = io.hooks.is_served()
    again = Wait(phase.resume, io.settings.forbidden_cap_s if io.gone else io.failures.next_s())
    if io.gone:
        return again
    if served is not False:
        unsure = "" if served else " (discovery is partial, so it may come back)"
        io.tell(State.STALE, f"404: the server does not serve it right now{unsure}")
        return again
    if not phase.asked:
        io.tell(State.STALE, "404: the server seems to serve it no longer")
        return Wait(replace(phase, asked=1), _GONE_AGAIN_S)
    io.store.void_checkpoint(io.scope, _NOT_SERVED)
    io.store.remove_rows(io.scope)
    io.gone = True
    io.tell(State.GONE, _NOT_SERVED)
    return Wait(Relist("the resource was gone"), io.settings.forbidden_cap_s)
