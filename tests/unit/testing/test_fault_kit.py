from __future__ import annotations

import http.client
import json
import time
from collections import Counter
from email.utils import parsedate_to_datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.timing import wait_until
from tests.unit.testing.conftest import Client, Stream, config_map
from vai.testing import DAMAGE, LEGAL, LIES, Fault, Faults, Kind, Simulator
from vai.testing.chance import Chance
from vai.testing.control import Control, ControlServer

MAPS = "/api/v1/configmaps"


@pytest.fixture
def follow(sim: Simulator, api: Client) -> Any:
    def start(query: str = "") -> Stream:
        return api.watch(f"{MAPS}?watch=1&resourceVersion={sim.resource_version}{query}")

    return start


def names(stream: Stream, count: int) -> list[str]:
    return [stream.next()["object"]["metadata"]["name"] for _ in range(count)]


def test_every_kind_is_either_legal_or_damage_or_a_lie() -> None:
    assert set(LEGAL) | DAMAGE | LIES == set(Kind)
    assert not set(LEGAL) & (DAMAGE | LIES)
    assert not DAMAGE & LIES
    assert Kind.DROP.legal is False
    assert Kind.EXPIRED.legal is True


# --- scripts


def test_a_fault_comes_at_its_place_and_as_often_as_it_says(api: Client, sim: Simulator) -> None:
    sim.inject(Fault("throttled", at="list configmaps", nth=2, times=3, retry_after=7))
    found = [api.get(MAPS) for _ in range(6)]
    assert [answer.status for answer in found] == [200, 429, 429, 429, 200, 200]
    assert found[1].headers["Retry-After"] == "7"


def test_each_fault_counts_for_itself_and_the_first_due_comes_first(
    api: Client, sim: Simulator
) -> None:
    sim.inject(
        Fault("unavailable", at="list", nth=2, status=502),
        Fault("unauthorized", at="configmaps"),
        Fault("expired", at="configmaps", nth=2),
    )
    assert [api.get(MAPS).status for _ in range(4)] == [401, 502, 410, 200]


