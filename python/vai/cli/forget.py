"""`vai forget`: delete a resource from a cluster file, or the position of a consumer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vai.cli.command import Command
from vai.cli.failures import Failure, selector_failure
from vai.cli.files import context_option, file_of, file_option, kubeconfig_option, open_reader
from vai.errors import InvalidSelectorError
from vai.types import ScopeStatus

if TYPE_CHECKING:
    from vai.store import Store


@click.command(
    cls=Command, short_help="Delete a resource or a consumer's position from a cluster file."
)
@click.argument("resource", required=False)
@click.option("-n", "--namespace", help="Only what was synced for this namespace.")
@click.option("-l", "--selector", help="Only what was synced with this label selector.")
@click.option(
    "--consumer",
    metavar="NAME",
    help="Instead of a resource: how far this consumer of `vai changes` got.",
)
@file_option
@kubeconfig_option
@context_option
def forget(
    resource: str | None,
    namespace: str | None,
    selector: str | None,
    consumer: str | None,
    file: str | None,
    kubeconfig: str | None,
    context: str | None,
) -> None:
    """Delete what the cluster file keeps of RESOURCE, with its history.

    Whole scopes are deleted, as `vai status` lists them: those of the resource, or of these only
    the ones synced with this namespace or selector. Nothing happens in the cluster. Refused while
    a `vai sync` writes the file.

    With --consumer the position of a named consumer is deleted instead: history no longer waits
    for it, and under that name `vai changes` begins anew. Refused while it runs.

    Examples:
      vai forget --file prod.db events
      vai forget --file prod.db pods -n shop
      vai forget --file prod.db --consumer billing

    Exit codes:
      0  done
      1  error: nothing of it is kept, a writer runs, or the consumer is unknown or runs
      2  wrong usage
    """
    labels = _canonical(selector)
    if consumer is not None and (resource or namespace or selector):
        raise click.UsageError("forget a RESOURCE or a --consumer, not both")
    if consumer is None and resource is None:
        raise click.UsageError("name a RESOURCE, or a --consumer")
    path = file_of(file, context, kubeconfig)
    if resource is None:
        _forget_consumer(path, consumer or "")
    else:
        _forget_scopes(path, resource, namespace, labels)


def _forget_consumer(path: Path, name: str) -> None:
    with open_reader(path) as store:
        known = [consumer.name for consumer in store.consumers()]
        if name not in known or not store.forget_consumer(name):
            raise Failure(f"{path} has no consumer {name!r}; it has {', '.join(known) or 'none'}")
    click.echo(f"forgot consumer {name}")


def _forget_scopes(path: Path, resource: str, namespace: str | None, labels: str | None) -> None:
    from vai.store import Store

    # A writer would create a missing file: look first.
    open_reader(path).close()
    with Store(path, "writer") as store:
        for scope in _chosen(store, path, resource, namespace, labels):
            count = store.forget(scope.id)
            click.echo(f"forgot {scope}: {count} objects")


def _canonical(selector: str | None) -> str | None:
    from vai.store import parse_label_selector

    try:
        return None if selector is None else parse_label_selector(selector)
    except InvalidSelectorError as error:
        raise selector_failure("label selector", selector or "", error) from None


def _chosen(
    store: Store, path: Path, word: str, namespace: str | None, labels: str | None
) -> Sequence[ScopeStatus]:
    scopes = store.scopes()
    exact = {scope.resource for scope in scopes}
    # A resource that the cluster no longer has can still be forgotten by its full name.
    name = word if word in exact else store.resolve(word).name
    found = [
        scope
        for scope in scopes
        if scope.resource == name
        and (namespace is None or scope.namespace == namespace)
        and (labels is None or scope.label_selector == labels)
    ]
    if not found:
        kept = ", ".join(str(scope) for scope in scopes) or "nothing"
        raise Failure(f"{path} has no such scope of {name}; it keeps {kept}")
    return found
