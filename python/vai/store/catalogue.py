"""Names of resources, resolved as kubectl resolves them.

The order of trials is that of `kubectl get` (cli-runtime `resource.Builder.mappingFor`, client-go
`restmapper.shortcutExpander`, apimachinery `meta.DefaultRESTMapper`):

1. the argument as RESOURCE.VERSION.GROUP, then as RESOURCE.GROUP: plural or singular in any case,
   or a short name exactly as spelled; a full name wins over a short name; a group matches exactly
   or, if none does, as a prefix; without a group the most preferred resource wins;
2. the argument as KIND.VERSION.GROUP, then as KIND.GROUP, spelled exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from vai.errors import UnknownResourceError
from vai.types import Resource

#: Words, what is known, how many: `vai._core.nearest`.
Nearest = Callable[[str, list[str], int], list[str]]


class Catalogue:
    """The resources that discovery found, most preferred first."""

    def __init__(self, resources: Iterable[Resource], nearest: Nearest) -> None:
        self._resources = tuple(resources)
        self._by_name = {resource.name: resource for resource in reversed(self._resources)}
        self._nearest = nearest

    def __len__(self) -> int:
        return len(self._resources)

    def __iter__(self) -> Iterator[Resource]:
        return iter(self._resources)

    def get(self, name: str) -> Resource | None:
        """The resource of this exact `plural[.group]`."""
        return self._by_name.get(name)

    def resolve(self, word: str) -> Resource:
        """The resource that kubectl would take for this word.

        Raises:
            UnknownResourceError: none; `.nearest` has the closest names.
        """
        found = self._by_name.get(word) or self._as_resource(word) or self._as_kind(word)
        if found is None:
            raise self._unknown(word)
        return found

    def category(self, word: str) -> tuple[Resource, ...]:
        """The resources of a category such as `all`; empty if there is no such category."""
        return tuple(found for found in self._resources if word.lower() in found.categories)

    def _as_resource(self, word: str) -> Resource | None:
        for name, version, group in _readings(word):
            found = self._match(name, version, group)
            if found is not None:
                return found
        return None

    def _match(self, name: str, version: str, group: str) -> Resource | None:
        exact = [entry for entry in self._resources if not group or entry.group == group]
        found = _full_name(exact, name, version) or _short_name(exact, name)
        if found is not None or not group:
            return found
        near = [entry for entry in self._resources if entry.group.startswith(group)]
        return _short_name(near, name) or (None if version else _full_name(near, name, ""))

    def _as_kind(self, word: str) -> Resource | None:
        for kind, version, group in _readings(word):
            for entry in self._resources:
                if (
                    entry.kind == kind
                    and (not group or entry.group == group)
                    and (not version or entry.version == version)
                ):
                    return entry
        return None

    def _unknown(self, word: str) -> UnknownResourceError:
        name, _, rest = word.partition(".")
        others = [r for r in self._resources if name.lower() in (r.plural, r.singular)]
        if rest and others:
            near = [found.name for found in others]
            kept = ", ".join(f"{found.name} ({found.api_version})" for found in others)
            return UnknownResourceError(
                f"no resource {word!r}; this cluster's preferred version of it is {kept}",
                resource=word,
                nearest=near,
            )
        known = {spelling: r.name for r in reversed(self._resources) for spelling in _spellings(r)}
        close = self._nearest(word.lower(), sorted(known), 6)
        near = list(dict.fromkeys(known[spelling] for spelling in close))[:3]
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        return UnknownResourceError(
            f"the cluster has no resource {word!r}{hint}", resource=word, nearest=near
        )


def _readings(word: str) -> Iterator[tuple[str, str, str]]:
    """(name, version, group): apimachinery's ParseResourceArg, then ParseGroupResource."""
    name, _, group = word.partition(".")
    version, dot, rest = group.partition(".")
    if dot:
        yield name, version, rest
    yield name, "", group


def _full_name(entries: list[Resource], name: str, version: str) -> Resource | None:
    lower = name.lower()
    for entry in entries:
        if version and entry.version != version:
            continue
        # A server that lists no singular means the lowercased kind (client-go discovery.go).
        if lower in (entry.plural, entry.singular or entry.kind.lower()):
            return entry
    return None


def _short_name(entries: list[Resource], name: str) -> Resource | None:
    return next((entry for entry in entries if name in entry.short_names), None)


def _spellings(entry: Resource) -> set[str]:
    return {entry.name, entry.plural, entry.singular or entry.kind.lower(), *entry.short_names}
