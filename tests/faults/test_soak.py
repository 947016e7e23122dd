"""Churn on a real kube-apiserver while its link, or the server itself, fails again and again.

Some 45 s each; VAI_SOAK=long makes it 15 minutes.
"""

from __future__ import annotations

import os
import random
import shutil
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

import pytest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

import vai
import vai.metrics
from tests.apiserver.processes import free_ports
from tests.apiserver.server import VAI, ApiServer
from tests.faults.history import Follower, Json, comparisons, confirmations, kept, lists
from tests.faults.processes import LIVE_WITHIN_S, StartSync, wait_states, wait_until
from tests.faults.proxy import Proxy
from tests.faults.writes import Writers, collection, config_map, namespace
from tests.integration.real import listed
from vai.config import Settings

LONG: Final = os.environ.get("VAI_SOAK") == "long"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400 if LONG else 300)]
LASTS_S: Final = 900 if LONG else 30
#: The servers', whose starts take what they take.
DIES_S: Final = 900 if LONG else 15
BOTH: Final = ("configmaps", "serviceaccounts")
#: So often does vai compare itself with the server meanwhile.
CHECKS_S: Final = 120 if LONG else 8
#: Whatever costs a list has a name, and these are all of them that a link or a server may cause.
NAMED: Final = {"expired", "restored", "confirming"}
#: What caches and the allocator still take after the first third; a leak of 1 KB for each event
#: would be 60 MB in the long run.
GROWS_MB: Final = 24


@pytest.fixture
def proxy(victim: ApiServer) -> Iterator[Proxy]:
    with Proxy(victim.port) as made:
        yield made


def resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if "VmRSS" in line) / 1024


def fail_once(proxy: Proxy, dice: random.Random) -> str:
    """The link fails in one way, for a while."""
    ways: dict[str, Callable[[], None]] = {
        "reset": proxy.reset,
        "cut": proxy.cut,
        "blackhole": proxy.blackhole,
        "stall": proxy.stall,
        "throttle": lambda: proxy.throttle(20_000),
    }
    word = dice.choice(list(ways))
    ways[word]()
    time.sleep(dice.random() * (4 if word in {"blackhole", "throttle"} else 1))
    proxy.restore()
    return word


