"""`vai backup`: a whole copy of a cluster file."""

from __future__ import annotations

from pathlib import Path

import click

from vai.cli.command import Command
from vai.cli.files import context_option, file_of, file_option, kubeconfig_option, open_reader
from vai.cli.status import megabytes


@click.command(cls=Command, short_help="Copy a cluster file, also while it is written.")
@click.argument("target", type=click.Path(dir_okay=False))
@file_option
@kubeconfig_option
@context_option
def backup(target: str, file: str | None, kubeconfig: str | None, context: str | None) -> None:
    """Write a copy of the cluster file to TARGET, which must not exist yet.

    The copy is one moment of the file, compacted, and can be read and synced on like the
    original. Copying the file itself, without its -wal, would lose data.

    Examples:
      vai backup --file prod.db prod-2026-05-01.db
      VAI_FILE=prod.db vai backup /mnt/usb/prod.db

    Exit codes:
      0  done
      1  error
      2  wrong usage
    """
    with open_reader(file_of(file, context, kubeconfig)) as store:
        store.backup(target)
    click.echo(f"{target}: {megabytes(Path(target).stat().st_size)}", err=True)
