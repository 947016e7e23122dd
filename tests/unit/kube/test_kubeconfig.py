from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest

from vai.errors import InvalidRequestError
from vai.kube import kubeconfig
from vai.kube.kubeconfig import load_access


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No kubeconfig of the machine, and no Pod around."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setattr(kubeconfig, "_SERVICE_ACCOUNT", tmp_path / "serviceaccount")


def write(path: Path, *, current: str | None = "one", **parts: Any) -> Path:
    content: dict[str, Any] = {
        "contexts": [
            {"name": "one", "context": {"cluster": "c", "user": "u", "namespace": "shop"}},
            {"name": "two", "context": {"cluster": "c"}},
        ],
        "clusters": [{"name": "c", "cluster": {"server": "https://one.example:6443/"}}],
        "users": [{"name": "u", "user": {"token": "s3cret-token"}}],
    }
    if current is not None:
        content["current-context"] = current
    content.update(parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def test_a_named_file_gives_its_current_context(tmp_path: Path) -> None:
    access = load_access(str(write(tmp_path / "kc")))
    assert (access.context, access.server, access.namespace) == (
        "one",
        "https://one.example:6443",
        "shop",
    )
    assert load_access(str(tmp_path / "kc"), "two").namespace == "default"


def test_no_secret_is_part_of_what_an_access_shows(tmp_path: Path) -> None:
    data = base64.b64encode(b"private key").decode()
    certificate = {"client-certificate-data": data, "client-key-data": data, "token": "s3cret"}
    access = load_access(str(write(tmp_path / "kc", users=[{"name": "u", "user": certificate}])))
    assert "s3cret" not in repr(access)
    assert "private key" not in repr(access)
    assert access.certificate == (b"private key", b"private key")
    assert set(access.user) == {"token"}


def test_the_order_is_argument_then_variable_then_home_then_pod(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = tmp_path / "serviceaccount"
    account.mkdir()
    (account / "token").write_text("t")
    (account / "ca.crt").write_text("ca")
    (account / "namespace").write_text("jobs\n")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    pod = load_access()
    assert (pod.server, pod.namespace, pod.context) == (
        "https://[fd00::1]:443",
        "jobs",
        "in-cluster",
    )
    write(tmp_path / "home" / ".kube" / "config", current="two")
    assert load_access().context == "two"
    monkeypatch.setenv("KUBECONFIG", str(write(tmp_path / "variable")))
    assert str(tmp_path / "variable") in load_access().origin
    assert str(tmp_path / "given") in load_access(str(write(tmp_path / "given"))).origin


def test_of_several_files_the_first_that_says_something_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = [{"name": "c", "cluster": {"server": "https://second.example"}}]
    first = write(tmp_path / "first", current=None, users=[])
    second = write(tmp_path / "second", current="one", clusters=other)
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join(map(str, (first, tmp_path / "no", second))))
    access = load_access()
    assert access.context == "one"
    assert access.server == "https://one.example:6443"
    assert access.user == {"token": "s3cret-token"}


def test_paths_are_relative_to_the_file_that_names_them(tmp_path: Path) -> None:
    folder = tmp_path / "deep"
    cluster = {"server": "https://x", "certificate-authority": "ca.pem"}
    path = write(
        folder / "kc",
        clusters=[{"name": "c", "cluster": cluster}],
        users=[{"name": "u", "user": {"tokenFile": "token"}}],
    )
    (folder / "ca.pem").write_bytes(b"PEM")
    access = load_access(str(path))
    assert access.authority == b"PEM"
    assert access.user["tokenFile"] == str(folder / "token")


@pytest.mark.parametrize(
    ("server", "tls", "url"),
    [("localhost:8080", False, "http://localhost:8080"), ("h:6443", True, "https://h:6443"),
     ("https://h/", False, "https://h")],
)  # fmt: skip
def test_a_server_without_a_scheme_gets_one(
    tmp_path: Path, server: str, tls: bool, url: str
) -> None:
    cluster = {"server": server}
    if tls:
        cluster["certificate-authority-data"] = base64.b64encode(b"PEM").decode()
    path = write(tmp_path / "kc", clusters=[{"name": "c", "cluster": cluster}])
    assert load_access(str(path)).server == url


def cluster(**more: Any) -> list[dict[str, Any]]:
    return [{"name": "c", "cluster": {"server": "https://x", **more}}]


def user(**content: Any) -> list[dict[str, Any]]:
    return [{"name": "u", "user": content}]


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"current": None}, r"no current-context; name one with --context \(it has: one, two\)"),
        ({"current": "three"}, "no context 'three'; it has: one, two"),
        ({"contexts": []}, "no context 'one'; it has no contexts"),
        ({"clusters": []}, "there is no cluster 'c'"),
        ({"users": []}, "there is no user 'u'"),
        ({"clusters": [{"name": "c"}]}, "cluster 'c' names no server"),
        ({"clusters": {"c": {}}}, "clusters is not a list"),
        ({"clusters": [{"cluster": {}}]}, "an entry of clusters has no name"),
        ({"users": [{"name": "u", "user": "me"}]}, "user of 'u' is not a mapping"),
        ({"clusters": cluster(**{"certificate-authority": "/no/ca"})}, "/no/ca: No such file"),
        ({"clusters": cluster(**{"certificate-authority-data": "?"})}, "is not valid base64"),
        ({"users": user(**{"client-key-data": "QUJD"})}, "needs client-certificate and client-key"),
    ],
)
def test_every_mistake_is_named_with_its_file_in_one_line(
    tmp_path: Path, parts: dict[str, Any], said: str
) -> None:
    path = write(tmp_path / "kc", **parts)
    with pytest.raises(InvalidRequestError, match=said) as caught:
        load_access(str(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("token: [s3cret\n", "not valid YAML at line"),
        ("", "the file is empty"),
        ("- a\n- b\n", "not a kubeconfig"),
    ],
)
def test_what_is_no_kubeconfig_is_refused_without_quoting_it(
    tmp_path: Path, text: str, said: str
) -> None:
    path = tmp_path / "kc"
    path.write_text(text)
    with pytest.raises(InvalidRequestError, match=said) as caught:
        load_access(str(path))
    assert "s3cret" not in str(caught.value)


def test_a_file_that_is_not_there_is_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="no such file; name one with --kubeconfig"):
        load_access(str(tmp_path / "nothing"))


def test_without_any_configuration_the_places_looked_at_are_named() -> None:
    with pytest.raises(InvalidRequestError, match=r"~/.kube/config is not there, and this is no"):
        load_access()
