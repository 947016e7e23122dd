"""Random histories under random faults: what must hold after each of them.

`python -m tests.model SEED` repeats one; VAI_MODEL=long makes it 5,000 of them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from vai.testing import Kind

ROOT: Final = Path(__file__).parents[2]
LONG: Final = os.environ.get("VAI_MODEL") == "long"
RUNS: Final = 5000 if LONG else 200
#: A run waits more than it computes; two processes use the two cores that CI has.
PROCESSES: Final = 2


def start(first: int, last: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "tests.model", f"{first}-{last}", "--threads=6"],
        cwd=ROOT,
        env={name: text for name, text in os.environ.items() if not name.startswith("VAI_")},
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.timeout(RUNS * 3)
def test_whatever_happens_the_file_is_the_server_and_says_how_old_it_is() -> None:
    each = RUNS // PROCESSES
    running = [start(n * each, (n + 1) * each - 1) for n in range(PROCESSES)]
    said = [process.communicate()[0] for process in running]
    print("\n".join(said))
    found: list[Any] = [json.loads(text.splitlines()[-1]) for text in said]
    assert [one["failed"] for one in found] == [[]] * PROCESSES
    assert sum(one["runs"] for one in found) == RUNS
    # They did see something: faults of every kind, changes, and answers of all ages.
    assert all(one["looks"] > 20 * each and one["changes"] > 5 * each for one in found)
    assert all(one["calls"] > 10 * each and one["deletes"] > each for one in found)
    assert any(one["between"] for one in found)
    # Where the history was short, handlers were told the difference, of objects that were made
    # anew meanwhile too, and consumers that they miss something.
    for fate in ("compared", "replaced", "expired"):
        assert sum(one[fate] for one in found) > 0, fate
    met = set().union(*(one["faults"] for one in found))
    assert met == set(Kind)
    # And where the server lied, there was something to repair, and each repair was logged.
    assert any(one["diverged"] for one in found)
    assert [one["logged"] for one in found] == [one["findings"] for one in found]
