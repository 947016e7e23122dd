"""Values of Secrets: not in any file unless asked for, and gone again when no longer asked for."""

from __future__ import annotations

import base64
import json
import logging
import shutil
import sqlite3
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

import vai
from tests.apiserver import objects
from tests.apiserver.objects import CANARY, CANARY_FORMS
from tests.apiserver.server import ApiServer
from tests.integration.real import Json, eventually, exact, key_of, listed, redacted, vai_sync
from vai.store import Store
from vai.types import Position

NAMESPACES = 4
HERE = "secret-values"
PATH = "/api/v1/secrets"
#: Of a compressed body: enough that it stands nowhere else.
FRAGMENT_BYTES = 24

#: The canary's base64 form as it also stands where the value does not begin with it.
FORMS = (*CANARY_FORMS, b"7f3e9c1db5a84e60")


@pytest.fixture(scope="module")
def server(apiserver: ApiServer) -> ApiServer:
    made = [
        space
        for space in objects.namespaces(NAMESPACES)
        if apiserver.request("GET", f"/api/v1/namespaces/{space['metadata']['name']}").status == 404
    ]
    apiserver.create_many(made)
    missing = [
        secret
        for secret in objects.secrets(200, namespace_count=NAMESPACES)
        if apiserver.request("GET", apiserver.kinds.path(secret)).status == 404
    ]
    apiserver.create_many(missing)
    maps = objects.config_maps(200, seed=7, namespace_count=NAMESPACES)
    absent = [m for m in maps if apiserver.request("GET", apiserver.kinds.path(m)).status == 404]
    apiserver.create_many(absent)
    return apiserver


@pytest.fixture
def log_lines() -> Iterator[list[str]]:
    """Everything that any library says, down to DEBUG."""
    lines: list[str] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    root, handler = logging.getLogger(), Collect()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield lines
    root.removeHandler(handler)
    root.setLevel(before)


def copied(folder: Path, scratch: Path) -> Path:
    """The files as they are on disk at this moment.

    By another process: one that closes a descriptor of a database drops SQLite's locks on it.
    """
    if scratch.exists():
        shutil.rmtree(scratch)
    subprocess.run(["cp", "-R", str(folder), str(scratch)], check=True)
    return scratch


def files_with(forms: Iterable[bytes], folder: Path, scratch: Path) -> list[str]:
    """The files that have one of these bytes anywhere: pages in use, free pages, WAL, all."""
    wanted = tuple(forms)
    return sorted(
        path.name
        for path in copied(folder, scratch).iterdir()
        if any(form in path.read_bytes() for form in wanted)
    )


def every_body(file: Path) -> list[bytes]:
    """All bodies that can be read: the current ones, and all versions of the history."""
    found = current(file)
    with Store(file, "reader") as store:
        secrets, epoch = [store.resolve("secrets")], store.position().epoch
        try:
            history = store.changes(secrets, Position(epoch, 0))
        except vai.ExpiredError as error:
            history = store.changes(secrets, Position(epoch, error.oldest_seq or 0))
        while batch := history.next_batch(1000, 0.0):
            found += [body for row in batch for body in (row.new, row.old) if body]
    return found


def stored(file: Path, scratch: Path) -> tuple[list[bytes], list[bytes]]:
    """(compressed bodies of Secrets with their values, dictionaries and documents)."""
    connection = sqlite3.connect(copied(file.parent, scratch) / file.name)
    bodies = connection.execute(
        "SELECT version.body FROM version JOIN scope ON scope.id = version.scope"
        " JOIN resource ON resource.id = scope.resource"
        " WHERE resource.plural = 'secrets' AND scope.redaction = 0"
    ).fetchall()
    others = connection.execute(
        "SELECT bytes FROM dictionary UNION ALL SELECT body FROM document"
        " UNION ALL SELECT cells FROM cells"
    ).fetchall()
    connection.close()
    return [body for (body,) in bodies], [data for (data,) in others]


def churn(server: ApiServer, round_: int) -> None:
    """Creates, changes and deletes Secrets, so that watches carry them too."""
    for index in range(6):
        value = base64.b64encode(f"{CANARY}-{round_}-{index}".encode()).decode()
        name = f"churned-{round_}-{index}"
        applied = json.dumps({"stringData": {"password": f"{CANARY}-{round_}"}})
        secret: Json = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": name,
                "namespace": "team-00",
                "annotations": {
                    "kubectl.kubernetes.io/last-applied-configuration": applied,
                    "note": "kept",
                },
            },
            "data": {"password": value},
        }
        server.create_many([secret])
        path = server.kinds.path(secret)
        server.patch(path, {"stringData": {"password": f"{CANARY}-changed"}})
        if index % 2:
            server.delete(path)


