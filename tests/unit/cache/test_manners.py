"""What a library owes the process that it runs in."""

from __future__ import annotations

import gc
import json
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from multiprocessing.queues import Queue
from pathlib import Path

import pytest

import vai
from tests.timing import one_in_three
from tests.unit.cache.feed import Feed, cache_of, pod


def python(code: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **variables},
    )


def test_importing_vai_loads_no_client_and_no_cli() -> None:
    done = python("""
        import sys, vai
        print([name for name in ("kubernetes", "click", "rich", "yaml", "sqlite3", "asyncio.tools")
               if name in sys.modules])
    """)
    assert done.stdout.strip() == "[]", done.stderr


def test_reading_a_file_loads_no_client(feed: Feed) -> None:
    feed.load([pod("web-0", 7)])
    done = python(
        """
        import sys, vai
        with vai.open(sys.argv[1]) as cache:
            assert cache.get("pods", "shop/web-0")["spec"]
            assert len(cache.snapshot("pods"))
        print("kubernetes" in sys.modules, "vai.kube" in sys.modules, "vai.informer" in sys.modules)
        """,
        str(feed.path),
    )
    assert done.stdout.strip() == "False False False", done.stderr


def test_a_file_answers_before_the_client_is_imported(feed: Feed, tmp_path: Path) -> None:
    """Whoever is restarted over a file has its answers at once, whatever the server does."""
    feed.load([pod("web-0", 7)])
    feed.store.close()
    kubeconfig = tmp_path / "kubeconfig"
    cluster = {"name": "c", "cluster": {"server": "http://127.0.0.1:9"}}
    context = {"name": "c", "context": {"cluster": "c"}}
    kubeconfig.write_text(
        json.dumps({"current-context": "c", "clusters": [cluster], "contexts": [context]})
    )
    done = python(
        """
        import sys, threading, vai
        answered = threading.Event()
        class Slow:
            def find_spec(self, name, path, target=None):
                if name == "kubernetes":
                    answered.wait(20)
        sys.meta_path.insert(0, Slow())
        with vai.connect(sys.argv[1], ["pods"], kubeconfig=sys.argv[2]) as cache:
            assert cache.get("pods", "shop/web-0")["spec"]
            status, = cache.status()
            print(status.state.value, answered.is_set())
            answered.set()
        """,
        str(feed.path),
        str(kubeconfig),
    )
    state, waited = done.stdout.split()
    assert state in {"stale", "catching-up"}, done.stderr
    assert waited == "False"


