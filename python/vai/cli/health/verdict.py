"""One line of the doctor's."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Verdict(StrEnum):
    """How something stands, worst last."""

    OK = "ok"
    #: It could not be looked at, or does not apply; the text says why.
    SKIPPED = "skipped"
    WARN = "warn"
    FAIL = "fail"


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What was looked at, and what to do.

    Attributes:
        name: what, in one word or two; stable, for scripts.
        verdict: how it stands.
        text: what was seen.
        remedy: what to do; empty if nothing.
    """

    name: str
    verdict: Verdict
    text: str
    remedy: str = ""


def ok(name: str, text: str) -> Line:
    """All is well."""
    return Line(name=name, verdict=Verdict.OK, text=text)


def skipped(name: str, why: str) -> Line:
    """It was not looked at."""
    return Line(name=name, verdict=Verdict.SKIPPED, text=why)


def warning(name: str, text: str, remedy: str) -> Line:
    """Somebody should look at it some day."""
    return Line(name=name, verdict=Verdict.WARN, text=text, remedy=remedy)


def failure(name: str, text: str, remedy: str) -> Line:
    """It does not work, or can't be trusted."""
    return Line(name=name, verdict=Verdict.FAIL, text=text, remedy=remedy)
