"""Settings and where they come from: arguments, then `VAI_*` variables, then defaults.

What kubectl decides by itself (which kubeconfig, which context) stays None here and is decided by
`vai.kube` in kubectl's order. Durations are given as seconds, as a timedelta, or as text such as
`30s`; inside they are seconds.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final

import msgspec

from vai.errors import InvalidRequestError

_UNITS_S: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def parse_duration(text: str) -> float:
    """Seconds of `30s`, `4m`, `1h30m`, `500ms`, or of a bare number of seconds.

    The units are those of Go's time.ParseDuration from milliseconds up, as kubectl's flags take
    them, and `d`.

    Raises:
        InvalidRequestError: it is none of these.
    """
    stripped = text.strip()
    parts = _PART.findall(stripped)
    if parts and "".join(number + unit for number, unit in parts) == stripped:
        return float(sum(float(number) * _UNITS_S[unit] for number, unit in parts))
    if re.fullmatch(r"\d+(\.\d+)?", stripped):
        return float(stripped)
    raise InvalidRequestError(f"invalid duration {text!r}: write it as 30s, 4m or 1h30m")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How vai syncs. Every default names its source.

    Attributes:
        file: the cluster file; None leaves the choice to the caller.
        kubeconfig: path (or several, by os.pathsep); None for kubectl's order.
        context: of the kubeconfig; None for its current one.
        live_within_s: age of the last proof up to which a scope is `live`. All other times that
            have to do with freshness are derived from it.
        page_size: `limit` of a list request.
        connect_timeout_s: until a TCP connection (and TLS) stands.
        answer_timeout_s: until a small request (probe, discovery, identity) is answered.
        list_timeout_s: longest silence inside a list.
        quick_watch_s: `timeoutSeconds` of a watch that is there to get a bookmark soon.
        backoff_base_s, backoff_cap_s: waits between failed requests.
        offline_cap_s: longest wait between tries while the server is not heard.
        forbidden_cap_s: longest wait between tries while rights are missing.
        first_lists: how many scopes list at the same time.
        compress: ask for gzip; None decides by the address.
        self_check_s: how often each scope is compared with the server; 0 for never, None for the
            default of ten minutes.
    """

    file: str | None = None
    kubeconfig: str | None = None
    context: str | None = None
    # design: a quiet resource proves itself about every 17 s, and a dead link is noticed in 25 s.
    live_within_s: float = 30.0
    # client-go tools/pager/pager.go, defaultPageSize.
    page_size: int = 500
    # A third of client-go's dialer (transport/cache.go, 30 s): a dead link has to be told from a
    # slow one within `live_within_s`, reading timeout included.
    connect_timeout_s: float = 5.0
    answer_timeout_s: float = 5.0
    # kube-apiserver ends a request after --request-timeout (1m0s) and says so; this is the silence
    # beyond which it never will.
    list_timeout_s: float = 65.0
    # The first bookmark comes two seconds before a watch's deadline (apiserver cacher,
    # bookmarkFrequency and nextBookmarkTime). Against kube-apiserver 1.36: 0.6 to 1.8 s after the
    # start with timeoutSeconds=3, none at all with 2.
    quick_watch_s: int = 3
    # client-go tools/cache/reflector.go, NewReflectorWithOptions: 800 ms doubled up to 30 s, each
    # up to twice as long at random, from the start again after two minutes.
    backoff_base_s: float = 0.8
    backoff_cap_s: float = 30.0
    # A refused or unanswered connection costs the server nothing; what it delays is coming back.
    offline_cap_s: float = 10.0
    # Roles change by hand, so half of client-go's cap; the first tries come sooner, because a
    # kube-apiserver that has just started forbids for a second what it will allow.
    forbidden_cap_s: float = 15.0
    # Enough to fill one core of a server and the writer (18,000 objects/s), far below the 400
    # requests in flight of a default kube-apiserver (--max-requests-inflight).
    first_lists: int = 4
    compress: bool | None = None
    self_check_s: float | None = None

    def __post_init__(self) -> None:
        if self.live_within_s < _LEAST_LIVE_S:
            raise InvalidRequestError(
                f"live_within must be at least {_LEAST_LIVE_S:g}s: a proof takes a watch of "
                f"{self.quick_watch_s}s and a probe"
            )
        if self.page_size < 1:
            raise InvalidRequestError("page_size must be at least 1")
        if self.check_every_s < 0:
            raise InvalidRequestError("self_check must not be negative; 0 is for never")

    @property
    def check_every_s(self) -> float:
        """How often each scope is compared with the server; 0 for never."""
        return _CHECK_EVERY_S if self.self_check_s is None else self.self_check_s

    @property
    def long_watch_s(self) -> int:
        """`timeoutSeconds` of the watch between two proofs.

        Longest age before the next proof = this with its jitter, one probe, one quick watch; and a
        dead link shows after this, `watch_margin_s` of silence and one failed connection. Both
        stay inside `live_within_s`.
        """
        return max(1, int(self.live_within_s / 2.15))

    @property
    def watch_margin_s(self) -> float:
        """How long after its deadline a watch may stay silent before the link counts as dead."""
        return min(3.0, self.live_within_s / 10)

    @property
    def link_timeout_s(self) -> float:
        """How long a connection or a probe may take before the server counts as not heard."""
        return min(self.connect_timeout_s, self.answer_timeout_s, self.live_within_s / 6)


