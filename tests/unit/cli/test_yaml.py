from __future__ import annotations

import time

import yaml
from hypothesis import given
from hypothesis import strategies as st

from vai.cli.printers.yamltext import yaml_text

# No half of a surrogate pair: JSON bytes that were decoded hold none.
# `=` and `<<` are plain text to kubectl's YAML, and something else to PyYAML's reader.
TEXT = st.text(st.characters(codec="utf-8"), max_size=120).filter(lambda t: t not in {"=", "<<"})
TRICKY = st.sampled_from(["", " ", "a: b", "- x", "#", "true", "0o7", "1e3", "|", "a\n\nb", "\n x"])
SCALARS = st.none() | st.booleans() | st.integers() | TEXT | TRICKY
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT | TRICKY, inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_what_was_written_is_read_again(value: object) -> None:
    assert yaml.safe_load(yaml_text(value)) == value


def test_a_pod_takes_milliseconds() -> None:
    container = {"name": "c", "image": "registry.example.com/x:1", "env": [], "ready": True}
    pod = {
        "metadata": {"labels": {f"key-{i}": "value" for i in range(20)}, "name": "p"},
        "spec": {"containers": [container] * 5, "volumes": [{"name": f"v{i}"} for i in range(20)]},
        "status": {"message": "a few words that fit into one line of eighty columns"},
    }
    yaml_text(pod)
    started = time.process_time()
    for _ in range(100):
        yaml_text(pod)
    # PyYAML alone takes 10 ms; slow machines included.
    assert (time.process_time() - started) / 100 < 0.005