class Counted:
    """What vai counted of itself, by scope and label."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._samples = [one for family in families for one in family.samples]

    def of(self, name: str, plural: str) -> Counter[str]:
        """By the label beside the scope: the reason, the outcome, the verb."""
        found: Counter[str] = Counter()
        for sample in self._samples:
            labels = dict(sample.labels)
            scope = labels.pop("scope", "") or labels.pop("name", "")
            if sample.name == name and scope.partition(" ")[0] == plural and sample.value:
                found["".join(labels.values())] += int(sample.value)
        return found

    def lists(self, plural: str) -> Counter[str]:
        """Why lists were begun."""
        relists = self.of("vai_relists_total", plural)
        first = self.of("reflector_lists_total", plural).total() - relists.total()
        return relists + Counter(first=first)


def scraped(port: int) -> Counted:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return Counted(text_string_to_metric_families(answer.read().decode()))


def check_counts(counted: Counted, plural: str) -> Counter[str]:
    """Each list has its reason, each 410 cost one, and the self-check had nothing to find."""
    why = counted.lists(plural)
    assert why.keys() <= NAMED | {"first"}, why
    assert why["expired"] == counted.of("vai_expired_total", plural).total()
    assert not counted.of("vai_drift_objects_total", plural)
    return why


def compared(counted: Counted, plural: str) -> int:
    return counted.of("vai_self_checks_total", plural)["compared"]


def asked_for(audit: list[Json]) -> Counter[str]:
    """Lists that were answered; a server that has just started forbids for a moment.

    Without the requests for one object that confirm an empty list: they begin none.
    """
    answered = [one for one in audit if one["responseStatus"]["code"] == 200]
    return lists(answered) - comparisons(answered) - confirmations(answered)


def same(reader: vai.Cache, server: ApiServer, where: str, follower: Follower) -> None:
    """The file, and what its changes add up to, are what the server has."""
    for plural in BOTH:
        there = listed(server, collection(where, plural))[1]
        wait_until(lambda plural=plural, there=there: kept(reader, plural) == there)  # type: ignore[misc]
        if plural == "configmaps":
            wait_until(lambda there=there: follower.replayed() == there)  # type: ignore[misc]


def test_a_link_that_fails_every_few_seconds_costs_no_list_and_no_memory(
    victim: ApiServer,
    proxy: Proxy,
    sync: StartSync,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("VAI_SELF_CHECK", f"{CHECKS_S}s")
    (port,) = free_ports(1)
    where, dice, file = "soak-link", random.Random(1), tmp_path / "c.db"
    victim.create_many([namespace(where)])
    victim.create_many([config_map(where, "first")])
    before = victim.audit_position()
    config = victim.write_kubeconfig(path=tmp_path / "kubeconfig", server=proxy.url)
    metrics = f"--metrics=127.0.0.1:{port}"
    process = sync(file, config, ",".join(BOTH), "-n", where, metrics)
    wait_states(file, configmaps="live", serviceaccounts="live")
    met: dict[str, int] = {}
    with vai.open(file) as reader:
        follower = Follower(reader, "configmaps")
        began = time.monotonic()
        sizes = []
        with Writers(victim, where) as writers:
            while (passed := time.monotonic() - began) < LASTS_S:
                time.sleep(1 + dice.random() * 2)
                word = fail_once(proxy, dice)
                met[word] = met.get(word, 0) + 1
                if passed > LASTS_S / 3:
                    sizes.append(resident_mb(process.pid))
        took_s = time.monotonic() - began
        same(reader, victim, where, follower)
        wait_states(file, configmaps="live", serviceaccounts="live")
        for plural in BOTH:
            wait_until(lambda plural=plural: compared(scraped(port), plural), str, 4 * CHECKS_S)  # type: ignore[misc]
        counted, audit = scraped(port), victim.audit(VAI, since=before)
        asked = asked_for(audit)
        went = [round(size) for size in sizes[:: max(1, len(sizes) // 4)]]
        print(
            f"{writers.done / took_s:.0f} writes/s for {took_s:.0f} s, {met}, lists {dict(asked)}, "
            f"compared {dict(comparisons(audit))}, {len(audit)} requests, "
            f"{len(follower.seen)} changes, {went} MB"
        )
        for plural in BOTH:
            # What the server has seen is what vai says of itself, each list with its reason.
            assert asked[plural] == check_counts(counted, plural).total()
        # All that a link can do is answered from the server's watch cache: not one 410.
        assert asked == dict.fromkeys(BOTH, 1)
        assert not any(change.relist for change in follower.seen)
        assert max(sizes) - sizes[0] < GROWS_MB
        assert writers.done > 20 * took_s


def test_a_server_and_an_etcd_that_die_and_are_restored_leave_no_phantom(
    victim: ApiServer, tmp_path: Path
) -> None:
    where, dice = "soak-server", random.Random(2)
    victim.create_many([namespace(where)])
    victim.create_many(config_map(where, f"kept-{i:02d}") for i in range(20))
    victim.save_data(tmp_path / "backup")
    scopes = [vai.Scope(plural, where) for plural in BOTH]
    settings = Settings(
        kubeconfig=str(victim.write_kubeconfig()),
        live_within_s=LIVE_WITHIN_S,
        self_check_s=CHECKS_S,
    )
    first = victim.audit_position()
    with vai.connect(tmp_path / "c.db", scopes, settings=settings) as cache:
        wait_until(lambda: live(cache), lambda: str(cache.status()))
        follower = Follower(cache, "configmaps")
        sizes = [resident_mb(os.getpid())]
        told: list[str] = []
        began = time.monotonic()
        while not told or time.monotonic() - began < DIES_S:
            with Writers(victim, where):
                time.sleep(0.5 + dice.random())
                told.append(dice.choice(("apiserver", "etcd")) if told else "apiserver")
                if told[-1] == "apiserver":
                    victim.kill()
                    time.sleep(dice.random())
                    victim.restart()
                else:
                    victim.kill_etcd()
                    time.sleep(dice.random() * 4)
                    victim.restart_etcd()
            wait_until(lambda: live(cache), lambda: str(cache.status()), 60)
            same(cache, victim, where, follower)

        # Enough that the restarts' own writes don't make up for them.
        victim.create_many(config_map(where, f"phantom-{i:03d}") for i in range(150))
        same(cache, victim, where, follower)
        newest = int(cache.freshness("configmaps").resource_version or 0)
        before = victim.audit_position()
        victim.load_data(tmp_path / "backup")
        shutil.rmtree(tmp_path / "backup")
        assert victim.revision() < newest
        wait_until(lambda: not phantoms(cache, where), lambda: str(cache.status()), 60)
        wait_until(lambda: live(cache), lambda: str(cache.status()), 60)
        same(cache, victim, where, follower)
        asked = asked_for(victim.audit(VAI, since=before))
        assert all(1 <= asked[plural] <= 3 for plural in BOTH), asked
        with Writers(victim, where) as writers:
            wait_until(lambda: writers.done > 100)
        same(cache, victim, where, follower)
        sizes.append(resident_mb(os.getpid()))
        print(
            f"{dict(Counter(told))}, then restored with lists {dict(asked)}; "
            f"{len(follower.seen)} changes, {sizes[0]:.0f} to {sizes[-1]:.0f} MB with the test"
        )
        check_restored(cache, asked_for(victim.audit(VAI, since=first)))


def check_restored(cache: vai.Cache, asked: Counter[str]) -> None:
    """Each list of a server that died again and again has its reason, the restore among them."""
    counted = Counted(vai.metrics.collector(cache).collect())
    for plural in BOTH:
        why = check_counts(counted, plural)
        print(f"{plural}: {asked[plural]} lists, for {dict(why)}")
        assert why["first"] == 1
        assert why["restored"] >= 1
        # Those that a killed server was asked for are not in its log, or were never heard.
        made = counted.of("reflector_items_per_list_count", plural).total()
        assert made <= asked[plural] <= why.total()


def live(cache: vai.Cache) -> bool:
    return {scope.state for scope in cache.status()} == {vai.State.LIVE}


def phantoms(cache: vai.Cache, where: str) -> list[str]:
    return [key for key in cache.snapshot("configmaps", where) if "/phantom-" in key]
