"""The examples of docs/testing.md, as a reader would run them."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[3] / "docs" / "testing.md"


def test_the_examples_of_the_page_run(monkeypatch: pytest.MonkeyPatch) -> None:
    text = DOCS.read_text()
    page = ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", page)
    blocks = list(re.finditer(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    assert len(blocks) > 4
    for block in blocks:
        # At its own line, so that a traceback leads there.
        code = "\n" * text[: block.start(1)].count("\n") + block.group(1)
        exec(compile(code, DOCS, "exec"), page.__dict__)  # noqa: S102 - our own text
