"""Held of both: what users of `kubernetes.informer` see (kubernetes 37, `informer/informer.py`)."""

from __future__ import annotations

import inspect
import threading
from typing import Any

import pytest
from kubernetes.client import V1Pod

from tests.timing import wait_until
from tests.unit.compat.conftest import MODULES, Heard, Made
from vai.testing import Simulator


def pod(name: str, namespace: str = "default", **labels: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"containers": [{"name": "main", "image": "x"}]},
        "status": {"phase": "Running"},
    }


def names(informer: Any) -> list[str]:
    return sorted(found.metadata.name for found in informer.cache.list())


def test_the_names_and_arguments_are_the_same() -> None:
    theirs, ours = pytest.importorskip("kubernetes.informer"), MODULES["vai.compat"]
    for name in ("ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"):
        assert getattr(ours, name) == getattr(theirs, name)
    for cls in ("SharedInformer", "ObjectCache"):
        their, our = getattr(theirs, cls), getattr(ours, cls)
        for name, member in inspect.getmembers(their):
            if name.startswith("_") and name != "__init__":
                continue
            if not callable(member):
                assert isinstance(getattr(our, name), property)
                continue
            wanted = list(inspect.signature(member).parameters.values())
            found = list(inspect.signature(getattr(our, name)).parameters.values())
            same = [(one.name, one.default) for one in found[: len(wanted)]]
            assert same == [(one.name, one.default) for one in wanted], name
            assert all(more.kind is more.KEYWORD_ONLY for more in found[len(wanted) :])


def test_the_first_list_is_added_and_kept(sim: Simulator, informer: Made) -> None:
    sim.add(pod("web-0", app="web"))
    sim.add(pod("web-1"))
    made = informer()
    heard = Heard(made)
    assert made.cache.list() == []
    assert made.cache.list_keys() == []
    assert made.cache.get_by_key("default/web-0") is None
    made.start()
    assert sorted(heard.wait(2)) == [("ADDED", "web-0"), ("ADDED", "web-1")]
    wait_until(lambda: names(made) == ["web-0", "web-1"])
    assert sorted(made.cache.list_keys()) == ["default/web-0", "default/web-1"]
    found = made.cache.get_by_key("default/web-0")
    assert type(found).__name__ == "V1Pod"
    assert found.metadata.labels == {"app": "web"}
    assert found.spec.containers[0].image == "x"
    assert found.status.phase == "Running"
    assert made.cache.get(found) is found
    assert made.cache.get_by_key("default/web-0") is found
    assert made.cache.get_by_key("default/nobody") is None


def test_events_come_in_order_and_the_cache_has_them(sim: Simulator, informer: Made) -> None:
    sim.add(pod("web-0"))
    made = informer()
    heard = Heard(made)
    seen: list[Any] = []
    made.add_event_handler(
        "MODIFIED", lambda found: seen.append(made.cache.get(found).metadata.labels)
    )
    made.start()
    heard.wait(1)
    sim.add(pod("web-1"))
    heard.wait(2)
    sim.patch("pods", "web-0", {"metadata": {"labels": {"app": "web"}}})
    heard.wait(3)
    sim.delete("pods", "web-1")
    assert heard.wait(4) == [
        ("ADDED", "web-0"),
        ("ADDED", "web-1"),
        ("MODIFIED", "web-0"),
        ("DELETED", "web-1"),
    ]
    assert seen == [{"app": "web"}]
    assert len(heard.threads) >= 1
    assert isinstance(heard.objects["web-1"], V1Pod)
    wait_until(lambda: made.cache.list_keys() == ["default/web-0"])
    now = sim.get("pods", "web-0")
    assert now is not None
    version = now["metadata"]["resourceVersion"]
    assert made.cache.get_by_key("default/web-0").metadata.resource_version == version


def test_namespace_and_selectors_narrow_it(sim: Simulator, informer: Made) -> None:
    for name, namespace in (("web-0", "default"), ("web-1", "other"), ("db-0", "default")):
        sim.add(pod(name, namespace, app=name.partition("-")[0]))
    narrow = informer(label_selector="app=web")
    one = informer(field_selector="metadata.name=db-0")
    every = informer("list_pod_for_all_namespaces")
    for made, wanted in ((narrow, ["web-0"]), (one, ["db-0"]), (every, ["db-0", "web-0", "web-1"])):
        heard = Heard(made)
        made.start()
        heard.wait(len(wanted))
        wait_until(lambda: names(made) == wanted)  # noqa: B023 - waited for here


