"""Refuse what must not be committed: addresses of registries, paths of one machine, big files.

A registry's address in the tree would override the mirror that somebody has configured.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

# Written so that this file does not match itself.
FORBIDDEN = re.compile(
    r"[./](?:pypi[.]org|pythonhosted[.]org|crates[.]io|proxy[.]golang[.]org|npmjs[.]org)"
    r"|(?<![\w.~*}-])/[w]ork/"
)
# Cargo itself writes its registry's name into the lock file.
EXEMPT = {"Cargo.lock"}
MAX_BYTES = 1_000_000


def main() -> int:
    """Print each finding as ``file:line: what``; the number of findings decides the exit code."""
    findings = 0
    listed = subprocess.run(["git", "ls-files", "-z"], check=True, capture_output=True, text=True)
    for name in filter(None, listed.stdout.split("\0")):
        path = Path(name)
        if not path.is_file():
            continue
        content = path.read_bytes()
        if len(content) > MAX_BYTES:
            print(f"{name}: {len(content)} bytes, at most {MAX_BYTES} are allowed")
            findings += 1
        if path.name in EXEMPT or b"\0" in content:
            continue
        for number, line in enumerate(content.decode().splitlines(), 1):
            if match := FORBIDDEN.search(line):
                print(f"{name}:{number}: {match.group()!r} must not be committed")
                findings += 1
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