#: Our choice: what a lost event costs is a wrong row for so long. A check of a scope is one
#: request, as against some 110 that prove it meanwhile; docs/operations.md has its bytes.
_CHECK_EVERY_S: Final = 600.0
#: A quick watch (3 s), a long one (3 s) and the next bookmark (1.8 s) have to fit.
_LEAST_LIVE_S: Final = 8.0


def _flag(text: str) -> bool:
    if text.lower() in {"1", "true", "yes", "on"}:
        return True
    if text.lower() in {"0", "false", "no", "off"}:
        return False
    raise InvalidRequestError(f"{text!r} is neither true nor false")


def _count(text: str) -> int:
    if not text.strip().isdecimal():
        raise InvalidRequestError(f"{text!r} is not a whole number")
    return int(text)


_VARIABLES: Final[Mapping[str, tuple[str, Callable[[str], Any]]]] = {
    "VAI_FILE": ("file", str),
    "VAI_KUBECONFIG": ("kubeconfig", str),
    "VAI_CONTEXT": ("context", str),
    "VAI_LIVE_WITHIN": ("live_within_s", parse_duration),
    "VAI_PAGE_SIZE": ("page_size", _count),
    "VAI_SELF_CHECK": ("self_check_s", parse_duration),
    "VAI_COMPRESS": ("compress", _flag),
}


def load_settings(environ: Mapping[str, str] | None = None, **arguments: Any) -> Settings:
    """Settings from arguments, then `VAI_*` variables, then defaults.

    Args:
        environ: the environment; os.environ if None.
        **arguments: fields of `Settings`; None stands for "not given". Fields that end in `_s`
            take seconds, a timedelta or text.

    Raises:
        InvalidRequestError: a value is wrong; the message names the variable or the argument.
    """
    values = _from_environment(os.environ if environ is None else environ)
    for name, value in arguments.items():
        if name not in Settings.__struct_fields__:
            raise InvalidRequestError(f"there is no setting {name!r}")
        if value is not None:
            values[name] = _in_seconds(value) if name.endswith("_s") else value
    return Settings(**values)


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for variable, (name, parse) in _VARIABLES.items():
        text = environ.get(variable, "")
        if not text:
            continue
        try:
            values[name] = parse(text)
        except InvalidRequestError as error:
            raise InvalidRequestError(f"{variable}: {error}") from None
    return values


def _in_seconds(value: float | timedelta | str) -> float:
    if isinstance(value, timedelta):
        return value.total_seconds()
    return parse_duration(value) if isinstance(value, str) else value


__all__ = ["Settings", "load_settings", "parse_duration"]
