"""`vai export`: whole resources for other tools."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, cast

import click

from vai.cli import notes
from vai.cli.command import Command
from vai.cli.failures import EXIT_STALE, check_selectors, is_terminal, warn
from vai.cli.files import context_option, file_of, file_option, kubeconfig_option, no_file
from vai.cli.options import complete_resource, names_of, seconds_of
from vai.cli.status import megabytes
from vai.errors import NotFoundError
from vai.types import duration

if TYPE_CHECKING:
    from vai.cache import Exported
    from vai.cache.export import Format, Progress

# A bar that flashes up and is gone tells nothing.
_BAR_AFTER_S: Final = 0.5
_STDOUT: Final = "-"


@click.command(cls=Command, short_help="Write whole resources as NDJSON, SQLite or Parquet.")
@click.argument("resources", metavar="RESOURCE...", nargs=-1, shell_complete=complete_resource)
@file_option
@click.option(
    "-o",
    "--output",
    metavar="TARGET",
    type=click.Path(dir_okay=False, allow_dash=True),
    default=_STDOUT,
    help="File to write; `-` is stdout.  [default: -]",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["ndjson", "sqlite", "parquet"]),
    help="By default what the suffix of TARGET means; ndjson on stdout.",
)
@click.option("-n", "--namespace", help="Only these namespaces, by comma.  [default: all]")
@click.option("-l", "--selector", default="", help="Only objects that match this label selector.")
@click.option("--field-selector", default="", help="Only objects that match this field selector.")
@click.option("--force", is_flag=True, help="Replace TARGET if it exists; never a cluster file.")
@click.option(
    "--max-age", metavar="DURATION", help="Exit with 3 if the answer is older, as 30s or 5m."
)
@kubeconfig_option
@context_option
@click.pass_context
def export(
    ctx: click.Context,
    resources: tuple[str, ...],
    file: str | None,
    output: str,
    form: str | None,
    namespace: str | None,
    selector: str,
    field_selector: str,
    force: bool,
    max_age: str | None,
    kubeconfig: str | None,
    context: str | None,
) -> None:
    """Write whole resources out of the cluster file, all of one moment, each in key order.

    RESOURCE is what kubectl takes, several by comma or space; `all` is everything that the file
    keeps. Unlike the cluster file, whose bodies are compressed, the result is for any tool:

    Formats:
      .ndjson .jsonl        one object a line, as the server sent it
      .db .sqlite .sqlite3  a plain SQLite database, a table per resource: namespace, name, uid,
                            resource_version, created, labels (JSON), the catalogue's fields (phase,
                            node, restarts, …), body (JSON); a table _export says how old it is
      .parquet              the same columns, one resource; pip install 'vai-cache[parquet]'

    TARGET gets its name when it is whole. What the file keeps as metadata only (Secrets) is written
    so. Never asks the network; unless the answer is live, a line on stderr says how old it is.

    Examples:
      vai export pods --file prod.db | jq -r .spec.nodeName | sort | uniq -c
      vai export all -o prod.sqlite && sqlite3 prod.sqlite 'select count(*) from pods'
      vai export pods,deployments.apps -n shop,billing -o shop.ndjson
      sqlite3 prod.sqlite 'select node, sum(requests_memory) from pods group by node'
      vai export pods -o pods.parquet --max-age 5m

    Exit codes:
      0  done
      1  error
      2  wrong usage
      3  done, but older than --max-age
    """
    limit_s = seconds_of(max_age, "--max-age")
    words = [word.strip() for argument in resources for word in argument.split(",")]
    if not words or not all(words):
        raise click.UsageError("name a RESOURCE, such as pods, or all")
    check_selectors(selector, field_selector)
    spaces = None if namespace is None else names_of(namespace, "namespace", "-n")
    path = file_of(file, context, kubeconfig)

    def run(target: str | BinaryIO, progress: Progress) -> tuple[Exported, ...]:
        from vai.cache import open as open_cache

        try:
            cache = open_cache(path)
        except NotFoundError:
            raise no_file(path) from None
        with cache:
            return cache.export(
                target,
                words,
                namespace=spaces,
                label_selector=selector,
                field_selector=field_selector,
                format=cast("Format | None", form),
                overwrite=force,
                progress=progress,
            )

    started = time.monotonic()
    with _bar(output) as progress:
        exported = run(output if output != _STDOUT else sys.stdout.buffer, progress)
    if output != _STDOUT:
        warn(_summary(output, exported, time.monotonic() - started))
    ctx.exit(_notes(exported, limit_s))


def _summary(target: str, exported: Sequence[Exported], took_s: float) -> str:
    objects = sum(part.objects for part in exported)
    noun = "resource" if len(exported) == 1 else "resources"
    size = megabytes(Path(target).stat().st_size)
    return f"{target}: {objects:,} objects of {len(exported)} {noun}, {size}, in {duration(took_s)}"


def _notes(exported: Sequence[Exported], max_age_s: float | None) -> int:
    """Say what is to be known beside the answer. Returns the exit code."""
    for line in notes.states((part.resource, part.freshness) for part in exported):
        warn(line)
    for part in exported:
        if part.redacted:
            warn(f"{part.resource}: {part.redacted:,} written as metadata only, as they are kept")
    old = [part for part in exported if notes.older(part.freshness, max_age_s)]
    for part in old:
        warn(notes.too_old(part.resource, part.freshness, max_age_s or 0.0))
    return EXIT_STALE if old else 0


@contextmanager
def _bar(output: str) -> Iterator[Progress]:
    """A bar on stderr while somebody looks, and nothing else is printed to the same terminal."""
    if not is_terminal(sys.stderr) or (output == _STDOUT and sys.stdout.isatty()):
        yield lambda _done, _total: None
        return
    from rich import progress as rich_progress
    from rich.console import Console

    started = time.monotonic()
    with rich_progress.Progress(
        rich_progress.TextColumn("exporting"),
        rich_progress.BarColumn(),
        rich_progress.TextColumn("{task.completed:>9,} of {task.total:,} objects"),
        rich_progress.TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as shown:
        task = shown.add_task("export", total=1, visible=False)

        def show(done: int, total: int) -> None:
            late = time.monotonic() - started > _BAR_AFTER_S
            shown.update(task, completed=done, total=total, visible=late)

        yield show
