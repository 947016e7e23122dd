"""`vai tree`: what owns an object, what it owns, and what it has to do with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from vai.cli.command import Command
from vai.cli.files import context_option, file_of, file_option, kubeconfig_option, open_reader

if TYPE_CHECKING:
    from vai.cache.relations import Related
    from vai.objects import Object

_WORDS = {
    "selects": "selects",
    "selected-by": "selected by",
    "uses": "uses",
    "used-by": "used by",
}


@click.command(cls=Command, short_help="Show the owners and dependents of an object as a tree.")
@click.argument("arguments", metavar="TYPE/NAME | TYPE NAME", nargs=-1, required=True)
@file_option
@click.option(
    "-n", "--namespace", help="Namespace.  [default: that of the context that synced the file]"
)
@click.option("--depth", type=click.IntRange(min=1), help="Levels of dependents.  [default: all]")
@click.option("--related", is_flag=True, help="Also what it selects and names, and what does so.")
@kubeconfig_option
@context_option
def tree(
    arguments: tuple[str, ...],
    file: str | None,
    namespace: str | None,
    depth: int | None,
    related: bool,
    kubeconfig: str | None,
    context: str | None,
) -> None:
    """Show what owns an object and what it owns, from what the cluster file keeps.

    Its owners stand above it, its dependents below, each with its state. Never asks the network.

    Examples:
      vai tree deploy/web -n shop --file prod.db
      vai tree pod web-6d4-x2x -n shop --related

    Exit codes:
      0  done
      1  error: unknown, not found, never synced, not kept in the file
      2  wrong usage
    """
    word, name = _asked(arguments)
    path = file_of(file, context, kubeconfig)
    with open_reader(path) as store:
        resource = store.resolve(word)
        cluster = store.cluster()
        if resource.namespaced and namespace is None:
            namespace = "default" if cluster is None else cluster.namespace
    place = namespace if resource.namespaced else None
    # Not at the top: `vai --help` needs none of it.
    from vai.cache import open as open_cache

    with open_cache(path) as cache:
        found = cache.tree(resource.name, name, namespace=place, depth=depth, related=related)
    label = _label(resource.name, name, found.object)
    for line in _lines(label, found.owners, found.dependents, found.related):
        click.echo(line.rstrip())


def _asked(arguments: Sequence[str]) -> tuple[str, str]:
    parts = arguments[0].split("/") if len(arguments) == 1 else list(arguments)
    if len(parts) != 2 or not all(parts):  # noqa: PLR2004 - a type and a name
        raise click.UsageError("name one object: `vai tree deploy/web` or `vai tree deploy web`")
    return parts[0], parts[1]


def _lines(
    asked: str, owners: Sequence[Related], below: Sequence[Related], beside: Sequence[Related]
) -> Iterator[str]:
    chain = _chain(owners)
    for level, owner in enumerate(chain):
        yield f"{_indent(level)}{_told(owner)}"
    yield f"{_indent(len(chain))}{asked}"
    base = "   " * len(chain)
    for index, each in enumerate(below):
        yield f"{base}{_branch(below, index)}{_told(each)}"
    for each in beside:
        if each.how in _WORDS:
            yield f"{base}   {_WORDS[each.how]} {_told(each)}"


def _chain(owners: Sequence[Related]) -> list[Related]:
    """From the top down: at each level the first owner, which is the controller if there is one."""
    first: dict[int, Related] = {}
    for owner in owners:
        first.setdefault(owner.depth, owner)
    return [first[depth] for depth in sorted(first, reverse=True)]


def _indent(level: int) -> str:
    return "" if level == 0 else f"{'   ' * (level - 1)}└─ "


def _branch(below: Sequence[Related], index: int) -> str:
    """The lines in front of an entry: whether brothers of it, or of those above it, follow."""
    depth = below[index].depth
    marks = ["├─ " if _follows(below, index, depth) else "└─ "]
    marks += [
        "│  " if _follows(below, index, above) else "   " for above in range(depth - 1, 0, -1)
    ]
    return "".join(reversed(marks))


def _follows(below: Sequence[Related], index: int, depth: int) -> bool:
    for later in below[index + 1 :]:
        if later.depth <= depth:
            return later.depth == depth
    return False


def _told(each: Related) -> str:
    text = _label(each.resource, each.key, each.object)
    if each.missing:
        why = "gone" if each.missing == "absent" else "not kept in the file"
        text += f"  ({why})"
    return text


def _label(resource: str, key: str, found: Object | None) -> str:
    """`pods/web-0  Running, Ready`; without the namespace, which all of them share."""
    text = f"{resource}/{key.rpartition('/')[2]}"
    notes: list[str] = []
    if found is not None and not found.redacted:
        status = found.to_dict().get("status")
        status = status if isinstance(status, dict) else {}
        phase, conditions = status.get("phase"), status.get("conditions")
        if isinstance(phase, str):
            notes.append(phase)
        for one in conditions if isinstance(conditions, list) else []:
            if isinstance(one, dict) and one.get("type") in ("Ready", "Available"):
                good = one.get("status") == "True"
                notes.append(str(one["type"]) if good else f"not {one['type']}")
    return f"{text}  {', '.join(notes)}" if notes else text
