"""Peak memory and file size of one contender's first load, in a process of its own.

    python -m bench.memory CONTENDER PAGES_FOLDER WORK_FOLDER

The process imports what it needs, notes its peak, loads the pages one by one, and notes it again.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path


def peak_bytes() -> int:
    """The largest resident set of this process so far.

    On Linux VmHWM, which begins anew with the program; getrusage's figure there is at least that
    of the process that started this one.
    """
    try:
        status = Path("/proc/self/status").read_text()
    except FileNotFoundError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def measure(contender: str, pages: Path, work: Path) -> dict[str, float]:
    """Run it in a process of its own; sizes in MB."""
    command = [sys.executable, "-m", "bench.memory", contender, str(pages), str(work)]
    root = Path(__file__).parent.parent
    done = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _main(contender: str, pages: Path, work: Path) -> None:
    from bench.contenders import CONTENDERS
    from bench.prepared import Prepared

    chosen = CONTENDERS[contender](work)
    prepared = Prepared(pages)
    before = peak_bytes()
    chosen.load(prepared.pages())
    chosen.settle()
    after = peak_bytes()
    wal = sum(path.stat().st_size for path in work.glob("*-wal"))
    chosen.close()
    main = sum(path.stat().st_size for path in work.glob("*.db"))
    sizes = {"peak": after, "grown": after - before, "file": main, "wal": wal}
    print(json.dumps({f"{name}_mb": round(size / 1e6, 1) for name, size in sizes.items()}))


if __name__ == "__main__":
    _main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
