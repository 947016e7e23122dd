"""A reader in another process: says when each commit became visible to it.

    python -m bench.follower FILE

Prints "SEQ SECONDS" for each new sequence number, with the clock that all processes share, until
its stdin ends.
"""

from __future__ import annotations

import sys
import threading
import time

from vai.store import Store


def _main(path: str) -> None:
    with Store(path, "reader") as store:
        ended = threading.Event()
        threading.Thread(target=_wait_for_end, args=(ended,), daemon=True).start()
        seq = store.position().seq
        print(seq, time.monotonic(), flush=True)
        while not ended.is_set():
            now = store.wait_seq(seq, 0.2)
            if now > seq:
                seq = now
                print(seq, time.monotonic(), flush=True)


def _wait_for_end(ended: threading.Event) -> None:
    sys.stdin.read()
    ended.set()


if __name__ == "__main__":
    _main(sys.argv[1])
