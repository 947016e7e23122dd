"""What this machine has: the packages, the build, space."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from vai.cli.health.verdict import Line, failure, ok, warning
from vai.cli.status import megabytes

#: pyproject.toml has the reasons.
_LEAST_KUBERNETES: Final = (29,)
_BAD_KUBERNETES: Final = frozenset({"36.0.0"})
#: https://sqlite.org/wal.html: from 3.7.0 until here a checkpoint could lose what a reset wrote.
_LEAST_SQLITE: Final = (3, 51, 3)
#: The log may grow to 64 MB, and a commit needs room beside it.
_LEAST_FREE_BYTES: Final = 128_000_000


def build() -> Line:
    """Whether the engine is an optimised one, with a sound SQLite."""
    from vai.store import build_profile, sqlite_version

    text = f"vai-cache {version('vai-cache')}, a {build_profile} build with SQLite {sqlite_version}"
    if _numbers(sqlite_version) < _LEAST_SQLITE:
        return failure("build", text, "use vai's own wheels: this SQLite can damage a log")
    if build_profile != "release":
        return warning("build", text, "it is many times slower: make build, or install a wheel")
    return ok("build", text)


def kubernetes() -> Line:
    """Whether the package behind the credentials is one that works."""
    try:
        found = version("kubernetes")
    except PackageNotFoundError:
        return failure(
            "kubernetes", "the package is not installed", "pip install 'kubernetes>=29,!=36.0.0'"
        )
    text = f"the package kubernetes {found}"
    if found in _BAD_KUBERNETES:
        return failure("kubernetes", f"{text} sends no token", "pip install -U kubernetes")
    if _numbers(found) < _LEAST_KUBERNETES:
        return failure("kubernetes", f"{text} is too old", "pip install -U 'kubernetes>=29'")
    return ok("kubernetes", text)


def space(path: Path) -> Iterator[Line]:
    """Whether the disk has room for the file's log, and for a copy of the file."""
    free = shutil.disk_usage(path.parent).free
    size = path.stat().st_size
    text = f"{megabytes(free)} free beside a file of {megabytes(size)}"
    if free < _LEAST_FREE_BYTES:
        yield failure("space", text, "make room: what can't be written is not synced")
    elif free < size:
        yield warning("space", text, "make room: a backup, or the file's own doubling, won't fit")
    else:
        yield ok("space", text)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])