def test_it_prints_nothing_and_leaves_signals_and_logging_alone(feed: Feed) -> None:
    feed.load([pod("web-0", 7)])
    done = python(
        """
        import logging, signal, sys
        handlers = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        import vai
        cache = vai.open(sys.argv[1])
        cache.wait_synced(timeout=1)
        assert handlers == {n: signal.getsignal(n) for n in handlers}
        assert logging.getLogger().handlers == []
        assert [type(h) for h in logging.getLogger("vai").handlers] == [logging.NullHandler]
        assert logging.getLogger("vai").level == logging.NOTSET
        """,
        str(feed.path),
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_it_ends_with_the_process_in_good_time(feed: Feed) -> None:
    feed.load([pod("web-0", 7)])
    started = time.monotonic()
    done = python(
        """
        import sys, threading, vai
        cache = vai.open(sys.argv[1])
        for n in range(20):
            stream = cache.changes("pods")
            threading.Thread(target=list, args=(stream,), daemon=True).start()
        """,
        str(feed.path),
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    "wait",
    [
        "cache.wait_for('pods', 'shop/none')",
        "next(cache.changes('pods'))",
        "cache.wait_for('pods', 'shop/web-0', min_resource_version='999999')",
        "asyncio.run(cache.aio.wait_for('pods', 'shop/none'))",
    ],
    ids=["wait_for", "changes", "min_resource_version", "aio"],
)
def test_ctrl_c_ends_a_wait_within_a_fifth_of_a_second(feed: Feed, wait: str) -> None:
    feed.load([pod("web-0", 7)])
    one_in_three(lambda: interrupted(feed, wait), 0.2)


def test_ctrl_c_ends_wait_synced(feed: Feed) -> None:
    feed.scope()
    one_in_three(lambda: interrupted(feed, "cache.wait_synced()"), 0.2)


def interrupted(feed: Feed, wait: str) -> float:
    """Seconds from the signal to the exception, in a process that had begun to wait."""
    code = f"""
        import asyncio, os, signal, sys, threading, time, vai
        cache = vai.open(sys.argv[1])
        begun, sent = threading.Event(), []
        def interrupt():
            begun.wait()
            time.sleep(0.5)
            sent.append(time.monotonic())
            os.kill(os.getpid(), signal.SIGINT)
        threading.Thread(target=interrupt, daemon=True).start()
        try:
            begun.set()
            {wait}
        except KeyboardInterrupt:
            print(time.monotonic() - sent[0])
    """
    done = python(code, str(feed.path))
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


def test_close_is_idempotent_and_quick_with_many_watches_open(feed: Feed) -> None:
    feed.load()

    def attempt() -> float:
        cache = vai.open(feed.path)
        streams = [cache.changes("pods") for _ in range(30)]
        threads = [threading.Thread(target=list, args=(stream,)) for stream in streams]
        for thread in threads:
            thread.start()
        started = time.monotonic()
        cache.close()
        cache.close()
        for thread in threads:
            thread.join(30)
        took_s = time.monotonic() - started
        assert not any(thread.is_alive() for thread in threads)
        assert cache.closed
        assert "closed" in repr(cache)
        return took_s

    one_in_three(attempt, 2)


@pytest.mark.parametrize(
    "use",
    [
        lambda c: c.get("pods", "shop/web-0"),
        lambda c: c.snapshot("pods"),
        lambda c: c.list("pods"),
        lambda c: c.status(),
        lambda c: c.position(),
        lambda c: c.cluster(),
        lambda c: c.freshness("pods"),
        lambda c: c.changes("pods"),
        lambda c: c.wait_synced(timeout=1),
        lambda c: c.wait_for("pods", "shop/web-0", timeout=1),
    ],
    ids=[
        "get",
        "snapshot",
        "list",
        "status",
        "position",
        "cluster",
        "freshness",
        "changes",
        "wait_synced",
        "wait_for",
    ],
)
def test_a_closed_cache_says_so(
    feed: Feed, cache: vai.Cache, use: Callable[[vai.Cache], object]
) -> None:
    feed.load([pod("web-0", 7)])
    cache.get("pods", "shop/web-0")
    cache.close()
    with pytest.raises(vai.ClosedError):
        use(cache)


def test_a_cache_that_nobody_holds_is_closed(feed: Feed) -> None:
    path = feed.path
    feed.close()
    cache, made = cache_of(path)
    del cache
    gc.collect()
    assert made[0].stopped == 1


def test_a_stream_keeps_its_cache_alive(feed: Feed) -> None:
    scope = feed.load()
    changes = vai.open(feed.path).changes("pods")
    gc.collect()
    feed.event(scope, "ADDED", pod("web-0", 101))
    assert next(changes).key == "shop/web-0"


def test_threads_are_daemons_with_names(feed: Feed) -> None:
    before = set(threading.enumerate())
    with cache_of(feed.path)[0]:
        new = set(threading.enumerate()) - before
        assert {thread.name for thread in new} == {"vai-follower"}
        assert all(thread.daemon for thread in new)
    assert not set(threading.enumerate()) - before


def use_in_child(cache: vai.Cache, results: Queue[str]) -> None:
    try:
        cache.snapshot("pods")
    except vai.ForkedError as error:
        results.put(str(error))
    else:
        results.put("no error")
    cache.close()


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_gets_an_error_with_the_remedy(feed: Feed, cache: vai.Cache) -> None:
    feed.load([pod("web-0", 7)])
    cache.snapshot("pods")
    context = multiprocessing.get_context("fork")
    results: Queue[str] = context.Queue()
    child = context.Process(target=use_in_child, args=(cache, results))
    child.start()
    message = results.get(timeout=20)
    child.join(20)
    assert child.exitcode == 0
    assert "fork" in message
    assert "open" in message
    # The parent goes on.
    assert len(cache.snapshot("pods")) == 1


def test_every_call_of_a_forked_child_is_checked(feed: Feed) -> None:
    feed.load([pod("web-0", 7)])
    done = python(
        """
        import asyncio, os, sys, threading, time, vai
        cache = vai.open(sys.argv[1])
        pods, stream = cache.snapshot("pods"), cache.changes("pods")
        asyncio.run(cache.aio.wait_synced())
        pid = os.fork()
        if pid == 0:
            uses = [
                lambda: cache.get("pods", "shop/web-0"), lambda: cache.list("pods"),
                lambda: cache.status(), lambda: next(stream), lambda: cache.changes("pods"),
                lambda: cache.wait_for("pods", "shop/none", timeout=5),
                lambda: cache.wait_synced(timeout=5),
                lambda: asyncio.run(cache.aio.wait_for("pods", "shop/none", timeout=5)),
            ]
            for use in uses:
                try:
                    use()
                except vai.ForkedError:
                    continue
                os._exit(3)
            # What was read before is the child's own, and its own handle works.
            assert pods["shop/web-0"]["spec"]
            with vai.open(sys.argv[1]) as mine:
                assert len(mine.snapshot("pods")) == 1
            with cache:
                pass
            sys.exit(0)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), len(cache.snapshot("pods")))
        """,
        str(feed.path),
    )
    assert done.stdout.strip() == "0 1", done.stderr


def test_all_names_are_there() -> None:
    assert len(set(vai.__all__)) == len(vai.__all__)
    assert all(hasattr(vai, name) for name in vai.__all__)
    hidden = {name for name in vars(vai) if not name.startswith("_")} - set(vai.__all__)
    modules = {name for name in hidden if type(getattr(vai, name)).__name__ == "module"}
    assert hidden - modules <= {"annotations", "version"}


def test_the_logger_is_quiet_until_configured() -> None:
    assert any(isinstance(h, logging.NullHandler) for h in logging.getLogger("vai").handlers)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert Path(vai.__file__).with_name("py.typed").exists()
