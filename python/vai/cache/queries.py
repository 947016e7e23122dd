"""`Queries`: the part of a cache that answers questions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Unpack

from vai.cache import answers
from vai.cache.question import (
    Asked,
    At,
    MaxAge,
    OnStale,
    Project,
    Question,
    counted,
    list_question,
    names,
    question,
)
from vai.errors import VaiError
from vai.store import Distinct, Distincts, Facet, Group, GroupBy, Partition, Request

if TYPE_CHECKING:
    from vai.cache.explain import Explain
    from vai.cache.query import Namespaces
    from vai.cache.reads import Reads
    from vai.cache.views import Page

#: Nothing but what identifies objects: for questions whose answer is a number.
_NO_ROWS = Request(resources=(), project="keys", limit=1)


class Queries:
    """Any question about the objects of one moment; a base of `Cache`."""

    _reads: Reads

    def list(  # noqa: PLR0913 - all that can be asked, each by its name
        self,
        resource: str | Sequence[str],
        namespace: Namespaces = None,
        *,
        where: str = "",
        label_selector: str = "",
        field_selector: str = "",
        sort: str | Sequence[str] = (),
        limit: int | None = None,
        offset: int = 0,
        cursor: str | None = None,
        facets: str | Sequence[str] = (),
        facet_limit: int | None = None,
        project: Project = "body",
        access: Iterable[Partition] | None = None,
        at: At = None,
        max_age: MaxAge = None,
        min_resource_version: str | None = None,
        on_stale: OnStale = "raise",
        timeout: MaxAge = None,
        explain: bool = False,
        steve: str = "",
    ) -> Page:
        """One page of the matching objects, as objects or as bytes.

        With `cursor` all pages are of the moment of the first one: a walk over them gives each
        object of that moment once, whatever changes meanwhile.

        A field is a name of the catalogue (`status.phase`, `restarts`, `age`), a label as
        `labels[app]`, or a path (`.spec.containers[*].image`); a path that is not indexed works
        everywhere, slowly, and `explain` says how to index it.

        Args:
            resource: as kubectl takes it; several are merged in one order; "*" is all of them.
            namespace: one namespace, several, or None for all that is kept.
            where: an expression: `status.phase = Running and (restarts > 3 or age < 15m)`.
            label_selector: as in `kubectl get -l`.
            field_selector: as in `kubectl get --field-selector`.
            sort: fields, `-` before one for descending; then by namespace/name, which is the
                default. Objects without a value come last.
            limit: objects per page; None for all.
            offset: objects to leave out first; not together with `cursor`.
            cursor: `Page.cursor` of the page before.
            facets: fields whose values are counted over all that matches.
            facet_limit: values of each facet; None for 100.
            project: "body", "metadata", "keys", or paths of which each object is made.
            access: what may be seen; totals and facets see nothing else. None for everything.
            at: a moment of the past: a position, an aware datetime, or a timedelta (so long ago).
            max_age: the oldest proof that will do.
            min_resource_version: what a write of one's own returned: nothing older will do.
            on_stale: what to do with an older answer: "raise" StaleError, "wait" for a fresher one
                (also for the first one), "serve" it.
            timeout: how long to wait; None for 20 s.
            explain: also say how it was found, as `Page.explain`.
            steve: the query string of a list in Rancher Steve's API: `filter`, `sort`, `page`,
                `pagesize`, `revision`, `projectsornamespaces`, `summary`, with Steve's order of
                missing values and its folding of case. It has an order and a page of its own:
                leave `sort`, `limit` and `offset` out.

        Raises:
            InvalidExpressionError: `where` or a sort key does not parse; `.position`.
            UnknownFieldError: `.nearest` has the closest names; `.position`.
            InvalidCursorError: the cursor is of another file, query or release, or a field of its
                order has another type since.
            ExpiredError: the history does not reach back to `at`, or to the cursor's first page.
            StaleError: the answer is older than `max_age` or `min_resource_version`.
            NotSyncedError, NotKeptError: as `snapshot`.
            QueryTimeoutError: it took too long.
        """
        asked = list_question(
            self._reads.resources(resource),
            namespace,
            {
                "where": where,
                "label_selector": label_selector,
                "field_selector": field_selector,
                "sort": sort,
                "limit": limit,
                "offset": offset,
                "cursor": cursor,
                "facets": facets,
                "facet_limit": facet_limit,
                "project": project,
                "access": access,
                "at": at,
                "max_age": max_age,
                "min_resource_version": min_resource_version,
                "on_stale": on_stale,
                "timeout": timeout,
                "explain": explain,
                "steve": steve,
            },
        )
        return answers.page(answers.answer(self._reads, asked), asked)

    def count(
        self,
        resource: str | Sequence[str],
        namespace: Namespaces = None,
        **asked: Unpack[Asked],
    ) -> int:
        """How many objects match; the arguments are those of `list`."""
        rows, _ = self._answer(resource, namespace, asked, _NO_ROWS)
        return rows.total

    def facets(
        self,
        resource: str | Sequence[str],
        fields: str | Sequence[str],
        namespace: Namespaces = None,
        *,
        limit: int | None = None,
        **asked: Unpack[Asked],
    ) -> dict[str, Facet]:
        """Of each field its values and how many matching objects have them, most frequent first.

        Args:
            resource: as `list`.
            fields: as in `list(facets=)`.
            namespace: as `list`.
            limit: values of each field; None for 100.
            **asked: filters and freshness, as `list`.
        """
        base = Request(
            resources=(),
            project="keys",
            limit=1,
            facets=names(fields),
            facet_limit=counted(limit, "limit"),
        )
        rows, _ = self._answer(resource, namespace, asked, base)
        return answers.facets(rows, base.facets)

    def distinct(
        self,
        resource: str | Sequence[str],
        field: str,
        namespace: Namespaces = None,
        *,
        prefix: str = "",
        limit: int | None = None,
        **asked: Unpack[Asked],
    ) -> Distincts:
        """The distinct values of a field in their order, for type-ahead.

        Args:
            resource: as `list`.
            field: whose values.
            namespace: as `list`.
            prefix: only values that begin so.
            limit: how many; None for 100.
            **asked: filters and freshness, as `list`.
        """
        wanted = Distinct(field, prefix, counted(limit, "limit"))
        base = Request(resources=(), project="keys", limit=1, distinct=wanted)
        rows, _ = self._answer(resource, namespace, asked, base)
        found = answers.counted(rows).distinct
        if found is None:
            raise VaiError("the core counted no distinct values")
        return found

    def group_by(
        self,
        resource: str | Sequence[str],
        by: str | Sequence[str],
        namespace: Namespaces = None,
        *,
        sum: str | Sequence[str] = (),  # noqa: A002 - what it is in SQL
        min: str | Sequence[str] = (),  # noqa: A002
        max: str | Sequence[str] = (),  # noqa: A002
        **asked: Unpack[Asked],
    ) -> tuple[Group, ...]:
        """Counts, sums and bounds for each combination of the values of some fields.

        Args:
            resource: as `list`.
            by: fields to group by; of several values the first one counts.
            namespace: as `list`.
            sum: fields to add up; quantities exactly.
            min: fields whose least value is wanted.
            max: fields whose greatest value is wanted.
            **asked: filters and freshness, as `list`.

        Returns:
            The groups in the order of their keys, objects without a value first.
        """
        wanted = GroupBy(by=names(by), sum=names(sum), min=names(min), max=names(max))
        base = Request(resources=(), project="keys", limit=1, group=wanted)
        rows, _ = self._answer(resource, namespace, asked, base)
        return answers.counted(rows).groups

    def explain(
        self,
        resource: str | Sequence[str],
        namespace: Namespaces = None,
        *,
        sort: str | Sequence[str] = (),
        limit: int | None = None,
        **asked: Unpack[Asked],
    ) -> Explain:
        """How `list` with these arguments is answered: the query runs, and its steps are told."""
        base = Request(
            resources=(),
            project="keys",
            sort=names(sort),
            limit=counted(limit, "limit"),
            explain=True,
        )
        wanted = self._question(resource, namespace, asked, base)
        found = answers.page(answers.answer(self._reads, wanted), wanted).explain
        if found is None:
            raise VaiError("the core explained nothing")
        return found

    def _question(
        self, resource: str | Sequence[str], namespace: Namespaces, asked: Asked, base: Request
    ) -> Question:
        resources = self._reads.resources(resource)
        return question(resources, namespace, asked, base)

    def _answer(
        self, resource: str | Sequence[str], namespace: Namespaces, asked: Asked, base: Request
    ) -> answers.Answer:
        return answers.answer(self._reads, self._question(resource, namespace, asked, base))
