"""Builds the kube-apiserver, etcd and kubectl of the integration tests from Go modules.

Run ``python tests/apiserver/build.py``: the first run on a machine compiles Kubernetes, every
later one is a no-op. The binaries stay out of the repository, in a cache folder keyed by go.mod
and go.sum, so that checkouts and branches with the same pins share one build.

Exit codes: 0 built (or already there), 1 the build failed, 3 no Go that can build it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

MODULE_DIR = Path(__file__).resolve().parent
EXIT_BUILD_FAILED = 1
EXIT_NO_GO = 3
HEARTBEAT_S = 60
"""A line at least this often, for CI systems that end silent jobs."""

Say = Callable[[str], None]


class GoUnavailableError(Exception):
    """There is no Go on this machine that can build the servers; the message names the remedy."""


class BuildError(Exception):
    """Go was there and the build failed."""


@dataclass(frozen=True, slots=True)
class Tool:
    """One program to build, and how to ask it for its version."""

    name: str
    package: str
    version_args: tuple[str, ...]


TOOLS = (
    Tool("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver", ("--version",)),
    Tool("etcd", "go.etcd.io/etcd/server/v3", ("--version",)),
    Tool("kubectl", "k8s.io/kubernetes/cmd/kubectl", ("version", "--client")),
)


@dataclass(frozen=True, slots=True)
class Binaries:
    """The folder that holds the built programs."""

    folder: Path

    @property
    def kube_apiserver(self) -> Path:
        """The API server."""
        return self.folder / "kube-apiserver"

    @property
    def etcd(self) -> Path:
        """Its store."""
        return self.folder / "etcd"

    @property
    def kubectl(self) -> Path:
        """The client whose output `vai get` is compared with."""
        return self.folder / "kubectl"

    def missing(self) -> list[Tool]:
        """The tools that are not built yet."""
        return [tool for tool in TOOLS if not (self.folder / tool.name).is_file()]


def _pin(pattern: str) -> str:
    match = re.search(pattern, (MODULE_DIR / "go.mod").read_text(encoding="utf-8"), re.MULTILINE)
    if match is None:
        msg = f"{MODULE_DIR / 'go.mod'} has no line like {pattern!r}"
        raise BuildError(msg)
    return match[1]


def kubernetes_version() -> str:
    """The pinned version of Kubernetes, such as ``v1.36.3``."""
    return _pin(r"^\s*k8s\.io/kubernetes (v\S+)")


def binaries() -> Binaries:
    """Where the programs of these pins are, or will be once built."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    root = Path(os.environ.get("VAI_TEST_CACHE") or Path(home, "vai-tests"))
    digest = hashlib.sha256()
    for name in ("go.mod", "go.sum"):
        digest.update((MODULE_DIR / name).read_bytes())
    return Binaries(root.absolute() / f"apiserver-{digest.hexdigest()[:16]}")


def ensure_built(say: Say = print) -> Binaries:
    """Builds what is missing and returns the folder; without anything missing, at once.

    Raises:
        GoUnavailableError: nothing is built and there is no Go that could.
        BuildError: the build failed; the compiler's own output went to stderr.
    """
    result = binaries()
    if not result.missing():
        return result
    go = _find_go()
    result.folder.mkdir(parents=True, exist_ok=True)
    with _only_builder(result.folder.with_suffix(".lock"), say):
        missing = result.missing()
        if missing:
            _announce(missing, result.folder, say)
        for tool in missing:
            _build(go, tool, result.folder, say)
    return result


def _find_go() -> str:
    wanted = _pin(r"^go (\S+)$")
    remedy = f"install Go {wanted} or newer, or leave these tests out with `make test KUBE=0`"
    go = shutil.which("go")
    if go is None:
        msg = f"Go is needed to build kube-apiserver for the tests, and there is no `go`: {remedy}."
        raise GoUnavailableError(msg)
    # Asked inside the module, so that a Go allowed to (GOTOOLCHAIN=auto) switches to the version
    # that go.mod names, and one that is not says so here and not in the middle of the build.
    probe = subprocess.run(
        [go, "env", "GOVERSION"], cwd=MODULE_DIR, capture_output=True, text=True, check=False
    )
    found = probe.stdout.strip()
    if probe.returncode != 0 or _version(found) < _version(wanted):
        said = " ".join(probe.stderr.split()) or f"{go} is {found or 'of unknown version'}"
        msg = f"Go {wanted} is needed to build kube-apiserver for the tests: {said}: {remedy}."
        raise GoUnavailableError(msg)
    return go


