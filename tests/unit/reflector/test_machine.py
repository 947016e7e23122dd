"""The watch loop, transition by transition."""

from __future__ import annotations

import pytest

from tests.unit.reflector.fakes import World, bookmark, error, event, item, page
from tests.unit.reflector.steps import ROWS, go, refused, stream
from vai.errors import DiskFullError, ForbiddenError, OfflineError
from vai.reflector.machine import release, step
from vai.reflector.states import (
    Bookmarks,
    Missing,
    Open,
    Page,
    Phase,
    Probe,
    Proof,
    Publish,
    Relist,
    Start,
    Stream,
    Wait,
)
from vai.types import State

# --- start


def test_a_new_scope_begins_with_a_list() -> None:
    world = World()
    assert step(Start(), world.io) == Relist("")
    assert world.server.asked == []


def test_a_scope_with_a_checkpoint_begins_with_a_probe_and_no_list() -> None:
    world = World("50", {"a": "50"})
    assert step(Start(), world.io) == Probe("50")
    assert world.store.last() == (State.CATCHING_UP, "")


def test_a_checkpoint_that_does_not_count_begins_with_a_list() -> None:
    world = World("50", {"a": "50"})
    world.store.needs_relist = True
    assert isinstance(step(Start(), world.io), Relist)


# --- list


def test_a_list_is_read_page_by_page_and_is_a_proof_as_of_its_start() -> None:
    world = World()
    world.server.lists = [page([item("a", 3)], 9, "next"), page([item("b", 4)], 9)]
    world.server.probes = ["9"]
    opened = go(world, Start(), Open)
    assert opened == Open("9")
    assert world.server.asked == [("list", 500, ""), ("list", 500, "next"), ("probe",)]
    assert world.store.rows == {"a": "3", "b": "4"}
    assert world.store.states() == [State.LISTING, State.CATCHING_UP, State.LIVE]
    assert world.store.proofs() == [1.0]


def test_a_token_that_expired_makes_the_list_begin_again_unpaged() -> None:
    world = World()
    world.server.lists = [page([item("a", 3)], 9, "next"), refused(410), page([item("a", 5)], 12)]
    assert go(world, Start(), Open) == Open("12")
    assert world.server.asked == [("list", 500, ""), ("list", 500, "next"), ("list", 0, "")]
    assert [listing.done for listing in world.store.listings] == ["aborted", "published"]


def test_a_page_that_was_refused_is_asked_for_again_after_what_the_server_says() -> None:
    world = World()
    world.server.lists = [page([item("a", 3)], 9, "next"), refused(429, 7.0), page([], 9)]
    world.server.probes = ["9", "9"]
    waiting = go(world, Start(), Wait)
    assert waiting.seconds == 7.0
    assert isinstance(waiting.then, Page)
    assert waiting.then.token == "next"  # noqa: S105
    assert go(world, waiting.then, Open) == Open("9")
    assert len(world.store.listings) == 1


def test_a_page_whose_connection_breaks_begins_the_list_again() -> None:
    world = World()
    world.server.lists = [[b'{"items": [', OfflineError("reset")]]
    waiting = go(world, Start(), Wait)
    assert waiting.then == Relist("")
    assert waiting.offline
    assert world.store.listings[0].done == "aborted"
    assert world.store.last() == (State.OFFLINE, "reset")


def test_a_malformed_page_is_reported_and_tried_again() -> None:
    world = World()
    world.server.lists = [b"<html>"]
    waiting = go(world, Start(), Wait)
    assert isinstance(waiting.then, Relist)
    state, reason = world.store.last()
    assert (state, reason.split(";")[0]) == (State.LISTING, "malformed list: not JSON")
    assert "look at its APIService" in reason


def test_a_status_under_a_200_counts_as_the_refusal_that_it_is() -> None:
    world = World()
    world.server.lists = [b'{"kind":"Status","code":500,"message":"etcd is away"}']
    waiting = go(world, Start(), Wait)
    assert isinstance(waiting.then, Relist)
    assert "500: etcd is away" in world.store.last()[1]


def test_a_list_without_a_resource_version_is_not_published() -> None:
    world = World()
    world.server.lists = [b'{"metadata":{"resourceVersion":""},"items":[]}']
    assert isinstance(go(world, Start(), Wait).then, Relist)
    assert world.store.listings[0].done == "aborted"


