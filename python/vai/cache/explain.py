"""How a query was answered."""

from __future__ import annotations

from typing import Any

import msgspec


class ExplainedResource(msgspec.Struct, frozen=True, kw_only=True):
    """How one resource was looked at.

    Attributes:
        scopes: which scopes of the file answered.
        condition: all conditions as one expression, in canonical form.
        indexes: fields and labels that were looked up.
        not_indexed: paths for which bodies had to be read.
    """

    resource: str
    scopes: tuple[str, ...] = ()
    condition: str = ""
    indexes: tuple[str, ...] = ()
    not_indexed: tuple[str, ...] = ()


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step, in the order of work.

    Attributes:
        rows: what it looked at or gave, counted.
        us: microseconds it took; None where nothing was to be done.
    """

    step: str
    rows: int
    us: int | None = None


class Explain(msgspec.Struct, frozen=True, kw_only=True):
    """How a query was answered; `str()` of it is for people, `json()` for machines.

    Attributes:
        resources: one entry for each resource.
        steps: what was done, with rows and times.
        total: how many objects match.
        advice: what would make it faster, as calls.
    """

    resources: tuple[ExplainedResource, ...] = ()
    steps: tuple[Step, ...] = ()
    total: int = 0
    advice: tuple[str, ...] = ()

    def json(self) -> bytes:
        """The same as a JSON document."""
        return msgspec.json.encode(self)

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found

    def __str__(self) -> str:
        lines: list[str] = []
        for one in self.resources:
            lines.append(f"{one.resource}: {one.condition or 'everything'}")
            lines += _about("from", one.scopes)
            lines += _about("indexes", one.indexes)
            lines += _about("not indexed", one.not_indexed)
        width = max((len(step.step) for step in self.steps), default=0)
        for step in self.steps:
            took = "" if step.us is None else f"{step.us / 1000:10.3f} ms"
            lines.append(f"  {step.step:<{width}}  {step.rows:>9,} rows {took}".rstrip())
        lines.append(f"  {self.total:,} match")
        lines += [f"  advice: {text}" for text in self.advice]
        return "\n".join(lines)


def _about(what: str, names: tuple[str, ...]) -> list[str]:
    return [f"  {what}: {', '.join(names)}"] if names else []
