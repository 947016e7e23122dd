"""What the API server says: whether it can be used, and whether the file is its copy."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec

from vai.cli.health.verdict import Line, failure, ok, skipped, warning
from vai.errors import ForbiddenError, InvalidRequestError, OfflineError
from vai.types import ScopeStatus, State, duration

if TYPE_CHECKING:
    from vai.cli.health.file import Slowly
    from vai.kube import Transport
    from vai.reflector.selfcheck import Checker
    from vai.store import Difference, Store

#: A Date header has whole seconds, and the answer takes its time.
_SKEW_S: Final = 5.0
#: Tokens and certificates that were just made are not valid yet on the other side.
_BAD_SKEW_S: Final = 60.0
_SOON: Final = timedelta(days=7)
_MOST_TOLD: Final = 3
_CLOCK: Final = "set this machine's clock by NTP (or the server's)"


def reached(transport: Transport) -> Iterator[Line]:
    """Whether it answers, and how its clock stands to ours.

    Raises:
        OfflineError, ForbiddenError: after telling so; nothing more can be asked.
    """
    from vai.reflector import RefusedError

    began = time.time()
    try:
        with transport.request("/version") as response:
            body, date = b"".join(response.chunks()), response.date
    except (OfflineError, RefusedError) as error:
        yield failure("server", str(error), "check the address, the network and the proxy")
        raise OfflineError(str(error)) from None
    except ForbiddenError as error:
        yield failure("server", str(error), "log in again; kubectl auth whoami tells who you are")
        raise
    took_s = time.time() - began
    try:
        version = msgspec.json.decode(body, type=_Version).git_version
    except msgspec.MsgspecError:
        yield failure(
            "server", f"{transport.server} does not speak Kubernetes' API", "check the address"
        )
        raise OfflineError("it does not speak Kubernetes' API") from None
    yield ok("server", f"{transport.server}, {version}, answered in {took_s * 1000:.0f} ms")
    yield _clock(date, began + took_s / 2)


def _clock(date: str | None, here_s: float) -> Line:
    try:
        there_s = parsedate_to_datetime(date or "").timestamp()
    except ValueError:
        return skipped("clock", "the server does not tell its time")
    # Of the whole second that the header means, the middle.
    skew_s = here_s - (there_s + 0.5)
    text = f"this machine's clock is {duration(abs(skew_s))} {'ahead' if skew_s > 0 else 'behind'}"
    if abs(skew_s) > _BAD_SKEW_S:
        return failure("clock", f"{text}: tokens and certificates may be refused", _CLOCK)
    if abs(skew_s) > _SKEW_S:
        return warning("clock", f"{text}: ages in tables are off by that", _CLOCK)
    return ok("clock", "this machine's clock and the server's agree")


def credentials(transport: Transport) -> Iterator[Line]:
    """Until when they hold, as far as they say so."""
    from vai.kube.expiry import certificate_expiry, token_expiry

    try:
        headers = dict(transport.credentials.headers())
    except OfflineError as error:
        yield failure("credentials", str(error), "log in again")
        return
    certificate = transport.credentials.certificate
    until = None if certificate is None else certificate_expiry(certificate[0])
    if certificate is not None:
        yield _until("the client certificate", until, renewed=_renews(transport))
    token = headers.get("Authorization", "").removeprefix("Bearer ")
    if token:
        yield _until("the token", token_expiry(token), renewed=_renews(transport))
    if certificate is None and not token:
        yield warning("credentials", "none are sent", "check the user of the kubeconfig's context")


def _renews(transport: Transport) -> bool:
    """Whether vai gets new ones by itself."""
    access = transport.access
    return access.in_cluster or any(
        access.user.get(key) for key in ("exec", "tokenFile", "auth-provider")
    )


def _until(what: str, until: datetime | None, *, renewed: bool) -> Line:
    if until is None:
        return ok("credentials", f"{what} does not say until when it holds")
    left = until - datetime.now(UTC)
    stamp = until.strftime("%Y-%m-%dT%H:%M:%SZ")
    if left < timedelta(0):
        return failure("credentials", f"{what} has expired at {stamp}", "log in again")
    text = f"{what} holds for {duration(left.total_seconds())}, until {stamp}"
    if renewed:
        return ok("credentials", f"{text}, and is renewed by itself")
    return (
        warning("credentials", text, "renew it in time")
        if left < _SOON
        else ok("credentials", text)
    )


def identity(transport: Transport, store: Store) -> Line:
    """Whether the file is a copy of this cluster."""
    from vai.kube import identify
    from vai.reflector import RefusedError

    known = store.cluster()
    if known is None:
        return skipped("cluster", "the file is not bound to a cluster yet")
    try:
        found = identify(transport, known)
    except (OfflineError, ForbiddenError, RefusedError) as error:
        return skipped("cluster", str(error))
    if found.verified and known.verified and found.uid != known.uid:
        return failure(
            "cluster",
            f"the file is of cluster {known.uid}, {transport.server} is {found.uid}",
            "name the other context with --context, or another file",
        )
    if not found.verified:
        return warning(
            "cluster",
            f"{transport.server}, known by its address and CA only",
            "`vai rbac` has the right to read namespace kube-system, which tells for sure",
        )
    return ok("cluster", f"the file is a copy of this cluster ({found.uid})")


def scopes(transport: Transport, store: Store, slowly: Slowly[list[Difference]]) -> Iterator[Line]:
    """Each scope compared with the server, as the self-check of a sync does."""
    from vai.reflector.selfcheck import Checker, NotCheckedError

    checker = Checker(store, transport.settings, _pause)
    equal: list[ScopeStatus] = []
    for one in store.scopes():
        if one.state in {State.NEVER, State.GONE}:
            continue
        try:
            look = partial(_compare, checker, transport, store, one)
            found = slowly(f"comparing {one} with the server", look)
        except NotCheckedError as error:
            yield skipped("self-check", f"{one} was not compared: {error}")
            continue
        if found:
            yield _drift(one, found)
        else:
            equal.append(one)
    if equal:
        objects = sum(one.objects for one in equal)
        names = ", ".join(map(str, equal[:_MOST_TOLD])) + (", …" if equal[_MOST_TOLD:] else "")
        yield ok("self-check", f"{names}: {objects:,} objects are the server's")


def _compare(
    checker: Checker, transport: Transport, store: Store, scope: ScopeStatus
) -> list[Difference]:
    """One scope; while somebody syncs the file as of now, else as of its last moment."""
    from vai.kube import Source
    from vai.reflector.selfcheck import NotCheckedError

    resource = store.resources().get(scope.resource)
    if resource is None:
        raise NotCheckedError("the cluster has no such resource")
    source = Source(
        transport,
        resource,
        namespace=scope.namespace,
        label_selector=scope.label_selector,
        field_selector=scope.field_selector,
    )
    if store.stats()["writer_running"]:
        return checker.check(scope.id, source)
    return checker.check_at_rest(scope.id, source)


def _drift(one: ScopeStatus, found: list[Difference]) -> Line:
    told = ", ".join(f"{entry.what} {entry.key}" for entry in found[:10])
    more = f" and {len(found) - 10:,} more" if len(found) > 10 else ""  # noqa: PLR2004
    return failure(
        "self-check",
        f"{one} differs from the server: {told}{more}",
        "`vai sync` lists it again at its next self-check (VAI_SELF_CHECK); started anew with "
        "VAI_SELF_CHECK=1m it does so within a minute",
    )


def _pause(seconds: float) -> bool:
    time.sleep(seconds)
    return False


def unconfigured(error: InvalidRequestError) -> Line:
    """There is no server to ask."""
    return skipped("server", f"{error}")


class _Version(msgspec.Struct, rename="camel"):
    git_version: str
