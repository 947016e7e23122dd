"""Kubernetes' selectors, by its documentation: a missing label matches `!=` and `notin`.

https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors and
https://kubernetes.io/docs/concepts/overview/working-with-objects/field-selectors/
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.unit.cache.oracle.places import Json
from tests.unit.cache.oracle.values import INT64


@dataclass(frozen=True)
class Requirement:
    """One part of a label selector."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def written(self) -> str:
        match self.operator:
            case "exists":
                return self.key
            case "!":
                return f"!{self.key}"
            case "in" | "notin":
                return f"{self.key} {self.operator} ({','.join(self.values)})"
            case _:
                return f"{self.key}{self.operator}{self.values[0]}"

    def selects(self, one: Json) -> bool:
        value = one["metadata"].get("labels", {}).get(self.key)
        match self.operator:
            case "exists":
                return value is not None
            case "!":
                return value is None
            case "=" | "==" | "in":
                return value in self.values
            case "!=" | "notin":
                return value not in self.values
            case _:
                if value is None or not re.fullmatch(r"[+-]?\d+", value, re.ASCII):
                    return False
                there, than = int(value), int(self.values[0])
                return there in INT64 and (there > than if self.operator == ">" else there < than)


@dataclass(frozen=True)
class Term:
    """One part of a field selector: compares text, and what is missing is empty."""

    field: str
    operator: str
    value: str

    def written(self) -> str:
        text = self.value
        for special in ("\\", ",", "="):
            text = text.replace(special, f"\\{special}")
        return f"{self.field}{self.operator}{text}"

    def selects(self, found: str) -> bool:
        return (found == self.value) != (self.operator == "!=")


def written(parts: tuple[Requirement, ...] | tuple[Term, ...]) -> str:
    """The whole selector."""
    return ",".join(part.written() for part in parts)
