"""README.md leaves no test of client-go out, and names none of ours that does not exist."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

HERE: Final = Path(__file__).parent
OURS: Final = {"I": "informer", "C": "controller", "S": "store", "X": "index", "L": "lister"}
ROW: Final = re.compile(
    r"^\| (?P<source>\w*) ?\| (?P<theirs>\w+) \| (?P<ours>[^|]+) \|(?P<note>[^|]*)\|$", re.MULTILINE
)


def rows() -> list[tuple[str, str, str, str]]:
    """(source, client-go's test, ours, note)."""
    found, source = [], ""
    for match in ROW.finditer((HERE / "README.md").read_text()):
        source = match["source"] or source
        if source != "source":
            found.append((source, match["theirs"], match["ours"].strip(), match["note"].strip()))
    return found


def test_the_tests_that_are_named_exist() -> None:
    for _, theirs, ours, note in rows():
        if ours == "left out":
            assert note, f"{theirs} is left out without a reason"
            continue
        letter, name = ours.split(" ")
        text = (HERE / f"test_client_go_{OURS[letter]}.py").read_text()
        assert f"\ndef {name.strip('`')}(" in text, ours


def test_no_test_of_the_source_is_left_out() -> None:
    module = "k8s.io/client-go"
    go = shutil.which("go")
    if go is None:
        pytest.skip("there is no Go, so no module cache either")
    asked = [go, "list", "-mod=mod", "-m", "-f", "{{.Dir}}", module]
    folder = HERE.parent / "apiserver"
    done = subprocess.run(
        asked,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"GOFLAGS": "", "GOPROXY": "off"},
    )
    sources = Path(done.stdout.strip() or "/nowhere") / "tools" / "cache"
    if done.returncode or not sources.is_dir():
        pytest.skip(f"Go's module cache has no {module}")
    table = {(source, theirs) for source, theirs, _, _ in rows()}
    for source in {source for source, _ in table}:
        text = (sources / f"{source}_test.go").read_text()
        every = set(re.findall(r"^func ((?:Test|Benchmark|Example)\w*)\(", text, re.MULTILINE))
        assert every <= {theirs for of, theirs in table if of == source}, source
