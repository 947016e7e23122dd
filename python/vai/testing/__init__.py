"""A simulated Kubernetes API server for testing code that lists and watches.

It speaks HTTP on loopback as kube-apiserver does, and it can be told to fail: cut the link, expire
history, answer nonsense. It needs nothing but Python's standard library.

```python
from vai.testing import Simulator

with Simulator(seed=1) as sim:
    sim.populate(pods=100)
    run_my_watch_code(sim.url)
    sim.cut()
    sim.restore()
    assert len(sim.request_log.lists("pods")) == 1
```

What goes wrong is planned fault by fault, or drawn from a seed; `sim.faults.log` tells what was:

```python
sim.inject(Fault("expired", at="watch pods"), Fault("stall", at="watch", after=10))
sim.faults = Faults.random(seed=7, kinds=LEGAL, rate=0.2)
```
"""

from __future__ import annotations

from vai.testing.faults import Faults, Injected
from vai.testing.kinds import DAMAGE, LEGAL, LIES, Damage, Fault, Kind
from vai.testing.link import Cut
from vai.testing.log import LoggedRequest, RequestLog
from vai.testing.requests import Request
from vai.testing.resources import Resource
from vai.testing.simulator import Simulator
from vai.testing.status import ApiError

__all__ = [
    "DAMAGE",
    "LEGAL",
    "LIES",
    "ApiError",
    "Cut",
    "Damage",
    "Fault",
    "Faults",
    "Injected",
    "Kind",
    "LoggedRequest",
    "Request",
    "RequestLog",
    "Resource",
    "Simulator",
]
