from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from tests.timing import wait_until
from tests.unit.cli.support import NAME, NODES, PODS, Builder, Run, meta
from vai.cli import reading
from vai.cli.command import as_written
from vai.reflector.selfcheck import Finding
from vai.store import Store
from vai.types import UNKNOWN_SCOPES, Redaction, RequestCount, Scope, State

COMMANDS = (
    "get", "sync", "status", "forget", "export", "backup", "rbac", "doctor", "demo", "completion",
)  # fmt: skip


# --- all commands


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_examples(run: Run, command: str) -> None:
    done = run(command, "--help")
    assert done.exit_code == 0
    assert "Examples:\n" in done.stdout
    assert f"vai {command}" in done.stdout


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "completion"])
def test_exit_codes_are_part_of_the_help(run: Run, command: str) -> None:
    assert "Exit codes:\n    0  " in run(command, "--help").stdout


def test_the_list_of_commands_names_each_with_its_own_words(run: Run) -> None:
    text = run("--help").stdout
    for command in COMMANDS:
        assert f"  {command} " in text
    assert "3  served, but older than --max-age" in text


def test_an_unknown_command_is_wrong_usage(run: Run) -> None:
    done = run("gett")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "gett" in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_the_shells_script(run: Run, shell: str) -> None:
    done = run("completion", shell)
    assert done.exit_code == 0
    assert "_VAI_COMPLETE" in done.stdout


def test_resources_of_the_file_are_completed(build: Builder) -> None:
    build.pods()
    done = subprocess.run(
        [sys.executable, "-m", "vai"],
        env={
            "_VAI_COMPLETE": "bash_complete", "COMP_WORDS": "vai get po", "COMP_CWORD": "2",
            "VAI_FILE": str(build.path),
        },
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "plain,pods\n"


def test_indented_blocks_stay_as_they_are_written() -> None:
    text = as_written("Words.\n\nExamples:\n  vai get\n\nMore words: yes.")
    assert text == "Words.\n\n\b\nExamples:\n  vai get\n\nMore words: yes."


def test_reads_know_where_the_writer_notes_why_it_could_not_begin() -> None:
    from vai.informer import informer

    assert reading.PROBLEM == informer.PROBLEM


# --- files that cannot be used


@pytest.mark.parametrize(
    "command", [("get", "pods"), ("status",), ("forget", "pods"), ("backup", "t")]
)
def test_a_missing_file_is_named(run: Run, tmp_path: Path, command: tuple[str, ...]) -> None:
    done = run(*command)
    assert (done.exit_code, done.stdout) == (1, "")
    assert f"no cluster file {tmp_path / 'c.db'}" in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [("get", "pods"), ("status",), ("forget", "pods")])
def test_a_file_that_is_not_vais_is_refused_untouched(
    run: Run, tmp_path: Path, command: tuple[str, ...]
) -> None:
    path = tmp_path / "c.db"
    path.write_bytes(b"something else" * 100)
    done = run(*command)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "not a vai" in done.stderr
    assert done.stderr.count("\n") == 1
    assert path.read_bytes() == b"something else" * 100


def test_a_file_of_a_newer_schema_is_refused(build: Builder, run: Run) -> None:
    build.close()
    content = bytearray(build.path.read_bytes())
    content[60:64] = (9999).to_bytes(4, "big")  # SQLite's user_version
    build.path.write_bytes(content)
    done = run("get", "pods")
    assert done.exit_code == 1
    assert "newer" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_file_that_knows_nothing_yet_was_never_synced(tmp_path: Path, run: Run) -> None:
    builder = Builder(tmp_path / "c.db")
    builder.store.put_document(reading.PROBLEM, b"https://127.0.0.1:6443: connection refused")
    done = run("get", "pods")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "never synced" in done.stderr
    assert "connection refused" in done.stderr
    status = json.loads(run("status", "-o", "json").stdout)
    assert status["scopes"] == []
    assert "connection refused" in status["problems"]["sync"]
    text = run("status").stdout
    assert "never synced" in text
    assert "Problem:  sync: https://127.0.0.1:6443: connection refused" in text
    builder.close()


# --- status


