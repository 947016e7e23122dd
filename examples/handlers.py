"""Handlers as client-go's: all there is, then what changes; a broken one stops nobody else."""

from __future__ import annotations

import threading

import vai

enough = threading.Event()


def updated(old: vai.Object | None, new: vai.Object) -> None:
    """Called in a thread of the cache, one call after the other."""
    before = "?" if old is None else old.resource_version
    print("update", new.key, before, "->", new.resource_version)
    enough.set()


with vai.connect("pods.db", scopes=["pods"]) as cache:
    handler = cache.add_handler(
        "pods",
        on_add=lambda pod, is_in_initial_list: print("add", pod.key, is_in_initial_list),
        on_update=updated,
        on_delete=lambda last: print("delete", last.key),
        on_error=lambda error: print("error", error),
    )
    handler.wait_synced(timeout=30)
    enough.wait(timeout=30)
    print(f"{handler.delivered} events, {handler.errors} errors")
