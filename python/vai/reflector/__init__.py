"""Keeps scopes of the cluster file current: list, watch, resume, prove.

What it is: the watch loop of client-go's reflector as an explicit machine (`states` are values,
`machine.step` goes from one to the next, `io` is everything around it) and the thread that runs it
(`Reflector`). What it may know: `store`, `config`, `errors`, `types`, and the server only through
the `ListerWatcher` Protocol that it defines. Why it is apart: every transition can be tested
without a server, a file or a clock.

What a proof costs: per scope and about every 20 s at the default limit of 30 s, one watch resumed
from the scope's position, and for all scopes of a resource (`goals`) one probe (a watch that sends
one bookmark): small requests, no list. What kube-apiserver sends no bookmarks for, because it does
not cache it (events), is proven by its next event or by a watch that stays quiet behind a probe;
what extension servers send none for, by its next event or else by a list about every 20 s, more
rarely if it has more than a thousand objects.
"""

from __future__ import annotations

from vai.reflector.io import Hooks, Io, Link
from vai.reflector.protocol import ListerWatcher, Refusal, RefusedError, Response
from vai.reflector.reflector import Reflector
from vai.reflector.states import Bookmarks

__all__ = [
    "Bookmarks",
    "Hooks",
    "Io",
    "Link",
    "ListerWatcher",
    "Reflector",
    "Refusal",
    "RefusedError",
    "Response",
]
