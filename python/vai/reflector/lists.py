"""The phases of a list: pages or a stream, staged in the file, judged, published."""

from __future__ import annotations

import gzip
from dataclasses import replace
from typing import Final

import msgspec

from vai.errors import ForbiddenError, OfflineError, VaiError
from vai.reflector import watches
from vai.reflector.failures import failed, refused, release, silent, without_stream
from vai.reflector.io import Io
from vai.reflector.protocol import Refusal, RefusedError, Response, drain
from vai.reflector.states import Initial, Open, Page, Phase, Probe, Publish, Relist, Stream, Wait
from vai.types import State

#: Only one object at most is in it; etcd takes none above 1.5 MiB (--max-request-bytes).
_ONE_OBJECT_BYTES: Final = 4 << 20
#: What servers answer to a streaming list that they don't know: kube-apiserver without the feature
#: 422 (apimachinery, ValidateListOptions), others 400; 405 where nothing can be watched.
_NO_STREAM: Final = frozenset({400, 422})
_NO_WATCH: Final = 405
_TOO_MANY: Final = 429
#: `timeoutSeconds` of a streaming list. client-go's (reflector.go, minWatchTimeout) is 5 to 10
#: minutes; behind the bookmark the watch is ended from here in any case.
_STREAM_S: Final = 600
#: Why a scope is listed again and again.
POLLED: Final = "it can't be watched"
_REMEDY: Final = (
    "what serves it breaks the Kubernetes API: look at its APIService and at proxies before it, "
    "or leave it out of the scopes"
)


class _Metadata(msgspec.Struct, rename="camel"):
    """Of a List or Table."""

    resource_version: str = ""


class _Few(msgspec.Struct):
    """Of a List or Table: whether there is anything in it, and of which moment it is."""

    metadata: _Metadata = msgspec.field(default_factory=_Metadata)
    items: list[msgspec.Raw] | None = None
    rows: list[msgspec.Raw] | None = None


#: Made while this is imported, see `vai.reflector.protocol`.
_FEW: Final = msgspec.json.Decoder(_Few)


def relist(phase: Relist, io: Io) -> Phase:
    """Begin a list, when there is room for one more."""
    io.begin_listing()
    if io.interrupted.is_set():
        return phase
    # A list that only proves what stands leaves the scope live, as long as its last proof counts.
    if not io.gone and not (phase.proves and io.was(State.LIVE)):
        io.tell(State.CATCHING_UP, f"listing again: {phase.reason}" if phase.reason else "")
    # The second opinion on a list that removes much is asked for in the other way.
    if not (phase.paged or phase.unpaged or phase.confirming or io.polls) and io.streams():
        return _open_stream(phase, io)
    return Page(phase, io.store.begin_list(io.scope, polled=io.polls), io.boottime_s())


# --- by pages


def page(phase: Page, io: Io) -> Phase:
    """Ask for the next page, and read it."""
    io.begin_listing()
    if io.interrupted.is_set():
        return phase
    if phase.doubtful and not io.polls and (newest := _behind(phase.resource_version, io)):
        return _went_back(phase, newest, io)
    limit = 0 if phase.why.unpaged else io.settings.page_size
    # A failure up to here leaves the page to be asked for again; one below, the whole list.
    response = io.source.list_page(limit, phase.token)
    try:
        with response:
            return _take_page(phase, response, io)
    except (ForbiddenError, OfflineError, RefusedError) as error:
        # Of this request, or of what was asked beside it (which server is this?): what was read of
        # the page is in the list already, and must not be there beside a second reading.
        phase.listing.abort()
        return failed(phase.why, error, io)
    except VaiError as error:
        return _bad_list(phase, error, io)


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
    head = phase.listing.end_page()
    # As client-go's pager: what a server that does not hold the moment adds later comes again in
    # the watch from there.
    first = phase.resource_version or head.resource_version
    if (io.compare(head.resource_version, first) or 0) < 0:
        return _went_back(phase, head.resource_version, io)
    if head.continue_token:
        return replace(phase, token=head.continue_token, resource_version=first, doubtful=False)
    return Publish(phase.why, phase.listing, phase.asked_s, first, pieced=bool(phase.token))


