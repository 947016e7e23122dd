"""Selectors answer as the server answers them, and are refused where it refuses them."""

from __future__ import annotations

import random
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

import vai
from tests.apiserver.server import ApiServer
from tests.integration.real import COLLECTIONS, exact, key_of, vai_sync
from vai.errors import InvalidRequestError

pytestmark = pytest.mark.slow

SECRETS: Final = {"secrets": "/api/v1/secrets"}
PATHS: Final = COLLECTIONS | SECRETS
NAMES_ONLY: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

LABELS: Final = [
    "tier=frontend",
    "tier==backend",
    "tier!=frontend",
    "tier",
    "!tier",
    "nobody",
    "!nobody",
    "nobody!=x",
    "nobody notin (x)",
    "nobody in (x)",
    "tier in (frontend,backend)",
    "tier in (frontend)",
    "tier notin (frontend, other)",
    "tier in (,frontend)",
    "tier=",
    "app.kubernetes.io/name=web",
    "app.kubernetes.io/name in (web, api),tier=frontend",
    "app.kubernetes.io/name notin (web, api),tier!=frontend,pod-template-hash",
    "app.kubernetes.io/name=web,app.kubernetes.io/name=api",
    " tier = frontend , app.kubernetes.io/name != web ",
    "app.kubernetes.io/name>1",
    "app.kubernetes.io/name<1",
    "color in (red,blue),!tier",
    "vault=true",
    "cost-center=cc-3",
    "kubernetes.io/metadata.name in (team-01,team-02,kube-system)",
    "",
]
WRONG_LABELS: Final = [
    "tier=frontend,",
    ",tier",
    "tier in frontend",
    "tier in (frontend",
    "tier in ()x",
    "!tier=x",
    "tier=a b",
    "tier===a",
    "-tier=a",
    "tier=-a",
    "a/b/c=d",
    "tier>x",
    "tier notin",
    "=x",
    "tier ~ x",
    "tier=" + "x" * 64,
    "UPPER/name=x",
]
FIELDS: Final = {
    "pods": [
        "status.phase=Running",
        "status.phase!=Running",
        "status.phase==Pending",
        "spec.nodeName=node-003",
        "spec.nodeName=",
        "spec.nodeName!=",
        "metadata.namespace=team-01,status.phase=Running",
        "metadata.namespace!=team-01",
        "metadata.name!=x",
        "spec.restartPolicy=Always",
        "spec.restartPolicy!=Always",
        "spec.schedulerName=default-scheduler",
        "spec.serviceAccountName=default",
        "spec.serviceAccountName=",
        "spec.hostNetwork=false",
        "spec.hostNetwork=true",
        "status.podIP=",
        "status.podIP!=",
        "status.podIPs=",
        "status.nominatedNodeName=",
        "status.phase=Running,spec.nodeName=node-001",
        "status.phase=Running,status.phase=Pending",
        "",
    ],
    "configmaps": ["metadata.name=web-config-00001", "metadata.namespace=team-01", "data.x=y"],
    "secrets": ["type=Opaque", "type!=Opaque", "metadata.namespace=team-02"],
    "namespaces": [
        "metadata.name=team-01",
        "status.phase=Active",
        "status.phase!=Active",
        "name=x",
    ],
    "nodes": ["spec.unschedulable=true", "spec.unschedulable=false", "metadata.name=node-001"],
    "services": [
        "spec.clusterIP=None",
        "spec.clusterIP!=None",
        "spec.type=NodePort",
        "spec.type=ExternalName",
    ],
    "replicasets.apps": ["status.replicas=8", "status.replicas!=8", "metadata.name!=x"],
    "deployments.apps": ["metadata.namespace=team-03", "status.replicas=8"],
    "widgets.shop.example.com": [
        "spec.color=red",
        "spec.color!=red",
        "spec.size=7",
        "spec.size!=7",
        "spec.color=red,spec.size=7",
        "metadata.name=widget-00003",
        "spec.extra=x",
    ],
    "roles.rbac.authorization.k8s.io": ["metadata.namespace=team-01", "rules=x"],
    "clusterroles.rbac.authorization.k8s.io": ["metadata.name=view", "metadata.namespace=x"],
    "customresourcedefinitions.apiextensions.k8s.io": ["metadata.name!=x", "spec.group=x"],
}
WRONG_FIELDS: Final = [
    "status.phase",
    "status.phase=a=b",
    "spec.containers=x",
    "status.podIp=x",
    "metadata.labels.tier=frontend",
    "metadata.uid=x",
    "spec.nodeName = node-003",
    "status.phase in (Running)",
    "=x",
]


