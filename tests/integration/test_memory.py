"""Memory does not grow with the size of a response."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory: Linux's /proc"),
]

#: What a server that ignores `limit` may cost, beyond what vai takes anyway.
MOST_MB = 64

#: Makes one page of about 500 MB while it is pushed, and prints the peak before and after in KB.
#: Names, uids, versions and times differ in all pods; what is common is common in a cluster too.
CODE = """
    import json, sys, zlib
    from pathlib import Path
    from tests.apiserver import objects
    from vai.store import Store
    from vai.types import Resource

    shape, size, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    CHUNK = 256 * 1024

    def peak():
        status = Path("/proc/self/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if "VmHWM" in line)

    def templates():
        for pod in objects.pods(400):
            pod["metadata"] |= {"name": "NAME-@", "uid": "UID-@", "resourceVersion": "1@"}
            yield json.dumps(pod, separators=(",", ":"))

    def parts():
        made = list(templates())
        head, item, tail = {
            "plain": (
                '{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"9"},'
                '"items":[',
                "%s",
                "]}",
            ),
            "table": (
                '{"kind":"Table","apiVersion":"meta.k8s.io/v1",'
                '"metadata":{"resourceVersion":"9"},'
                '"columnDefinitions":[{"name":"Name","type":"string"}],"rows":[',
                '{"cells":["x"],"object":%s}',
                "]}",
            ),
        }[shape.removesuffix("-gzip")]
        yield head
        global sent_objects
        sent = sent_objects = 0
        while sent < size:
            text = item % made[sent_objects % len(made)].replace("@", f"{sent_objects:08d}")
            sent += len(text)
            yield ("," if sent_objects else "") + text
            sent_objects += 1
        yield tail

    def chunks():
        squeeze = zlib.compressobj(1, wbits=31) if shape.endswith("-gzip") else None
        buffer = bytearray()
        for part in parts():
            data = part.encode()
            buffer += squeeze.compress(data) if squeeze else data
            while len(buffer) >= CHUNK:
                yield bytes(buffer[:CHUNK])
                del buffer[:CHUNK]
        yield bytes(buffer) + (squeeze.flush() if squeeze else b"")

    with Store(path, "writer") as store:
        pods = Resource(group="", version="v1", plural="pods", kind="Pod", namespaced=True)
        store.put_resources([pods])
        scope = store.ensure_scope(pods)
        # What making the page takes is no part of it.
        for _ in zip(range(20), chunks()):
            pass
        before = peak()
        listing = store.begin_list(scope)
        listing.begin_page(shape.endswith("-gzip"))
        for chunk in chunks():
            listing.push(chunk)
        page = listing.end_page()
        listing.publish(page.resource_version)
        after = peak()
        kept = store.rows(pods).total
    print(json.dumps({"before": before, "after": after, "sent": sent_objects, "kept": kept}))
"""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("shape", ["plain", "table", "plain-gzip", "table-gzip"])
def test_a_page_of_any_size_takes_no_more_than_64_mb(shape: str, tmp_path: Path) -> None:
    # The plainest and the most involved in full; the others differ in one part from each.
    megabytes = 500 if shape in {"plain", "table-gzip"} else 150
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            textwrap.dedent(CODE),
            shape,
            str(megabytes * 1_000_000),
            str(tmp_path / "c.db"),
        ],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["sent"] == found["kept"] > megabytes * 150
    grown_mb = (found["after"] - found["before"]) / 1024
    print(f"{shape}, {megabytes} MB, {found['kept']} objects: peak + {grown_mb:.1f} MB")
    assert grown_mb <= MOST_MB
