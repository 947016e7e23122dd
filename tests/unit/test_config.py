from __future__ import annotations

from datetime import timedelta

import pytest

from vai.config import Settings, load_settings, parse_duration
from vai.errors import InvalidRequestError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("4m", 240), ("1h30m", 5400), ("500ms", 0.5), ("1.5s", 1.5), ("2d", 172800),
     ("7", 7), ("0.25", 0.25)],
)  # fmt: skip
def test_durations_are_read_as_go_writes_them(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "s", "30 s", "-1s", "1y", "30s4", "1..5s", "ten"])
def test_what_is_no_duration_is_refused_with_the_form_to_use(text: str) -> None:
    with pytest.raises(InvalidRequestError, match="write it as 30s, 4m or 1h30m"):
        parse_duration(text)


def test_arguments_beat_the_environment_and_the_environment_beats_defaults() -> None:
    environ = {"VAI_CONTEXT": "prod", "VAI_LIVE_WITHIN": "1m", "VAI_PAGE_SIZE": ""}
    settings = load_settings(environ, context="dev", kubeconfig=None)
    assert settings.context == "dev"
    assert settings.live_within_s == 60
    assert settings.page_size == 500
    assert settings.kubeconfig is None


def test_seconds_are_taken_as_numbers_text_and_timedelta() -> None:
    for given in (45, "45s", timedelta(seconds=45)):
        assert load_settings({}, live_within_s=given).live_within_s == 45


def test_how_much_history_is_kept_can_be_said() -> None:
    settings = load_settings({"VAI_HISTORY": "1d", "VAI_HISTORY_BYTES": "1000"})
    assert (settings.history_s, settings.history_bytes) == (86400, 1000)
    assert load_settings({"VAI_HISTORY": "1d"}, history_s="2h").history_s == 7200
    for wrong in ({"history_s": -1.0}, {"history_bytes": -1}):
        with pytest.raises(InvalidRequestError, match="must not be negative"):
            load_settings({}, **wrong)


def test_a_wrong_variable_is_named() -> None:
    with pytest.raises(InvalidRequestError, match="VAI_PAGE_SIZE: 'many' is not a whole number"):
        load_settings({"VAI_PAGE_SIZE": "many"})
    with pytest.raises(InvalidRequestError, match="VAI_COMPRESS"):
        load_settings({"VAI_COMPRESS": "perhaps"})
    with pytest.raises(InvalidRequestError, match="VAI_STREAMING_LISTS: 'on' is none of always"):
        load_settings({"VAI_STREAMING_LISTS": "on"})
    with pytest.raises(InvalidRequestError, match="streaming_lists: 'on' is none of always, auto"):
        Settings(streaming_lists="on")


def test_a_setting_that_does_not_exist_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="no setting 'live_wihtin_s'"):
        load_settings({}, live_wihtin_s=3)


@pytest.mark.parametrize("live_within_s", [8, 10, 15, 30, 60, 300])
def test_a_proof_comes_before_the_last_one_is_too_old(live_within_s: float) -> None:
    settings = Settings(live_within_s=live_within_s)
    # From bookmark to bookmark it is the length of a watch, each up to 1.3 s late; the goal that it
    # reaches may be older than the bookmark.
    assert settings.goal_lasts_s + settings.long_watch_s + 1.3 < live_within_s
    # Or from the end of a quiet watch to the next one.
    silent_s = settings.silence_s + settings.goal_lasts_s
    assert silent_s + settings.silent_watch_s < live_within_s


@pytest.mark.parametrize("live_within_s", [8, 10, 15, 30, 60, 300])
def test_a_dead_link_is_noticed_within_the_limit(live_within_s: float) -> None:
    settings = Settings(live_within_s=live_within_s)
    longest = max(settings.quick_watch_s, settings.long_watch_s) + settings.watch_margin_s
    assert longest + settings.link_timeout_s < live_within_s


def test_limits_too_short_to_be_proven_are_refused() -> None:
    with pytest.raises(InvalidRequestError, match="at least 8s"):
        Settings(live_within_s=5)


def test_a_profile_decides_what_is_not_given() -> None:
    assert load_settings({}).live_within_s == 30
    assert load_settings({}, profile="edge").live_within_s == 300
    assert load_settings({"VAI_PROFILE": "edge"}, live_within_s=20).live_within_s == 20
    assert Settings(profile="edge").is_edge
    with pytest.raises(InvalidRequestError, match="no profile 'egde'"):
        load_settings({}, profile="egde")


def test_budgets_that_can_not_be_kept_are_refused() -> None:
    assert load_settings({"VAI_QPS": "2.5", "VAI_BYTES_PER_SECOND": "100000"}).qps == 2.5
    with pytest.raises(InvalidRequestError, match="VAI_QPS: 'many' is not a number"):
        load_settings({"VAI_QPS": "many"})
    with pytest.raises(InvalidRequestError, match=r"at least 80000: .* longer than a minute"):
        Settings(bytes_per_second=1000)
    with pytest.raises(InvalidRequestError, match="qps must be"):
        Settings(qps=-1)


def test_what_is_polled_stays_live_unless_that_would_cost_the_server_too_much() -> None:
    assert Settings().poll_s(10) == 24
    assert Settings().poll_s(5000) == 100
    assert Settings(poll_every_s=60).poll_s(10) == 60
