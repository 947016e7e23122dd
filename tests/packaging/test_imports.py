from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = ("kubernetes", "click", "rich")


def modules_after(statement: str) -> set[str]:
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    shown = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
    ).stdout
    return set(json.loads(shown))


def test_importing_vai_imports_neither_kubernetes_nor_a_cli_library() -> None:
    loaded = modules_after("import vai")
    assert "vai" in loaded
    assert loaded.isdisjoint(HEAVY)


def test_importing_vai_never_loads_a_second_sqlite() -> None:
    assert "sqlite3" not in modules_after("import vai, vai.store")


@pytest.mark.parametrize("name", HEAVY)
def test_what_the_first_test_looks_for_can_be_seen(name: str) -> None:
    assert name in modules_after(f"import {name}")
