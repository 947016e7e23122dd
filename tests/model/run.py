"""One run of the model: a random history under random faults, and what must hold after it."""

from __future__ import annotations

import random
import shutil
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

import vai
from tests.model.consumer import Consumer
from tests.model.copy import Copy
from tests.model.late import Late
from tests.model.short import Short
from tests.model.story import Story, Waits
from tests.model.told import Told
from tests.model.world import SCOPES, State, World
from vai.testing import DAMAGE, LEGAL, LIES, Fault, Faults, Kind

#: Of ten runs, which one's server lies, and in which one vai is killed instead of closed.
_LIES, _KILLED = 9, 8
_STEPS: Final = 40
#: Where the server lies, it also makes vai ask again and again; but not for lists, which repair.
_BREAKS: Final = (Kind.CUT, Kind.END, Kind.RESET)
#: One run in so many has silences that outlast vai's patience: they take seconds.
_PATIENT: Final = 47
#: Of the requests, how many meet a fault.
_RATES: Final = (0.1, 0.3, 0.5)
_SETTLED_S: Final = 60.0


@dataclass
class Outcome:
    """What became of one run."""

    seed: int
    took_s: float = 0.0
    problem: str = ""
    looks: int = 0
    changes: int = 0
    deletes: int = 0
    calls: int = 0
    compared: int = 0
    replaced: int = 0
    expired: int = 0
    findings: int = 0
    restores: int = 0
    between: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    diverged: int = 0

    def __str__(self) -> str:
        if not self.problem:
            return f"seed {self.seed}: {self.took_s:.2f} s"
        return f"seed {self.seed} after {self.took_s:.2f} s:\n{self.problem}\n{replay(self.seed)}"


def replay(seed: int) -> str:
    return f"again: .venv/bin/python -m tests.model {seed}"


def run(seed: int) -> Outcome:
    """Never raises: what went wrong is in the outcome."""
    outcome = Outcome(seed)
    folder = Path(tempfile.mkdtemp(prefix=f"vai-model-{seed}-"))
    began = time.monotonic()
    try:
        _Run(seed, folder, outcome).go()
    except Exception:  # noqa: BLE001 - told
        outcome.problem += traceback.format_exc()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    outcome.took_s = time.monotonic() - began
    return outcome


