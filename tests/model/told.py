"""A handler, and what its calls add up to."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Final

import vai
from tests.model.world import Row, World, row_of

#: One call in so many raises, if any does; one in so many reads.
_RAISES, _READS = 7, 3
#: Of a handler that takes its time: other changes come faster.
_NAP_S: Final = 0.002


class OnPurposeError(Exception):
    """What a handler raises, which must stop nothing."""


class Told:
    """The view of one handler: each call must fit what it was told before.

    Args:
        world: the cluster.
        name: of the scope.
        wrong: told of a call that does not fit.
        raises: whether some of its calls raise.
        resync: in seconds.
        short: whether the history is so short that it may be told a difference.
        naps: whether it takes its time.
    """

    def __init__(
        self,
        world: World,
        name: str,
        wrong: Callable[[BaseException], None],
        *,
        raises: bool = False,
        resync: float | None = None,
        short: bool = False,
        naps: bool = False,
    ) -> None:
        self.name: Final = name
        self.view: dict[str, Row] = {}
        self.calls = 0
        self.raised = 0
        #: How often it was told that an object is gone and another one has its name, because what
        #: happened between was pruned.
        self.replaced = 0
        self._registrations: list[vai.Registration] = []
        self._short = short
        self._naps = naps
        self._gone: str | None = None
        self._world = world
        self._wrong = wrong
        self._raises = raises
        self._resync = resync
        self._uids: dict[str, str] = {}
        self._initial = True

    @property
    def registration(self) -> vai.Registration:
        """The one that counts now."""
        return self._registrations[-1]

    @property
    def compared(self) -> int:
        """How often it was told the difference between what it knew and what there was."""
        return sum(one.relists for one in self._registrations)

    def begin(self, cache: vai.Cache) -> None:
        """With this cache, whose handlers end with it: from the beginning."""
        self.view, self._uids, self._initial, self.raised = {}, {}, True, 0
        self._gone = None
        self._cache = cache
        registration = cache.add_handler(
            self.name,
            on_add=lambda found, initial: self._call(lambda: self._add(found, initial=initial)),
            on_update=lambda old, new: self._call(lambda: self._update(old, new)),
            on_delete=lambda last: self._call(lambda: self._delete(last)),
            resync=self._resync,
        )
        self._registrations.append(registration)

    def __str__(self) -> str:
        delivery = self.registration.delivery
        feed = delivery.feed
        return (
            f"{self.registration}, {self.compared} compared, told up to {delivery._since}, "
            f"{'in the ring' if delivery.in_ring else 'in the history'}, feed at {feed.position}"
        )

    def _call(self, fold: Callable[[], None]) -> None:
        if self._naps:
            time.sleep(_NAP_S)
        try:
            fold()
        except BaseException as error:  # noqa: BLE001 - vai would only count it
            self._wrong(error)
        self.calls += 1
        if self._raises and self.calls % _RAISES == 0:
            self.raised += 1
            raise OnPurposeError

    def _add(self, found: vai.Object, *, initial: bool) -> None:
        assert found.key not in self.view, f"{self.name}: adds {found.key}, which is there"
        assert self._initial or not initial, f"{self.name}: {found.key} in the initial list, late"
        self._initial = initial
        self.replaced += self._gone == found.key
        self._gone = None
        self._take(found)

    def _update(self, old: vai.Object | None, new: vai.Object) -> None:
        was = self.view.get(new.key)
        assert was is not None, f"{self.name}: updates {new.key}, which is not there"
        self._gone = None
        assert old or self._short, f"{self.name}: {new.key} was {was}, which the history has"
        assert not old or row_of(old) == was, f"{self.name}: {new.key} was {was}, not {row_of(old)}"
        assert new.uid == self._uids[new.key], f"{self.name}: {new.key} has another uid"
        self._take(new)

    def _delete(self, last: vai.Object | vai.DeletedFinalStateUnknown) -> None:
        was = self.view.pop(last.key, None)
        assert was is not None, f"{self.name}: deletes {last.key}, which is not there"
        uid = self._uids.pop(last.key)
        assert last.uid == uid, f"{self.name}: deletes {last.key} of another uid"
        if isinstance(last, vai.DeletedFinalStateUnknown):
            assert last.resource_version == was[0], f"{self.name}: {last} was told as {was}"
            assert last.object or self._short, f"{self.name}: {last} is what the history has"
        lost = isinstance(last, vai.DeletedFinalStateUnknown) and last.object is None
        self._gone = last.key if lost else None
        self._initial = False

    def _take(self, found: vai.Object) -> None:
        self.view[found.key], self._uids[found.key] = row_of(found), found.uid
        if self.calls % _READS == 0 and not self._world.restores:
            self._read(found)

    def _read(self, found: vai.Object) -> None:
        """Nobody is told of what he can't read yet."""
        # It may have left the selection again, which is not the same as being gone.
        with contextlib.suppress(vai.ClosedError, vai.NotKeptError):
            now = self._cache.get(self.name, found.name, namespace=found.namespace)
            # None: it is gone again.
            newer = now is None or int(row_of(now)[1]) >= int(row_of(found)[1])
            assert newer, f"{self.name}: told {row_of(found)}, reads something older"
