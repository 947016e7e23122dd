from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path, PurePosixPath

import pytest

from tests.packaging.conftest import ROOT, Dist, clean_environment, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def installed(dist: Dist, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an empty virtual environment into which the wheel alone was installed."""
    venv = tmp_path_factory.mktemp("wheel") / "venv"
    uv = Path(sys.executable).parent / "uv"
    run(uv, "venv", "--quiet", "--python", sys.executable, venv)
    python = venv / "bin" / "python"
    run(
        uv,
        "pip",
        "install",
        "--quiet",
        "--python",
        python,
        "-c",
        "requirements/dev.txt",
        dist.wheel,
    )
    return venv / "bin"


def names(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return sorted(archive.namelist())


def test_the_wheel_is_for_every_cpython_from_3_11_and_every_linux_from_glibc_2_17(
    dist: Dist,
) -> None:
    python, abi, platform = dist.wheel.stem.split("-")[-3:]
    assert (python, abi) == ("cp311", "abi3")
    if sys.platform == "linux":
        assert "manylinux2014" in platform


def test_the_wheel_has_types_license_and_every_module_and_nothing_else(dist: Dist) -> None:
    package = ROOT / "python" / "vai"
    ours = {
        str(PurePosixPath("vai") / path.relative_to(package).as_posix())
        for path in package.rglob("*")
        if path.is_file() and path.suffix not in {".so", ".pyc"}
    }
    found = {name for name in names(dist.wheel) if not name.startswith("vai_cache-")}
    assert found == ours | {"vai/_core.abi3.so"}
    assert "vai/py.typed" in found
    licenses = {name.rpartition("/")[2] for name in names(dist.wheel) if "/licenses/" in name}
    assert licenses == {"LICENSE", "LICENSE-THIRD-PARTY"}


def test_the_metadata_name_the_license_the_python_and_the_dependencies(dist: Dist) -> None:
    with zipfile.ZipFile(dist.wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("METADATA"))
        metadata = Parser().parsestr(archive.read(name).decode())
    assert metadata["Name"] == "vai-cache"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"
    requires = metadata.get_all("Requires-Dist") or []
    optional = {requirement for requirement in requires if "extra ==" in requirement}
    named, extra = (
        {re.split("[^a-z0-9]", requirement.lower())[0] for requirement in some}
        for some in (set(requires) - optional, optional)
    )
    assert extra == {"pyarrow", "prometheus"}
    assert named == {"kubernetes", "urllib3", "msgspec", "pyyaml", "click", "rich"}


def test_the_installed_wheel_imports_without_the_checkout(installed: Path, tmp_path: Path) -> None:
    code = "import vai, vai._core as c; print(vai.__file__); print(c.build_profile)"
    path, profile = run(
        installed / "python", "-c", code, cwd=tmp_path, env=clean_environment()
    ).split()
    assert Path(path).is_relative_to(installed.parent)
    assert profile == "release"


@pytest.mark.parametrize("command", [["vai"], ["python", "-m", "vai"]], ids=["script", "module"])
def test_the_installed_wheel_has_the_command(
    installed: Path, tmp_path: Path, command: list[str]
) -> None:
    program, *arguments = command
    shown = run(installed / program, *arguments, "--help", cwd=tmp_path, env=clean_environment())
    for subcommand in ("sync", "get", "status", "demo", "forget", "backup"):
        assert subcommand in shown


def test_type_checkers_see_the_installed_package(installed: Path, tmp_path: Path) -> None:
    user = tmp_path / "user.py"
    user.write_text("import vai\nreveal_type(vai.__version__)\n")
    shown = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--python-executable",
            installed / "python",
            user,
        ],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    assert 'Revealed type is "str"' in shown or 'Revealed type is "builtins.str"' in shown, shown


def test_the_sdist_builds_the_same_wheel(dist: Dist, tmp_path: Path) -> None:
    uv = Path(sys.executable).parent / "uv"
    # The target folder is shared, so that only our own two crates are compiled again.
    environment = {"CARGO_TARGET_DIR": str(ROOT / "target")} | clean_environment()
    build: list[str | Path] = [uv, "build", "--quiet", "--wheel", "--no-build-isolation"]
    build += ["--python", sys.executable, "--out-dir", tmp_path, dist.sdist]
    if sys.platform == "linux":
        build += ["-C", "build-args=--zig --compatibility manylinux2014"]
    run(*build, cwd=tmp_path, env=environment)
    (rebuilt,) = tmp_path.glob("*.whl")
    assert rebuilt.name == dist.wheel.name
    assert names(rebuilt) == names(dist.wheel)
    with zipfile.ZipFile(rebuilt) as one, zipfile.ZipFile(dist.wheel) as other:
        for name in one.namelist():
            if name.startswith("vai/") and not name.endswith(".so"):
                assert one.read(name) == other.read(name), name
