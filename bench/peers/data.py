"""Write what every peer is fed, once, into a folder of its own below BASE; print its name.

    python -m bench.peers.data BASE [--pods N] [--labels shared|unique]

| file | holds |
| --- | --- |
| `page-NNNNN.json` | list pages of 500 pods in etcd's order, as kube-apiserver sends them |
| `burst.jsonl` | watch events in random order: 80 % changed pods, 10 % deleted, 10 % new |
| `lone.jsonl` | more events, to be sent one by one |
| `questions.json` | the questions with the answers that hold after the burst |
| `about.json` | counts and sizes |

The pods are `vai.testing`'s (about 5 KB each); those of one ReplicaSet share their labels. With
`--labels unique` each pod has three labels of its own besides, the worst case for an index.
Nothing here is held in memory but what the questions look at, so that a million pods can be made.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from bench.peers import oracle
from bench.peers.questions import LATE, SHARES, Question, Shapes, questions
from vai.testing.generate import Counts, Generator
from vai.testing.generate_pods import Workload

#: `limit` of the list requests that the pages answer (client-go tools/pager/pager.go).
PAGE_OBJECTS: Final = 500
#: Any moment: the same data for the same arguments.
NOW: Final = 1_790_000_000.0
#: Sent one by one.
LONE: Final = 100

_FIRST_VERSION: Final = 1_000
_LIST_VERSION: Final = 90_000_000
_encode: Final = msgspec.json.Encoder().encode


class About(msgspec.Struct):
    """What is in the folder."""

    pods: int
    labels: str
    json_bytes: int
    burst: int
    #: Pods that are left after the burst.
    left: int


class _Pods:
    """The generator, workload by workload, so that the pods come out in etcd's order."""

    def __init__(self, count: int, *, unique: bool) -> None:
        self.count = count
        self.unique = unique
        self.generator = Generator(f"peers {count}", NOW)
        usual = Counts.for_pods(count)
        rng = self.rng = self.generator.rng
        made = self.generator.namespaces(max(usual.namespaces, count // 20))
        self.namespaces = sorted(space["metadata"]["name"] for space in made)
        self.nodes = [f"node-{number:04d}" for number in range(usual.nodes)]
        self.works = self.generator.workloads(usual.deployments, self.namespaces)
        late = set(self.namespaces[-max(1, len(self.namespaces) // 10) :])
        for number, work in enumerate(self.works):
            for label, each in SHARES.items():
                if number % each == 0:
                    work.labels[label] = "yes"
            if work.namespace in late:
                work.labels[LATE] = "yes"
        # No prefix is the beginning of another one: the order of prefixes is that of the keys.
        self.works.sort(key=lambda work: f"{work.namespace}/{work.name}-{work.hash}-")
        versions = list(range(_FIRST_VERSION, _FIRST_VERSION + count))
        rng.shuffle(versions)
        self.versions = iter(versions)

    def listed(self) -> Iterator[dict[str, Any]]:
        """Those of the list."""
        sizes = [0] * len(self.works)
        for _ in range(self.count):
            sizes[self.rng.randrange(len(sizes))] += 1
        for work, size in zip(self.works, sizes, strict=True):
            pods = [self._pod(work, str(next(self.versions))) for _ in range(size)]
            yield from sorted(pods, key=oracle.key)

    def new(self, version: str) -> dict[str, Any]:
        """One that comes with an event."""
        return self._pod(self.rng.choice(self.works), version)

    def _pod(self, work: Workload, version: str) -> dict[str, Any]:
        pod: dict[str, Any] = self.generator.pod(work, self.rng.choice(self.nodes))
        meta = pod["metadata"]
        meta["resourceVersion"] = version
        if self.unique:
            own = {
                "bench/unique-uid": meta["uid"],
                "bench/unique-name": meta["name"][-60:],
                "bench/unique-version": version,
            }
            meta["labels"] = {**meta["labels"], **own}
        return pod


def prepare(base: Path, count: int, labels: str) -> Path:
    """The folder below `base` with so many pods, written if it is not there."""
    folder = (base / f"{count}-{labels}").resolve()
    if not (folder / "about.json").exists():
        print(f"making {count:,} pods", file=sys.stderr, flush=True)
        write(folder, count, unique=labels == "unique")
    return folder


def write(folder: Path, count: int, *, unique: bool) -> About:
    """Write all files."""
    folder.mkdir(parents=True, exist_ok=True)
    source = _Pods(count, unique=unique)
    burst = max(100, min(20_000, count // 2))
    rng = random.Random(f"burst {count}")
    chosen = sorted(rng.sample(range(count), min(count, burst + LONE)))
    table: dict[str, oracle.Record] = {}
    kept = _pages(folder, source, set(chosen), table)
    rng.shuffle(kept)
    version = iter(range(_LIST_VERSION + 1, _LIST_VERSION + 10_000_000))
    with (folder / "burst.jsonl").open("wb") as file:
        for number in range(burst):
            _event(file, source, kept, number, str(next(version)), table)
    shapes = _shapes(source, table)
    asked = list(questions(shapes))
    records = sorted(table.items())
    for question in asked:
        question.expected = oracle.answer(question, records)
    with (folder / "lone.jsonl").open("wb") as file:
        for body in kept[-LONE:]:
            pod = msgspec.json.decode(body)
            if oracle.key(pod) in table:
                _line(file, "MODIFIED", _restarted(pod, str(next(version)), 99))
    (folder / "questions.json").write_bytes(_encode(asked))
    size = sum(path.stat().st_size for path in folder.glob("page-*.json"))
    labels = "unique" if unique else "shared"
    about = About(count, labels, size, burst, len(table))
    (folder / "about.json").write_bytes(_encode(about))
    return about


def read_questions(folder: Path) -> list[Question]:
    """What `write` left there."""
    return msgspec.json.decode((folder / "questions.json").read_bytes(), type=list[Question])


def read_about(folder: Path) -> About:
    """What `write` left there."""
    return msgspec.json.decode((folder / "about.json").read_bytes(), type=About)


def _pages(
    folder: Path, source: _Pods, wanted: set[int], table: dict[str, oracle.Record]
) -> list[bytes]:
    """Write the list; returns the bodies at the wanted positions."""
    kept: list[bytes] = []
    items: list[bytes] = []
    number = 0
    for position, pod in enumerate(source.listed()):
        body = _encode(pod)
        items.append(body)
        table[oracle.key(pod)] = oracle.record(pod)
        if position in wanted:
            kept.append(body)
        left = source.count - position - 1
        if len(items) == PAGE_OBJECTS or not left:
            meta: dict[str, Any] = {"resourceVersion": str(_LIST_VERSION)}
            if left:
                meta |= {"continue": str(number + 1), "remainingItemCount": left}
            head = _encode({"kind": "PodList", "apiVersion": "v1", "metadata": meta})
            page = head[:-1] + b',"items":[' + b",".join(items) + b"]}"
            (folder / f"page-{number:05d}.json").write_bytes(page)
            items.clear()
            number += 1
    return kept


def _event(
    file: BinaryIO,
    source: _Pods,
    kept: list[bytes],
    number: int,
    version: str,
    table: dict[str, oracle.Record],
) -> None:
    """Of ten events eight change a pod, one deletes one, one brings a new one."""
    pod = msgspec.json.decode(kept[number % len(kept)])
    if number % 10 == 1:
        pod["metadata"]["resourceVersion"] = version
        table.pop(oracle.key(pod), None)
        _line(file, "DELETED", pod)
        return
    if number % 10 == 6:
        pod = source.new(version)
        _line(file, "ADDED", pod)
    else:
        pod = _restarted(pod, version, number)
        if number % 10 == 3:
            pod["status"]["phase"] = "Failed"
        _line(file, "MODIFIED", pod)
    table[oracle.key(pod)] = oracle.record(pod)


def _restarted(pod: dict[str, Any], version: str, restarts: int) -> dict[str, Any]:
    """What a kubelet writes most often."""
    pod["metadata"]["resourceVersion"] = version
    for container in pod["status"].get("containerStatuses", []):
        container["restartCount"] = restarts % 100
    return pod


def _line(file: BinaryIO, kind: str, pod: dict[str, Any]) -> None:
    typed = {"kind": "Pod", "apiVersion": "v1", **pod}
    file.write(_encode({"type": kind, "object": typed}) + b"\n")


def _shapes(source: _Pods, table: dict[str, oracle.Record]) -> Shapes:
    keys = random.Random("shapes").sample(sorted(table), min(200, len(table)))
    pages = range(0, len(table) // 100 * 100, 100)
    part = keys[0].rsplit("-", 2)[1]
    return Shapes(
        some_keys=keys,
        offsets=[random.Random(f"offset {number}").choice(pages) for number in range(50)],
        some_node=source.nodes[len(source.nodes) // 2],
        rare_part=part[:6],
        namespaces=source.namespaces,
    )


def _main() -> None:
    parser = argparse.ArgumentParser(description="Write the data of the peers.")
    parser.add_argument("base", type=Path)
    parser.add_argument("--pods", type=int, default=10_000)
    parser.add_argument("--labels", choices=["shared", "unique"], default="shared")
    given = parser.parse_args()
    print(prepare(given.base, given.pods, given.labels))


if __name__ == "__main__":
    _main()