@pytest.fixture(scope="module")
def copy(full_apiserver: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("copy") / "c.db"
    done = vai_sync(full_apiserver, file, f"--resources={','.join(PATHS)}", "--secret-values")
    assert done.returncode == 0, done.stderr
    return file


@pytest.fixture(scope="module")
def cache(copy: Path) -> Iterator[vai.Cache]:
    with vai.open(copy) as found:
        yield found


def server_says(
    server: ApiServer, resource: str, labels: str = "", fields: str = "", namespace: str = ""
) -> list[str] | int:
    """The keys, in the server's order; or the code of its refusal."""
    root, plural = PATHS[resource].rsplit("/", 1)
    path = f"{root}/namespaces/{namespace}/{plural}" if namespace else PATHS[resource]
    query = urllib.parse.urlencode({"labelSelector": labels, "fieldSelector": fields})
    answer = server.request("GET", f"{path}?{query}", headers={"Accept": NAMES_ONLY})
    if answer.status != 200:
        return answer.status
    # An empty list of metadata has null for items.
    return [key_of(item) for item in exact(answer.body)["items"] or ()]


def vai_says(
    cache: vai.Cache, resource: str, labels: str = "", fields: str = "", namespace: str = ""
) -> list[str] | int:
    """The same of vai."""
    try:
        found = cache.list(
            resource, namespace or None, label_selector=labels, field_selector=fields
        )
    except InvalidRequestError as error:
        return error.code
    return [item.key for item in found.items]


def both(server: ApiServer, cache: vai.Cache, *question: str) -> list[str] | int:
    """What both say."""
    said = vai_says(cache, *question)
    assert said == server_says(server, *question)
    return said


@pytest.mark.parametrize("selector", LABELS)
def test_a_label_selector_selects_what_the_server_selects(
    full_apiserver: ApiServer, cache: vai.Cache, selector: str
) -> None:
    for resource in ("pods", "configmaps", "widgets.shop.example.com", "namespaces", "secrets"):
        both(full_apiserver, cache, resource, selector)


@pytest.mark.parametrize("selector", WRONG_LABELS)
def test_a_label_selector_is_refused_where_the_server_refuses_it(
    full_apiserver: ApiServer, cache: vai.Cache, selector: str
) -> None:
    assert both(full_apiserver, cache, "configmaps", selector) == 400


@pytest.mark.parametrize("resource", FIELDS)
def test_field_selectors_select_or_are_refused_as_the_server_does(
    full_apiserver: ApiServer, cache: vai.Cache, resource: str
) -> None:
    for selector in FIELDS[resource]:
        both(full_apiserver, cache, resource, "", selector)


@pytest.mark.parametrize("selector", WRONG_FIELDS)
def test_a_field_selector_is_refused_where_the_server_refuses_it(
    full_apiserver: ApiServer, cache: vai.Cache, selector: str
) -> None:
    both(full_apiserver, cache, "pods", "", selector, "team-01")


def test_random_selectors_in_namespaces(full_apiserver: ApiServer, cache: vai.Cache) -> None:
    numbers = random.Random(7)
    sizes = set()
    for _ in range(60):
        labels = ",".join(random_requirement(numbers) for _ in range(numbers.randrange(1, 4)))
        fields = numbers.choice(("", "", "status.phase=Running", "status.phase!=Running"))
        namespace = f"team-{numbers.randrange(10):02d}"
        found = both(full_apiserver, cache, "pods", labels, fields, namespace)
        assert isinstance(found, list)
        sizes.add(len(found))
    assert len(sizes) > 10


def random_requirement(numbers: random.Random) -> str:
    key, values = numbers.choice((
        ("tier", ("frontend", "backend", "none")),
        ("app.kubernetes.io/name", ("web", "api", "cache", "worker", "search")),
        ("app.kubernetes.io/component", ("server", "worker")),
        ("missing", ("a", "b")),
    ))  # fmt: skip
    some = ",".join(numbers.sample(values, numbers.randrange(1, len(values) + 1)))
    one = numbers.choice(values)
    return numbers.choice((
        f"{key}={one}", f"{key}!={one}", f"{key} in ({some})", f"{key} notin ({some})", key,
    ))  # fmt: skip


@pytest.mark.parametrize(
    "arguments",
    [
        ("pods", "-n", "team-03", "-l", "tier=frontend"),
        ("pods", "-A", "-l", "tier notin (frontend),!x", "--field-selector=status.phase=Running"),
        ("widgets", "-A", "--field-selector", "spec.color=red"),
        ("deploy,rs", "-n", "team-01", "-l", "app.kubernetes.io/name in (web,api)"),
        ("cm", "-n", "team-00,team-01"),
    ],
)
def test_the_command_line_selects_the_same(
    full_apiserver: ApiServer, copy: Path, arguments: tuple[str, ...]
) -> None:
    command = [sys.executable, "-m", "vai", "get", f"--file={copy}", *arguments, "-o", "name"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    spaces = arguments[2].split(",") if arguments[1] == "-n" else [""]
    there = "".join(
        full_apiserver.kubectl("get", *with_space(arguments, space), "-o", "name")
        for space in spaces
    )
    assert done.stdout
    assert done.stdout == there


def with_space(arguments: tuple[str, ...], space: str) -> list[str]:
    """The arguments with one namespace; kubectl takes no several."""
    return [space if "team-" in word and space else word for word in arguments]
