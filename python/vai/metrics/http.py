"""Answers scrapes over HTTP. Imports `prometheus_client`."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.registry import Collector

from vai.errors import InvalidRequestError

_PORTS = range(65536)


def listen(collector: Collector, address: str, *, remote: bool) -> Callable[[], None]:
    """See `vai.metrics.serve`."""
    host, port = parse(address)
    if not remote and not _is_loopback(host):
        raise InvalidRequestError(
            f"{host} can be reached from other machines, and metrics are served to whoever asks; "
            "use 127.0.0.1, or --metrics-remote if that is meant"
        )
    registry = CollectorRegistry()
    registry.register(collector)
    try:
        server, thread = start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        raise InvalidRequestError(
            f"metrics can't be served at {address}: {error.strerror or error}"
        ) from None

    def end() -> None:
        server.shutdown()
        server.server_close()
        thread.join(1.0)

    return end


def parse(address: str) -> tuple[str, int]:
    """(host, port) of `127.0.0.1:9090`, `[::1]:9090`, `:9090` or `9090`.

    Raises:
        InvalidRequestError: it is none of these.
    """
    host, _, port = address.rpartition(":")
    if not port.isascii() or not port.isdecimal() or int(port) not in _PORTS:
        raise InvalidRequestError(f"{address!r} has no port: write it as 127.0.0.1:9090")
    return host.strip("[]") or "127.0.0.1", int(port)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
