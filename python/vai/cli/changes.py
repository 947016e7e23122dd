"""`vai changes`: what happened and what happens, one line for each change."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import click

from vai.cli.command import Command
from vai.cli.failures import Failure, check_selectors, misread, warn
from vai.cli.files import context_option, file_of, file_option, kubeconfig_option, open_reader
from vai.errors import InvalidExpressionError, InvalidRequestError, UnknownFieldError
from vai.types import EVERYTHING, Position

if TYPE_CHECKING:
    from vai.cache.changes import Changes, Since
    from vai.cache.views import Change

#: Ctrl-C ends a wait within 0.2 s.
_SLICE_S: Final = 0.1
_COLOURS: Final = {"add": "green", "update": "yellow", "delete": "red"}
#: Of an update, so many differences are told.
_DIFFERENCES: Final = 3
_WIDEST: Final = 40
#: What changes with every write, and says nothing.
_NOISE: Final = frozenset({"metadata.resourceVersion", "metadata.managedFields"})


@click.command(cls=Command, short_help="Follow what happens to objects, also in the past.")
@click.argument("resources", required=False, default=EVERYTHING, metavar="[RESOURCE[,…]]")
@file_option
@click.option(
    "--since",
    metavar="EPOCH/SEQ|10m|beginning",
    help="Where to begin.  [default: now; with --once: the beginning]",
)
@click.option(
    "--consumer",
    metavar="NAME",
    help="Go on where this name stopped, and keep its position; --since counts the first time.",
)
@click.option("-n", "--namespace", help="Namespace, or several by comma.  [default: all kept]")
@click.option("-l", "--selector", default="", help="Label selector: =, ==, !=, in, notin, key.")
@click.option("--field-selector", default="", help="Field selector: =, ==, !=.")
@click.option(
    "-w", "--where", default="", metavar="CONDITION", help="As 'status.phase = Running and age<1h'."
)
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="json: one object per line, with the Kubernetes object before and after.",
)
@click.option("--once", is_flag=True, help="Print what there is, and end.")
@kubeconfig_option
@context_option
def changes(
    resources: str,
    file: str | None,
    since: str | None,
    consumer: str | None,
    namespace: str | None,
    selector: str,
    field_selector: str,
    where: str,
    output: str,
    once: bool,
    kubeconfig: str | None,
    context: str | None,
) -> None:
    """Print each change in the cluster file, in order, until Ctrl-C. Never asks the network.

    RESOURCE is what kubectl takes, several by comma; without it, all that the file keeps. With a
    filter, an object that comes to pass it is an add, one that no longer does a delete. Changes
    that a list found after a gap are marked: what happened in between is not known.

    With --consumer each change comes at least once, also across restarts: the next one is asked
    for when the line is written. One process at a time can be a consumer. History waits for it;
    `vai forget --consumer NAME` ends that.

    Examples:
      vai changes pods -n shop --file prod.db
      vai changes pods,deployments.apps --since 10m --once
      vai changes pods -w 'restarts > 3' -o json | jq -r .key
      vai changes events --consumer pager -o json | while read -r line; do page "$line"; done

    Exit codes:
      0  ended by Ctrl-C, or done
      1  error: unknown, not kept in the file, or the history does not reach back
      2  wrong usage
    """
    check_selectors(selector, field_selector)
    path = file_of(file, context, kubeconfig)
    begin = _since(since, once=once and consumer is None)
    spaces = _namespaces(namespace)
    words = _words(path, resources, namespaced=spaces is not None)
    # Not at the top: `vai --help` needs none of it.
    from vai.cache import open as open_cache

    line = _json_line if output == "json" else _text_line
    with open_cache(path) as cache:
        try:
            found = cache.changes(
                words,
                begin,
                namespace=spaces,
                label_selector=selector,
                field_selector=field_selector,
                where=where,
                consumer=consumer,
            )
        except (InvalidExpressionError, UnknownFieldError) as error:
            failure = misread(error, where, "--where")
            if failure is None:
                raise
            raise failure from None
        with found:
            _print(found, line, once=once, resumable=consumer is None)


def _print(found: Changes, line: Callable[[Change], str], *, once: bool, resumable: bool) -> None:
    last: Change | None = None
    try:
        # The one before was handled when the next one is asked for: its line is written.
        while True:
            change = found.poll(0.0 if once else _SLICE_S)
            if change is not None:
                click.echo(line(change))
                last = change
            elif once:
                break
    except KeyboardInterrupt:
        # How people end it: no error, and the terminal's ^C gets a line of its own.
        if sys.stderr.isatty():
            click.echo(err=True)
    if resumable and last is not None and not once and sys.stderr.isatty():
        warn(f"--since {last.epoch}/{last.seq} goes on from here")


def _since(text: str | None, *, once: bool) -> Since:
    if text is None:
        return "beginning" if once else None
    if text == "beginning":
        return "beginning"
    epoch, slash, seq = text.partition("/")
    if slash and epoch.isdecimal() and seq.isdecimal():
        return Position(int(epoch), int(seq))
    from vai.config import parse_duration

    try:
        return timedelta(seconds=parse_duration(text))
    except (InvalidRequestError, OverflowError):
        raise click.BadParameter(
            f"{text!r}: a position as 1/2345, a duration as 10m, or beginning",
            param_hint="'--since'",
        ) from None


def _namespaces(text: str | None) -> list[str] | None:
    if text is None:
        return None
    chosen = list(dict.fromkeys(part.strip() for part in text.split(",")))
    if not all(chosen):
        raise click.BadParameter(f"an empty namespace in {text!r}", param_hint="'-n'")
    return chosen


def _words(path: Any, resources: str, *, namespaced: bool) -> Sequence[str]:
    from vai.cli.request import parse

    with open_reader(path) as store:
        if resources == EVERYTHING:
            names = dict.fromkeys(status.resource for status in store.scopes())
            found = [store.resolve(name) for name in names]
        else:
            found = [wanted.resource for wanted in parse(store, [resources], store.scopes()).wanted]
        if len(found) > 1 and namespaced:
            found = [resource for resource in found if resource.namespaced]
    if not found:
        raise Failure(f"{path} keeps nothing of that yet; `vai status` shows what it keeps")
    return [resource.name for resource in found]


# lines


def _text_line(change: Change) -> str:
    clock = time.strftime("%H:%M:%S", time.localtime(change.time_s))
    head = f"{clock}  {_coloured(change.op)}  {change.resource} {change.key}"
    notes = list(_differences(change)) if change.op == "update" else []
    if change.relist:
        notes.append("(found by a list)")
    return f"{head}  {', '.join(notes)}" if notes else head


def _coloured(op: str) -> str:
    text = f"{op:<6}"
    plain = not sys.stdout.isatty() or "NO_COLOR" in os.environ
    return text if plain else click.style(text, fg=_COLOURS[op])


def _differences(change: Change) -> Iterator[str]:
    """`status.phase: Pending → Running`; the first few."""
    if change.old is None or change.object is None:
        return
    found = list(_compare("", change.old.to_dict(), change.object.to_dict()))
    yield from found[:_DIFFERENCES]
    if len(found) > _DIFFERENCES:
        yield f"and {len(found) - _DIFFERENCES} more"


def _compare(path: str, old: Any, new: Any) -> Iterator[str]:
    if old == new or path in _NOISE:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys([*old, *new]):
            name = f"[{key}]" if "." in key or "/" in key else f".{key}"
            yield from _compare(f"{path}{name}".lstrip("."), old.get(key), new.get(key))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (before, after) in enumerate(zip(old, new, strict=True)):
            named = after.get("type") or after.get("name") if isinstance(after, dict) else None
            yield from _compare(f"{path}[{index if named is None else named}]", before, after)
    else:
        yield f"{path}: {_shown(old)} → {_shown(new)}"


def _shown(value: Any) -> str:
    import json

    if value is None:
        return "none"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"


def _json_line(change: Change) -> str:
    import msgspec

    document = {
        "op": change.op,
        "resource": change.resource,
        "key": change.key,
        "uid": change.uid,
        "resource_version": change.resource_version,
        "epoch": change.epoch,
        "seq": change.seq,
        "time_s": change.time_s,
        "relist": change.relist,
        "object": _raw(None if change.object is None else change.object.raw),
        "old": _raw(None if change.old is None else change.old.raw),
    }
    return msgspec.json.encode(document).decode()


def _raw(body: bytes | None) -> Any:
    import msgspec

    if body is None:
        return None
    # Between tokens only: inside a string JSON escapes it.
    return msgspec.Raw(msgspec.json.format(body, indent=-1) if b"\n" in body else body)
