"""HTTP requests to one API server; bodies are handed on as the bytes that arrive."""

from __future__ import annotations

import ipaddress
import ssl
import threading
import time
import urllib.request
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from importlib.metadata import version
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import unquote, urlencode, urlsplit

import msgspec
import urllib3

# Public as urllib3.HTTPHeaderDict since 2.0 only; kubernetes allows 1.26 too.
from urllib3._collections import HTTPHeaderDict
from urllib3.exceptions import HTTPError, ProtocolError

from vai.config import Settings
from vai.errors import InvalidRequestError, OfflineError, VaiError
from vai.kube.budget import Budget
from vai.kube.credentials import Credentials
from vai.kube.failures import Rule, forbidden, offline, refusal, unauthorized
from vai.kube.kept import Way, ask_kept, way_to
from vai.kube.kubeconfig import Access, load_access, service_account_is_whole
from vai.kube.meter import CLUSTER, Meter, Tally, Verb
from vai.kube.pool import Exchange, make_pool
from vai.kube.tls import tls_context
from vai.reflector.protocol import drain

_T = TypeVar("_T")

_OK: Final = 200
_NOT_MODIFIED: Final = 304
_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_TOO_MANY: Final = 429
#: Large enough that a list's page takes few steps, small enough not to matter in memory.
_CHUNK_BYTES: Final = 256 * 1024
#: Discovery of a cluster with a thousand CRDs is about 1 MB, a CRD at most etcd's 1.5 MiB.
_DOCUMENT_BYTES: Final = 64 << 20
#: A Status is short.
_REASON_BYTES: Final = 65536
#: zlib's wbits for gzip with its head (zlib.h, inflateInit2).
_GZIP: Final = 31
#: What is asked again and again over the same connections, and answered by little.
_RENEWED: Final = frozenset({"watch", "probe"})
#: A probe's watch ends after one second; then its connection can be used again.
_LINGER_S: Final = 1.5
JSON: Final = "application/json"


