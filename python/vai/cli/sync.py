"""`vai sync`: the writer of a cluster file."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

import click
from msgspec.structs import replace

from vai.cli.command import Command
from vai.cli.failures import EXIT_ERROR, Failure, check_selectors, warn
from vai.cli.files import context_option, file_of, file_option, kubeconfig_option
from vai.cli.options import complete_resources
from vai.errors import ForbiddenError, UnknownResourceError, VaiError
from vai.types import FieldAsk, Redaction, Scope, ScopeStatus, State, duration

if TYPE_CHECKING:
    from vai.config import Settings
    from vai.informer import Informer
    from vai.store import Store

# How often the scopes' states are looked at: as a progress bar moves, and once nothing moves.
_BUSY_S: Final = 0.2
_IDLE_S: Final = 1.0
_REFUSED: Final = frozenset({State.FORBIDDEN, State.GONE})


@dataclass(frozen=True, slots=True)
class Standing:
    """How a sync stands at one moment.

    Attributes:
        planned: whether it is known which scopes there are.
        scopes: those that are being synced.
        problems: why, per scope (as text) that could not begin.
    """

    planned: bool
    scopes: Sequence[ScopeStatus]
    problems: dict[str, VaiError]

    @property
    def synced(self) -> bool:
        """Whether every scope that can be is proven current."""
        live = all(one.state is State.LIVE or one.state in _REFUSED for one in self.scopes)
        return self.planned and live and not self._unsettled

    @property
    def refused(self) -> dict[str, str]:
        """What will not be synced, and why."""
        found = {name: str(error) for name, error in self.problems.items()}
        found |= {str(one): one.reason for one in self.scopes if one.state in _REFUSED}
        return found

    @property
    def objects(self) -> int:
        """How many objects are kept so far."""
        return sum(one.objects for one in self.scopes)

    @property
    def _unsettled(self) -> bool:
        """Whether something that could not begin may still do so without anybody's help."""
        final = (UnknownResourceError, ForbiddenError)
        return any(not isinstance(error, final) for error in self.problems.values())


