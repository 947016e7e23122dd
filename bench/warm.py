"""Memory of a process that took a first list and then answers questions, as `vai.connect` does.

    python -m bench.warm PAGES_FOLDER WORK_FOLDER

One handle of the file lists, writes and reads. Linux only: `/proc` tells what is resident, with the
interpreter and its libraries, and how much of that is memory of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

import vai
from bench.contenders import Vai
from bench.memory import peak_bytes
from vai.cache.engine import Engine

#: Pages that follow one another: the second one brings the whole list of ids into memory.
_PAGES: Final = 20
#: The second time everything that stays in memory is there.
_ROUNDS: Final = 2


def measure(pages: Path, work: Path) -> dict[str, float]:
    """Run it in a process of its own; sizes in MB."""
    command = [sys.executable, "-m", "bench.warm", str(pages), str(work)]
    root = Path(__file__).parent.parent
    done = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def ask(cache: vai.Cache) -> None:
    """What a dashboard asks: pages, filters, orders, counts, groups, one object, a path."""
    running = "status.phase = Running"
    for sort in (
        [],
        ["-restarts", "metadata.name"],
        ["age"],
        ["spec.nodeName"],
        ["-requests.memory"],
    ):
        cursor = None
        for _ in range(_PAGES):
            page = cache.list("pods", where=running, sort=sort, limit=100, cursor=cursor)
            cursor = page.cursor
            if not page.raw or cursor is None:
                break
    cache.list("pods", label_selector="tier=batch,app.kubernetes.io/managed-by=Helm", limit=100)
    cache.list("pods", field_selector="status.phase!=Running", limit=100)
    cache.list("pods", where="metadata.name contains 'a-1' or ip in 10.0.0.0/16", limit=100)
    cache.list("pods", where="image matches '^registry' and restarts > 1", limit=100)
    cache.list("pods", limit=100, facets=["spec.nodeName", "status.phase", "metadata.namespace"])
    cache.group_by("pods", by="spec.nodeName", sum=["requests.memory", "requests.cpu"])
    cache.distinct("pods", "labels[app.kubernetes.io/name]")
    # A path that is not indexed: every body is read.
    cache.count("pods", where=".spec.serviceAccountName = default")
    for key, found in islice(cache.snapshot("pods", label_selector="tier=batch").items(), 500):
        cache.get("pods", key)
        found.to_dict()


def _resident_mb() -> Iterator[float]:
    """All that is resident, and what of it is no part of a file."""
    status = Path("/proc/self/status").read_text().splitlines()
    for name in ("VmRSS:", "RssAnon:"):
        line = next(line for line in status if line.startswith(name))
        yield round(int(line.split()[1]) * 1024 / 1e6, 1)


def _main(pages: Path, work: Path) -> None:
    sizes: dict[str, float] = {}

    def note(when: str) -> None:
        sizes[f"{when}_mb"], sizes[f"{when}_own_mb"] = _resident_mb()

    note("imports")
    made = Vai(work)
    made.load(path.read_bytes() for path in sorted(pages.glob("page-*.json")))
    made.settle()
    note("loaded")
    cache = vai.Cache(Engine(lambda _: made.store, None, "writer"), ())
    for _ in range(_ROUNDS):
        ask(cache)
    note("warm")
    sizes["peak_mb"] = round(peak_bytes() / 1e6, 1)
    cache.close()
    print(json.dumps(sizes))


if __name__ == "__main__":
    _main(Path(sys.argv[1]), Path(sys.argv[2]))
