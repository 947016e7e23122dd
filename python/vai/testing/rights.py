"""Who may do what on a simulated server, and whether the credentials still count."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from vai.testing.requests import Request
from vai.testing.status import forbidden, unauthorized


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
class Rights:
    """What is forbidden; everything else is allowed."""

    user: str = "admin"
    _rules: list[_Rule] = field(default_factory=list)
    _expired: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

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

    def check(self, request: Request) -> None:
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
