"""What went wrong, in one line without addresses of credentials: exceptions and refusals."""

from __future__ import annotations

import re
import socket
import ssl
import time
from email.utils import parsedate_to_datetime
from typing import Any, Final

import msgspec

from vai.errors import ForbiddenError, OfflineError
from vai.reflector import Refusal, RefusedError
from vai.reflector.protocol import REFUSAL
from vai.types import Resource

#: Of a proxy's or a load balancer's HTML page.
_MOST_TEXT: Final = 300
_MOST_TITLE: Final = 60
_TITLE: Final = re.compile(r"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)
_MOVED: Final = 300
_CLIENT_ERROR: Final = 400


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """The RBAC rule that a request needs."""

    api_group: str
    resource: str
    verbs: tuple[str, ...]
    namespace: str | None = None
    name: str = ""

    @classmethod
    def of(cls, resource: Resource, namespace: str | None) -> Rule:
        """What it takes to sync a resource."""
        return cls(
            api_group=resource.group,
            resource=resource.plural,
            verbs=("list", "watch"),
            namespace=namespace,
        )

    def as_policy(self) -> dict[str, Any]:
        """A PolicyRule of rbac.authorization.k8s.io/v1, and the namespace to hold in."""
        policy: dict[str, Any] = {
            "apiGroups": [self.api_group],
            "resources": [self.resource],
            "verbs": list(self.verbs),
        }
        if self.name:
            policy["resourceNames"] = [self.name]
        policy["namespace"] = self.namespace
        return policy

    def __str__(self) -> str:
        where = "a ClusterRole" if self.namespace is None else f"a Role in {self.namespace}"
        verbs = ", ".join(f'"{verb}"' for verb in self.verbs)
        named = f', resourceNames: ["{self.name}"]' if self.name else ""
        return (
            f'{where} with {{apiGroups: ["{self.api_group}"], resources: ["{self.resource}"], '
            f"verbs: [{verbs}]{named}}}"
        )


def offline(error: BaseException, server: str) -> OfflineError:
    """Why the server is not heard, from an exception of urllib3 or below.

    The exception's own text is not used: it may carry a proxy's address with its password.
    """
    return OfflineError(f"{server}: {_cause(error)}")


def _cause(error: BaseException) -> str:
    for inner in _chain(error):
        match inner:
            case ssl.SSLCertVerificationError():
                return f"TLS: certificate verify failed: {inner.verify_message}"
            case ssl.SSLError():
                return f"TLS: {inner.reason or 'the handshake failed'}"
            case ValueError() if type(inner).__name__ == "CertificateError":  # urllib3 before 2
                return f"TLS: {inner}"
            case socket.gaierror():
                return f"name resolution failed: {inner.strerror}"
            case TimeoutError():
                return "no answer in time"
            case OSError() if inner.errno is not None:
                return (inner.strerror or "connection failed").lower()
            case _:
                continue
    name = type(error).__name__
    if "Timeout" in name:
        return "no answer in time"
    return {"ProxyError": "the proxy refused"}.get(name, "connection broken")


def _chain(error: BaseException) -> list[BaseException]:
    """The exception and what it was made of, innermost first."""
    found: list[BaseException] = []
    inner: BaseException | None = error
    while inner is not None and inner not in found:
        found.append(inner)
        reason = getattr(inner, "reason", None)
        arguments = [given for given in inner.args if isinstance(given, BaseException)]
        if isinstance(reason, BaseException):
            arguments.insert(0, reason)
        inner = (arguments[0] if arguments else None) or inner.__cause__ or inner.__context__
    return found[::-1]


def refusal(code: int, body: bytes, retry_after: str | None) -> RefusedError:
    """A refused request: the Status that the server sent, or what a proxy said instead."""
    after_s = _seconds(retry_after)
    try:
        said = REFUSAL.decode(body)
        if said.code or said.message:
            return RefusedError(msgspec.structs.replace(said, code=said.code or code), after_s)
    except msgspec.MsgspecError:
        pass
    text = " ".join(body[: _MOST_TEXT * 4].decode("utf-8", "replace").split())[:_MOST_TEXT]
    if _MOVED <= code < _CLIENT_ERROR:
        text = f"it sends elsewhere, as a login page does: check the server's address ({text})"
    return RefusedError(Refusal(code=code, message=text), after_s)


def _seconds(retry_after: str | None) -> float | None:
    """Retry-After: seconds as Kubernetes sends them, or a proxy's date (RFC 9110, 10.2.3)."""
    text = (retry_after or "").strip()
    if text.isdecimal():
        return float(text)
    try:
        # The one place where the wall clock is asked: it is the date's own.
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time()) if text else None
    except (ValueError, OverflowError):
        return None


def no_json(kind: str, body: bytes, problem: str = "") -> RefusedError:
    """A 200 with something else in it than Kubernetes objects: most often a web page."""
    text = body.decode("utf-8", "replace")
    title = _TITLE.search(text)
    shown = " ".join((title[1] if title else text).split())[:_MOST_TITLE]
    what = ", ".join(filter(None, (kind, f"{shown!r}" if shown else "empty", problem)))
    return RefusedError(
        Refusal(
            message=f"the answer is no JSON ({what}): a login page or a proxy stands before the "
            "API server; check the server's address in the kubeconfig, and log in there"
        )
    )


def unauthorized(origin: str) -> ForbiddenError:
    """401 although the credentials were renewed."""
    return ForbiddenError(
        f"401 Unauthorized: the server does not accept the credentials of {origin}; "
        "log in again, or check them with kubectl auth whoami"
    )


def forbidden(error: RefusedError, rule: Rule | None) -> ForbiddenError:
    """403 with the rule that is missing."""
    said = error.refusal.message or "no reason given"
    if rule is None:
        return ForbiddenError(f"403 Forbidden: {said}")
    return ForbiddenError(f"403 Forbidden: {said}; missing: {rule}", rule=rule.as_policy())