def _version(text: str) -> tuple[int, ...]:
    """`go1.26.8` and `1.26rc1` as comparable numbers; (0,) for anything else."""
    match = re.match(r"(?:go)?(\d+(?:\.\d+)*)", text)
    return tuple(int(part) for part in match[1].split(".")) if match else (0,)


@contextlib.contextmanager
def _only_builder(lock: Path, say: Say) -> Iterator[None]:
    """Holds the lock file, so that two runs do not compile Kubernetes side by side."""
    with lock.open("w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another build is under way: waiting for {lock}")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _announce(missing: list[Tool], folder: Path, say: Say) -> None:
    # Measured with Go 1.26.8 on 2 cores: kube-apiserver 3.8 to 5 min, then etcd and kubectl, which
    # share most of its packages, 10 and 20 s; 20 min with the machine busy.
    say(
        f"Building {', '.join(tool.name for tool in missing)} ({kubernetes_version()}) "
        "for the tests, once per machine.\n"
        "  time:   5 minutes on 2 idle cores, up to 20 on busy ones; "
        "seconds when Go's build cache has it\n"
        "  size:   0.8 GB of Go modules, 3.2 GB of Go build cache, 0.2 GB of programs\n"
        f"  folder: {folder} (VAI_TEST_CACHE moves it)"
    )


def _build(go: str, tool: Tool, folder: Path, say: Say) -> None:
    say(f"building {tool.name} ...")
    started = time.monotonic()
    # Written beside its place and renamed when it is known to run: whoever finds the name finds
    # a whole program, whenever a build was interrupted.
    unfinished = folder / f".{tool.name}.{os.getpid()}"
    try:
        _compile(go, tool, unfinished, say)
        version = _run_version(tool, unfinished)
        unfinished.replace(folder / tool.name)
    finally:
        unfinished.unlink(missing_ok=True)
    took_s = time.monotonic() - started
    size_mb = (folder / tool.name).stat().st_size / 1e6
    say(f"built {tool.name}: {took_s:.0f} s, {size_mb:.0f} MB, {version}")


def _compile(go: str, tool: Tool, output: Path, say: Say) -> None:
    command = [go, "build", "-mod=readonly", "-buildvcs=false", "-trimpath"]
    command += ["-ldflags", _ldflags(), "-o", str(output), tool.package]
    env = os.environ | {"CGO_ENABLED": "0"}
    started = time.monotonic()
    with subprocess.Popen(
        _nice(command), cwd=MODULE_DIR, env=env, stdin=subprocess.DEVNULL
    ) as process:
        try:
            while process.returncode is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=HEARTBEAT_S)
                    break
                minutes = (time.monotonic() - started) / 60
                say(f"building {tool.name} ... {minutes:.0f} min")
        except BaseException:
            process.terminate()
            raise
    if process.returncode != 0:
        msg = f"`go build {tool.package}` failed ({process.returncode}); its output is above"
        raise BuildError(msg)


def _nice(command: list[str]) -> list[str]:
    """The command at low priority: the build takes every core for minutes."""
    nice = shutil.which("nice")
    return [nice, "-n", "5", *command] if nice else command


def _ldflags() -> str:
    """Stripped, and with its version: else the server calls itself v0.0.0-master."""
    version = kubernetes_version()
    major, minor, _ = version.removeprefix("v").split(".", 2)
    settings = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    package = "k8s.io/component-base/version"
    return " ".join(["-s", "-w"] + [f"-X {package}.{k}={v}" for k, v in settings.items()])


def _run_version(tool: Tool, program: Path) -> str:
    """The first line of what the built program says of itself: a proof that it runs here."""
    result = subprocess.run(
        [program, *tool.version_args], capture_output=True, text=True, check=False
    )
    if result.returncode != 0:
        msg = f"the {tool.name} just built does not run: {result.stderr.strip()}"
        raise BuildError(msg)
    return result.stdout.splitlines()[0]


def main(arguments: list[str]) -> int:
    """The command line: no argument builds, ``--folder`` only prints where the programs belong."""
    if arguments == ["--folder"]:
        print(binaries().folder)
        return 0
    if arguments:
        print("usage: python tests/apiserver/build.py [--folder]", file=sys.stderr)
        return 2
    try:
        built = ensure_built(lambda line: print(line, flush=True))
    except GoUnavailableError as error:
        print(f"tests/apiserver: {error}", file=sys.stderr)
        return EXIT_NO_GO
    except BuildError as error:
        print(f"tests/apiserver: {error}", file=sys.stderr)
        return EXIT_BUILD_FAILED
    print(f"kube-apiserver {kubernetes_version()}, etcd and kubectl: {built.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
