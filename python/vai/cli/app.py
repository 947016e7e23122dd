"""The command `vai`: its subcommands, their help, and what an error looks like."""

from __future__ import annotations

import importlib
import inspect
from typing import Any, Final

import click

from vai.cli.command import as_written
from vai.cli.failures import EXIT_INTERRUPTED, Failure, failure_of

#: Name → (where it is, what it does). Only the one that is called is imported.
_COMMANDS: Final = {
    "get": ("vai.cli.get:get", "Print objects from a cluster file, as kubectl get does."),
    "sync": ("vai.cli.sync:sync", "Keep a cluster file current."),
    "changes": ("vai.cli.changes:changes", "Follow what happens to objects, also in the past."),
    "tree": ("vai.cli.tree:tree", "Show the owners and dependents of an object as a tree."),
    "status": ("vai.cli.status:status", "Say what a cluster file keeps and how fresh it is."),
    "forget": (
        "vai.cli.forget:forget",
        "Delete a resource or a consumer's position from a cluster file.",
    ),
    "export": ("vai.cli.export:export", "Write whole resources as NDJSON, SQLite or Parquet."),
    "backup": ("vai.cli.backup:backup", "Copy a cluster file, also while it is written."),
    "rbac": ("vai.cli.rbac:rbac", "Print the least RBAC rights that a sync takes."),
    "doctor": ("vai.cli.doctor:doctor", "Check a cluster file, its server and this machine."),
    "demo": ("vai.cli.demo:demo", "See all of it work against a simulated API server."),
    "completion": ("vai.cli.completion:completion", "Print the completion script of a shell."),
}

_EXIT_CODES: Final = """Exit codes:
  0  done; the answer was served
  1  error: the message on stderr says what to do
  2  wrong usage of the command line
  3  served, but older than --max-age
"""


class Commands(click.Group):
    """A group that imports a command when it is called, and words its errors."""

    def __init__(self, name: str | None = None, **attributes: Any) -> None:
        attributes["help"] = as_written(inspect.cleandoc(attributes.get("help") or ""))
        super().__init__(name, **attributes)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Their names, the daily ones first."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of this name."""
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The list in `vai --help`, without importing any of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; users' mistakes end in one message, not in a traceback."""
        try:
            return super().invoke(ctx)
        except (Failure, BrokenPipeError):
            raise
        except KeyboardInterrupt:
            ctx.exit(EXIT_INTERRUPTED)
        except Exception as error:
            failure = failure_of(error)
            if failure is not None:
                raise failure from error
            raise


@click.command(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=as_written(_EXIT_CODES),
)
@click.version_option(package_name="vai-cache", prog_name="vai")
def cli() -> None:
    """Keep Kubernetes resources in a local file and query them, online or offline.

    Examples:
      vai sync --file prod.db --resources pods,deployments.apps     # in one terminal
      vai get pods -A --file prod.db                                # in another
      vai get pods -A -w 'phase = Running and restarts > 3' --sort -age --file prod.db
      vai get deploy/web -n shop -o yaml --file prod.db             # also when the server is gone
      vai status --file prod.db
      vai demo                                                      # needs no cluster
    """
