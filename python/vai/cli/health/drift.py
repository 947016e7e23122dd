"""What self-checks found, for `vai status`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from vai.types import ScopeStatus, duration

if TYPE_CHECKING:
    from vai.reflector.selfcheck import Finding
    from vai.store import Store


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """The last drift of a scope."""

    scope: str
    found: Finding


def drift_of(store: Store, scopes: Sequence[ScopeStatus]) -> list[Drift]:
    """Of all scopes that ever had any."""
    from vai.reflector.selfcheck import finding_of

    found = [(one, finding_of(store, one.id)) for one in scopes]
    return [Drift(scope=str(one), found=it) for one, it in found if it is not None]


def lines(store: Store, scopes: Sequence[ScopeStatus]) -> list[str]:
    """What was found, and what could not be checked; nothing where all is well."""
    told = []
    for one in drift_of(store, scopes):
        ago = duration(max(0.0, time.time() - one.found.at_s))
        how = "repaired" if one.found.repaired else "being listed again"
        often = f", {one.found.times} times so far" if one.found.times > 1 else ""
        told.append(f"Drift:    {one.scope}: {ago} ago {one.found} ({how}{often})")
    told += [
        f"Check:    {one} could not be compared with the server: {one.check_note}"
        for one in scopes
        if one.check_note
    ]
    return told