class _Run(Waits):
    def __init__(self, seed: int, folder: Path, outcome: Outcome) -> None:
        self._seed = seed
        self._folder = folder
        self._short = Short.of(seed)
        self._outcome = outcome
        self._lies = seed % 10 == _LIES
        self._world = World(folder, seed)
        kinds = [*LIES, *LIES, *_BREAKS] if self._lies else [*LEGAL, *DAMAGE]
        rate = _RATES[seed // 10 % len(_RATES)]
        longest_s = 6.0 if seed % _PATIENT == 0 else 0.1
        self._dice = random.Random(f"run {seed}")
        self._faults = Faults.random(seed, kinds=kinds, rate=rate, longest_s=longest_s)

    def go(self) -> None:
        killed = self._seed % 10 == _KILLED
        world, sim = self._world, self._world.sim
        with sim:
            short = self._short
            copy = Copy(self._folder, world, short, killed=killed, honest=not self._lies)
            late = None if short is None else Late(self._seed, world, copy, short)
            story = Story(self._seed, world, copy, self, late)
            try:
                if self._seed % 2:
                    sim.faults = self._faults
                story.begin()
                self._wait(copy, lambda: self._listed(copy), "the first lists")
                copy.follow()
                sim.faults = self._faults
                story.go_on(_STEPS)
                self._faults.clear()
                self._settle(copy)
                self._check_consumers(copy)
                self._check_handlers(copy)
                self._check_findings(copy)
            except BaseException:
                self._outcome.problem = self._said(copy, story)
                raise
            finally:
                copy.close()
                self._outcome.looks = copy.looks
                seen = [change for one in copy.consumers for change in one.seen]
                self._outcome.changes = len(seen)
                self._outcome.deletes = sum(op == "delete" for _, op, _ in seen)
                self._outcome.restores = self._world.restores
                self._outcome.between = story.between
                self._outcome.expired = sum(len(one.missed) for one in copy.consumers)
                self._outcome.calls = sum(told.calls for told in copy.handlers)
                self._outcome.compared = sum(told.compared for told in copy.handlers)
                self._outcome.replaced = sum(told.replaced for told in copy.handlers)
                self._outcome.faults.update(str(entry.fault.kind) for entry in sim.faults.log)

    def _said(self, copy: Copy, story: Story) -> str:
        sim = self._world.sim
        scopes = [
            f"  {status} at {status.resource_version}, {status.freshness}"
            for status in copy.cache.status()
        ]
        return "\n".join(
            [
                f"story: {' '.join(story.told)}",
                f"history: {self._short or 'all of it'}",
                f"faults:\n{sim.faults}",
                f"the server is at {sim.resource_version}, vai:",
                *scopes,
                "the last requests:",
                *(f"  {entry}" for entry in sim.request_log.entries()[-12:]),
                *(self._difference(copy, one) for one in copy.consumers),
                "",
            ]
        )

    def _difference(self, copy: Copy, one: Consumer) -> str:
        there, here = self._world.now(one.name), copy.state(one.name)
        lines = [f"{one.name}: only there {sorted(there - here)}, only here {sorted(here - there)}"]
        for key in sorted({key for key, _ in there ^ here}):
            seen = [f"{op} {place.epoch}/{place.seq}" for place, op, at in one.seen if at == key]
            lines.append(f"  {key}: {self._world.told(one.name, key)}; changes {', '.join(seen)}")
        return "\n".join(lines)

    # --- waiting

    def _wait(self, copy: Copy, done: Callable[[], bool], what: str | Callable[[], str]) -> None:
        deadline = time.monotonic() + _SETTLED_S
        while True:
            if copy.error is not None:
                raise copy.error
            if done():
                return
            if time.monotonic() > deadline:
                told = what if isinstance(what, str) else what()
                raise AssertionError(f"not within {_SETTLED_S} s: {told}")
            time.sleep(0.005)

    def _listed(self, copy: Copy) -> bool:
        found = copy.cache.status()
        return len(found) == len(SCOPES) and all(one.complete for one in found)

    def calm(self, copy: Copy) -> None:
        """Nothing is under way: vai is where the server is, and its watches are open."""
        faults, self._world.sim.faults = self._world.sim.faults, Faults()
        self._all_same(copy, "before the server is restored")
        self._wait(copy, lambda: self._live(copy), "every scope is live before that")
        self._world.sim.faults = faults

    def went_back(self, copy: Copy) -> None:
        """vai has seen the server at an older resourceVersion than before.

        What is written before may make up for the difference, and then nobody could notice.
        """
        newest, restored = self._world.sim.resource_version, time.monotonic()

        def noticed() -> bool:
            versions = [one.resource_version for one in copy.cache.status()]
            return all(version is None or int(version) <= newest for version in versions)

        faults, self._world.sim.faults = self._world.sim.faults, Faults()
        self._wait(copy, noticed, "the restored server is noticed")
        # And no list of before is under way any more.
        proven = partial(self._proven_since, copy, restored)
        self._wait(copy, proven, "every scope is proven after the restore")
        self._all_same(copy, "after the server was restored")
        self._world.sim.faults = faults

    # --- what must hold

    def _settle(self, copy: Copy) -> None:
        wrong: dict[str, tuple[int, int]] = {}
        if self._lies:
            self._wait(copy, lambda: self._live(copy), "every scope is live, though wrong")
            self._lose_one(copy)
            wrong = {name: copy.lists(name) for name in SCOPES if not self._same(copy, name)}
            self._outcome.diverged = len(wrong)
        self._all_same(copy, "as on the server")
        for name, before in wrong.items():
            told = partial(self._is_told, copy, name, before)
            self._wait(copy, told, f"the drift of {name} is told")
        # Still following: one more of each arrives.
        for name in SCOPES:
            self._world.put(name, ("last", "one"), "red")
        self._all_same(copy, "with the last write")
        self._wait(copy, lambda: self._live(copy), "every scope is live")

    def _lose_one(self, copy: Copy) -> None:
        """One event more is lost, and nothing follows that would bring it out."""
        name = self._dice.choice(list(SCOPES))
        self._faults.add(Fault("drop", at=f"event {name.partition('.')[0]}"))
        # Of what is selected: of the rest there is no event, and where nothing else is written a
        # watch that began behind it gets no bookmark either, so nothing proves the scope.
        keys = sorted(key.partition("/")[::2] for key, _ in self._world.now(name))
        if keys and self._dice.random() < 0.5:
            self._world.delete(name, self._dice.choice(keys))
        else:
            self._world.put(name, ("lost", "one"), "red")
        written = time.monotonic()
        # As of a later moment: the copy has come past the event, with it or without it.
        proven = partial(self._proven_since, copy, written, name)
        self._wait(copy, proven, f"{name} is proven without the lost event")
        self._faults.clear()

    def _is_told(self, copy: Copy, name: str, before: tuple[int, int]) -> bool:
        """As found, as repaired, and in the metrics; the log is counted for all runs together."""
        published, asked = copy.lists(name)
        if asked == before[1] and published > before[0]:
            # A 410 of before was on its way, and has repaired it: nobody could tell.
            return True
        finding = copy.findings()[name]
        return finding is not None and finding.repaired and copy.drifted()[name] > 0

    def _check_findings(self, copy: Copy) -> None:
        found = {name: one for name, one in copy.findings().items() if one is not None}
        self._outcome.findings = sum(one.times for one in found.values())
        assert self._lies or not found, f"the server lost nothing, and the self-check says: {found}"

    def _all_same(self, copy: Copy, how: str) -> None:
        for name in SCOPES:
            self._wait(copy, partial(self._same, copy, name), f"{name} {how}")

    def _same(self, copy: Copy, name: str) -> bool:
        return copy.state(name) == self._world.now(name)

    def _live(self, copy: Copy) -> bool:
        return all(one.state is vai.State.LIVE for one in copy.cache.status())

    def _proven_since(self, copy: Copy, moment: float, name: str = "") -> bool:
        now = time.monotonic()
        ages = [one.age_s for one in copy.cache.status() if name in {"", one.resource}]
        proven = all(age_s is not None and now - age_s > moment for age_s in ages)
        return proven and self._live(copy)

    def _followed(self, one: Consumer) -> bool:
        return one.view == dict(self._world.now(one.name))

    def _check_handlers(self, copy: Copy) -> None:
        for told in copy.handlers:
            there = partial(self._world.now, told.name)

            def folded(told: Told = told, there: Callable[[], State] = there) -> bool:
                return told.view == dict(there()) and told.registration.has_synced()

            def what(told: Told = told, there: Callable[[], State] = there) -> str:
                view, now = set(told.view.items()), there()
                differs = f"only there {sorted(now - view)}, only here {sorted(view - now)}"
                return f"a handler of {told.name} has what the server has: {differs}, {told}"

            self._wait(copy, folded, what)
            errors = told.registration.errors
            assert errors == told.raised, f"{told.name}: {errors} errors, {told.raised} on purpose"

    def _check_consumers(self, copy: Copy) -> None:
        for one in copy.consumers:
            self._wait(copy, partial(self._followed, one), f"{one.name} followed")
        for one in copy.consumers:
            logged = self._logged(copy, one)
            seen = [told for told in one.seen if told[0] > one.began]
            if self._short:
                # Of a short history that is the end.
                seen = seen[len(seen) - len(logged) :]
            assert seen == logged, f"{one.name}: saw {seen}, logged was {logged}"
        self._check_gaps(copy)

    def _logged(self, copy: Copy, one: Consumer) -> list[Any]:
        """All that the history has of what it followed without a gap."""
        since: vai.Position | Literal["beginning"] = "beginning" if self._short else one.began
        while True:
            try:
                with copy.cache.changes(one.name, since=since) as log:
                    logged = []
                    while (change := log.poll()) is not None:
                        logged.append((change.position, change.op, change.key))
            except vai.ExpiredError:
                # The beginning was pruned just now, which comes to an end: nothing is written.
                if not self._short:
                    raise
            else:
                return [told for told in logged if told[0] > one.began]

    def _check_gaps(self, copy: Copy) -> None:
        """Every entry of the history was given to one of them, or he was told that he misses it."""
        given = {told[0].seq for one in copy.consumers for told in one.seen}
        missed = [span for one in copy.consumers for span in one.missed]
        first = max(one.first.seq for one in copy.consumers)
        silent = [
            seq
            for seq in range(first + 1, max(given, default=0) + 1)
            if seq not in given and not any(after < seq <= upto for after, upto in missed)
        ]
        assert not silent, f"nobody was given {silent}, nor told that he misses it: {missed}"
