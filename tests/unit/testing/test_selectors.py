from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vai.testing.selectors import SelectorError, parse_fields, parse_labels

KEYS = st.sampled_from(["a", "tier", "app.kubernetes.io/name"])
VALUES = st.sampled_from(["", "1", "2", "web", "db-1"])
LABELS = st.dictionaries(KEYS, VALUES)


@given(KEYS, VALUES, LABELS)
def test_equality_holds_for_that_value_only(key: str, value: str, labels: dict[str, str]) -> None:
    assert parse_labels(f"{key}={value}").matches(labels) == (labels.get(key) == value)
    assert parse_labels(f"{key}=={value}").matches(labels) == (labels.get(key) == value)


@given(KEYS, VALUES, LABELS)
def test_inequality_is_the_opposite_and_holds_without_the_key(
    key: str, value: str, labels: dict[str, str]
) -> None:
    assert parse_labels(f"{key}!={value}").matches(labels) == (labels.get(key) != value)


@given(KEYS, st.sets(VALUES, min_size=1), LABELS)
def test_in_and_notin_are_opposites(key: str, values: set[str], labels: dict[str, str]) -> None:
    inside = parse_labels(f"{key} in ({','.join(sorted(values))})").matches(labels)
    outside = parse_labels(f"{key} notin ({','.join(sorted(values))})").matches(labels)
    assert inside == (labels.get(key) in values)
    assert outside != inside


@given(KEYS, LABELS)
def test_existence(key: str, labels: dict[str, str]) -> None:
    assert parse_labels(key).matches(labels) == (key in labels)
    assert parse_labels(f"!{key}").matches(labels) == (key not in labels)


@given(st.lists(st.sampled_from(["a=1", "a!=1", "tier", "!tier", "a in (1,2)"])), LABELS)
def test_a_comma_is_and(parts: list[str], labels: dict[str, str]) -> None:
    every = all(parse_labels(part).matches(labels) for part in parts)
    assert parse_labels(",".join(parts)).matches(labels) == every


@pytest.mark.parametrize(
    ("selector", "labels", "expected"),
    [
        ("size>3", {"size": "4"}, True),
        ("size>3", {"size": "3"}, False),
        ("size<3", {"size": "-1"}, True),
        ("size<3", {"size": "small"}, False),
        ("size<3", {}, False),
        ("in in (in)", {"in": "in"}, True),
        ("a=", {"a": ""}, True),
        ("", {"a": "1"}, True),
    ],
)
def test_corner_cases(selector: str, labels: dict[str, str], expected: bool) -> None:
    assert parse_labels(selector).matches(labels) is expected


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ("a in", "unable to parse requirement: found '' expected: '('"),
        (
            "a b",
            "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt",
        ),
        ("=", "found '=', expected: !, identifier, or 'end of string'"),
        ("a,,b", "found ',', expected: identifier after ','"),
        ("a=b c", "found 'c', expected: ',' or 'end of string'"),
        (
            "a>x",
            (
                "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' "
                "operators, the value must be an integer"
            ),
        ),
    ],
)
def test_a_bad_label_selector_is_told_in_the_servers_words(selector: str, message: str) -> None:
    with pytest.raises(SelectorError) as caught:
        parse_labels(selector)
    assert str(caught.value) == message


TEXT = st.text(st.sampled_from("ab,=\\ x1"), max_size=6)


@given(TEXT, TEXT)
def test_escaped_field_values_are_compared_whole(wanted: str, actual: str) -> None:
    escaped = wanted.replace("\\", "\\\\").replace(",", "\\,").replace("=", "\\=")
    selector = parse_fields(f"f={escaped},g!=nothing")
    assert selector.matches({"f": actual, "g": ""}) == (wanted == actual)


def test_a_missing_field_counts_as_empty() -> None:
    assert parse_fields("f=").matches({})
    assert not parse_fields("f!=").matches({})


@pytest.mark.parametrize("selector", ["f", "f=a=b", "f=\\x", "f=a\\"])
def test_a_bad_field_selector_is_refused(selector: str) -> None:
    with pytest.raises(SelectorError):
        parse_fields(selector)