def _behind(first: str, io: Io) -> str:
    """Where the server is, if that is behind a list's first page; empty if it is not.

    Then etcd was restored while the list was read, and the pages are of two histories: a continue
    token is taken by any server that has its revision.
    """
    try:
        newest = io.source.probe()
    except ForbiddenError:
        # Perhaps only watches are: whoever may list is told by a list.
        few = _few(io)
        newest = "" if few is None else few.metadata.resource_version
    io.answered()
    return newest if (io.compare(newest, first) or 0) < 0 else ""


def _went_back(phase: Page | Publish, newest: str, io: Io) -> Phase:
    """Nothing of the list counts. Whether the checkpoint still does, the next one shows."""
    release(phase)
    first = phase.resource_version
    reason = f"the server went back from resourceVersion {first} to {newest} between two pages"
    io.tell(State.STALE, reason)
    wait_s = max(io.failures.next_s(), io.relist_wait_s())
    return Wait(replace(phase.why, reason=reason), wait_s)


def _bad_list(phase: Page | Initial | Publish, error: VaiError, io: Io) -> Phase:
    """A list that is malformed, or a Status under a 200; raises what is not about the server."""
    if "kind" not in error.details:
        raise error
    release(phase)
    # Whatever is wrong with a stream, pages may be right.
    streamed = isinstance(phase, Initial) or (isinstance(phase, Publish) and phase.stream)
    why = replace(phase.why, paged=True) if streamed else phase.why
    if error.details["kind"] == "status":
        said = msgspec.convert(error.details, Refusal, strict=False)
        return refused(why, RefusedError(said), io)
    io.tell(State.STALE, f"malformed list: {error}; {_REMEDY}")
    return Wait(why, io.failures.next_s())


# --- as a stream


def _open_stream(phase: Relist, io: Io) -> Phase:
    asked_s = io.boottime_s()
    try:
        response = io.source.stream_list(_STREAM_S)
    except ForbiddenError:
        # Perhaps only watches are: pages show it.
        return replace(phase, paged=True)
    except RefusedError as error:
        if error.refusal.code in _NO_STREAM:
            return without_stream(phase, io.source.group, str(error), io)
        if error.refusal.code == _NO_WATCH:
            return replace(phase, paged=True)
        if error.refusal.code != _TOO_MANY:
            # A cache that does not get as far as etcd makes the server say no to every try.
            io.cut_streams += 1
        raise
    try:
        io.answered()
        listing = io.store.begin_list(io.scope)
        listing.begin_stream(response.gzip)
        # A server that does not know streaming lists sends what there is, and no bookmark.
        response.limit(io.settings.stream_silence_s)
    except BaseException:
        response.close()
        raise
    now = io.clock()
    return Initial(phase, listing, asked_s, response, iter(response.chunks()), now, now)


def initial(phase: Initial, io: Io) -> Phase:
    """Read what comes next, up to the bookmark."""
    try:
        chunk = io.next_chunk(phase.chunks, phase.response)
    except OfflineError as error:
        return _stream_broke(phase, error, io)
    if chunk is None:
        return _stream_ended(phase, io)
    try:
        progress = phase.listing.push_events(chunk)
    except VaiError as error:
        return _bad_list(phase, error, io)
    io.answered()
    if progress.malformed is not None:
        io.tell(State.STALE, f"malformed list: {progress.malformed}; {_REMEDY}")
        release(phase)
        return Wait(replace(phase.why, paged=True), io.failures.next_s())
    if progress.status is not None:
        release(phase)
        io.cut_streams += 1
        return failed(phase.why, RefusedError(watches.refusal(progress.status)), io)
    if progress.initial_events_end:
        return Publish(
            phase.why, phase.listing, phase.asked_s, progress.resource_version, stream=phase
        )
    return replace(phase, heard_s=io.clock())


def _stream_broke(phase: Initial, error: OfflineError, io: Io) -> Phase:
    release(phase)
    if io.clock() - phase.heard_s < io.settings.stream_silence_s:
        io.cut_streams += 1
        return silent(phase.why, error, io)
    # Either the server has sent all that it means to, or the link is dead, which a page will show.
    silent_s = io.settings.stream_silence_s
    reason = f"no bookmark ended the streaming list, and nothing came for {silent_s:g} s"
    return without_stream(phase.why, io.source.group, reason, io)


