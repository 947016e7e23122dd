"""The `vai` command.

What it is: one module per command, printers, and the demo. What it may know: everything below.
Why it is apart: it alone prints, installs signal handlers, and imports click and rich; a command
imports what it needs when it runs, so that `vai get` starts fast and without `kubernetes`.
"""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; ends the process with its exit code."""
    from vai.cli.app import cli

    cli.main(args=None if arguments is None else list(arguments), prog_name="vai")


__all__ = ["main"]