def test_a_fault_can_be_for_a_path_a_later_page_or_whatever_a_function_says(
    api: Client, sim: Simulator
) -> None:
    sim.apply(*(config_map(f"c{i}") for i in range(4)))
    sim.inject(
        Fault("unavailable", at="/version"),
        Fault("expired", at="page configmaps"),
        Fault("unavailable", at=lambda request: request.query.get("limit") == "3", status=504),
    )
    assert api.get("/version").status == 503
    first = api.get(f"{MAPS}?limit=2")
    token = first.json["metadata"]["continue"]
    second = api.get(f"{MAPS}?limit=2&continue={token}")
    assert (second.status, second.json["reason"]) == (410, "Expired")
    # As a real server: with a token that goes on at another moment.
    on = second.json["metadata"]["continue"]
    assert api.get(f"{MAPS}?limit=2&continue={on}").names == ["c2", "c3"]
    assert api.get(f"{MAPS}?limit=3").status == 504


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"kind": "explode"}, "explode"), ({"nth": 0}, "from 1"), ({"part": 2}, "from 0 to 1")],
)
def test_a_wrong_fault_is_refused_where_it_is_written(wrong: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Fault(**{"kind": "drop"} | wrong)


# --- answers


def test_a_reset_comes_before_the_answer_or_in_the_middle_of_a_page(
    api: Client, sim: Simulator
) -> None:
    sim.apply(*(config_map(f"c{i}") for i in range(50)))
    sim.inject(Fault("reset", at="list"), Fault("reset", at="list", nth=2, part=0.5))
    with pytest.raises(ConnectionResetError):
        api.get(MAPS)
    with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
        api.get(MAPS)
    assert len(api.get(MAPS).names) == 50


def test_a_cut_page_breaks_off_and_a_truncated_one_is_whole_http_with_half_the_json(
    api: Client, sim: Simulator
) -> None:
    sim.apply(*(config_map(f"c{i}") for i in range(50)))
    sim.inject(Fault("cut", at="list"), Fault("truncated", at="list", nth=2))
    with pytest.raises(http.client.IncompleteRead):
        api.get(MAPS)
    with pytest.raises(json.JSONDecodeError):
        api.get(MAPS).json  # noqa: B018 - decoding is what fails


def test_a_shuffled_page_has_the_same_objects_in_another_order(api: Client, sim: Simulator) -> None:
    sim.apply(*(config_map(f"c{i}") for i in range(9)))
    sim.inject(Fault("shuffled", at="list"))
    found = api.get(MAPS).names
    assert found != sorted(found) == api.get(MAPS).names


@pytest.mark.parametrize("kind", ["hang", "stall"])
def test_a_silent_answer_is_late_or_ends_when_the_faults_are_cleared(
    api: Client, sim: Simulator, kind: str
) -> None:
    sim.apply(config_map("a"))
    sim.inject(Fault(kind, at="list", seconds=0.3), Fault(kind, at="list", nth=2))
    started = time.monotonic()
    assert api.get(MAPS).names == ["a"]
    assert time.monotonic() - started >= 0.3
    connection = api.connect(timeout=0.3)
    connection.request("GET", MAPS)
    with pytest.raises(TimeoutError):
        connection.getresponse().read()
    assert connection.sock is not None
    connection.sock.settimeout(10)
    sim.faults.clear()
    connection.close()
    assert api.get(MAPS).names == ["a"]


def test_slow_bytes_come_all_but_late(api: Client, sim: Simulator) -> None:
    sim.apply(config_map("a"))
    sim.inject(Fault("slow", at="list", seconds=0.4, bytes_per_s=200))
    started = time.monotonic()
    assert api.get(MAPS).names == ["a"]
    assert time.monotonic() - started >= 0.4


def test_a_skewed_clock_shows_in_the_date_and_in_new_objects(api: Client, sim: Simulator) -> None:
    sim.inject(Fault("skew", at="list", seconds=-7200))
    said = parsedate_to_datetime(api.get(MAPS).headers["Date"]).timestamp()
    assert abs(time.time() - 7200 - said) < 600
    made = sim.add(config_map("a"))["metadata"]["creationTimestamp"]
    assert said - 600 < parsedate_like(made) < said + 600


def parsedate_like(text: str) -> float:
    return time.mktime(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ")) - time.timezone


def test_an_expired_token_counts_no_longer_and_the_new_one_is_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    with Simulator(token="first", token_file=file) as sim:  # noqa: S106 - there is no secret
        api = Client(sim)
        sim.inject(Fault("rotated", at="list", nth=3))

        def get() -> int:
            return api.get(MAPS, Authorization=f"Bearer {file.read_text()}").status

        assert [get() for _ in range(4)] == [200, 200, 401, 200]
        assert api.get(MAPS, Authorization="Bearer first").status == 401
        assert file.read_text() != "first"


# --- watches


def test_events_are_dropped_doubled_and_swapped(sim: Simulator, follow: Any) -> None:
    with follow() as stream:
        sim.inject(
            Fault("drop", at="event configmaps", nth=2),
            Fault("duplicate", at="event configmaps", nth=4),
            Fault("reorder", at="event configmaps", nth=6),
        )
        for i in range(1, 9):
            sim.add(config_map(f"c{i}"))
        assert names(stream, 8) == ["c1", "c3", "c4", "c4", "c5", "c7", "c6", "c8"]


def test_a_lying_bookmark_takes_the_place_of_an_event(sim: Simulator, follow: Any) -> None:
    with follow("&allowWatchBookmarks=true") as stream:
        sim.inject(Fault("bookmark", at="event"))
        sim.add(config_map("hidden"))
        rv = sim.resource_version
        sim.add(config_map("shown"))
        lie, truth = stream.next(), stream.next()
        assert (lie["type"], lie["object"]["metadata"]["resourceVersion"]) == ("BOOKMARK", str(rv))
        assert truth["object"]["metadata"]["name"] == "shown"


@pytest.mark.parametrize("after", [None, 0, 2])
def test_410_comes_at_the_watchs_start_or_as_an_event(
    sim: Simulator, api: Client, follow: Any, after: int | None
) -> None:
    sim.inject(Fault("expired", at="watch", after=after))
    if after is None:
        answer = api.get(f"{MAPS}?watch=1&resourceVersion={sim.resource_version}&timeoutSeconds=1")
        assert answer.status == 410
        return
    with follow() as stream:
        for i in range(after):
            sim.add(config_map(f"c{i}"))
        assert names(stream, after) == [f"c{i}" for i in range(after)]
        event = stream.next()
        assert (event["type"], event["object"]["code"]) == ("ERROR", 410)
        assert stream.line() == b""
        assert stream.complete


@pytest.mark.parametrize("kind", ["cut", "end", "reset"])
def test_a_watch_ends_after_so_many_events(sim: Simulator, follow: Any, kind: str) -> None:
    sim.inject(Fault(kind, at="watch", after=1))
    with follow() as stream:
        sim.add(config_map("a"))
        assert names(stream, 1) == ["a"]
        if kind == "reset":
            with pytest.raises(ConnectionResetError):
                stream.line()
        else:
            assert stream.line() == b""
            assert stream.complete is (kind == "end")


def test_a_half_open_watch_is_silent_and_its_events_come_when_that_is_over(
    sim: Simulator, follow: Any
) -> None:
    sim.inject(Fault("stall", at="watch", after=1))
    with follow() as stream:
        sim.add(config_map("a"))
        assert names(stream, 1) == ["a"]
        sim.add(config_map("b"))
        assert stream.silent()
        sim.faults.clear()
        assert names(stream, 1) == ["b"]


@pytest.mark.parametrize(("kind", "whole"), [("cut", False), ("truncated", True)])
def test_an_event_breaks_off_with_its_connection_or_within_whole_http(
    sim: Simulator, follow: Any, kind: str, whole: bool
) -> None:
    with follow() as stream:
        sim.inject(Fault(kind, at="event"))
        sim.add(config_map("a"))
        line = stream.line()
        assert line
        assert not line.endswith(b"\n")
        assert stream.complete is whole


def test_the_objects_that_a_watch_sends_first_are_events_too(sim: Simulator, api: Client) -> None:
    sim.apply(*(config_map(f"c{i}") for i in range(3)))
    sim.inject(Fault("drop", at="watchlist", after=1))
    with api.watch(f"{MAPS}?watch=1&timeoutSeconds=1") as stream:
        assert names(stream, 2) == ["c0", "c2"]


# --- chance


def play(faults: Faults, order: list[str]) -> list[str]:
    """Requests in this order, one by one; what became of them."""
    found = []
    with Simulator(seed=1, wait_s=0.1, faults=faults) as sim:
        sim.apply(*(config_map(f"c{i}") for i in range(3)))
        api = Client(sim)
        for path in order:
            try:
                answer = api.get(path)
                found.append(f"{path} {answer.status} {len(answer.body)}")
            except (OSError, http.client.HTTPException) as error:
                found.append(f"{path} {type(error).__name__}")
    return found


KINDS = [Kind.THROTTLED, Kind.UNAVAILABLE, Kind.UNAUTHORIZED, Kind.CUT, Kind.RESET, Kind.SHUFFLED]
ORDER = [MAPS, "/api/v1/pods", MAPS, MAPS, "/api/v1/pods", "/api/v1/namespaces"] * 8


def chance(seed: int, rate: float = 0.4) -> Faults:
    return Faults.random(seed, kinds=KINDS, rate=rate, longest_s=0.1)


def test_the_same_seed_and_requests_meet_the_same_faults() -> None:
    assert play(chance(5), ORDER) == play(chance(5), ORDER)
    assert play(chance(5), ORDER) != play(chance(6), ORDER)


def test_the_order_among_different_paths_does_not_matter() -> None:
    one, other = play(chance(5), ORDER), play(chance(5), sorted(ORDER))
    assert Counter(one) == Counter(other)


def test_the_log_of_a_random_run_is_the_script_that_repeats_it() -> None:
    random = chance(5)
    found = play(random, ORDER)
    assert 10 < len(random.log) < 40
    text = f"[{', '.join(repr(entry.fault) for entry in random.log)}]"
    script = Faults(eval(text, {"Fault": Fault}))  # noqa: S307 - what a person would paste
    assert play(script, ORDER) == found
    assert [entry.request for entry in script.log] == [entry.request for entry in random.log]


def test_only_the_asked_kinds_come_at_about_the_asked_rate() -> None:
    met = [Chance(7, 0.25, LEGAL).draw("watch", "watch /x", nth) for nth in range(1, 2001)]
    kinds = Counter(fault.kind for fault in met if fault is not None)
    assert set(kinds) <= set(LEGAL)
    # Storms of 429 add to the quarter.
    assert 0.2 < sum(kinds.values()) / 2000 < 0.35
    lasting = [a.kind for a, b in pairwise(met) if a is not None and a == b]
    assert Kind.THROTTLED in lasting


def test_cleared_faults_come_no_more(api: Client, sim: Simulator) -> None:
    sim.faults = Faults.random(1, kinds=["unavailable"], rate=1.0)
    assert api.get(MAPS).status >= 500
    sim.faults.clear()
    assert api.get(MAPS).status == 200
    assert len(sim.faults.log) == 1


def test_another_process_plans_faults_and_reads_what_came(sim: Simulator, api: Client) -> None:
    server = ControlServer(sim)
    control = Control(server.url)
    control.call("inject", kind="throttled", at="list configmaps", retry_after=3)
    assert api.get(MAPS).status == 429
    assert control.call("fault-log") == [
        f"Fault('throttled', at='list {MAPS}', retry_after=3)  # GET {MAPS}"
    ]
    control.call("random-faults", seed=3, kinds=["unavailable"], rate=1)
    wait_until(lambda: api.get(MAPS).status >= 500)
    control.call("clear-faults")
    assert api.get(MAPS).status == 200
    server.close()