def test_what_has_no_namespace_has_a_bare_key(sim: Simulator, informer: Made) -> None:
    made = informer("list_namespace")
    heard = Heard(made)
    made.start()
    wait_until(lambda: ("ADDED", "kube-system") in heard.events)
    wait_until(lambda: "kube-system" in made.cache.list_keys())
    assert made.cache.get_by_key("kube-system").metadata.name == "kube-system"
    assert made.cache.get_by_key("default/kube-system") is None
    assert sim.count("namespaces") == len(made.cache.list())


def test_keys_may_be_ones_own(sim: Simulator, informer: Made) -> None:
    sim.add(pod("web-0"))
    made = informer(key_func=lambda found: f"pod:{found.metadata.name}")
    heard = Heard(made)
    made.start()
    heard.wait(1)
    wait_until(lambda: made.cache.list_keys() == ["pod:web-0"])
    assert made.cache.get_by_key("pod:web-0").metadata.name == "web-0"
    assert made.cache.get(heard.objects["web-0"]).metadata.name == "web-0"
    assert made.cache.get_by_key("default/web-0") is None


def test_handlers_come_and_go(sim: Simulator, informer: Made) -> None:
    made = informer()
    heard = Heard(made)
    removed: list[Any] = []
    made.add_event_handler("ADDED", removed.append)
    made.remove_event_handler("ADDED", removed.append)
    made.remove_event_handler("ADDED", removed.append)
    made.remove_event_handler("NOTHING", removed.append)
    with pytest.raises(ValueError, match=r"event_type 'added'\. Use one of: ADDED, BOOKMARK"):
        made.add_event_handler("added", removed.append)
    made.start()
    sim.add(pod("web-0"))
    heard.wait(1)
    assert removed == []


def test_a_handler_that_raises_stops_no_other(sim: Simulator, informer: Made) -> None:
    made = informer()

    def fail(_found: Any) -> None:
        raise RuntimeError("no disk")

    made.add_event_handler("ADDED", fail)
    heard = Heard(made)
    made.start()
    sim.add(pod("web-0"))
    sim.add(pod("web-1"))
    assert sorted(heard.wait(2)) == [("ADDED", "web-0"), ("ADDED", "web-1")]
    assert heard.errors == []


def test_a_resync_is_modified_for_everything(sim: Simulator, informer: Made) -> None:
    sim.add(pod("web-0"))
    made = informer(resync_period=1)
    heard = Heard(made)
    made.start()
    assert heard.wait(3)[:3] == [
        ("ADDED", "web-0"),
        ("MODIFIED", "web-0"),
        ("MODIFIED", "web-0"),
    ]


def test_what_was_missed_comes_after_a_410(sim: Simulator, informer: Made) -> None:
    for name in ("web-0", "web-1", "web-2"):
        sim.add(pod(name))
    made = informer()
    heard = Heard(made)
    made.start()
    heard.wait(3)
    # The watch must stand, or nothing is missed.
    sim.patch("pods", "web-2", {"metadata": {"labels": {"seen": "yes"}}})
    heard.wait(4)
    sim.cut()
    sim.delete("pods", "web-0")
    sim.patch("pods", "web-1", {"metadata": {"labels": {"app": "web"}}})
    sim.add(pod("web-3"))
    sim.compact()
    sim.restore()
    wanted = {("DELETED", "web-0"), ("MODIFIED", "web-1"), ("ADDED", "web-3")}
    wait_until(lambda: wanted <= set(heard.events), 60, what=lambda: (heard.events, heard.errors))
    wait_until(lambda: names(made) == ["web-1", "web-2", "web-3"])


def test_errors_are_told(sim: Simulator, informer: Made) -> None:
    sim.forbid("pods")
    made = informer()
    heard = Heard(made)
    made.start()
    wait_until(lambda: heard.errors, 60)
    assert isinstance(heard.errors[0], Exception)
    assert "403" in str(heard.errors[0]) or "orbidden" in str(heard.errors[0])


def test_start_twice_and_stop_twice_are_once(sim: Simulator, informer: Made) -> None:
    sim.add(pod("web-0"))
    made = informer()
    heard = Heard(made)
    made.stop()
    made.start()
    made.start()
    heard.wait(1)
    wait_until(lambda: names(made) == ["web-0"])
    stopping = threading.Thread(target=made.stop)
    stopping.start()
    # The original waits for its connection to end.

    def stopped() -> bool:
        sim.drop_connections()
        return not stopping.is_alive()

    wait_until(stopped)
    made.stop()
    assert names(made) == ["web-0"], "what is known stays readable"
    sim.add(pod("web-1"))
    assert heard.events == [("ADDED", "web-0")]
    made.start()
    assert heard.wait(2) == [("ADDED", "web-0"), ("ADDED", "web-1")]
    wait_until(lambda: names(made) == ["web-0", "web-1"])
