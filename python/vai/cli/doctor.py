"""`vai doctor`: whether a file can be trusted, and what stands in its way."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, TypeVar

import click
import msgspec

from vai.cli.command import Command
from vai.cli.failures import EXIT_ERROR, Failure, is_terminal
from vai.cli.files import context_option, file_of, kubeconfig_option
from vai.cli.health.verdict import Line, Verdict

_T = TypeVar("_T")

#: What takes longer is worth a word.
_PATIENCE_S: Final = 2.0
_COLOURS: Final = {
    Verdict.OK: "green",
    Verdict.SKIPPED: "bright_black",
    Verdict.WARN: "yellow",
    Verdict.FAIL: "red",
}
_WIDTH: Final = max(len(verdict) for verdict in Verdict)


@click.command(cls=Command, short_help="Check a cluster file, its server and this machine.")
@click.argument("file", required=False, type=click.Path(dir_okay=False), envvar="VAI_FILE")
@click.option("--quick", is_flag=True, help="Read neither the whole file nor the server's objects.")
@click.option("--offline", is_flag=True, help="Do not ask the server.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="For people, or for machines.",
)
@kubeconfig_option
@context_option
@click.pass_context
def doctor(
    ctx: click.Context,
    file: str | None,
    quick: bool,
    offline: bool,
    output: str,
    kubeconfig: str | None,
    context: str | None,
) -> None:
    """Look at FILE, this machine and the API server, and say what is amiss and what to do.

    The file: its rights, filesystem, log and writer; then all of it is read: SQLite's own check,
    rows against rows, and what queries use against the bodies. The server, if a kubeconfig names
    one: whether it answers, its clock, until when the credentials hold, and whether the file is
    equal to it. For that every scope is listed as metadata only, in pages: some 150 bytes an
    object compressed, 3 KB plain. A file that no process syncs can be compared for the minutes
    that the server remembers.

    Nothing is changed, and a process that syncs the file goes on meanwhile.

    Examples:
      vai doctor prod.db
      vai doctor prod.db --offline            # the file alone
      vai doctor prod.db --quick -o json | jq '.lines[] | select(.verdict == "fail")'

    Exit codes:
      0  nothing failed; there may be warnings
      1  something failed, or there is no such file
      2  wrong usage
    """
    path = file_of(file, context, kubeconfig)
    lines: list[Line] = []
    for line in _lines(path, kubeconfig, context, quick=quick, offline=offline):
        lines.append(line)
        if output == "text":
            _show(line)
    failed = any(one.verdict is Verdict.FAIL for one in lines)
    if output == "json":
        document = {"file": str(path), "ok": not failed, "lines": lines}
        click.echo(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())
    ctx.exit(EXIT_ERROR if failed else 0)


def _show(line: Line) -> None:
    # click leaves the colours out where nobody sees them.
    verdict = click.style(f"{line.verdict.value:{_WIDTH}}", fg=_COLOURS[line.verdict])
    click.echo(f"{verdict}  {line.name}: {line.text}")
    if line.remedy:
        click.echo(f"{'':{_WIDTH}}  → {line.remedy}")


def _lines(
    path: Path, kubeconfig: str | None, context: str | None, *, quick: bool, offline: bool
) -> Iterator[Line]:
    from vai.cli.health import file, machine
    from vai.config import load_settings
    from vai.errors import VaiError
    from vai.store import Store

    yield machine.build()
    yield machine.kubernetes()
    settings = load_settings(kubeconfig=kubeconfig, context=context)
    with ExitStack() as stack:
        store: Store | None = None
        try:
            store = stack.enter_context(Store(path, "reader", live_within=settings.live_within_s))
        except VaiError as error:
            yield file.unopened(path, error)
        if store is not None:
            yield from machine.space(path)
            yield from file.opened(path, store)
            if not quick:
                yield from file.contents(store, slowly)
        if not offline:
            yield from _server(settings, store, quick=quick)


def _server(settings: Any, store: Any, *, quick: bool) -> Iterator[Line]:
    from vai.cli.health import server
    from vai.errors import ForbiddenError, InvalidRequestError, OfflineError
    from vai.kube import connect

    try:
        transport = connect(settings)
    except InvalidRequestError as error:
        yield server.unconfigured(error)
        return
    try:
        yield from server.credentials(transport)
        yield from server.reached(transport)
        if store is not None:
            same = server.identity(transport, store)
            yield same
            if not quick and same.verdict in {Verdict.OK, Verdict.WARN}:
                yield from server.scopes(transport, store, slowly)
    except (OfflineError, ForbiddenError):
        return  # It was told.
    finally:
        transport.close()


def slowly(what: str, work: Callable[[], _T]) -> _T:
    """Run something on another thread; what it is shows in a terminal if it takes long.

    So Ctrl-C ends the wait at once, whatever the work is.
    """
    results: list[_T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        # It is raised again below, where somebody can see it.
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    thread = threading.Thread(target=run, name=f"vai-doctor {what}", daemon=True)
    thread.start()
    thread.join(_PATIENCE_S)
    if thread.is_alive() and is_terminal(sys.stderr):
        from rich.console import Console

        with Console(stderr=True).status(f"{what} …"):
            _join(thread)
    _join(thread)
    if errors:
        raise errors[0]
    if not results:
        raise Failure(f"{what} came to no end")
    return results[0]


def _join(thread: threading.Thread) -> None:
    while thread.is_alive():
        thread.join(0.2)
