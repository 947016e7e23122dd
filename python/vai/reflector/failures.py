"""What a failure of any phase means, and letting go of what a phase holds."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Final

from vai.errors import ForbiddenError, OfflineError
from vai.reflector.io import Io
from vai.reflector.protocol import RefusedError
from vai.reflector.states import (
    Initial,
    Missing,
    Open,
    Page,
    Phase,
    Probe,
    Publish,
    Relist,
    Stream,
    Wait,
)
from vai.types import State

_log: Final = logging.getLogger("vai")

GONE: Final = 410
_NOT_FOUND: Final = 404
_BAD_REQUEST: Final = 400
#: A CRD that is being served for the first time answers 404 for a moment; kube-apiserver's own
#: discovery of CRDs is at most a resync of seconds behind.
_GONE_AGAIN_S: Final = 5.0
_NOT_SERVED: Final = "the server serves the resource no longer"
#: client-go reflector.go (VeryShortWatchError): a watch that ends sooner, without an event, failed.
SHORT_S: Final = 1.0
#: Of the wait that a server asks for: those whom it told the same must not come back together.
_LATER: Final = 0.25


def release(phase: Phase) -> Phase:
    """Let go of what a phase holds open; the phase to begin again from."""
    match phase:
        case Page():
            phase.listing.abort()
            return phase.why
        case Initial():
            phase.response.close()
            phase.listing.abort()
            return phase.why
        case Publish():
            if phase.stream is not None:
                phase.stream.response.close()
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


def failed(phase: Phase, error: ForbiddenError | OfflineError | RefusedError, io: Io) -> Phase:
    """A request of this phase, or its answer, failed."""
    if isinstance(error, RefusedError):
        return refused(phase, error, io)
    if isinstance(error, ForbiddenError):
        io.store.heard(io.scope)
        io.tell(State.FORBIDDEN, str(error))
        return Wait(_again(phase), io.denials.next_s())
    if isinstance(phase, Stream) and (phase.events or io.clock() - phase.opened_s >= SHORT_S):
        # A stream that had worked broke: whether the server is still there, the probe will show.
        return release(phase)
    # As client-go's reflector, whose list fails with any of its pages: who answers next may be a
    # server that was restored, and take a token that it never gave.
    begun = isinstance(phase, Page) and phase.token
    return silent(release(phase) if begun else _again(phase), error, io)


def silent(then: Phase, error: OfflineError, io: Io) -> Phase:
    """The server is not heard."""
    io.tell(State.OFFLINE, str(error))
    return Wait(then, io.silences.next_s(), offline=True)


def refused(phase: Phase, error: RefusedError, io: Io) -> Phase:
    """The server is heard, and said no."""
    io.store.heard(io.scope)
    code = error.refusal.code
    if code == GONE and isinstance(phase, Page) and not phase.why.unpaged:
        # client-go tools/pager/pager.go (FullListIfExpired): the token's snapshot is compacted,
        # and so would be the next one of a list that takes as long. The token that the server
        # offers to go on inconsistently would mix two moments under one resourceVersion.
        phase.listing.abort()
        return replace(phase.why, unpaged=True)
    if code == GONE and isinstance(phase, Probe | Open | Stream):
        return list_again(phase, str(error), io)
    if code == _NOT_FOUND and not isinstance(phase, Missing):
        return Missing(release(phase))
    if code == _BAD_REQUEST and isinstance(phase, Open):
        # A resourceVersion that this server does not understand.
        return list_again(phase, str(error), io, least_s=io.failures.next_s())
    io.tell(State.STALE, str(error))
    asked_s = (error.retry_after_s or 0.0) * (1 + _LATER * io.draw())
    return Wait(_again(phase), max(asked_s, io.failures.next_s()))


def list_again(phase: Phase, reason: str, io: Io, *, least_s: float = 0.0) -> Phase:
    """The position is of no use any more: at once, or later if that was so a moment ago."""
    release(phase)
    wait_s = max(least_s, io.relist_wait_s())
    if not wait_s:
        return Relist(reason)
    io.tell(State.STALE, reason)
    return Wait(Relist(reason), wait_s)


def _again(phase: Phase) -> Phase:
    """The same once more: a page that was refused before it began, or what `release` says."""
    if isinstance(phase, Page):
        return replace(phase, doubtful=bool(phase.token))
    return phase if isinstance(phase, Publish) else release(phase)


def missing(phase: Missing, io: Io) -> Phase:
    """404: full discovery says whether the resource is gone."""
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


def without_stream(why: Relist, group: str, reason: str, io: Io) -> Phase:
    """Streaming lists of the group don't work: pages, from now on."""
    if io.link.take_pages(group, reason):
        _log.info("lists of API group %r are read by pages: %s", group or "core", reason)
    return replace(why, paged=True)