@click.command(cls=Command, short_help="Keep a cluster file current.")
@file_option
@click.option(
    "-r",
    "--resources",
    required=True,
    help="Comma-separated, as kubectl names them, or patterns as *.apps; `all` is every resource "
    "that can be watched but leases and Secrets.",
    shell_complete=complete_resources,
)
@click.option(
    "--exclude",
    help="Leave these out of --resources: names or patterns by comma, as events,*.metrics.k8s.io.",
    shell_complete=complete_resources,
)
@click.option(
    "--first",
    help="Keep these too, and list them before the others: names or patterns by comma.",
    shell_complete=complete_resources,
)
@click.option(
    "--metadata-only",
    help="Keep only the metadata of these, also if --resources has them: names or patterns.",
    shell_complete=complete_resources,
)
@click.option(
    "--drop",
    metavar="PATHS",
    help="Leave these out of every object: paths by comma, as metadata.managedFields.",
)
@click.option("-n", "--namespace", help="Only these namespaces, by comma.  [default: all]")
@click.option("-l", "--selector", default="", help="Only objects that match this label selector.")
@click.option("--field-selector", default="", help="Only objects that match this field selector.")
@click.option("--once", is_flag=True, help="Stop when everything is synced.")
@click.option(
    "--timeout", metavar="DURATION", help="With --once: give up after this long, as 30s or 5m."
)
@click.option(
    "--secret-values",
    is_flag=True,
    help="Keep the values of Secrets too; without it they never leave the server.",
)
@click.option(
    "--fields",
    metavar="FILE",
    help="Index the fields that this TOML file names, besides vai's own.",
)
@click.option(
    "--profile",
    type=click.Choice(["standard", "edge"]),
    envvar="VAI_PROFILE",
    help="edge is for metered links: gzip always, fewer bytes, proofs ten times as seldom.",
)
@click.option("--qps", type=float, help="Most requests a second, on average.  [default: 50]")
@click.option(
    "--bytes-per-second", type=float, help="Read lists no faster than this.  [default: any speed]"
)
@click.option(
    "--history",
    metavar="DURATION",
    help="Keep what was superseded or deleted so long, for --at and `vai changes`; its size is "
    "bounded by VAI_HISTORY_BYTES.  [default: 15m]",
)
@click.option(
    "--metrics",
    metavar="ADDRESS",
    help="Serve metrics for Prometheus there, as 127.0.0.1:9090; needs vai-cache[metrics].",
)
@click.option("--metrics-remote", is_flag=True, help="Let --metrics be seen by other machines.")
@kubeconfig_option
@context_option
@click.pass_context
def sync(
    ctx: click.Context,
    file: str | None,
    resources: str,
    namespace: str | None,
    selector: str,
    field_selector: str,
    once: bool,
    timeout: str | None,
    secret_values: bool,
    fields: str | None,
    metrics: str | None,
    metrics_remote: bool,
    kubeconfig: str | None,
    context: str | None,
    exclude: str | None,
    first: str | None,
    metadata_only: str | None,
    drop: str | None,
    profile: str | None,
    qps: float | None,
    bytes_per_second: float | None,
    history: str | None,
) -> None:
    """List and watch resources of a cluster and keep them in a file, until it is interrupted.

    One process writes a file; any number read it meanwhile. Started again, it goes on where it
    stopped, without listing anew while the server still has the history. When the server is gone
    the file goes on answering, and says how old it is. What other runs synced stays in the file
    until `vai forget`.

    SIGINT and SIGTERM end it with exit code 0 within three seconds. Secrets are kept only when
    named, and then without values unless --secret-values is given.

    A file of fields has a table per resource and a line per path: [pods], then
    ".spec.priority" = "int". They are built in the background; `vai status` tells how far.

    Patterns are shell-style and match `plural.group`. Namespaces, nodes and CRDs list first,
    events last. What can't be watched is kept only when named, and polled.

    Examples:
      vai sync --file prod.db --resources pods,deployments.apps
      vai sync --file prod.db --resources all --context prod
      vai sync --file prod.db --resources '*' --exclude 'events,*.metrics.k8s.io' --first pods
      vai sync --file edge.db --resources pods,nodes --metadata-only configmaps --profile edge
      vai sync --file prod.db --resources all --drop metadata.managedFields --qps 20
      vai sync --file shop.db --resources pods,secrets -n shop,billing -l tier=web
      vai sync --file prod.db --resources pods --metrics 127.0.0.1:9090
      vai sync --file prod.db --resources pods --once && vai get pods -A --file prod.db

    Exit codes:
      0  stopped by a signal; with --once: everything was synced
      1  error; with --once also: something is unknown or forbidden, the rest was synced
      2  wrong usage
    """
    limit_s = _timeout(timeout, once=once)
    check_selectors(selector, field_selector)
    spaces = None if namespace is None else _parts(namespace, "--namespace")
    common = Scope(
        "",
        spaces,
        selector,
        field_selector,
        exclude=_maybe(exclude, "--exclude"),
        drop=_maybe(drop, "--drop"),
    )
    scopes = _scopes(
        _parts(resources, "--resources"),
        _maybe(first, "--first"),
        _maybe(metadata_only, "--metadata-only"),
        common,
    )
    settings = _settings(
        kubeconfig=kubeconfig,
        context=context,
        profile=profile,
        qps=qps,
        bytes_per_second=bytes_per_second,
        history_s=history,
    )
    asked = _asked(fields)
    path = file_of(file, context, kubeconfig)
    if file is None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (
        _until_signalled() as stopped,
        _running(path, scopes, secret_values, asked, settings) as running,
        _measured(*running, metrics, remote=metrics_remote),
    ):
        done = _watch(*running, stopped, once=once, limit_s=limit_s)
    if once and not stopped.is_set():
        ctx.exit(_outcome(done, everything=any(one.resource in _ALL for one in scopes)))


_ALL: Final = frozenset({"all", "*"})
#: Before everything that has no priority of its own, after namespaces, nodes and CRDs.
_EARLY: Final = 50


def _timeout(text: str | None, *, once: bool) -> float | None:
    from vai.config import parse_duration
    from vai.errors import InvalidRequestError

    if text is None:
        return None
    if not once:
        raise click.UsageError("--timeout goes with --once")
    try:
        return parse_duration(text)
    except InvalidRequestError as error:
        raise click.BadParameter(str(error), param_hint="'--timeout'") from None


def _scopes(
    names: Sequence[str], first: Sequence[str], metadata_only: Sequence[str], common: Scope
) -> list[Scope]:
    """The scopes that are meant; of what is in several lists, the narrowest one counts."""
    whole = replace(common, exclude=(*common.exclude, *metadata_only))
    plain = [replace(whole, resource=name) for name in names if name not in metadata_only]
    early = [replace(whole, resource=name, priority=_EARLY) for name in first]
    partial = [
        replace(common, resource=name, redaction=Redaction.METADATA) for name in metadata_only
    ]
    return [*plain, *early, *partial]