def test_status_tells_of_drift_and_of_what_was_not_checked(build: Builder, run: Run) -> None:
    pods = build.pods({"metadata": meta("a", "shop")})
    assert "Drift" not in run("status").stdout
    assert "Check" not in run("status").stdout
    keys = ("missing shop/b", "older shop/a")
    finding = Finding(at_s=time.time() - 60, missing=1, older=12, keys=keys, times=3)
    build.store.put_document(f"selfcheck/{pods}", msgspec.json.encode(finding))
    build.store.checked(pods, "403 Forbidden: no")
    told = run("status").stdout
    (drift,) = re.findall(r"^Drift: .*", told, re.MULTILINE)
    assert drift.startswith("Drift:    pods: 1m")
    assert drift.endswith(
        " ago 1 missing, 12 older: missing shop/b, older shop/a and 11 more"
        " (being listed again, 3 times so far)"
    )
    assert "Check:    pods could not be compared with the server: 403 Forbidden: no\n" in told
    status = json.loads(run("status", "-o", "json").stdout)
    assert status["drift"][0]["found"]["missing"] == 1
    assert status["scopes"][0]["check_note"] == "403 Forbidden: no"


def test_status_is_json_for_machines(build: Builder, run: Run) -> None:
    build.pods({"metadata": meta("a", "shop")}, namespace="shop")
    status = json.loads(run("status", "-o", "json").stdout)
    assert set(status) == {
        "cluster",
        "scopes",
        "fields",
        "consumers",
        "requests",
        "problems",
        "drift",
    }
    assert status["cluster"]["server"] == "https://127.0.0.1:6443"
    (scope,) = status["scopes"]
    first = ["resource", "namespace", "state", "age_s", "objects", "resource_version"]
    assert list(scope)[:6] == first
    assert (scope["resource"], scope["namespace"], scope["state"]) == ("pods", "shop", "live")
    assert (scope["objects"], scope["resource_version"]) == (1, "100")
    assert 0 <= scope["age_s"] < 60


def test_status_tells_what_the_writer_asked_the_server_for(build: Builder, run: Run) -> None:
    scope = build.pods({"metadata": meta("a", "shop")}, namespace="shop")
    build.store.count(scope, "list", RequestCount(requests=2, received_bytes=1_500_000, retries=1))
    build.store.count(scope, "watch", RequestCount(requests=3, received_bytes=500_000))
    build.store.count(0, "discovery", RequestCount(requests=2, received_bytes=90, throttled=1))
    build.store.set_state(scope, State.CATCHING_UP)
    text = run("status").stdout
    assert "Asked:    7 requests (2 list, 3 watch, 2 discovery), 2.0 MB received in" in text
    assert ", 1 repeated, 1 times 429" in text
    assert ["5", "2.0", "MB"] in [line.split()[-3:] for line in text.splitlines()]
    status = json.loads(run("status", "-o", "json").stdout)
    assert status["requests"]["total"] == {
        "requests": 7, "received_bytes": 2_000_090, "retries": 1, "throttled": 1,
    }  # fmt: skip
    assert status["scopes"][0]["requests"]["list"]["requests"] == 2
    assert status["requests"]["verbs"]["watch"]["received_bytes"] == 500_000


def test_status_names_what_was_asked_for_and_does_not_exist(build: Builder, run: Run) -> None:
    build.store.put_document(UNKNOWN_SCOPES, b'{"podz": "no podz; did you mean pods?"}')
    assert "Problem:  podz: no podz; did you mean pods?" in run("status").stdout
    status = json.loads(run("status", "-o", "json").stdout)
    assert status["problems"] == {"podz": "no podz; did you mean pods?"}


def test_status_tells_what_is_indexed_and_what_does_not_parse(build: Builder, run: Run) -> None:
    build.pods({"metadata": {**meta("a", "shop"), "annotations": {"level": "high"}}})
    build.store.index(PODS, ".metadata.annotations.level", "int")

    def level() -> dict[str, object]:
        fields = json.loads(run("status", "-o", "json").stdout)["fields"]
        return next(one for one in fields if one["name"] == "metadata.annotations.level")

    wait_until(lambda: level()["ready"])
    assert level() == {
        "resource": "pods",
        "name": "metadata.annotations.level",
        "aliases": [],
        "paths": [".metadata.annotations.level"],
        "type": "int",
        "many": False,
        "selectable": False,
        "source": "user",
        "ready": True,
        "progress": 1.0,
        "invalid": 1,
        "invalid_example": "shop/a",
    }
    told = "Fields:   pods metadata.annotations.level: 1 of its values is no int, as of shop/a"
    assert told in run("status").stdout.splitlines()


