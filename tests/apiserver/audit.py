"""kube-apiserver's audit log: who asked what."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

POLICY: dict[str, Any] = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    # A watch is then seen when its answer starts, everything else when its answer is complete.
    "omitStages": ["RequestReceived"],
    "rules": [
        # The server's requests to itself.
        {"level": "None", "users": ["system:apiserver"]},
        {"level": "Metadata"},
    ],
}
"""Everything that anybody but the server itself asks, without bodies."""


def read_audit(log: Path, user: str, since: int = 0) -> list[dict[str, Any]]:
    """The requests of one user, one entry each, in the order they were first logged.

    A watch is logged when its answer starts and again when it ends; the later event replaces the
    earlier. An entry has ``requestURI``, ``verb`` (``list``, ``watch``, ``get`` ...), ``user``,
    ``userAgent``, ``objectRef``, ``responseStatus``, ``stage``, ``auditID`` and more.

    Args:
        log: the file; one that is not there yet has no entries.
        user: the user's name.
        since: a position in bytes to start from.
    """
    if not log.exists():
        return []
    with log.open("rb") as file:
        file.seek(since)
        data = file.read()
    name = f'"username":{json.dumps(user)}'.encode()
    requests: dict[str, dict[str, Any]] = {}
    for line in data.splitlines():
        # Decoding only the lines that can match: 10,000 creates of the tests are 10 MB.
        if name not in line:
            continue
        try:
            event = json.loads(line)
        except json.JSONDecodeError:
            continue  # cut off by a SIGKILL, or still being written
        if event["user"]["username"] == user:
            requests[event["auditID"]] = event
    return list(requests.values())
