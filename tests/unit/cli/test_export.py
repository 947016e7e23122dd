from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from tests.unit.cli.support import NAME, NODES, SECRETS, Builder, Run, meta
from vai.types import Redaction, State


@pytest.fixture
def kept(build: Builder) -> Builder:
    build.pods(
        {"metadata": meta("a", "shop", labels={"app": "web"})}, {"metadata": meta("b", "dev")}
    )
    build.table(NODES, [NAME], [({"metadata": meta("n")}, ["n"])])
    return build


@pytest.mark.usefixtures("kept")
def test_stdout_gets_a_line_per_object(run: Run) -> None:
    done = run("export", "pods")
    assert done.exit_code == 0
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["metadata"]["name"] for one in found] == ["b", "a"]
    assert found[0]["kind"] == "Pod"
    assert done.stderr == ""


@pytest.mark.usefixtures("kept")
def test_all_into_a_database(run: Run, tmp_path: Path) -> None:
    target = tmp_path / "out.sqlite"
    done = run("export", "all", "-o", str(target))
    assert (done.exit_code, done.stdout) == (0, "")
    assert f"{target}: 3 objects of 2 resources" in done.stderr
    database = sqlite3.connect(target)
    assert database.execute("SELECT name FROM pods ORDER BY 1").fetchall() == [("a",), ("b",)]
    assert database.execute("SELECT name FROM nodes").fetchall() == [("n",)]
    database.close()


@pytest.mark.usefixtures("kept")
def test_selectors_and_namespaces_narrow_it(run: Run) -> None:
    assert run("export", "po", "-n", "dev,shop", "-l", "app=web").stdout.count("\n") == 1
    assert run("export", "pods,nodes").stdout.count("\n") == 3
    assert (
        run("export", "pods", "nodes", "--field-selector", "metadata.name=n").stdout.count("\n")
        == 1
    )
    done = run("export", "pods", "-l", "app in (")
    assert done.exit_code == 1
    assert "^" in done.stderr


@pytest.mark.usefixtures("kept")
def test_a_target_is_replaced_only_by_force(run: Run, tmp_path: Path) -> None:
    target = tmp_path / "out.ndjson"
    target.write_text("mine")
    done = run("export", "pods", "-o", str(target))
    assert done.exit_code == 1
    assert "exists already" in done.stderr
    assert "--force" in done.stderr
    assert run("export", "pods", "-o", str(target), "--force").exit_code == 0
    assert target.read_bytes().count(b"\n") == 2


@pytest.mark.usefixtures("kept")
def test_the_format_is_the_suffix_or_what_is_said(run: Run, tmp_path: Path) -> None:
    done = run("export", "pods", "-o", str(tmp_path / "pods"))
    assert done.exit_code == 1
    assert "ndjson, sqlite or parquet" in done.stderr
    done = run("export", "pods", "-o", str(tmp_path / "pods"), "--format", "parquet")
    assert done.exit_code == 0
    assert (tmp_path / "pods").read_bytes().startswith(b"PAR1")


def test_an_old_answer_is_served_with_exit_code_3(kept: Builder, run: Run) -> None:
    scope = kept.store.scopes()[0].id
    kept.store.set_state(scope, State.OFFLINE, "connection refused")
    kept.store.flush()
    done = run("export", "pods", "--max-age", "0s")
    assert done.exit_code == 3
    assert done.stdout.count("\n") == 2
    assert "connection refused" in done.stderr
    assert "older than --max-age" in done.stderr


def test_metadata_only_is_said(build: Builder, run: Run) -> None:
    partial = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
    item = {**partial, "metadata": meta("s", "shop")}
    build.table(SECRETS, [NAME], [(item, ["s"])], redaction=Redaction.METADATA)
    done = run("export", "secrets")
    assert done.exit_code == 0
    assert "secrets: 1 written as metadata only" in done.stderr


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(
    ("arguments", "code"), [((), 2), (("pods,",), 2), (("pots",), 1), (("services",), 1)]
)
def test_what_cannot_be_exported_is_said(run: Run, arguments: tuple[str, ...], code: int) -> None:
    done = run("export", *arguments)
    assert (done.exit_code, done.stdout) == (code, "")
    assert done.stderr


def test_a_missing_file_is_named(run: Run, tmp_path: Path) -> None:
    done = run("export", "pods")
    assert done.exit_code == 1
    assert f"no cluster file {tmp_path / 'c.db'}" in done.stderr