def relist(world: World) -> Phase:
    return go(world, step(Start(), world.io), Open)


def old(world: World) -> World:
    world.store.needs_relist = True
    return world


def test_an_empty_list_of_a_full_scope_counts_once_one_more_request_finds_nothing() -> None:
    world = old(World("5", dict(ROWS)))
    world.server.lists = [page([], 9), page([], 9)]
    assert relist(world) == Open("9")
    assert world.server.asked == [("list", 500, ""), ("list", 1, "")]
    assert world.store.rows == {}


def test_an_empty_list_that_was_a_lie_is_dropped_and_listed_again() -> None:
    world = old(World("5", dict(ROWS)))
    everything = [item(name, int(version)) for name, version in ROWS.items()]
    world.server.lists = [page([], 9), page(everything[:1], 9), page(everything, 10)]
    assert relist(world) == Open("10")
    assert world.store.rows == ROWS
    assert world.store.listings[0].done == "aborted"


def test_a_list_that_removes_most_is_confirmed_by_a_second_one() -> None:
    world = old(World("5", dict(ROWS)))
    world.server.lists = [page([item("a", 1)], 9), page([item("a", 1)], 10)]
    assert relist(world) == Open("10")
    assert world.store.rows == {"a": "1"}
    assert [listing.done for listing in world.store.listings] == ["aborted", "published"]


def test_a_list_that_removes_half_counts_at_once() -> None:
    world = old(World("5", dict(ROWS)))
    world.server.lists = [page([item("a", 1), item("b", 2)], 9)]
    assert relist(world) == Open("9")


def test_a_relist_keeps_the_scope_served_and_says_why() -> None:
    world = World("5", dict(ROWS))
    step(Start(), world.io)
    step(Relist("410 Expired"), world.io)
    assert world.store.last() == (State.CATCHING_UP, "listing again: 410 Expired")


def test_the_place_among_first_lists_is_given_back_when_the_list_is_over() -> None:
    world = World()
    world.server.lists = [page([], 9)]
    phase = go(world, Start(), Page)
    assert not world.io.first_lists.acquire(blocking=False)
    go(world, phase, Open)
    assert world.io.first_lists.acquire(blocking=False)


# --- probe


def test_a_server_that_is_where_we_are_proves_us_as_of_the_question() -> None:
    world = World("50")
    world.server.probes = ["50"]
    assert go(world, Start(), Open) == Open("50")
    assert world.store.proofs() == [1.0]
    assert world.store.last() == (State.LIVE, "")


def test_a_server_that_is_ahead_leaves_a_proof_to_be_reached_by_a_quick_watch() -> None:
    world = World("50")
    world.server.probes = ["70"]
    assert go(world, Start(), Open) == Open("50", (Proof("70", 1.0),), quick=True)
    assert world.store.proofs() == []
    assert world.store.last() == (State.CATCHING_UP, "")


def test_versions_that_can_not_be_compared_say_nothing_about_going_back() -> None:
    world = World("50")
    world.server.probes = ["9f"]
    assert go(world, Start(), Open).quick
    assert world.hooks.back == []


def test_nobody_is_told_live_before_the_rows_are_committed() -> None:
    world = World("50")
    world.server.probes = ["50"]
    go(world, Start(), Open)
    kinds = [entry[0] for entry in world.store.log]
    assert kinds.index("proven") < kinds.index("flush") < kinds.index(State.LIVE)


def test_nobody_is_told_live_when_the_rows_found_no_place() -> None:
    world = World("50")
    world.server.probes = ["50"]
    world.store.lost = DiskFullError("no space left")
    with pytest.raises(DiskFullError):
        go(world, Probe("50"), Open)
    assert State.LIVE not in world.store.states()
    # It begins again at the file's checkpoint, where nothing is lost.
    world.server.probes = ["50"]
    go(world, Start(), Open)
    assert world.store.last() == (State.LIVE, "")


# --- watch


def test_quick_watches_are_short_and_the_others_as_long_as_the_limit_allows() -> None:
    world = World("50")
    stream(world, [], Open("50", quick=True))
    stream(world, [])
    assert [asked[2] for asked in world.server.asked] == [3, 20]


