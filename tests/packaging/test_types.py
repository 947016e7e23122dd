from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path

from tests.packaging.conftest import ROOT, run


def test_the_stubs_say_what_the_extension_has() -> None:
    run(sys.executable, "-m", "mypy.stubtest", "--mypy-config-file", "pyproject.toml", "vai._core")


def test_the_readme_type_checks(tmp_path: Path) -> None:
    # One coroutine of all blocks: later ones may use earlier ones' names, and `await` is legal.
    readme = (ROOT / "README.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", readme, re.DOTALL | re.MULTILINE)
    module = tmp_path / "readme.py"
    body = textwrap.indent("\n".join(blocks) or "pass", "    ")
    module.write_text(f"async def readme() -> None:\n{body}\n")
    run(sys.executable, "-m", "mypy", "--strict", "--config-file", "pyproject.toml", module)
