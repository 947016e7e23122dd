"""`ObjectCache`: the reads of `kubernetes.informer`'s cache, answered from a vai cache."""

from __future__ import annotations

import builtins
import threading
from collections.abc import Callable, Iterable
from typing import Any

from vai.cache import Cache
from vai.errors import NotKeptError, NotSyncedError, UnknownResourceError
from vai.objects import Object

#: The key of a model, or of a dict.
KeyFunc = Callable[[Any], str]

_NOTHING_YET = (NotSyncedError, NotKeptError, UnknownResourceError)


def namespace_key(obj: Any) -> str:
    """`namespace/name`, or `name`: of a model or of a dict."""
    meta = obj.get("metadata") if isinstance(obj, dict) else getattr(obj, "metadata", None)
    if meta is None:
        return ""
    if isinstance(meta, dict):
        namespace, name = meta.get("namespace"), meta.get("name")
    else:
        namespace, name = getattr(meta, "namespace", None), getattr(meta, "name", None)
    return f"{namespace}/{name or ''}" if namespace else str(name or "")


class ObjectCache:
    """The models of the objects that are there, from one moment each time it is asked.

    A model is made when its object is first asked for or told of, and is the same one until the
    object changes. Before the first list it is empty, as the original is.
    """

    def __init__(self, key_func: KeyFunc | None = None) -> None:
        """Empty, until `attach`."""
        self._key_func = key_func or namespace_key
        self._own_keys = key_func is None
        self._lock = threading.RLock()
        #: By vai's key: uid and resourceVersion, and the model of that version.
        self._models: dict[str, tuple[tuple[str, str], Any]] = {}
        self._cache: Cache | None = None
        self._resource = ""
        self._decode: Callable[[bytes], Any] = bytes

    def list(self) -> list[Any]:
        """All objects."""
        with self._lock:
            found = self._snapshot()
            models = {one.key: (_version(one), self.model(one)) for one in found}
            self._models = models
            return [model for _, model in models.values()]

    def list_keys(self) -> builtins.list[str]:
        """The keys of all objects."""
        if self._own_keys:
            return [found.key for found in self._snapshot()]
        return [self._key_func(model) for model in self.list()]

    def get(self, obj: Any) -> Any:
        """The copy of an object, by its key; None if there is none."""
        return self.get_by_key(self._key_func(obj))

    def get_by_key(self, key: str) -> Any:
        """The object of a key; None if there is none."""
        if not self._own_keys:
            return {self._key_func(model): model for model in self.list()}.get(key)
        cache = self._cache
        if cache is None or not key:
            return None
        try:
            resource = cache.resolve(self._resource)
            if resource.namespaced != ("/" in key):
                return None
            found = cache.get(self._resource, key)
        except _NOTHING_YET:
            return None
        return None if found is None else self.model(found)

    # what the informer does

    def attach(self, cache: Cache, resource: str, decode: Callable[[bytes], Any]) -> None:
        """Answer from this cache from now on."""
        self._cache, self._resource, self._decode = cache, resource, decode

    def model(self, found: Object) -> Any:
        """The model of an object, the same one as long as the object is the same."""
        with self._lock:
            version, model = self._models.get(found.key, (None, None))
            if version != _version(found):
                model = self._decode(found.raw)
                self._models[found.key] = (_version(found), model)
            return model

    def forget(self, key: str) -> Any:
        """The object is gone: its last model, if there is one."""
        with self._lock:
            return self._models.pop(key, (None, None))[1]

    def _snapshot(self) -> Iterable[Object]:
        if self._cache is None:
            return []
        try:
            return self._cache.snapshot(self._resource).values()
        except _NOTHING_YET:
            return []


def _version(found: Object) -> tuple[str, str]:
    return found.uid, found.resource_version