def test_events_move_the_position_that_the_next_watch_resumes_from() -> None:
    world = World("50", {"a": "50"})
    chunks = [event("ADDED", item("b", 51)), event("DELETED", item("a", 52))]
    phase = stream(world, chunks)
    for _ in range(2):
        phase = go(world, phase, Stream, most=1)
    assert phase.position == "52"
    assert world.store.rows == {"b": "51"}
    assert step(phase, world.io) == Probe("52")


def test_a_proof_counts_when_the_stream_has_reached_it() -> None:
    world = World("50")
    proofs = (Proof("55", 3.0), Proof("60", 4.0))
    phase = stream(world, [bookmark(54), bookmark(57), bookmark(60)], Open("50", proofs))
    phase = go(world, phase, Stream, most=1)
    assert world.store.proofs() == []
    phase = go(world, phase, Stream, most=1)
    assert world.store.proofs() == [3.0]
    assert phase.proofs == (Proof("60", 4.0),)
    phase = go(world, phase, Stream, most=1)
    assert world.store.proofs() == [3.0, 4.0]
    assert world.store.last() == (State.LIVE, "")


def test_a_quick_watch_that_ended_is_followed_by_a_long_one_without_a_probe() -> None:
    world = World("50")
    chunks = [world.passing(1), bookmark(60)]
    phase = stream(world, chunks, Open("50", (Proof("60", 4.0),), quick=True))
    assert go(world, phase, Open) == Open("60")


def test_a_watch_that_ends_at_once_with_nothing_waits_before_the_next() -> None:
    world = World("50")
    waiting = go(world, stream(world, []), Wait)
    assert waiting == Wait(Probe("50"), 0.8)


def test_a_410_as_an_event_leads_to_a_list() -> None:
    world = World("50")
    phase = go(world, stream(world, [error(410)]), Relist)
    assert phase.reason == "410 Expired: said no"


def test_a_410_as_an_answer_leads_to_a_list() -> None:
    world = World("50")
    world.server.watches = [refused(410)]
    assert isinstance(step(Open("50"), world.io), Relist)


def test_another_error_event_is_waited_out_and_resumed() -> None:
    world = World("50")
    waiting = go(world, stream(world, [event("ADDED", item("b", 51)) + error(500)]), Wait)
    assert waiting.then == Probe("51")
    assert world.store.last()[0] is State.STALE


def test_an_error_event_without_a_status_is_told_and_waited_out() -> None:
    world = World("50")
    waiting = go(world, stream(world, [event("ERROR", {"code": "none"})]), Wait)
    assert waiting.then == Probe("50")
    assert "no Status" in world.store.last()[1]


def test_watches_that_end_at_once_are_told_from_the_second_on() -> None:
    world = World("50")
    go(world, stream(world, []), Wait)
    assert world.store.states() == []
    go(world, stream(world, []), Wait)
    assert world.store.last()[0] is State.STALE
    assert "end at once" in world.store.last()[1]


def test_a_page_that_ignores_its_limit_is_a_whole_list() -> None:
    """As kube-apiserver answers from its watch cache."""
    world = World()
    many = [item(f"p{n}", n) for n in range(1, 1201)]
    world.server.lists = [page(many, 2000)]
    assert go(world, Start(), Open) == Open("2000")
    assert world.server.asked == [("list", 500, "")]
    assert len(world.store.rows) == 1200


def test_a_malformed_frame_leads_to_a_list_and_keeps_what_came_before() -> None:
    world = World("50")
    response = stream(world, [event("ADDED", item("b", 51)) + b"{{{\n"])
    waiting = go(world, response, Wait)
    assert isinstance(waiting.then, Relist)
    assert world.store.rows == {"b": "51"}
    state, reason = world.store.last()
    assert (state, reason.split(";")[0]) == (State.STALE, "malformed watch frame: not JSON")


def test_a_frame_that_was_cut_off_is_resumed_without_a_list() -> None:
    world = World("50")
    chunks = [event("ADDED", item("b", 51)) + b'{"type":"ADD', world.passing(2)]
    assert go(world, stream(world, chunks), Probe) == Probe("51")


def test_a_working_stream_that_breaks_is_probed_before_anybody_is_told() -> None:
    world = World("50")
    chunks = [event("ADDED", item("b", 51)), OfflineError("reset")]
    assert go(world, stream(world, chunks), Probe) == Probe("51")
    assert State.OFFLINE not in world.store.states()


