"""Keeps scopes of the cluster file current: list, watch, resume, prove.

What it is: the watch loop of client-go's reflector as an explicit machine (`states` are values,
`machine.step` goes from one to the next, `io` is everything around it) and the thread that runs it
(`Reflector`). What it may know: `store`, `config`, `errors`, `types`, and the server only through
the `ListerWatcher` Protocol that it defines. Why it is apart: every transition can be tested
without a server, a file or a clock.

What a proof costs: per scope and about every 16 s at the default limit of 30 s, one probe (a
watch that sends one bookmark) and, unless nothing at all was written to the cluster meanwhile, two
watches resumed from the scope's position: three small requests, no list. Only what the server
sends no bookmarks for (events, which kube-apiserver does not cache) is proven by its next event, or
else by a list about every 26 s, more rarely if it has more than a thousand objects.
"""

from __future__ import annotations

from vai.reflector.io import Hooks, Io, Link
from vai.reflector.protocol import ListerWatcher, Refusal, RefusedError, Response
from vai.reflector.reflector import Reflector

__all__ = [
    "Hooks",
    "Io",
    "Link",
    "ListerWatcher",
    "Reflector",
    "Refusal",
    "RefusedError",
    "Response",
]
