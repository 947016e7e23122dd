"""Metrics for Prometheus: how fresh a file is, and what keeping it so takes.

```python
import prometheus_client
import vai, vai.metrics

cache = vai.connect("pods.db", scopes=["pods"])
prometheus_client.REGISTRY.register(vai.metrics.collector(cache))
```

What it is: `collector`, which reads a cache when it is scraped, `serve`, which answers scrapes, and
`FAMILIES`, the table of all metrics. What it may know: `cache` and below. Why it is apart: it alone
imports `prometheus_client`, an optional extra, and only when one of the two is called.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from vai.errors import InvalidRequestError
from vai.metrics.families import FAMILIES, Family

if TYPE_CHECKING:
    from prometheus_client.registry import Collector

    from vai.cache.cache import Cache
    from vai.cache.measures import Measures

_MISSING = (
    "metrics need prometheus_client, which is not installed: pip install 'vai-cache[metrics]'"
)


def collector(cache: Cache) -> Collector:
    """A collector over a cache, to be registered where the program's other metrics are.

    It reads the file when it is scraped: milliseconds, however many objects there are. A cache
    that follows another process's file has no numbers of reflectors; that process has them.

    Raises:
        InvalidRequestError: the extra `metrics` is not installed.
    """
    return collector_of(cache.measures)


def collector_of(measures: Callable[[], Measures]) -> Collector:
    """The same over whatever gives measures."""
    try:
        from vai.metrics.exporter import Exporter
    except ImportError:
        raise InvalidRequestError(_MISSING) from None
    return Exporter(measures)


def serve(
    measures: Callable[[], Measures], address: str, *, remote: bool = False
) -> Callable[[], None]:
    """Answer scrapes at `address` on a daemon thread, with the metrics of vai alone.

    Args:
        measures: read at each scrape.
        address: `127.0.0.1:9090`, `[::1]:9090`, or a port alone for loopback.
        remote: other addresses than those of this machine will do.

    Returns:
        What ends it.

    Raises:
        InvalidRequestError: no such address, it is not this machine's own, or the extra is missing.
    """
    try:
        from vai.metrics.http import listen
    except ImportError:
        raise InvalidRequestError(_MISSING) from None
    return listen(collector_of(measures), address, remote=remote)


__all__ = ["FAMILIES", "Family", "collector", "collector_of", "serve"]
