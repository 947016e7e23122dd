"""`vai completion`: shell completion, from click."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from vai.cli.command import Command
from vai.cli.failures import Failure


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that makes a shell complete vai's commands and options.

    Examples:
      source <(vai completion bash)                                   # this shell; or in ~/.bashrc
      source <(vai completion zsh)                                    # or in ~/.zshrc
      vai completion fish > ~/.config/fish/completions/vai.fish
    """
    made = get_completion_class(shell)
    root = ctx.find_root().command
    if made is None:
        raise Failure(f"click has no completion for {shell}")
    click.echo(made(root, {}, "vai", "_VAI_COMPLETE").source())
