"""Paths that are no cluster file of ours: refused, and left as they are."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

import vai
from tests.faults.processes import VAI, run, wait_until
from tests.faults.test_bad_answers import pod
from vai.testing import Simulator

#: SQLite's header: user_version, in bytes 60 to 63.
_SCHEMA: Final = slice(60, 64)


def text_file(path: Path) -> None:
    path.write_text("a shopping list: " * 500)


def short_file(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\0")


def other_database(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE recipe (name TEXT)")
    connection.execute("INSERT INTO recipe VALUES ('soup')")
    connection.commit()
    connection.close()


def newer_file(path: Path) -> None:
    with Simulator() as sim, tempfile.TemporaryDirectory() as folder:
        config = sim.kubeconfig(Path(folder, "kubeconfig"))
        assert run(*arguments(path, config), "--once").returncode == 0
    for beside in path.parent.glob(f"{path.name}?*"):
        beside.unlink()
    content = bytearray(path.read_bytes())
    content[_SCHEMA] = (9999).to_bytes(4, "big")
    path.write_bytes(content)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.mkdir()
    (path / "child").write_text("x")


def arguments(path: Path, config: Path) -> tuple[str, ...]:
    return ("sync", f"--file={path}", f"--kubeconfig={config}", "--resources=pods")


def looks(path: Path) -> dict[str, object]:
    """Everything in a folder: names, kinds, times and contents."""
    return {
        str(one): (
            one.stat().st_mode,
            one.stat().st_mtime_ns,
            one.stat().st_size,
            one.read_bytes() if one.is_file() else None,
        )
        for one in [path, *path.rglob("*")]
    }


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (text_file, vai.NotAVaiFileError),
        (short_file, vai.NotAVaiFileError),
        (other_database, vai.NotAVaiFileError),
        (folder, vai.NotAVaiFileError),
        (pipe, vai.NotAVaiFileError),
        (newer_file, vai.SchemaTooNewError),
    ],
    ids=["text", "short", "sqlite", "folder", "pipe", "newer"],
)
def test_what_is_not_ours_is_refused_and_left_as_it_is(
    sim: Simulator, tmp_path: Path, make: Callable[[Path], None], error: type[vai.FileError]
) -> None:
    config = sim.kubeconfig(tmp_path / "kubeconfig")
    place = tmp_path / "place"
    place.mkdir()
    path = place / "c.db"
    make(path)
    before = looks(place)
    with pytest.raises(error, match=str(path)) as caught:
        vai.connect(path, ["pods"], kubeconfig=config)
    assert looks(place) == before
    with pytest.raises(error, match=str(path)):
        vai.open(path)
    assert looks(place) == before
    done = run(*arguments(path, config))
    if make is folder:
        # Wrong usage, to the command line.
        assert (done.returncode, done.stdout) == (2, "")
        assert "is a directory" in done.stderr
    else:
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == f"vai: {caught.value}\n"
    assert looks(place) == before


@pytest.mark.parametrize("name", ["nowhere/c.db", "kubeconfig/c.db"])
def test_a_folder_that_is_not_there_is_named(sim: Simulator, tmp_path: Path, name: str) -> None:
    config = sim.kubeconfig(tmp_path / "kubeconfig")
    with pytest.raises(vai.VaiError, match=str((tmp_path / name).parent)):
        vai.connect(tmp_path / name, ["pods"], kubeconfig=config)
    with pytest.raises(vai.VaiError, match=str((tmp_path / name).parent)):
        vai.open(tmp_path / name)


def without_privileges(*command: str) -> subprocess.CompletedProcess[str]:
    """Runs vai as a user for whom permissions hold: root, without what sets it above them."""
    capabilities = "--bounding-set=-dac_override,-dac_read_search"
    before: tuple[str, ...] = ()
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root ignores permissions, and there is no setpriv to make it heed them")
        before = ("setpriv", capabilities, "--inh-caps=-dac_override,-dac_read_search")
    return subprocess.run(
        [*before, *VAI, *command], capture_output=True, text=True, check=False, timeout=60
    )


def test_a_file_that_may_only_be_read_is_not_written_and_a_backup_of_it_is_read(
    sim: Simulator, tmp_path: Path
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    sim.apply(pod("p-00"))
    file, config = place / "c.db", sim.kubeconfig(tmp_path / "kubeconfig")
    assert run(*arguments(file, config), "--once").returncode == 0
    assert run("backup", str(place / "b.db"), f"--file={file}").returncode == 0
    # A writer that ends takes the log and its shared memory away, a reader leaves them.
    assert run(*arguments(file, config), "--once").returncode == 0
    assert {stat.S_IMODE(one.stat().st_mode) for one in place.iterdir()} == {0o600}
    for one in place.iterdir():
        one.chmod(0o444)
    place.chmod(0o555)
    before = looks(place)
    try:
        refused = [
            without_privileges(*arguments(file, config)),
            without_privileges(*arguments(place / "new.db", config)),
            # Its log can't be shared, though there is nothing in it.
            without_privileges("get", "pods", "-A", f"--file={file}"),
        ]
        assert [done.returncode for done in refused] == [1, 1, 1]
        for done in refused:
            assert done.stdout == ""
            assert str(place) in done.stderr
            assert "denied" in done.stderr
            assert "Traceback" not in done.stderr
        assert "vai backup" in refused[2].stderr
        assert looks(place) == before
        read = without_privileges("get", "pods", "-A", "-o", "name", f"--file={place / 'b.db'}")
        assert (read.returncode, read.stdout) == (0, "pod/p-00\n"), read.stderr
        file.chmod(0o000)
        done = without_privileges("get", "pods", "-A", f"--file={file}")
        # Wrong usage, to the command line.
        assert (done.returncode, done.stdout) == (2, "")
        assert f"'{file}' is not readable" in done.stderr
    finally:
        place.chmod(0o755)


def test_a_file_of_another_cluster_is_refused_and_keeps_what_it_has(
    sim: Simulator, tmp_path: Path
) -> None:
    sim.apply(pod("p-00"))
    file = tmp_path / "c.db"
    config = sim.kubeconfig(tmp_path / "kubeconfig")
    with vai.connect(file, ["pods"], kubeconfig=config) as cache:
        cache.wait_synced(timeout=30)
    with Simulator(seed=12) as other:
        elsewhere = other.kubeconfig(tmp_path / "elsewhere")
        with vai.connect(file, ["pods"], kubeconfig=elsewhere) as cache:
            # A file that was synced before answers at once, until it is known.
            wait_until(lambda: cache.freshness("pods").state is vai.State.STALE)
            with pytest.raises(vai.OtherClusterError, match=other.url):
                cache.wait_synced(timeout=30)
            assert list(cache.snapshot("pods")) == ["shop/p-00"]
            freshness = cache.freshness("pods")
            assert freshness.state is vai.State.STALE
            assert other.url in freshness.reason
        assert other.request_log.lists() == []
    with vai.connect(file, ["pods"], kubeconfig=config) as cache:
        wait_until(lambda: cache.freshness("pods").state is vai.State.LIVE)
    assert len(sim.request_log.lists("pods")) == 1