def _stream_ended(phase: Initial, io: Io) -> Phase:
    release(phase)
    if io.interrupted.is_set():
        return phase.why
    io.cut_streams += 1
    io.tell(State.STALE, "the streaming list ended before its objects were complete")
    return Wait(phase.why, io.failures.next_s())


# --- judged and published


def publish(phase: Publish, io: Io) -> Phase:
    """Judge what the list would change, and let it count."""
    try:
        plan = phase.listing.plan()
    except VaiError as error:
        return _bad_list(phase, error, io)
    if not phase.resource_version and not io.polls:
        release(phase)
        io.tell(State.STALE, f"malformed list: it has no resourceVersion; {_REMEDY}")
        return Wait(phase.why, io.failures.next_s())
    if phase.pieced and not io.polls and (newest := _behind(phase.resource_version, io)):
        return _went_back(phase, newest, io)
    seen = _seen(phase, io)
    if seen:
        release(phase)
        reason = f"a list of resourceVersion {phase.resource_version}, though {seen} was seen"
        io.tell(State.STALE, f"{reason}: servers behind one address disagree")
        # Which of them is right, and whether all went back, the probe finds out.
        return Wait(Probe(seen), max(io.failures.next_s(), io.relist_wait_s()))
    empty = plan[0] + plan[1] == 0
    if not phase.why.confirming and _removes_most(plan, io) and not (empty and _is_empty(io)):
        release(phase)
        return replace(phase.why, confirming=not empty)
    following = _let_count(phase, io)
    io.complete, io.gone, io.cut_streams = True, False, 0
    # Not only with the proof: between that and the word of it the list would look like a relist.
    if not io.was(State.LIVE):
        io.tell(State.CATCHING_UP)
    io.listed_at, io.objects = io.clock(), plan[0] + plan[1]
    # The list was a quorum read: complete as of the moment that it was asked for.
    io.proven(phase.asked_s)
    if io.polls:
        return Wait(Relist(POLLED, proves=True), io.poll_s)
    # What came behind the bookmark in the same chunk is with the watch already.
    return watches.take(following, b"", io) if isinstance(following, Stream) else following


def _let_count(phase: Publish, io: Io) -> Stream | Open:
    if phase.stream is None:
        # APIs that can't be watched have no resourceVersion to tell (metrics.k8s.io).
        phase.listing.publish(phase.resource_version or "0")
        return Open(phase.resource_version)
    return Stream(
        position=phase.resource_version,
        proofs=(),
        quick=False,
        response=phase.stream.response,
        chunks=phase.stream.chunks,
        watching=phase.listing.publish_stream(),
        opened_s=phase.stream.opened_s,
        until_s=io.clock() + io.watch_timeout_s(quick=False),
    )


def _seen(phase: Publish, io: Io) -> str:
    """The position that the list is behind; empty if it is not, or if that means nothing.

    A quorum read is never behind, but not everything that serves lists makes one. What it shows
    would bring back objects that were deleted since.
    """
    position, void = io.store.checkpoint(io.scope)
    if position is None or void or phase.why.restored or io.polls:
        return ""
    return position if (io.compare(phase.resource_version, position) or 0) < 0 else ""


def _removes_most(plan: tuple[int, int, int], io: Io) -> bool:
    """Whether the list empties a scope that had objects, or removes more than half of them.

    Such a list may come from a server that has lost its sight (an aggregated API whose backend
    is away), so it is confirmed by another request before it counts.
    """
    unchanged, changed, removed = plan
    if not removed:
        return False
    status = io.store.scope(io.scope)
    return unchanged + changed == 0 or removed * 2 > (0 if status is None else status.objects)


def _is_empty(io: Io) -> bool:
    """Ask once more, for one object: none, as of a quorum, settles an empty list."""
    few = _few(io)
    return few is not None and not few.items and not few.rows


def _few(io: Io) -> _Few | None:
    """The answer to a list of one object; None where that is no answer, which settles nothing."""
    with io.source.list_page(1) as response:
        body = drain(response.chunks(), _ONE_OBJECT_BYTES)
    try:
        return _FEW.decode(gzip.decompress(body) if response.gzip else body)
    except (msgspec.MsgspecError, EOFError, OSError):
        return None
