from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from vai.cli.failures import Failure
from vai.cli.files import default_file, file_of

SERVER = "https://127.0.0.1:6443"


def kubeconfig(path: Path, current: str = "prod", server: str = SERVER, **more: Any) -> Path:
    config = {
        "current-context": current,
        "contexts": [
            {"name": name, "context": {"cluster": "c", "user": "u"}} for name in ("prod", "dev")
        ],
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        **more,
    }
    path.write_text(json.dumps(config))
    return path


def digest(server: str = SERVER) -> str:
    return hashlib.sha256(server.encode()).hexdigest()[:8]


def test_the_default_file_is_named_after_the_context_and_its_server(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path / "config")
    found = default_file(None, str(path), {"XDG_DATA_HOME": "/data", "HOME": "/home/u"})
    assert found == Path("/data/vai") / f"prod-{digest()}.db"
    other = default_file("dev", str(path), {"HOME": "/home/u"})
    assert other == Path("/home/u/.local/share/vai") / f"dev-{digest()}.db"


def test_a_trailing_slash_of_the_server_names_no_other_file(tmp_path: Path) -> None:
    one = default_file(None, str(kubeconfig(tmp_path / "a")), {"HOME": "/h"})
    two = default_file(None, str(kubeconfig(tmp_path / "b", server=SERVER + "/")), {"HOME": "/h"})
    assert one == two


def test_a_context_name_becomes_a_safe_file_name(tmp_path: Path) -> None:
    arn = "arn:aws:eks:eu-west-1:123456789012:cluster/prod"
    path = kubeconfig(
        tmp_path / "config", current=arn, contexts=[{"name": arn, "context": {"cluster": "c"}}]
    )
    found = default_file(None, str(path), {"HOME": "/h"})
    assert found.name == f"arn_aws_eks_eu-west-1_123456789012_cluster_prod-{digest()}.db"


def test_of_several_kubeconfigs_the_first_that_sets_a_value_wins(tmp_path: Path) -> None:
    first = tmp_path / "first"
    first.write_text(json.dumps({"clusters": [{"name": "c", "cluster": {"server": "https://x"}}]}))
    second = kubeconfig(tmp_path / "second")
    found = default_file(None, None, {"KUBECONFIG": f"{first}:{second}", "HOME": "/h"})
    assert found.name == f"prod-{digest('https://x')}.db"


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"HOME": "/nowhere"}, ["--file", "VAI_FILE"]),
        (
            {"HOME": "/nowhere", "KUBERNETES_SERVICE_HOST": "10.0.0.1"},
            ["--file", "VAI_FILE", "emptyDir", "PersistentVolumeClaim"],
        ),
    ],
)
def test_without_a_kubeconfig_the_error_says_what_to_give(
    environ: dict[str, str], words: list[str]
) -> None:
    with pytest.raises(Failure) as caught:
        default_file(None, None, environ)
    assert all(word in caught.value.message for word in words)


@pytest.mark.parametrize(
    ("content", "context", "word"),
    [
        ("{", None, "not a kubeconfig"),
        ("[]", None, "not a kubeconfig"),
        ("", None, "no current context"),
        (None, "nobody", "it has dev, prod"),
        ('{"current-context": "a", "contexts": [{"name": "a"}]}', None, "names no cluster"),
    ],
)
def test_a_bad_kubeconfig_is_named(
    tmp_path: Path, content: str | None, context: str | None, word: str
) -> None:
    path = kubeconfig(tmp_path / "config")
    if content is not None:
        path.write_text(content)
    with pytest.raises(Failure) as caught:
        default_file(context, str(path), {"HOME": "/h"})
    assert word in caught.value.message
    assert str(path) in caught.value.message


def test_a_given_file_needs_no_kubeconfig() -> None:
    assert file_of("x.db") == Path("x.db")
