"""A small keep-alive HTTP client for filling and asking the server from many threads."""

from __future__ import annotations

import http.client
import json
import ssl
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

_T = TypeVar("_T")
_R = TypeVar("_R")

DEFAULT_TIMEOUT_S = 60.0
"""kube-apiserver's own limit for a request (--request-timeout)."""

# What a server that was killed, or that closed an idle connection, does to the next request.
_BROKEN = (
    *(http.client.RemoteDisconnected, http.client.CannotSendRequest, ConnectionError),
    ssl.SSLEOFError,
)


class RequestError(Exception):
    """The server answered, but not with the success that was asked for."""


@dataclass(frozen=True, slots=True)
class Response:
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The decoded body."""
        return json.loads(self.body)

    def ok(self) -> Response:
        """Itself, or RequestError for a status of 400 and more."""
        if self.status >= 400:
            msg = f"the server answered {self.status}: {self.body[:1000].decode(errors='replace')}"
            raise RequestError(msg)
        return self


class Client:
    """Requests to one server. Safe to use from many threads."""

    def __init__(
        self,
        url: str,
        *,
        context: ssl.SSLContext | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> None:
        """Does not connect yet; `context` is for https."""
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port
        self._context = context
        self._headers = dict(headers or {})
        self._timeout_s = timeout_s
        # Last in, first out; append and pop of a deque need no lock.
        self._idle: deque[http.client.HTTPConnection] = deque()

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """One request. A body that is not bytes is sent as JSON.

        A kept connection that breaks before the answer begins is taken for one that the server
        closed while it was idle, and the request is sent again on another.
        """
        data, all_headers = self._encode(body, headers)
        while True:
            try:
                connection, kept = self._idle.pop(), True
            except IndexError:
                connection, kept = self._connect(self._timeout_s), False
            try:
                response = _exchange(connection, method, path, data, all_headers)
            except BaseException as error:
                connection.close()
                if kept and isinstance(error, _BROKEN):
                    continue
                raise
            self._idle.append(connection)
            return response

    def stream(
        self, path: str, *, timeout_s: float, headers: Mapping[str, str] | None = None
    ) -> Generator[bytes]:
        """The lines of a GET that the server keeps open, such as a watch, as they come.

        Ends when the server ends it; `timeout_s` of silence raises TimeoutError. Closing the
        generator closes the connection.
        """
        _, all_headers = self._encode(None, headers)
        connection = self._connect(timeout_s)
        try:
            connection.request("GET", path, headers=all_headers)
            response = connection.getresponse()
            if response.status >= 400:
                Response(response.status, dict(response.headers), response.read()).ok()
            while line := response.readline():
                yield line
        finally:
            connection.close()

    def close(self) -> None:
        """Closes the idle connections; the client can be used again."""
        while self._idle:
            self._idle.pop().close()

    def _connect(self, timeout_s: float) -> http.client.HTTPConnection:
        if self._context is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=timeout_s)
        return http.client.HTTPSConnection(
            self._host, self._port, timeout=timeout_s, context=self._context
        )

    def _encode(
        self, body: object, headers: Mapping[str, str] | None
    ) -> tuple[bytes | None, dict[str, str]]:
        result = self._headers | dict(headers or {})
        if body is None:
            return None, result
        result.setdefault("Content-Type", "application/json")
        if isinstance(body, bytes):
            return body, result
        return json.dumps(body, separators=(",", ":")).encode(), result


def _exchange(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: bytes | None,
    headers: Mapping[str, str],
) -> Response:
    connection.request(method, path, body=body, headers=headers)
    response = connection.getresponse()
    return Response(response.status, dict(response.headers), response.read())


def in_parallel(work: Callable[[_T], _R], items: Iterable[_T], workers: int) -> list[_R]:
    """The results in the order of the items; the first error is raised."""
    with ThreadPoolExecutor(workers, "apiserver-client") as pool:
        return list(pool.map(work, items))
