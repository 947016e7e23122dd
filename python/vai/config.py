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
from typing import Any, Final, Literal

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


#: Instead of a number: the profile decides.
_OF_PROFILE: Final = 0.0
_LIVE_WITHIN_S: Final = {"standard": 30.0, "edge": 300.0}
#: Our choice: what a lost event costs is a wrong row for so long. A check of a scope is one
#: request, as against some 110 that prove it meanwhile; docs/operations.md has its bytes. On a
#: metered link they count: there it has to be asked for.
_CHECK_EVERY_S: Final = {"standard": 600.0, "edge": 0.0}


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
        streaming_lists: ask for lists as the beginning of a watch (KEP-3157) where the server can
            (`always`), or by pages (`never`, and today `auto`).
        stream_silence_s: longest silence in a streaming list; then the server is taken for one
            that does not say where the list ends, and is asked for pages.
        quick_watch_s: `timeoutSeconds` of a watch that is there to get a bookmark soon.
        backoff_base_s, backoff_cap_s: waits between failed requests.
        offline_cap_s: longest wait between tries while the server is not heard.
        forbidden_cap_s: longest wait between tries while rights are missing.
        first_lists: how many scopes list at the same time.
        compress: ask for gzip; None decides by the address.
        qps: requests that go out to a cluster in a second, on average; 0 for any number.
        burst: requests that go out at once after a pause.
        bytes_per_second: bytes of lists that are read in a second, on average; 0 for any number.
            What watches bring is counted and makes lists wait, but is never held up itself.
        poll_every_s: between two lists of a resource that can't be watched; 0 for the longest
            time that keeps it live.
        stagger_s: between the starts of two scopes.
        profile: `edge` for a metered link: plain objects without the server's printer cells, gzip
            always, proofs ten times as seldom.
        self_check_s: how often each scope is compared with the server; 0 for never, None for the
            default: ten minutes, and never in `edge`.
        handlers_bytes: changes that wait in memory for slow handlers, all of a cache together.
        history_s: how long what was superseded or deleted stays readable (`at=`, `changes`); longer
            while a named consumer needs it.
        history_bytes: how much of it is kept at most, compressed; never less than a fifth of what
            the objects take.
    """

    file: str | None = None
    kubeconfig: str | None = None
    context: str | None = None
    # 30 s: a quiet resource proves itself about every 20 s, and a dead link is noticed in 28 s.
    # 300 s in the edge profile: one or two requests per scope in 200 s.
    live_within_s: float = _OF_PROFILE
    # client-go tools/pager/pager.go, defaultPageSize.
    page_size: int = 500
    # A third of client-go's dialer (transport/cache.go, 30 s): a dead link has to be told from a
    # slow one within `live_within_s`, reading timeout included.
    connect_timeout_s: float = 5.0
    answer_timeout_s: float = 5.0
    # kube-apiserver ends a request after --request-timeout (1m0s) and says so; this is the silence
    # beyond which it never will.
    list_timeout_s: float = 65.0
    # pytest bench/test_streaming_lists.py, kube-apiserver 1.36, 10,000 pods: for a stream of nearly
    # the same bytes the server takes 1.9 times the CPU that it takes for pages (as Tables 2.5 s
    # beside 1.3, as plain JSON 1.1 beside 0.6), since each event is encoded alone, and vai 1.6
    # times; by pages of 500 the server's memory does not grow either. So pages, until a server does
    # better. A stream is one request, which may be worth it over a link with a long way.
    streaming_lists: str = "auto"
    # kube-apiserver waits at most 3 s for its cache (apiserver cacher, blockTimeout) before it
    # begins, and sends the bookmark 0.1 s after the objects (its progress requests).
    stream_silence_s: float = 10.0
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
    # kubectl's for discovery (cli-runtime genericclioptions/config_flags.go: discoveryQPS 50,
    # discoveryBurst 300). client-go's 5 and 10 (rest/config.go) are for controllers that write
    # now and then: 60 scopes need 6 requests a second to stay proven, 200 at most 20.
    qps: float = 50.0
    burst: int = 300
    # The link's own speed; `first_lists` and pages bound what a server prepares at a time.
    bytes_per_second: float = 0.0
    # The next list has to be there before the last one is too old; see `poll_s`.
    poll_every_s: float = 0.0
    # 60 scopes start within 0.6 s; two cores of a server take some hundred TLS handshakes a second.
    stagger_s: float = 0.01
    profile: Literal["standard", "edge"] = "standard"
    self_check_s: float | None = None
    # Our choice: some 1,600 updates of pods of 5 KB. Who is slower reads them from the file.
    handlers_bytes: int = 16 << 20
    # Our choice: three times what etcd keeps of it (kube-apiserver --etcd-compaction-interval, 5m).
    history_s: float = 900.0
    # Our choice: some 100,000 states of pods of 5 KB, which compress to a fifteenth and less.
    history_bytes: int = 64 << 20

    def __post_init__(self) -> None:
        if self.profile not in _LIVE_WITHIN_S:
            raise InvalidRequestError(
                f"there is no profile {self.profile!r}: standard, or edge for metered links"
            )
        if self.live_within_s == _OF_PROFILE:
            msgspec.structs.force_setattr(self, "live_within_s", _LIVE_WITHIN_S[self.profile])
        if self.live_within_s < _LEAST_LIVE_S:
            raise InvalidRequestError(
                f"live_within must be at least {_LEAST_LIVE_S:g}s: a proof takes a watch of "
                f"{self.quick_watch_s}s and a probe"
            )
        try:
            _streaming(self.streaming_lists)
        except InvalidRequestError as error:
            raise InvalidRequestError(f"streaming_lists: {error}") from None
        if self.history_s < 0 or self.history_bytes < 0:
            raise InvalidRequestError("history and history_bytes must not be negative")
        if self.page_size < 1:
            raise InvalidRequestError("page_size must be at least 1")
        if self.check_every_s < 0:
            raise InvalidRequestError("self_check must not be negative; 0 is for never")
        if self.qps < 0 or self.burst < 1:
            raise InvalidRequestError("qps must be at least 0 (no limit), burst at least 1")
        if self.bytes_per_second and self.bytes_per_second < _LEAST_BYTES_PER_SECOND:
            raise InvalidRequestError(
                f"bytes_per_second must be 0 (no limit) or at least {_LEAST_BYTES_PER_SECOND}: "
                "kube-apiserver ends a list that takes longer than a minute"
            )

    @property
    def is_edge(self) -> bool:
        """Whether the link is metered."""
        return self.profile == "edge"

    def poll_s(self, objects: int) -> float:
        """Between two lists of a resource that can't be watched and has so many objects.

        Four fifths of `live_within_s`, which leaves the rest for the list itself; longer where that
        would cost the server more than 50 objects a second, as for proofs by list.
        """
        return max(self.poll_every_s or self.live_within_s * 0.8, objects * 0.02)

    @property
    def check_every_s(self) -> float:
        """How often each scope is compared with the server; 0 for never."""
        return _CHECK_EVERY_S[self.profile] if self.self_check_s is None else self.self_check_s

    @property
    def long_watch_s(self) -> int:
        """`timeoutSeconds` of the watch between two proofs.

        Longest age before the next proof = this, the lateness of a bookmark (1.3 s) and
        `goal_lasts_s`; and a dead link shows after this, `watch_margin_s` of silence and one failed
        connection. Both stay inside `live_within_s`.
        """
        return max(1, int(self.live_within_s / 1.5))

    @property
    def silent_watch_s(self) -> int:
        """The same of what gets no bookmarks, whose silence proves what was `silence_s` before."""
        most = self.live_within_s * 0.9 - self.silence_s - self.goal_lasts_s
        return max(self.quick_watch_s, min(self.long_watch_s, int(most)))

    @property
    def silence_s(self) -> float:
        """How long a quiet watch must have lasted for its silence to prove something."""
        return self.quick_watch_s - 1.0

    @property
    def goal_lasts_s(self) -> float:
        """How old the answer of a probe may be when a stream reaches it."""
        return self.live_within_s / 7.5

    @property
    def watch_margin_s(self) -> float:
        """How long after its deadline a watch may stay silent before the link counts as dead."""
        return min(3.0, self.live_within_s / 10)

    @property
    def link_timeout_s(self) -> float:
        """How long a connection or a probe may take before the server counts as not heard."""
        return min(self.connect_timeout_s, self.answer_timeout_s, self.live_within_s / 6)


#: A page of 500 objects of 5 KB, not compressed, in half a minute.
_LEAST_BYTES_PER_SECOND: Final = 80_000
#: A quick watch (3 s), a long one (3 s) and the next bookmark (1.8 s) have to fit.
_LEAST_LIVE_S: Final = 8.0
_STREAMING: Final = frozenset({"auto", "always", "never"})


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


def _streaming(text: str) -> str:
    if text not in _STREAMING:
        raise InvalidRequestError(f"{text!r} is none of {', '.join(sorted(_STREAMING))}")
    return text


def _number(text: str) -> float:
    if not re.fullmatch(r"\d+(\.\d+)?", text.strip()):
        raise InvalidRequestError(f"{text!r} is not a number")
    return float(text)


_VARIABLES: Final[Mapping[str, tuple[str, Callable[[str], Any]]]] = {
    "VAI_FILE": ("file", str),
    "VAI_KUBECONFIG": ("kubeconfig", str),
    "VAI_CONTEXT": ("context", str),
    "VAI_LIVE_WITHIN": ("live_within_s", parse_duration),
    "VAI_PAGE_SIZE": ("page_size", _count),
    "VAI_SELF_CHECK": ("self_check_s", parse_duration),
    "VAI_COMPRESS": ("compress", _flag),
    "VAI_STREAMING_LISTS": ("streaming_lists", _streaming),
    "VAI_PROFILE": ("profile", str),
    "VAI_QPS": ("qps", _number),
    "VAI_BURST": ("burst", _count),
    "VAI_BYTES_PER_SECOND": ("bytes_per_second", _number),
    "VAI_HISTORY": ("history_s", parse_duration),
    "VAI_HISTORY_BYTES": ("history_bytes", _count),
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
