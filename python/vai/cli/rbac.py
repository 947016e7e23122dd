"""`vai rbac`: the least rights that a sync takes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import click

from vai.cli.command import Command
from vai.cli.failures import Failure, warn
from vai.cli.files import context_option, kubeconfig_option
from vai.cli.options import names_of
from vai.types import Scope

if TYPE_CHECKING:
    from pathlib import Path

    from vai.informer.rights import Document, Subject
    from vai.store import Catalogue

#: RFC 1123 labels and subdomains, as names of namespaces and objects are.
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?\Z")

_HEAD: Final = """\
# The least rights for: vai sync --resources {resources}{spaces}
# Discovery (/api and /apis) takes none: every authenticated user has it by system:discovery.
"""


@click.command(cls=Command, short_help="Print the least RBAC rights that a sync takes.")
@click.option(
    "-r",
    "--resources",
    required=True,
    help="Comma-separated, as for `vai sync`; `all` is every resource but leases and Secrets.",
)
@click.option("-n", "--namespace", help="Only these namespaces, by comma.  [default: all]")
@click.option(
    "--service-account",
    metavar="NAMESPACE:NAME",
    help="Who is to have them; without it there are no bindings.",
)
@click.option("--name", default="vai", show_default=True, help="Name of the roles.")
@click.option("--required-only", is_flag=True, help="Leave out what syncing can do without.")
@click.option(
    "--file",
    type=click.Path(dir_okay=False),
    help="Take the cluster's resources from this cluster file, without asking the server.",
)
@kubeconfig_option
@context_option
def rbac(
    resources: str,
    namespace: str | None,
    service_account: str | None,
    name: str,
    required_only: bool,
    file: str | None,
    kubeconfig: str | None,
    context: str | None,
) -> None:
    """Print the least Role or ClusterRole with which `vai sync` can keep these resources.

    YAML, for `kubectl apply -f -`. With --namespace it takes Roles in these namespaces and no
    cluster-wide right (but for resources that have no namespace). Objects that are marked
    optional can be left out; each says what is lost then.

    The server is asked what resources there are, which everybody may; nothing else is asked or
    changed. A right that is missing later is named by `vai status` and in every error.

    Examples:
      vai rbac --resources pods,deployments.apps -n shop --service-account shop:vai
      vai rbac --resources all --service-account monitoring:vai | kubectl apply -f -
      vai rbac --resources pods,nodes --required-only --file prod.db

    Exit codes:
      0  done
      1  error: a resource is unknown, or the server can't be asked
      2  wrong usage
    """
    _check_name(name, "--name")
    subject = _subject(service_account)
    words = names_of(resources, "resource", "--resources")
    spaces = None if namespace is None else names_of(namespace, "namespace", "--namespace")
    for space in spaces or ():
        _check_name(space, "--namespace")
    documents = _documents(_catalogue(file, kubeconfig, context), words, spaces, name, subject)
    kept = [one for one in documents if not (required_only and one.optional)]
    where = "" if spaces is None else f" -n {','.join(spaces)}"
    click.echo(_HEAD.format(resources=",".join(words), spaces=where), nl=False)
    for text in _yaml(kept):
        click.echo(text, nl=False)
    if subject is None:
        warn("without --service-account these roles are bound to nobody")


def _subject(text: str | None) -> Subject | None:
    from vai.informer.rights import Subject

    if text is None:
        return None
    namespace, _, name = text.partition(":")
    if not (_NAME.match(namespace) and _NAME.match(name)):
        raise click.BadParameter(
            f"{text!r} is not NAMESPACE:NAME", param_hint="'--service-account'"
        )
    return Subject(namespace, name)


def _check_name(text: str, option: str) -> None:
    if not _NAME.match(text):
        raise click.BadParameter(f"{text!r} is no name of an object", param_hint=f"'{option}'")


def _catalogue(file: str | None, kubeconfig: str | None, context: str | None) -> Catalogue:
    """What the cluster has: of a file, or of the server."""
    if file is not None:
        return _recorded(file)
    from vai.config import load_settings
    from vai.kube import connect, discover
    from vai.reflector import RefusedError
    from vai.store import Catalogue, nearest

    transport = connect(load_settings(kubeconfig=kubeconfig, context=context))
    try:
        found = discover(transport)
    except RefusedError as error:
        raise Failure(f"{transport.server}: discovery failed: {error}") from None
    finally:
        transport.close()
    for version, why in found.failures.items():
        warn(f"{version} is left out, its discovery failed: {why}")
    return Catalogue(found.resources, nearest)


def _recorded(file: str) -> Catalogue:
    from pathlib import Path

    from vai.cli.files import open_reader

    path = Path(file)
    with open_reader(path) as store:
        found = store.resources()
    if not len(found):
        raise _never_synced(path)
    return found


def _never_synced(path: Path) -> Failure:
    return Failure(
        f"{path} was never synced, so it does not know the cluster's resources; "
        "leave --file out to ask the server"
    )


def _documents(
    catalogue: Catalogue,
    words: Sequence[str],
    spaces: Sequence[str] | None,
    name: str,
    subject: Subject | None,
) -> list[Document]:
    from vai.cache.query import wanted_scopes
    from vai.informer import plan
    from vai.informer.rights import rights

    asked = [Scope(word, spaces) for word in words]
    targets, unknown = plan(wanted_scopes(asked, secret_values=False), catalogue)
    for error in unknown.values():
        raise error
    return rights(targets, name, subject)


def _yaml(documents: Sequence[Document]) -> Iterator[str]:
    from vai.cli.printers.yamltext import yaml_text

    for one in documents:
        yield "---\n"
        if one.note:
            yield f"# {'optional: ' if one.optional else ''}{one.note}"
            yield f"\n# ({one.optional})\n" if one.optional else "\n"
        elif one.optional:
            yield "# optional, with the one above\n"
        yield yaml_text(one.body).decode()