def _settings(**arguments: Any) -> Settings:
    from vai.config import load_settings
    from vai.errors import InvalidRequestError

    try:
        return load_settings(**arguments)
    except InvalidRequestError as error:
        raise click.UsageError(str(error)) from None


def _maybe(text: str | None, option: str) -> tuple[str, ...]:
    return () if text is None else _parts(text, option)


def _asked(fields: str | None) -> tuple[FieldAsk, ...]:
    from vai.cache.fieldfile import read_fields
    from vai.errors import InvalidRequestError

    if fields is None:
        return ()
    try:
        return read_fields(fields)
    except InvalidRequestError as error:
        raise click.BadParameter(str(error), param_hint="'--fields'") from None


def _parts(text: str, option: str) -> tuple[str, ...]:
    parts = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    if not all(parts):
        raise click.BadParameter(f"an empty name in {text!r}", param_hint=f"'{option}'")
    return parts


@contextmanager
def _until_signalled() -> Iterator[threading.Event]:
    """SIGINT and SIGTERM set the event; a second one ends the process at once."""
    stopped = threading.Event()

    def handle(number: int, _frame: FrameType | None) -> None:
        if stopped.is_set():
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        stopped.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _running(
    path: Path,
    scopes: Sequence[Scope],
    secret_values: bool,
    fields: Sequence[FieldAsk],
    settings: Settings,
) -> Iterator[tuple[Store, Informer]]:
    """The file, opened as its writer, and what keeps it current."""
    from vai.cache.connect import store_over
    from vai.cache.query import wanted_scopes

    wanted = wanted_scopes(scopes, secret_values=secret_values)
    # A second writer is refused, and a wrong file, before `kubernetes` is imported.
    with store_over(path, "writer", settings) as store:
        from vai.informer import Informer
        from vai.kube import connect

        informer = Informer(store, connect(settings), wanted, settings, fields)
        informer.start()
        try:
            yield store, informer
        finally:
            informer.stop()


@contextmanager
def _measured(
    store: Store, informer: Informer, address: str | None, *, remote: bool
) -> Iterator[None]:
    """Metrics are served meanwhile, if they were asked for."""
    if address is None:
        yield
        return
    from vai.cache.measures import measure
    from vai.metrics import serve

    end = serve(lambda: measure(store, informer, store), address, remote=remote)
    try:
        yield
    finally:
        end()


def _watch(
    store: Store,
    informer: Informer,
    stopped: threading.Event,
    *,
    once: bool,
    limit_s: float | None,
) -> Standing:
    """Report until a signal comes, or, with `once`, until all that can be is synced."""
    from vai.cli.progress import Reporter

    started = time.monotonic()
    reporter = Reporter(store.path)
    try:
        while True:
            standing = _standing(store, informer)
            reporter.show(standing)
            if stopped.is_set() or (once and standing.synced):
                break
            if limit_s is not None and time.monotonic() - started > limit_s:
                raise Failure(_late(standing, limit_s))
            stopped.wait(_IDLE_S if standing.synced else _BUSY_S)
    finally:
        reporter.close()
    return standing


def _standing(store: Store, informer: Informer) -> Standing:
    if informer.fatal is not None:
        raise informer.fatal
    problems = informer.problems()
    planned = informer.wait_planned(0)
    ids = frozenset(informer.scope_ids())
    scopes = [one for one in store.scopes() if one.id in ids]
    return Standing(planned, scopes, problems)


def _late(standing: Standing, limit_s: float) -> str:
    reasons = standing.refused
    reasons |= {str(one): str(one.freshness) for one in standing.scopes if one.state != State.LIVE}
    listed = "; ".join(f"{name}: {why}" for name, why in reasons.items())
    return f"not synced within {duration(limit_s)}: {listed or 'the server has not answered yet'}"


def _outcome(standing: Standing, *, everything: bool) -> int:
    """The exit code of `--once`. Of "all", what may not be read is left out, and said."""
    for name, why in standing.refused.items():
        warn(f"not synced: {name}: {why}")
    served = any(one.state is State.LIVE for one in standing.scopes)
    if standing.problems or not served:
        return EXIT_ERROR
    return EXIT_ERROR if standing.refused and not everything else 0