def test_without_the_switch_values_never_come_and_turned_off_again_they_go(
    server: ApiServer, tmp_path: Path, log_lines: list[str]
) -> None:
    config = server.write_kubeconfig(path=tmp_path.parent / "kubeconfig-secrets")
    folder = tmp_path / "files"
    folder.mkdir()
    file, scratch = folder / "c.db", tmp_path / "copy"

    def check_clean(round_: int) -> None:
        assert eventually(lambda: kept(file) == wanted(server))
        churn(server, round_)
        assert eventually(lambda: kept(file) == wanted(server))
        bodies = every_body(file)
        assert len(bodies) > 200
        valued, others = stored(file, scratch)
        assert valued == []
        for form in FORMS:
            assert not any(form in body for body in (*bodies, *others))
            assert not any(form in line.encode() for line in log_lines)
        assert files_with(FORMS, folder, scratch) == []

    # ConfigMaps too: a dictionary is trained beside them.
    with vai.connect(file, ["secrets", "configmaps"], kubeconfig=config) as cache:
        cache.wait_synced(timeout=30)
        check_clean(1)
        assert {"c.db-wal", "c.db-shm", "c.db.live"} <= {path.name for path in folder.iterdir()}
    assert files_with(FORMS, folder, scratch) == []

    # The same means find them when they are there.
    scopes = ["secrets", "configmaps"]
    with vai.connect(file, scopes, kubeconfig=config, secret_values=True) as cache:
        cache.wait_synced(timeout=30)
        assert eventually(lambda: kept(file) == listed(server, PATH)[1])
        # Not that of the scope without values, which nobody syncs now.
        assert eventually(lambda: cache.freshness("secrets").state is vai.State.LIVE)
        churn(server, 2)
        assert eventually(lambda: kept(file) == listed(server, PATH)[1])
        assert any(CANARY_FORMS[1] in body for body in every_body(file))
        valued, _ = stored(file, scratch)
        fragments = [body[len(body) // 2 :][:FRAGMENT_BYTES] for body in valued]
        assert len(fragments) >= 200
        assert files_with(fragments, folder, scratch)
        # Secrets never feed a dictionary, and no log has them.
        assert not any(form in line.encode() for form in FORMS for line in log_lines)
    assert files_with(fragments, folder, scratch)

    with vai.connect(file, ["secrets", "configmaps"], kubeconfig=config) as cache:
        cache.wait_synced(timeout=30)
        check_clean(3)
        assert files_with(fragments, folder, scratch) == []
    assert files_with(fragments, folder, scratch) == []
    print(f"{len(fragments)} bodies with values, {len(log_lines)} log lines, all gone")


def current(file: Path) -> list[bytes]:
    """The bodies as they are kept; `Object` refuses to show a redacted one as if it were whole."""
    with Store(file, "reader") as store:
        rows = store.rows(store.resolve("secrets"))
        return [rows[index].raw for index in range(len(rows))]


def kept(file: Path) -> dict[str, Json]:
    return {key_of(item): item for item in map(exact, current(file))}


def wanted(server: ApiServer) -> dict[str, Json]:
    """What the server has, after the documented redaction."""
    items = exact(server.request("GET", PATH).ok().body)["items"]
    return {key_of(item): redacted(item) for item in items}


def test_the_command_line_prints_no_value(server: ApiServer, tmp_path: Path) -> None:
    file = tmp_path / "c.db"
    done = vai_sync(server, file, "--resources=secrets")
    assert done.returncode == 0, done.stderr
    assert not any(form.decode() in done.stdout + done.stderr for form in FORMS)
    assert files_with(FORMS, tmp_path, tmp_path.with_suffix(".copy")) == []


def test_a_full_read_of_a_redacted_secret_names_the_switch(
    server: ApiServer, tmp_path: Path
) -> None:
    file = tmp_path / "c.db"
    assert vai_sync(server, file, "--resources=secrets").returncode == 0
    with vai.open(file) as cache:
        secret = cache.snapshot("secrets")["team-00/credentials-00000"]
        assert secret.labels == {"vault": "true"}
        with pytest.raises(vai.NotKeptError, match="secret_values"):
            secret["data"]
        with pytest.raises(vai.NotKeptError, match="secret_values"):
            _ = cache.list("secrets").raw
