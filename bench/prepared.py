"""What every contender is fed: list pages and watch events as bytes, made once, kept in a folder.

The pods are those of the tests (about 5 KB of compact JSON), with one more label for each share
of them that a selector is to pick. Pages hold them in etcd's order, as kube-apiserver sends them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tests.apiserver import objects

#: `limit` of the list requests that the pages answer (client-go tools/pager/pager.go).
PAGE_OBJECTS: Final = 500
#: How much is handed over at a time: what vai's transport reads at once.
CHUNK_BYTES: Final = 256 * 1024
#: Label and the share of the pods that has it with the value "yes": one in so many.
SHARES: Final = {"one-in-1000": 1000, "one-in-100": 100, "one-in-3": 3}
#: Watch events, each a new version of another pod.
EVENTS: Final = 10_000
#: What makes a burst's chunk: a server flushes each event, the kernel hands them over together.
EVENT_CHUNK_BYTES: Final = 64 * 1024

_FIRST_VERSION: Final = 1_000
_LIST_VERSION: Final = 900_000
_FIRST_EVENT: Final = 1_000_000


class Prepared:
    """The files of one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._about = json.loads((folder / "about.json").read_bytes())

    @property
    def count(self) -> int:
        """How many pods there are."""
        return int(self._about["count"])

    @property
    def json_bytes(self) -> int:
        """Size of all pages."""
        return int(self._about["json_bytes"])

    @property
    def resource_version(self) -> str:
        """Of the list."""
        return str(_LIST_VERSION)

    @property
    def some_key(self) -> tuple[str, str]:
        """Namespace and name of a pod in the middle."""
        namespace, name = self._about["some_key"]
        return str(namespace), str(name)

    def pages(self) -> Iterator[bytes]:
        """The list, page by page; only one of them is in memory."""
        for path in sorted(self.folder.glob("page-*.json")):
            yield path.read_bytes()

    def events(self) -> list[bytes]:
        """The watch events, one line each."""
        return (self.folder / "events.jsonl").read_bytes().splitlines(keepends=True)

    def bursts(self) -> list[bytes]:
        """The same in chunks of whole lines."""
        chunks: list[bytes] = []
        some: list[bytes] = []
        size = 0
        for line in self.events():
            some.append(line)
            size += len(line)
            if size >= EVENT_CHUNK_BYTES:
                chunks.append(b"".join(some))
                some, size = [], 0
        return [*chunks, b"".join(some)] if some else chunks


def prepare(folder: Path, count: int) -> Prepared:
    """Write the files for so many pods."""
    pods = sorted(_pods(count), key=_key)
    json_bytes = 0
    for number, start in enumerate(range(0, count, PAGE_OBJECTS)):
        page = _page(pods[start : start + PAGE_OBJECTS], number, count - start - PAGE_OBJECTS)
        (folder / f"page-{number:05d}.json").write_bytes(page)
        json_bytes += len(page)
    started = [pod for pod in pods if pod["status"].get("containerStatuses")]
    with (folder / "events.jsonl").open("wb") as file:
        for number in range(EVENTS):
            file.write(_event(started[number * 7919 % len(started)], number))
    meta = pods[count // 2]["metadata"]
    about = {
        "count": count,
        "json_bytes": json_bytes,
        "some_key": [meta["namespace"], meta["name"]],
    }
    (folder / "about.json").write_text(json.dumps(about))
    return Prepared(folder)


def _pods(count: int) -> Iterator[dict[str, Any]]:
    for index, pod in enumerate(objects.pods(count)):
        # The server does not say these two in each item of a list.
        del pod["kind"], pod["apiVersion"]
        pod["metadata"]["resourceVersion"] = str(_FIRST_VERSION + index)
        for label, each in SHARES.items():
            if index % each == 0:
                pod["metadata"]["labels"][label] = "yes"
        yield pod


def _key(pod: dict[str, Any]) -> str:
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"


def _page(pods: list[dict[str, Any]], number: int, remaining: int) -> bytes:
    meta: dict[str, Any] = {"resourceVersion": str(_LIST_VERSION)}
    if remaining > 0:
        meta |= {"continue": str(number + 1), "remainingItemCount": remaining}
    return _json({"kind": "PodList", "apiVersion": "v1", "metadata": meta, "items": pods})


def _event(pod: dict[str, Any], number: int) -> bytes:
    """The pod's container was restarted: what a kubelet writes most often."""
    version = {"resourceVersion": str(_FIRST_EVENT + number)}
    status = dict(pod["status"])
    first, *others = status["containerStatuses"]
    status["containerStatuses"] = [{**first, "restartCount": number}, *others]
    changed = {
        "kind": "Pod",
        "apiVersion": "v1",
        **pod,
        "metadata": {**pod["metadata"], **version},
        "status": status,
    }
    return _json({"type": "MODIFIED", "object": changed}) + b"\n"


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