class HttpResponse:
    """A successful answer; see `vai.reflector.Response`."""

    def __init__(self, raw: Any, exchange: Exchange, server: str, done: Any) -> None:
        self.status: int = raw.status
        # In lower case: urllib3 takes them as they come, `vai.kube.kept` has them so.
        header = raw.headers.get
        self.gzip = header("content-encoding", "").lower() == "gzip"
        self.content_type: str = header("content-type", "")
        self.etag: str = header("etag", "")
        self.retry_after: str | None = header("retry-after")
        self.date: str | None = header("date")
        self._raw: Any = raw
        self._exchange = exchange
        self._server = server
        self._done = done
        self._reading = False
        self._chunks = self._read()

    def chunks(self) -> Iterator[bytes]:
        """Bytes as they arrive, undecoded; one iterator for all callers."""
        return self._chunks

    def _read(self) -> Iterator[bytes]:
        stream = self._raw.stream(_CHUNK_BYTES, decode_content=False)
        while not self._exchange.is_closed():
            self._reading = True
            try:
                chunk = next(stream, None)
            except (HTTPError, OSError, ValueError, AttributeError) as error:
                # The last two: urllib3 when another thread shut the socket under it.
                if self._exchange.is_closed():
                    break
                self._finish(keep=False)
                raise offline(error, self._server) from None
            finally:
                self._reading = False
            if chunk is None:
                self._finish(keep=True)
                return
            if chunk and not self._exchange.is_closed():
                yield chunk
        self._finish(keep=False)

    def limit(self, timeout_s: float) -> None:
        """Wait no longer than this for more bytes."""
        self._exchange.limit(timeout_s)

    def close(self) -> None:
        """Give it up; wakes a reader in another thread."""
        if self._raw is None:
            return
        self._exchange.close()
        if not self._reading:
            self._finish(keep=False)

    def end_soon(self, timeout_s: float) -> None:
        """Read the rest, of which there should be little, so that the connection stays usable."""
        self._exchange.limit(timeout_s)
        with suppress(OfflineError):
            drain(self._chunks)
        self.close()

    def _finish(self, *, keep: bool) -> None:
        raw, self._raw = self._raw, None
        if raw is None:
            return
        self._exchange.detach()
        if not keep:
            with suppress(HTTPError, OSError, ValueError):
                raw.close()
        raw.release_conn()
        self._done(self._exchange)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Transport:
    """Requests to the API server of one context. Thread-safe.

    Attributes:
        access: the chosen context.
        settings: times and sizes.
        server: URL of the API server.
        meter: counts what is asked.
        budget: how much may be asked.
    """

    def __init__(self, access: Access, settings: Settings, configuration: Any = None) -> None:
        """Sends nothing, and does not import `kubernetes` where that can wait for a request.

        Args:
            access: the chosen context.
            settings: times and sizes.
            configuration: a `kubernetes.client.Configuration` that is in use already, with its
                tokens and hooks; None for one made of `access`.

        Raises:
            InvalidRequestError: the configuration can't be used.
        """
        self.access = access
        self.settings = settings
        self.server = access.server
        self._configuration = _Once(
            lambda: _configuration(access) if configuration is None else configuration
        )
        if configuration is None and _may_be_wrong(access):
            self._configuration()
        self._credentials = Credentials(access, self._configuration)
        self._lock = threading.Lock()
        self._tls_certificate = self._credentials.certificate
        self._tls = self._tls_context(self._tls_certificate)
        self._pool: Any = None
        self._way = Way(None, "", None)
        self._pool_certificate: tuple[bytes, bytes] | None = None
        self._open: set[Exchange] = set()
        #: (path, accept) → (ETag, body, content type) of documents that are asked for again.
        self._documents: dict[tuple[str, str], tuple[str, bytes, str]] = {}
        self._lingering: deque[tuple[float, HttpResponse]] = deque()
        self._closed = False
        self._agent = f"vai/{version('vai-cache')}"
        # 5,000 pods in pages of 500 from kube-apiserver 1.36 on loopback: 27.3 MB in 0.92 s plain,
        # 2.8 MB in 1.1 s with gzip. So it costs little time, and over a network it saves more.
        chosen = True if settings.is_edge else settings.compress
        wanted = chosen if chosen is not None else not _is_near(self.server)
        self._compress = wanted and access.compress
        self.meter = Meter()
        self.budget = Budget(
            settings.qps or None, settings.burst, settings.bytes_per_second or None
        )

    @property
    def credentials(self) -> Credentials:
        """What its requests authenticate with."""
        return self._credentials

    def request(
        self,
        path: str,
        query: Mapping[str, str] | str = "",
        *,
        accept: str = JSON,
        read_timeout_s: float | None = None,
        rule: Rule | None = None,
        compress: bool = False,
        verb: Verb = "other",
        scope: int = CLUSTER,
        etag: str = "",
    ) -> HttpResponse:
        """GET; the answer's body is still to be read.

        Args:
            path: from the server's root.
            query: parameters, or what they are when encoded.
            accept: media types.
            read_timeout_s: longest silence; that of small requests if None.
            rule: what a 403 would mean.
            compress: the answer may be large enough for gzip.
            verb: what it is counted as; lists wait longer for the budget than the others.
            scope: of the file, that it is about.
            etag: of the answer that is known; a status of 304 says that it stands.

        Raises:
            OfflineError: the server is not heard.
            ForbiddenError: 403, or 401 also with renewed credentials.
            RefusedError: any other answer but 200.
        """
        self._reap()
        encoded = query if isinstance(query, str) else urlencode(query)
        target = f"{path}?{encoded}" if encoded else path
        encoding = "gzip" if compress and self._compress else "identity"
        headers = {"Accept": accept, "Accept-Encoding": encoding, "User-Agent": self._agent}
        if etag:
            headers["If-None-Match"] = etag
        silence_s = read_timeout_s or self.settings.answer_timeout_s
        tally = self.meter.of(scope, verb)
        response = self._authenticated(target, headers, silence_s, tally)
        if response.status == _OK or (etag and response.status == _NOT_MODIFIED):
            return response
        return self._refuse(response, rule, tally)

    def get(
        self,
        path: str,
        kind: type[_T],
        *,
        accept: str = JSON,
        rule: Rule | None = None,
        verb: Verb = "other",
    ) -> _T:
        """GET a small JSON document, decoded; raises as `request` (RefusedError for nonsense)."""
        body, _ = self.get_bytes(path, accept=accept, rule=rule, verb=verb)
        try:
            return msgspec.json.decode(body, type=kind)
        except msgspec.MsgspecError as error:
            raise refusal(_OK, f"not what was asked for: {path}: {error}".encode(), None) from None

    def get_bytes(
        self, path: str, *, accept: str = JSON, rule: Rule | None = None, verb: Verb = "other"
    ) -> tuple[bytes, str]:
        """GET a small document: its bytes and its content type; raises as `request`.

        The server sends it once and from then on says that it stands, if it knows how (RFC 9110,
        13.1.2; kube-apiserver does for aggregated discovery).
        """
        known = self._documents.get((path, accept))
        with self.request(
            path,
            accept=accept,
            rule=rule,
            verb=verb,
            compress=True,
            etag="" if known is None else known[0],
        ) as response:
            body = _whole(response)
            if known is not None and response.status == _NOT_MODIFIED:
                return known[1], known[2]
            if response.etag:
                self._documents[path, accept] = (response.etag, body, response.content_type)
            return body, response.content_type

    def linger(self, response: HttpResponse) -> None:
        """Its end is near but not worth waiting for: keep its connection for later."""
        with self._lock:
            if not self._closed:
                self._lingering.append((time.monotonic() + _LINGER_S, response))
                return
        response.close()

    def close(self) -> None:
        """End every request that is under way, and refuse new ones. Idempotent."""
        with self._lock:
            self._closed = True
            open_now, lingering = list(self._open), list(self._lingering)
            self._lingering.clear()
        self.meter.end()
        for exchange in open_now:
            exchange.close()
        self.budget.wake()
        for _, response in lingering:
            response.close()
        if self._pool is not None:
            self._pool.clear()

    def _authenticated(
        self, target: str, headers: dict[str, str], silence_s: float, tally: Tally
    ) -> HttpResponse:
        seen = self._credentials.generation
        response = self._send(target, headers, silence_s, tally)
        if response.status != _UNAUTHORIZED:
            return response
        drain(response.chunks())
        response.close()
        tally.failed()
        if self._credentials.renew(seen):
            response = self._send(target, headers, silence_s, tally)
            if response.status != _UNAUTHORIZED:
                return response
            response.close()
            tally.failed()
        raise unauthorized(self.access.origin)

    def _refuse(self, response: HttpResponse, rule: Rule | None, tally: Tally) -> HttpResponse:
        with response:
            body = _whole(response, _REASON_BYTES)
        error = refusal(response.status, body, response.retry_after)
        tally.failed(throttled=response.status == _TOO_MANY)
        if response.status == _FORBIDDEN:
            raise forbidden(error, rule)
        if response.status == _TOO_MANY and error.retry_after_s is not None:
            # It is the user who is throttled (KEP-1040, API priority and fairness: a queue per
            # flow), not this request: the others would be refused as well.
            self.budget.stand_back(error.retry_after_s)
        raise error

    def _send(
        self, target: str, headers: dict[str, str], silence_s: float, tally: Tally
    ) -> HttpResponse:
        # A kept connection may be closed by the server at the same moment: once more on another.
        for last in (False, True):
            try:
                return self._send_once(target, headers, silence_s, tally, again=last)
            except VaiError:
                raise
            except (HTTPError, OSError) as error:
                tally.failed()
                if last or not isinstance(error, ProtocolError):
                    raise offline(error, self.server) from None
        raise AssertionError("unreachable")

    def _send_once(
        self,
        target: str,
        headers: dict[str, str],
        silence_s: float,
        tally: Tally,
        *,
        again: bool,
    ) -> HttpResponse:
        every = [*headers.items(), *self._credentials.headers()]
        way = self._current_way()
        exchange = self._exchange(tally)
        self._enter(exchange, urgent=tally.verb != "list")
        tally.sent()
        raw: Any = None
        try:
            if tally.verb in _RENEWED and not again:
                raw = ask_kept(way, target, every, silence_s, exchange)
            if raw is None:
                raw = self._by_urllib3(way, target, every, silence_s, exchange)
        except BaseException:
            self._forget(exchange)
            raise
        return HttpResponse(raw, exchange, self.server, self._forget)

    def _by_urllib3(
        self,
        way: Way,
        target: str,
        headers: Sequence[tuple[str, str]],
        silence_s: float,
        exchange: Exchange,
    ) -> Any:
        every = HTTPHeaderDict()
        for name, value in headers:
            every.add(name, value)
        with exchange:
            return way.pool.urlopen(
                "GET",
                way.prefix + target,
                headers=every,
                timeout=urllib3.Timeout(connect=self.settings.link_timeout_s, read=silence_s),
                preload_content=False,
                decode_content=False,
                redirect=False,
                retries=False,
                assert_same_host=False,
            )

    def _enter(self, exchange: Exchange, *, urgent: bool) -> None:
        """Wait until the budget has room for one more request."""
        with self._lock:
            closed = self._closed
            self._open.add(exchange)
        if closed or not self.budget.enter(urgent=urgent, ended=exchange.is_closed):
            self._forget(exchange)
            raise OfflineError(f"{self.server}: closed")

    def _exchange(self, tally: Tally) -> Exchange:
        """One that counts, and reads a list no faster than the budget allows."""
        exchange = Exchange()

        def received(count_bytes: int) -> None:
            tally.received(count_bytes)
            self.budget.received(count_bytes)

        def pace() -> None:
            self.budget.pace(exchange.is_closed)

        exchange.received = received
        # A watch is never held up: the server drops one that does not keep up.
        exchange.pace = pace if tally.verb == "list" else None
        return exchange

    def _forget(self, exchange: Exchange) -> None:
        exchange.settle()
        with self._lock:
            self._open.discard(exchange)

    def _current_way(self) -> Way:
        """Made anew when a plugin has brought another client certificate."""
        certificate = self._credentials.certificate
        # Not with the lock: the first time it takes as long as the import.
        configuration = self._configuration()
        with self._lock:
            if self._pool is None or certificate != self._pool_certificate:
                if certificate != self._tls_certificate:
                    self._tls, self._tls_certificate = self._tls_context(certificate), certificate
                self._pool = make_pool(self.access, configuration, self._tls, self.settings)
                self._pool_certificate = certificate
                self._way = way_to(self._pool, self.server)
            return self._way

    def _tls_context(self, certificate: tuple[bytes, bytes] | None) -> ssl.SSLContext | None:
        return tls_context(self.access, certificate) if self.server.startswith("https:") else None

    def _reap(self) -> None:
        """Take back the connections of probes that have ended meanwhile."""
        while True:
            with self._lock:
                if not self._lingering or self._lingering[0][0] > time.monotonic():
                    return
                _, response = self._lingering.popleft()
            # Its last bytes have been here for half a second.
            response.end_soon(0.05)


