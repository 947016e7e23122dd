"""The form that all commands share."""

from __future__ import annotations

import re
from typing import Any

import click

# A paragraph such as "Examples:" whose lines are to stay as they are.
_BLOCK = re.compile(r"^(?=\S[^\n]*:\n {2})", re.MULTILINE)


def as_written(text: str) -> str:
    """Help text whose indented blocks click does not rewrap (it looks for a backspace)."""
    return _BLOCK.sub("\b\n", text)


class Command(click.Command):
    """A command whose docstring is its help, the examples as they are written."""

    def __init__(self, name: str | None, **attributes: Any) -> None:
        help_text = attributes.pop("help", None)
        if help_text:
            import inspect

            attributes["help"] = as_written(inspect.cleandoc(help_text))
        super().__init__(name, **attributes)
