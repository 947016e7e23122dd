"""Faults that a test asks for: failures, damaged bytes, lying lists, missing rights."""

from __future__ import annotations

import enum
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from vai.testing.requests import Request
from vai.testing.status import ApiError, forbidden, injected, unauthorized

Match = str | Callable[[Request], bool] | None


class Damage(enum.Enum):
    """How the next answer is damaged.

    Attributes:
        MALFORMED: The first object (in a watch: the next event) is not valid JSON.
        TRUNCATED: The body ends early and the connection is closed.
    """

    MALFORMED = "malformed"
    TRUNCATED = "truncated"


def matches(match: Match, request: Request) -> bool:
    """Whether a fault is meant for a request.

    A string names a resource (``pods``), a verb or kind (``list``, ``watch``, ``get``) or both
    (``list pods``); None matches every request for a resource.
    """
    if callable(match):
        return match(request)
    if not request.resource:
        return False
    if match is None:
        return True
    names = {request.resource, f"{request.resource}.{request.group}", request.verb, request.kind}
    return all(word in names for word in match.split())


@dataclass(slots=True)
class _Planned:
    match: Match
    times: int
    error: ApiError | None = None
    damage: Damage | None = None
    empty_list: bool = False


@dataclass(frozen=True, slots=True)
class _Rule:
    resource: str
    namespace: str | None
    verb: str | None

    def denies(self, request: Request) -> bool:
        full = f"{request.resource}.{request.group}" if request.group else request.resource
        return (
            self.resource in ("*", full, request.resource)
            and self.namespace in (None, request.namespace)
            and self.verb in (None, request.verb)
        )


@dataclass(slots=True)
class Faults:
    """What is planned to go wrong."""

    user: str = "admin"
    _planned: list[_Planned] = field(default_factory=list)
    _rules: list[_Rule] = field(default_factory=list)
    _expired: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def fail_next(
        self,
        status: int,
        *,
        retry_after: int | None = None,
        match: Match = None,
        times: int = 1,
        message: str | None = None,
    ) -> None:
        """Answer the next matching requests with an error."""
        error = injected(status, retry_after=retry_after, message=message)
        self._add(_Planned(match, times, error=error))

    def corrupt_next(
        self, damage: Damage | str = Damage.MALFORMED, *, match: Match = None, times: int = 1
    ) -> None:
        """Damage the next matching answers; running watches count with their next event."""
        self._add(_Planned(match, times, damage=Damage(damage)))

    def lie_next_list(self, *, match: Match = "list", times: int = 1) -> None:
        """Answer the next matching lists with no items."""
        self._add(_Planned(match, times, empty_list=True))

    def _add(self, planned: _Planned) -> None:
        with self._lock:
            self._planned.append(planned)

    def _take(self, request: Request, wanted: Callable[[_Planned], bool]) -> _Planned | None:
        with self._lock:
            for planned in self._planned:
                if wanted(planned) and matches(planned.match, request):
                    planned.times -= 1
                    if planned.times <= 0:
                        self._planned.remove(planned)
                    return planned
        return None

    def error(self, request: Request) -> ApiError | None:
        """The planned error of a request."""
        found = self._take(request, lambda planned: planned.error is not None)
        return found.error if found else None

    def damage(self, request: Request) -> Damage | None:
        """The planned damage of an answer or a watch event."""
        if not self._planned:
            return None
        found = self._take(request, lambda planned: planned.damage is not None)
        return found.damage if found else None

    def lies(self, request: Request) -> bool:
        """Whether this list must show nothing."""
        return self._take(request, lambda planned: planned.empty_list) is not None

    def clear(self) -> None:
        """Plan nothing, allow everything, accept the credentials again."""
        with self._lock:
            self._planned.clear()
            self._rules.clear()
            self._expired = False

    # Rights ---------------------------------------------------------------------------------------

    def forbid(
        self, resource: str, namespace: str | None = None, *, verb: str | None = None
    ) -> None:
        """Answer 403 for a resource: everywhere (None), or for requests in one namespace.

        ``namespace=""`` forbids cluster-wide requests only, like a user who has only Roles.
        """
        with self._lock:
            self._rules.append(_Rule(resource, namespace, verb))

    def allow(self, resource: str | None = None) -> None:
        """Take back what was forbidden."""
        with self._lock:
            self._rules = [r for r in self._rules if resource not in (None, r.resource)]

    def expire_credentials(self, expired: bool = True) -> None:  # noqa: FBT001, FBT002
        """Answer 401 to everything until called with False."""
        self._expired = expired

    def check_rights(self, request: Request) -> None:
        """Raise what authentication or authorization says.

        Raises:
            ApiError: 401 or 403.
        """
        if self._expired:
            raise unauthorized()
        if not request.resource:
            return
        with self._lock:
            denied = any(rule.denies(request) for rule in self._rules)
        if denied:
            resource = request.resource
            if request.subresource:
                resource += f"/{request.subresource}"
            raise forbidden(
                self.user,
                request.verb,
                request.group,
                resource,
                namespace=request.namespace,
                name=request.name,
            )
