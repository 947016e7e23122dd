"""Exit codes, and errors as one message on stderr."""

from __future__ import annotations

import os
from typing import IO, Any, Final

import click

from vai.errors import (
    InvalidExpressionError,
    InvalidSelectorError,
    NotSyncedError,
    UnknownFieldError,
    VaiError,
    WriterRunningError,
)

EXIT_ERROR: Final = 1
EXIT_STALE: Final = 3
EXIT_INTERRUPTED: Final = 130
"""128 + SIGINT, as shells report it."""
#: Characters of a text that are shown on each side of a wrong one: more than a terminal's line.
_AROUND: Final = 100


class Failure(click.ClickException):
    """An error that its message explains: printed as `vai: …`, without a traceback."""

    exit_code = EXIT_ERROR

    def show(self, file: IO[Any] | None = None) -> None:
        """Print it, on stderr."""
        click.echo(f"vai: {self.message}", file=file, err=file is None)


def warn(message: str) -> None:
    """A line on stderr beside an answer."""
    click.echo(f"vai: {message}", err=True)


def failure_of(error: BaseException) -> Failure | None:
    """What a user is told of an error; None for what is a defect of ours."""
    if isinstance(error, VaiError):
        return Failure(message_of(error))
    if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
        where = f"{error.filename}: " if error.filename else ""
        return Failure(f"{where}{error.strerror or error}")
    return None


def message_of(error: VaiError) -> str:
    """The message of an error, completed by what its class knows."""
    text = str(error)
    if isinstance(error, NotSyncedError) and "never synced" not in text:
        return f"never synced: {text}"
    if isinstance(error, WriterRunningError):
        pid = error.pid
        if pid is not None and str(pid) not in text:
            text += f" (pid {pid})"
    return text


def caret(message: str, text: str, position: int) -> str:
    """The message, with the text below it and a caret under the character it is about."""
    at = min(position, len(text))
    # One line of it: an expression may have several.
    start = text.rfind("\n", 0, at) + 1
    end = text.find("\n", at)
    end = len(text) if end < 0 else end
    first, last = max(start, at - _AROUND), min(end, at + _AROUND)
    before, behind = "…" * (first > start), "…" * (last < end)
    line = f"{before}{text[first:last]}{behind}"
    return f"{message}\n  {line}\n  {' ' * (len(before) + at - first)}^"


def misread(
    error: InvalidExpressionError | UnknownFieldError, only: str, what: str = ""
) -> Failure | None:
    """An error in an expression or the name of a field, with a caret under its place.

    `only` is the text, where the error does not say which. None: it is about no text.
    """
    if error.position is None:
        return None
    text = error.details.get("text") or only
    return Failure(caret(f"{what}: {error}" if what else str(error), text, error.position))


def selector_failure(what: str, selector: str, error: InvalidSelectorError) -> Failure:
    """The message with the selector below it and a caret under the offending place."""
    return Failure(caret(f"{what}: {error}", selector, error.position))


def check_selectors(labels: str, fields: str) -> None:
    """Raise a Failure with the place where a selector does not parse."""
    from vai.store import parse_field_selector, parse_label_selector

    for what, text, parse in (
        ("label selector", labels, parse_label_selector),
        ("field selector", fields, parse_field_selector),
    ):
        try:
            parse(text)
        except InvalidSelectorError as error:
            raise selector_failure(what, text, error) from None


def is_terminal(stream: IO[Any]) -> bool:
    """Whether a person looks at the stream in a terminal that can move its cursor."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"