def _whole(response: HttpResponse, most_bytes: int = _DOCUMENT_BYTES) -> bytes:
    """A small body, not compressed; cut off beyond `most_bytes`."""
    body = drain(response.chunks(), most_bytes)
    if not response.gzip:
        return body
    with suppress(zlib.error):
        return zlib.decompressobj(wbits=_GZIP).decompress(body, most_bytes)
    return b""


def connect(settings: Settings) -> Transport:
    """A transport for the context that the settings, or kubectl's order, choose.

    Raises:
        InvalidRequestError: there is no usable configuration; one line with the remedy.
    """
    return Transport(load_access(settings.kubeconfig, settings.context), settings)


class _Once:
    """What is made when it is first asked for, by one of those who ask."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._made: Any = None

    def __call__(self) -> Any:
        """It; raises what making it raises, each time."""
        with self._lock:
            if self._made is None:
                self._made = self._make()
            return self._made


#: Of a kubeconfig's user: what is checked and used here, and never by the `kubernetes` package.
_OWN_USER: Final = frozenset(
    {"token", "tokenFile", "exec", "as", "as-uid", "as-groups", "as-user-extra"}
)


def _may_be_wrong(access: Access) -> bool:
    """Whether the `kubernetes` package may refuse it: then that must be known at once.

    Importing it takes half a second and more; whoever opens a file wants its answer before that.
    """
    if access.cluster.get("proxy-url") or urllib.request.getproxies_environment():
        return True
    if access.in_cluster:
        return not service_account_is_whole()
    return not _OWN_USER.issuperset(access.user)


def _configuration(access: Access) -> Any:
    """`kubernetes.client.Configuration` of the context, without certificates, keys and plugins."""
    from kubernetes.client import Configuration
    from kubernetes.config.config_exception import ConfigException

    config: Any = import_module("kubernetes.config")
    configuration = Configuration()
    own = {"token", "tokenFile", "exec"}
    user = {name: value for name, value in access.user.items() if name not in own}
    try:
        if access.in_cluster:
            config.load_incluster_config(client_configuration=configuration)
        else:
            config.load_kube_config_from_dict(
                {
                    "current-context": "vai",
                    "contexts": [{"name": "vai", "context": {"cluster": "vai", "user": "vai"}}],
                    "clusters": [{"name": "vai", "cluster": dict(access.cluster)}],
                    "users": [{"name": "vai", "user": user}] if user else [],
                },
                client_configuration=configuration,
                persist_config=False,
            )
    except (ConfigException, KeyError, TypeError, ValueError) as error:
        raise InvalidRequestError(
            f"{access.origin}: the user's authentication is not usable ({type(error).__name__})"
        ) from None
    configuration.host = access.server
    if access.cluster.get("proxy-url"):
        # Before 37 the package did not read it. As kubectl's, it is used whatever NO_PROXY says.
        configuration.proxy = access.cluster["proxy-url"]
        configuration.no_proxy = None
    proxy = urlsplit(configuration.proxy or "")
    if proxy.username and not configuration.proxy_headers:
        # Go's clients send what stands in the address, urllib3 does not.
        who = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
        configuration.proxy_headers = urllib3.make_headers(proxy_basic_auth=who)
    configuration.ssl_ca_cert = None
    return configuration


def _is_near(server: str) -> bool:
    host = urlsplit(server).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
