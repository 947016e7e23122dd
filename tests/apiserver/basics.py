"""What all generated objects share: random numbers by seed, metadata, namespaces."""

from __future__ import annotations

import random
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

Json = dict[str, Any]

RBAC_GROUP = "rbac.authorization.k8s.io"

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""Creation times count from here, so that nothing depends on the clock."""


def random_for(seed: int, *what: object) -> random.Random:
    """A generator of its own for one object, so that none depends on those before it."""
    return random.Random(f"{seed}/{what}")


def stamp(moment: datetime) -> str:
    """A time as Kubernetes writes it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def new_uid(numbers: random.Random) -> str:
    """A version 4 UUID."""
    return str(uuid.UUID(int=numbers.getrandbits(128), version=4))


def metadata(
    numbers: random.Random,
    name: str,
    namespace: str | None = None,
    *,
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
) -> Json:
    """The metadata that every object has."""
    result: Json = {"name": name}
    if namespace is not None:
        result["namespace"] = namespace
    result["uid"] = new_uid(numbers)
    created = EPOCH + timedelta(seconds=numbers.randrange(90 * 86400))
    result["creationTimestamp"] = stamp(created)
    if labels:
        result["labels"] = labels
    if annotations:
        result["annotations"] = annotations
    return result


def namespace_names(count: int) -> list[str]:
    """``team-00``, ``team-01`` ...: the namespaces that the other generators put things in."""
    return [f"team-{index:02d}" for index in range(count)]