def test_a_stream_that_breaks_at_once_counts_as_silence() -> None:
    world = World("50")
    waiting = go(world, stream(world, [OfflineError("reset")]), Wait)
    assert waiting == Wait(Probe("50"), 0.8, offline=True)


# --- failures


def test_a_refused_connection_is_offline_and_never_a_list() -> None:
    world = World("50")
    world.server.probes = [OfflineError("connection refused")] * 8
    phase: Phase = Start()
    waits = []
    for _ in range(8):
        waiting = go(world, phase, Wait)
        waits.append(waiting.seconds)
        phase = waiting.then
    assert world.store.last() == (State.OFFLINE, "connection refused")
    assert waits == [0.8, 1.6, 3.2, 6.4, 10, 10, 10, 10]
    assert "list" not in world.server.names()


def test_being_heard_again_is_catching_up_until_it_is_proven() -> None:
    world = World("50")
    world.server.probes = [OfflineError("connection refused"), "60"]
    world.hooks.reconnects = [None]
    opened = go(world, go(world, Start(), Wait).then, Open)
    assert world.store.last()[0] is State.CATCHING_UP
    assert world.io.link.heard == 1
    go(world, stream(world, [bookmark(60)], opened), Stream, most=1)
    assert world.store.last()[0] is State.LIVE


def test_whose_server_came_back_is_asked_until_it_is_known_and_before_the_watch() -> None:
    world = World("50")
    world.server.probes = [OfflineError("connection refused"), refused(503), "60", "60"]
    world.hooks.reconnects = [refused(503), None]
    phase: Phase = Start()
    for _ in range(3):
        phase = go(world, phase, Wait).then
        assert "watch" not in world.server.names()
    assert go(world, phase, Open).quick
    assert world.hooks.reconnects == []


def test_the_waits_begin_small_again_after_a_proof() -> None:
    world = World("50")
    silent = OfflineError("connection refused")
    world.server.probes = [silent, silent, "50", silent]
    world.hooks.reconnects = [None]
    phase: Phase = Start()
    waits = []
    for _ in range(2):
        waiting = go(world, phase, Wait)
        waits.append(waiting.seconds)
        phase = waiting.then
    go(world, phase, Open)
    waits.append(go(world, Probe("50"), Wait).seconds)
    assert waits == [0.8, 1.6, 0.8]


@pytest.mark.parametrize("code", [429, 500, 503, 504])
def test_a_busy_server_is_waited_for_and_never_listed(code: int) -> None:
    world = World("50")
    world.server.probes = [refused(code, 5.0)]
    waiting = go(world, Start(), Wait)
    assert waiting == Wait(Probe("50"), 5.0)
    assert world.store.last() == (State.STALE, f"{code}: said no")


def test_missing_rights_are_told_and_tried_again() -> None:
    world = World("50")
    world.server.probes = [ForbiddenError("missing: a Role", rule={"verbs": ["watch"]})]
    waiting = go(world, Start(), Wait)
    assert waiting.then == Probe("50")
    assert world.store.last() == (State.FORBIDDEN, "missing: a Role")


def test_missing_rights_for_the_first_list_are_told_too() -> None:
    world = World()
    world.server.lists = [ForbiddenError("missing: a Role")]
    go(world, Start(), Wait)
    assert world.store.last() == (State.FORBIDDEN, "missing: a Role")


def test_a_version_that_the_server_does_not_understand_leads_to_a_list() -> None:
    world = World("50")
    world.server.watches = [refused(400)]
    waiting = go(world, Open("50"), Wait)
    assert isinstance(waiting.then, Relist)


# --- gone


def test_a_404_counts_after_discovery_has_confirmed_it_twice() -> None:
    world = World("50", dict(ROWS))
    world.server.probes = [refused(404)]
    world.hooks.served = [False, False]
    missing = go(world, Start(), Missing)
    first = go(world, missing, Wait)
    assert first.seconds == 5
    assert world.store.rows == ROWS
    go(world, first.then, Wait, most=1)
    assert world.store.rows == {}
    assert ("void", 7, "the server serves the resource no longer") in world.store.log
    assert world.store.last()[0] is State.GONE


@pytest.mark.parametrize("served", [None, True])
def test_a_404_that_discovery_does_not_confirm_deletes_nothing(served: bool | None) -> None:
    world = World("50", dict(ROWS))
    world.server.probes = [refused(404)]
    world.hooks.served = [served]
    waiting = go(world, Start(), Wait)
    assert waiting.then == Probe("50")
    assert world.store.rows == ROWS
    assert world.store.last()[0] is State.STALE


