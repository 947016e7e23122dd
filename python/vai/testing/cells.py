"""What the printers share: walking an object, ages, selectors as text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vai.testing.durations import Since, parse_timestamp
from vai.testing.objects import Json

Cells = Callable[[Json], list[Any]]
_NONE = "<none>"


def since(value: object) -> Since:
    """An age cell from a timestamp; ``<unknown>`` when there is none."""
    return Since(parse_timestamp(value))


def age(obj: Json) -> Since:
    """The age cell."""
    return since(obj["metadata"].get("creationTimestamp"))


def name(obj: Json) -> str:
    """The name; empty in the object of a bookmark."""
    return str(obj["metadata"].get("name", ""))


def get(obj: Any, *path: str) -> Any:
    """The value at a path; None when any part is missing."""
    for part in path:
        if not isinstance(obj, dict):
            return None
        obj = obj.get(part)
    return obj


def items(obj: Any, *path: str) -> list[Any]:
    """The list at a path; empty when any part is missing."""
    return get(obj, *path) or []


def number(obj: Any, *path: str) -> int:
    """The integer at a path; 0 when any part is missing."""
    return int(get(obj, *path) or 0)


def containers(template: Any) -> list[Any]:
    """Names and images of a pod template."""
    found = items(template, "spec", "containers")
    names = ",".join(c.get("name", "") for c in found)
    return [names, ",".join(c.get("image", "") for c in found)]


def format_labels(labels: dict[str, str] | None) -> str:
    """``a=1,b=2`` in key order, ``<none>`` when empty (labels.FormatLabels)."""
    return ",".join(f"{k}={v}" for k, v in sorted((labels or {}).items())) or _NONE


def format_selector(selector: Json | None) -> str:
    """A LabelSelector as one line (metav1.FormatLabelSelector)."""
    text = selector_text(selector)
    if selector is None:
        return _NONE
    return text or _NONE


def selector_text(selector: Json | None) -> str:
    """A LabelSelector in the syntax of a query."""
    if not selector:
        return ""
    parts: list[tuple[str, str]] = [
        (key, f"{key}={value}") for key, value in (selector.get("matchLabels") or {}).items()
    ]
    for expression in selector.get("matchExpressions") or []:
        key, operator = expression["key"], expression["operator"]
        values = ",".join(sorted(expression.get("values") or []))
        text = {
            "In": f"{key} in ({values})",
            "NotIn": f"{key} notin ({values})",
            "Exists": key,
            "DoesNotExist": f"!{key}",
        }.get(operator, key)
        parts.append((key, text))
    return ",".join(text for _, text in sorted(parts, key=lambda part: part[0]))
