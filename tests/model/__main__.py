"""``python -m tests.model SEED…``: runs of the model; ``A-B`` for many of them."""

from __future__ import annotations

import argparse
import itertools
import json
import logging
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from tests.model.run import Outcome, run

COUNTED = (
    *("looks", "changes", "deletes", "calls"),
    *("compared", "replaced", "expired"),
    *("restores", "between", "diverged", "findings"),
)


class Log(logging.Handler):
    """What vai logs of all runs together; a record does not say of which."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.found = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.found += "differed from the server" in record.getMessage()


def seeds_of(words: Iterable[str]) -> list[int]:
    spans = (word.partition("-") for word in words)
    found = (range(int(a), int(b or a) + 1) for a, _, b in spans)
    return list(itertools.chain.from_iterable(found))


def main() -> int:
    """Prints what went wrong as it comes, and a line of JSON about all at the end."""
    parser = argparse.ArgumentParser(prog="python -m tests.model", description=__doc__)
    parser.add_argument("seeds", nargs="+", metavar="SEED", help="137, or 0-199")
    parser.add_argument("--threads", type=int, default=4, help="runs at the same time (4)")
    parser.add_argument("--within", type=float, help="seconds after which no run is begun")
    options = parser.parse_args()
    os.environ["VAI_LIVE_WITHIN"] = "8s"
    multiprocessing.set_forkserver_preload(["tests.model.copy", "vai.kube", "kubernetes.config"])
    began = time.monotonic()
    faults: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    failed, done, longest = [], 0, 0.0
    log = Log()
    logging.getLogger("vai").addHandler(log)

    def one(seed: int) -> Outcome | None:
        late = options.within is not None and time.monotonic() - began > options.within
        return None if late else run(seed)

    with ThreadPoolExecutor(options.threads) as pool:
        for outcome in pool.map(one, seeds_of(options.seeds)):
            if outcome is None:
                continue
            done += 1
            counts.update({name: getattr(outcome, name) for name in COUNTED})
            longest = max(longest, outcome.took_s)
            faults += outcome.faults
            if outcome.problem:
                failed.append(outcome.seed)
                print(outcome, flush=True)
    summary = {
        "runs": done,
        "failed": failed,
        "seconds": round(time.monotonic() - began, 1),
        "longest_s": round(longest, 1),
        **counts,
        "logged": log.found,
        "faults": dict(faults.most_common()),
    }
    print(json.dumps(summary), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
