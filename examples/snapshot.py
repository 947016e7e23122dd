"""A dict of pods that is always there: kept current in the background, also without the server."""

import logging

import vai

log = logging.getLogger(__name__)

scope = vai.Scope("pods", namespace="jhub", label_selector="component=singleuser")
with vai.connect("hub.db", scopes=[scope]) as cache:
    cache.wait_synced(timeout=30)  # SyncTimeoutError.scopes says why; a warm file: at once
    pods = cache.snapshot("pods")  # Mapping["ns/name", Object], of one moment
    ip = pods["jhub/jupyter-ann"]["status"]["podIP"]
    if pods.freshness.older_than(60):
        log.warning("%s", pods.freshness)  # offline since 4m12s, proven 4m13s ago: …
    print(len(pods), ip)
