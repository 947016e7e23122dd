"""Syncs all scopes of a file: finds out what is served, and runs one reflector per scope.

What it is: `Informer`, the background of a writer, and `plan`, which turns what was asked for into
scopes of real resources. What it may know: `kube`, `reflector`, `store`, `config`, `errors`,
`types`. Why it is apart: a reflector knows one scope only; what scopes share (discovery, identity,
the news of a restored backup, the number of lists at a time) is here.
"""

from __future__ import annotations

from vai.informer.informer import Informer
from vai.informer.plan import Target, plan

__all__ = ["Informer", "Target", "plan"]