def test_a_wrong_file_of_fields_is_wrong_usage(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "fields.toml"
    path.write_text('[pods]\n".spec.x" = "integer"')
    done = run("sync", "--resources", "pods", "--fields", str(path))
    assert done.exit_code == 2
    assert "--fields" in done.stderr
    assert '[pods] ".spec.x"' in done.stderr
    assert not (tmp_path / "c.db").exists()


def test_status_is_a_table_for_people(build: Builder, run: Run) -> None:
    build.pods({"metadata": meta("a", "shop")}, namespace="shop")
    scope = build.table(NODES, [NAME], [])
    build.store.set_state(scope, State.OFFLINE, "connection refused")
    build.store.flush()
    text = run("status").stdout
    rows = [line.split() for line in text.splitlines()]
    assert ["pods", "shop", "live"] in [row[:3] for row in rows]
    assert ["nodes", "<all>", "offline"] in [row[:3] for row in rows]
    assert "connection refused" in text
    assert "https://127.0.0.1:6443" in text


# --- forget and backup


def test_forget_is_refused_while_a_writer_runs(build: Builder, run: Run) -> None:
    import os

    build.pods({"metadata": meta("a", "default")})
    # This process is the writer; the command is another one.
    done = subprocess.run(
        [sys.executable, "-m", "vai", "forget", "pods", "--file", str(build.path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert str(os.getpid()) in done.stderr
    assert "Traceback" not in done.stderr
    assert run("get", "pod", "a").exit_code == 0


def test_forget_deletes_only_what_was_named(build: Builder, run: Run) -> None:
    build.pods({"metadata": meta("a", "shop")}, namespace="shop")
    build.pods({"metadata": meta("b", "dev")}, namespace="dev")
    build.table(NODES, [NAME], [({"metadata": meta("n")}, ["n"])])
    build.close()
    done = run("forget", "po", "-n", "shop")
    assert (done.exit_code, done.stdout) == (0, "forgot pods in shop: 1 objects\n")
    kept = json.loads(run("status", "-o", "json").stdout)["scopes"]
    assert [(one["resource"], one["namespace"]) for one in kept] == [
        ("pods", "dev"),
        ("nodes", None),
    ]
    assert run("get", "pods", "-n", "shop").exit_code == 1
    again = run("forget", "po", "-n", "shop")
    assert again.exit_code == 1
    assert "it keeps pods in dev, nodes" in again.stderr


def test_a_backup_is_a_whole_copy_and_replaces_nothing(
    build: Builder, run: Run, tmp_path: Path
) -> None:
    build.pods({"metadata": meta("a", "default")})
    target = tmp_path / "copy.db"
    assert run("backup", str(target)).exit_code == 0
    assert target.stat().st_mode & 0o777 == 0o600
    with Store(target, "reader") as copy:
        assert copy.rows(PODS).keys() == ["default/a"]
    before = target.read_bytes()
    again = run("backup", str(target))
    assert again.exit_code == 1
    assert "copy.db" in again.stderr
    assert target.read_bytes() == before


# --- sync's arguments


@pytest.mark.parametrize(
    "arguments",
    [(), ("--resources", ""), ("--resources", "pods,"), ("--resources", "pods", "-n", ","),
     ("--resources", "pods", "--timeout", "5s"),
     ("--resources", "pods", "--once", "--timeout", "soon")],
)  # fmt: skip
def test_wrong_usage_of_sync_is_exit_code_2(
    run: Run, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    done = run("sync", *arguments)
    assert done.exit_code == 2
    assert not (tmp_path / "c.db").exists()


def test_sync_with_a_bad_selector_points_at_it(run: Run, tmp_path: Path) -> None:
    done = run("sync", "--resources", "pods", "-l", "app in ((a")
    assert done.exit_code == 1
    assert "\n  app in ((a\n" in done.stderr
    assert done.stderr.endswith("^\n")
    assert not (tmp_path / "c.db").exists()


# --- what is to be synced


def test_of_what_is_in_several_lists_the_narrowest_counts() -> None:
    from vai.cli.sync import _scopes

    common = Scope("", exclude=("events",))
    found = _scopes(["*", "configmaps"], ["pods"], ["configmaps"], common)
    assert [(one.resource, one.exclude, one.priority, one.redaction) for one in found] == [
        ("*", ("events", "configmaps"), None, None),
        ("pods", ("events", "configmaps"), 50, None),
        ("configmaps", ("events",), None, Redaction.METADATA),
    ]


def test_names_by_comma_are_completed_one_after_the_other(build: Builder) -> None:
    from click import Context

    from vai.cli.options import complete_resources
    from vai.cli.sync import sync

    with Context(sync) as ctx:
        ctx.params = {"file": str(build.path)}
        found = complete_resources(ctx, sync.params[0], "nodes,po")
    assert found == ["nodes,pods"]


def test_a_wrong_budget_is_a_wrong_usage(run: Run) -> None:
    done = run("sync", "--resources", "pods", "--bytes-per-second", "10")
    assert done.exit_code == 2
    assert "at least 80000" in done.stderr
