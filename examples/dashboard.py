"""A dashboard: filter, sort, facets and totals, all of one moment."""

from datetime import timedelta

import vai

with vai.connect("shop.db", scopes=["pods", "nodes"]) as cache:
    cache.wait_synced(timeout=30)

    page = cache.list(
        "pods",
        where="status.phase = Running and not metadata.namespace startswith kube-",
        sort=["-restarts", "age"],
        limit=50,
        facets=["status.phase", "spec.nodeName"],
        max_age=30,
    )
    print(f"{len(page)} of {page.total}, {page.freshness}")
    for name, facet in page.facets.items():
        print(name, facet.as_dict())

    # How much memory is asked for on each node, added up exactly.
    for group in cache.group_by("pods", by="spec.nodeName", sum="requests.memory"):
        print(group.key["spec.nodeName"], group.count, group.sum["requests.memory"])

    # Type-ahead, a count, and how it was found.
    print(list(cache.distinct("pods", "metadata.namespace", prefix="sh", limit=10)))
    print(cache.count("pods", where="restarts > 3 and age < 15m"))
    print(cache.explain("pods", where=".spec.terminationGracePeriodSeconds > 60"))

    # As it was ten seconds ago, if the history reaches back.
    try:
        print(cache.count("pods", at=timedelta(seconds=10)))
    except vai.ExpiredError as error:
        print("too long ago:", error)
