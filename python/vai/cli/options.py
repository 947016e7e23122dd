"""What options and arguments of several commands share: reading them, and completing them."""

from __future__ import annotations

import click

from vai.cli.failures import Failure
from vai.cli.files import file_of, open_reader
from vai.errors import InvalidRequestError, VaiError


def seconds_of(text: str | None, option: str) -> float | None:
    """A duration as people write it, `30s` or `5m`.

    Raises:
        click.BadParameter: it is none.
    """
    from vai.config import parse_duration

    try:
        return None if text is None else parse_duration(text)
    except InvalidRequestError as error:
        raise click.BadParameter(str(error), param_hint=f"'{option}'") from None


def names_of(text: str, what: str, option: str) -> tuple[str, ...]:
    """Names by comma, each once.

    Raises:
        click.BadParameter: one is empty.
    """
    found = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    if not all(found):
        raise click.BadParameter(f"an empty {what} in {text!r}", param_hint=f"'{option}'")
    return found


def complete_resource(
    ctx: click.Context,
    _param: click.Parameter,
    incomplete: str,
) -> list[str]:
    """Names of resources for the shell; silent where the file cannot be read."""
    try:
        path = file_of(ctx.params.get("file"), ctx.params.get("context"))
        with open_reader(path) as store:
            kept = sorted({status.resource for status in store.scopes()})
    except (VaiError, Failure, OSError):
        return []
    return [name for name in kept if name.startswith(incomplete)]


def complete_resources(
    ctx: click.Context,
    _param: click.Parameter,
    incomplete: str,
) -> list[str]:
    """The same for a list by comma of whatever the cluster of the file serves."""
    before, comma, word = incomplete.rpartition(",")
    try:
        path = file_of(ctx.params.get("file"), ctx.params.get("context"))
        with open_reader(path) as store:
            served = sorted(resource.name for resource in store.resources())
    except (VaiError, Failure, OSError):
        return []
    return [f"{before}{comma}{name}" for name in served if name.startswith(word)]
