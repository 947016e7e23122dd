"""Everything that we tell people to type runs, and passes a strict type checker."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vai.testing import Simulator

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def documented(page: Path) -> list[str]:
    """The Python blocks of a page that use vai."""
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    return [block for block in blocks if re.search(r"^(import|from) vai\b", block, re.MULTILINE)]


SNIPPETS = {path.name: path.read_text() for path in EXAMPLES} | {
    f"{page.name}-{number}": block
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    for number, block in enumerate(documented(page), 1)
}


def pod(name: str, namespace: str, **labels: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name, **labels}},
        "spec": {"nodeName": "node-1", "containers": [{"name": "main", "image": "x"}]},
        "status": {
            "phase": "Running",
            "podIP": "10.0.0.7",
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A cluster with what the examples speak of, in which something happens all the time."""
    with Simulator(seed=1) as sim:
        for namespace in ("jhub", "shop"):
            sim.add({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        sim.add(pod("jupyter-ann", "jhub", component="singleuser"))
        web = sim.add(pod("web-0", "shop"))
        stop = threading.Event()

        def churn() -> None:
            count = 0
            while not stop.wait(0.1):
                count += 1
                web["metadata"].pop("resourceVersion", None)
                web["metadata"]["labels"]["count"] = str(count)
                sim.update(web)

        writer = threading.Thread(target=churn)
        writer.start()
        yield {"KUBECONFIG": str(sim.kubeconfig(tmp_path / "kubeconfig"))}
        stop.set()
        writer.join()


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 5


@pytest.mark.parametrize("name", SNIPPETS)
def test_an_example_runs(name: str, cluster: dict[str, str], tmp_path: Path) -> None:
    script = tmp_path / "example.py"
    script.write_text(SNIPPETS[name])
    if name == "offline.py":
        subprocess.run(
            [sys.executable, str(ROOT / "examples" / "page.py")],
            cwd=tmp_path,
            env=os.environ | cluster,
            check=True,
            timeout=60,
        )
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env=os.environ | cluster,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_every_example_passes_mypy_strict(tmp_path: Path) -> None:
    for name, text in SNIPPETS.items():
        (tmp_path / re.sub(r"\W", "_", name.removesuffix(".py"))).with_suffix(".py").write_text(
            text
        )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-incremental", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        cwd=tmp_path,
        env=os.environ | {"MYPYPATH": str(ROOT / "python")},
    )
    assert done.returncode == 0, done.stdout
