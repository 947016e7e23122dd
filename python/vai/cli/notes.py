"""What is said beside an answer: its state and age, and what the file does not hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

from vai.types import Freshness, Resource, ScopeStatus, State, duration


def states(parts: Iterable[tuple[str, Freshness]]) -> Iterator[str]:
    """`pods: offline since 4m12s, proven 4m30s ago: connection refused`; nothing when live.

    Resources that stand alike share a line.
    """
    alike: dict[str, list[str]] = {}
    for name, freshness in parts:
        if freshness.state is not State.LIVE:
            alike.setdefault(str(freshness), []).append(name)
    for text, names in alike.items():
        yield f"{', '.join(names)}: {text}"


def older(freshness: Freshness, max_age_s: float | None) -> bool:
    """Whether an answer misses the asked age; what was never proven always does."""
    if max_age_s is None:
        return False
    return not freshness.complete or freshness.age_s is None or freshness.age_s > max_age_s


def too_old(resource: str, freshness: Freshness, max_age_s: float) -> str:
    """The line that goes with exit code 3."""
    limit = f"--max-age {duration(max_age_s)}"
    if not freshness.complete or freshness.age_s is None:
        return f"{resource}: not complete yet, so older than any {limit}"
    return f"{resource}: {duration(freshness.age_s)} old, older than {limit}"


def page(resource: str, shown: int, total: int, cursor: str | None) -> Iterator[str]:
    """`pods: 20 of 4,512; go on with --cursor …`; nothing where all is shown."""
    if cursor is not None:
        yield f"{resource}: {shown:,} of {total:,}; go on with --cursor {cursor}"
    elif 0 < shown < total:
        yield f"{resource}: the last {shown:,} of {total:,}"


def gap(resource: str, known_since_s: float | None) -> Iterator[str]:
    """The past that was asked for was not watched without a gap."""
    if known_since_s is not None:
        known = datetime.fromtimestamp(known_since_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        yield f"{resource}: not watched at that time; as last known since {known}"


def partial(resource: Resource, statuses: Sequence[ScopeStatus]) -> Iterator[str]:
    """What "all namespaces" leaves out, if the file keeps only some of the resource."""
    mine = [status for status in statuses if status.resource == resource.name]
    whole = any(
        status.namespace is None and not status.label_selector and not status.field_selector
        for status in mine
    )
    if mine and not whole:
        kept = ", ".join(dict.fromkeys(str(status) for status in mine))
        yield f"{resource.name}: the file keeps only a part: {kept}"