def test_a_resource_that_was_gone_is_listed_when_it_is_back() -> None:
    world = World("50", dict(ROWS))
    world.server.probes = [refused(404)]
    world.hooks.served = [False, False, False]
    gone = go(world, go(world, Start(), Wait).then, Wait)
    world.server.lists = [refused(404), page([item("z", 90)], 91)]
    still = go(world, gone.then, Wait)
    assert world.store.states()[-1] is State.GONE
    assert go(world, still.then, Open) == Open("91")
    assert world.store.states()[-1] is State.LIVE


# --- without bookmarks


def silent_cycle(world: World, phase: Phase) -> Phase:
    """From a probe to the end of the watch that follows, on which nothing comes."""
    world.server.probes = ["90"]
    opened = step(phase, world.io)
    if not isinstance(opened, Open):
        return opened
    seconds = world.io.watch_timeout_s(quick=opened.quick)
    watching = stream(world, [world.passing(seconds)], opened)
    return step(watching, world.io)


def test_an_api_without_bookmarks_is_proven_by_a_list_before_its_proof_is_too_old() -> None:
    world = World("50")
    phase, began = step(Start(), world.io), world.now_s
    world.io.proven_at = began
    seen = []
    while not isinstance(phase, Relist):
        phase = silent_cycle(world, phase)
        seen.append(world.now_s - began)
    assert seen[-1] < world.io.settings.live_within_s
    assert world.server.names().count("list") == 0
    world.server.lists = [page([], 95)]
    go(world, phase, Open)
    assert world.store.last()[0] is State.LIVE


@pytest.mark.parametrize("seen", [True, False])
def test_what_gets_bookmarks_is_listed_only_when_a_long_watch_had_none_either(seen: bool) -> None:
    world = World("50")
    world.io.bookmarks, world.io.bookmarks_seen = Bookmarks.SENT, seen
    phase = step(Start(), world.io)
    lasted = []
    while not isinstance(phase, Relist):
        before = world.now_s
        if isinstance(phase, Open):
            lasts_s = world.io.watch_timeout_s(quick=phase.quick)
            phase = step(stream(world, [world.passing(lasts_s)], phase), world.io)
        else:
            phase = silent_cycle(world, phase)
        lasted.append(round(world.now_s - before))
    assert lasted[:3] == [3, 5, 7]
    assert lasted[3] > 15
    assert len(lasted) <= 5
    # Proven, it begins anew.
    world.server.lists = [page([], 95)]
    go(world, phase, Open)
    assert world.store.last()[0] is State.LIVE
    assert world.io.missed_bookmarks == 0


def test_quick_watches_stay_quick_where_a_list_to_prove_it_would_cost_too_much() -> None:
    world = World("50")
    world.io.bookmarks, world.io.bookmarks_seen = Bookmarks.SENT, True
    phase = step(Start(), world.io)
    world.io.listed_at, world.io.objects = world.now_s, 1_000_000
    for _ in range(40):
        if isinstance(phase, Open):
            lasts_s = world.io.watch_timeout_s(quick=phase.quick)
            phase = step(stream(world, [world.passing(lasts_s)], phase), world.io)
        else:
            phase = silent_cycle(world, phase)
        assert not isinstance(phase, Relist)
    assert world.io.watch_timeout_s(quick=True) < world.io.settings.long_watch_s / 2


# --- letting go


def test_what_a_phase_holds_open_is_let_go_of() -> None:
    world = World("50")
    world.server.watches = [[]]
    watching = go(world, Open("50"), Stream, most=1)
    assert release(watching) == Probe("50")
    assert watching.response.closed  # type: ignore[attr-defined]
    world.server.lists = [page([], 9, "next")]
    listing = go(world, Relist("why"), Page, most=1)
    waiting = Wait(listing, 3)
    assert release(waiting) == Relist("why")
    assert world.store.listings[-1].done == "aborted"


def test_a_published_list_is_not_published_twice() -> None:
    world = World()
    world.server.lists = [page([], 9)]
    done = go(world, go(world, Start(), Publish), Open)
    assert done == Open("9")
    assert [entry for entry in world.store.log if entry[0] == "publish"] == [("publish", "9")]
