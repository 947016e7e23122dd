from __future__ import annotations

import json
import stat
import time
from pathlib import Path
from typing import Any

import pytest

from tests.unit.kube.test_transport import make_certificate
from vai.errors import OfflineError
from vai.kube.credentials import Credentials
from vai.kube.kubeconfig import Access


class NoSettings:
    """A Configuration that knows no authentication."""

    def auth_settings(self) -> dict[str, Any]:
        return {}


def access(**user: Any) -> Access:
    return Access(origin="kubeconfig kc", context="c", server="https://x", user=user)


def made(**user: Any) -> Credentials:
    return Credentials(access(**user), NoSettings)


def plugin(folder: Path, script: str) -> dict[str, Any]:
    """An exec plugin that counts its runs in a file beside it."""
    path = folder / "plugin"
    path.write_text(f"#!/bin/sh\necho run >> {folder}/runs\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return {"apiVersion": "client.authentication.k8s.io/v1", "command": str(path)}


def says(**status: Any) -> str:
    credential = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": status,
    }
    return f"cat <<'END'\n{json.dumps(credential)}\nEND"


def runs(folder: Path) -> int:
    return len((folder / "runs").read_text().splitlines())


def test_a_token_is_sent_as_it_is() -> None:
    assert made(token="abc").headers() == [("Authorization", "Bearer abc")]  # noqa: S106


def test_impersonation_is_not_lost() -> None:
    found = made(
        **{"token": "t", "as": "ann", "as-groups": ["a", "b"], "as-user-extra": {"k": ["v"]}}
    ).headers()
    assert found[1:] == [
        ("Impersonate-User", "ann"),
        ("Impersonate-Group", "a"),
        ("Impersonate-Group", "b"),
        ("Impersonate-Extra-k", "v"),
    ]


def test_a_token_file_is_read_again_after_a_while_and_after_a_401(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "token"
    file.write_text("one\n")
    found = made(tokenFile=str(file))
    assert found.headers() == [("Authorization", "Bearer one")]
    file.write_text("two\n")
    assert found.headers() == [("Authorization", "Bearer one")]
    assert found.renew(found.generation)
    assert found.headers() == [("Authorization", "Bearer two")]
    file.write_text("three\n")
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 51)
    # However the wall clock was set meanwhile.
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert found.headers() == [("Authorization", "Bearer three")]


def test_a_token_file_that_went_away_leaves_the_last_token(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("one\n")
    found = made(tokenFile=str(file))
    found.headers()
    file.unlink()
    assert not found.renew(found.generation)
    assert found.headers() == [("Authorization", "Bearer one")]


def test_a_token_file_that_never_was_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(OfflineError, match=r"kubeconfig kc: tokenFile .*/no: No such file"):
        made(tokenFile=str(tmp_path / "no")).headers()


def test_a_plugin_runs_once_until_its_token_expires(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = {"token": "from-plugin", "expirationTimestamp": "2030-01-01T00:00:00Z"}
    found = made(exec=plugin(tmp_path, says(**status)))
    for _ in range(3):
        assert found.headers() == [("Authorization", "Bearer from-plugin")]
    assert runs(tmp_path) == 1
    monkeypatch.setattr(time, "time", lambda: 1893456000.0)
    found.headers()
    assert runs(tmp_path) == 2


def test_after_a_401_a_plugin_runs_once_for_all_who_got_it(tmp_path: Path) -> None:
    found = made(exec=plugin(tmp_path, says(token="t")))  # noqa: S106
    found.headers()
    seen = found.generation
    assert found.renew(seen)
    assert found.renew(seen)
    assert runs(tmp_path) == 2


def test_a_plugin_may_bring_a_certificate(tmp_path: Path) -> None:
    found = made(exec=plugin(tmp_path, says(clientCertificateData="C", clientKeyData="K")))
    assert found.headers() == []
    assert found.certificate == (b"C", b"K")


def test_certificates_in_files_are_read_again_once_both_are_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    old, new = make_certificate(tmp_path / "a"), make_certificate(tmp_path / "b")
    files = tmp_path / "client.crt", tmp_path / "client.key"
    for file, content in zip(files, old, strict=True):
        file.write_bytes(content)
    found = Credentials(
        Access(
            origin="kubeconfig kc",
            context="c",
            server="https://x",
            certificate=old,
            certificate_files=(str(files[0]), str(files[1])),
        ),
        NoSettings,
    )
    found.headers()
    assert (found.certificate, found.generation) == (old, 0)
    files[0].write_bytes(new[0])
    assert not found.renew(found.generation)
    assert found.certificate == old
    files[1].write_bytes(new[1])
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 51)
    found.headers()
    assert (found.certificate, found.generation) == (new, 1)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo one >&2; echo 'please log in' >&2; exit 3", "failed: please log in"),
        ("exit 3", "failed: exec: process returned 3"),
        ("echo nonsense", "failed: exec: failed to decode"),
        (says(), "gave neither a token nor a certificate"),
    ],
)
def test_a_failing_plugin_is_named_with_its_last_line(
    tmp_path: Path, script: str, said: str
) -> None:
    with pytest.raises(OfflineError, match=said) as caught:
        made(exec=plugin(tmp_path, script)).headers()
    assert "kubeconfig kc: exec plugin" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_plugin_that_is_not_installed_gives_its_hint() -> None:
    missing = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "no-such-plugin",
        "installHint": "get it\nfrom example.com",
    }
    with pytest.raises(OfflineError, match=r"is not there; get it from example\.com"):
        made(exec=missing).headers()


def test_an_auth_provider_that_fails_is_told_without_its_words() -> None:
    class Failing:
        def auth_settings(self) -> dict[str, Any]:
            raise RuntimeError("refresh_token=s3cret is no good")

    found = Credentials(access(), Failing)
    with pytest.raises(OfflineError, match="can't be refreshed") as caught:
        found.headers()
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_no_file_is_left_behind_by_a_plugin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    made(exec=plugin(tmp_path, says(clientCertificateData="C", clientKeyData="K"))).headers()
    assert list(scratch.iterdir()) == []
