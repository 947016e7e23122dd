"""`vai demo`: the main job, done for real against a simulated API server, each step verified."""

from __future__ import annotations

import click

from vai.cli.command import Command
from vai.cli.failures import EXIT_ERROR


@click.command(cls=Command, short_help="See all of it work against a simulated API server.")
@click.option(
    "--pods",
    type=click.IntRange(100, 100_000),
    default=5000,
    show_default=True,
    help="How many pods the simulated cluster has; other kinds in proportion.",
)
@click.option("--keep", is_flag=True, help="Keep the files, and say where they are.")
@click.pass_context
def demo(ctx: click.Context, pods: int, keep: bool) -> None:
    """Watch vai do its main job, in less than a minute. Needs no cluster.

    Three processes on this machine: a simulated Kubernetes API server with steady changes, `vai
    sync`, and this one, which queries the file. The link is cut, vai is killed, started again,
    and the link restored. Each step is checked for real.

    Examples:
      vai demo
      vai demo --pods 20000 --keep

    Exit codes:
      0  every step held
      1  a step did not hold; its message says why
      2  wrong usage
    """
    from vai.cli.demo.screen import Screen
    from vai.cli.demo.story import tell

    screen = Screen()
    if not tell(screen, pods=pods, keep=keep):
        ctx.exit(EXIT_ERROR)
