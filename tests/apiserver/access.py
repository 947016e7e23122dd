"""Who may ask the server what: users, kubeconfigs and RBAC objects."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

from tests.apiserver.basics import RBAC_GROUP
from tests.apiserver.kinds import Json

ADMIN, VAI, NOBODY, ROLE_ONLY = "admin", "vai", "nobody", "role-only"
READERS = "vai-readers"
USERS: Mapping[str, str] = {
    # Everything, without RBAC.
    ADMIN: "system:masters",
    # What is under test, apart from the tests' own requests in the audit log: get, list and watch
    # of everything, and no write at all.
    VAI: READERS,
    # Discovery only (system:authenticated has it).
    NOBODY: "",
    # Nothing until a test grants a Role.
    ROLE_ONLY: "",
}
"""User names and their groups."""

Rules = Sequence[Mapping[str, Sequence[str]]]

READ_ALL: Rules = ({"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]},)
"""Rules of a Role that lets read every resource."""


def kubeconfig(
    user: str, token: str, *, server: str, authority: bytes, namespace: str | None
) -> Json:
    """A kubeconfig with one context, named after the user."""
    data = base64.b64encode(authority).decode()
    context = {"cluster": "test", "user": user} | ({"namespace": namespace} if namespace else {})
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "test", "cluster": {"server": server, "certificate-authority-data": data}}
        ],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": user, "context": context}],
        "current-context": user,
    }


def role_and_binding(
    name: str, subject_kind: str, subject: str, rules: Rules, namespace: str | None
) -> list[Json]:
    """A Role and its RoleBinding, or a ClusterRole and its ClusterRoleBinding."""
    kind = "Role" if namespace else "ClusterRole"
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    common = {"apiVersion": f"{RBAC_GROUP}/v1", "metadata": metadata}
    reference = {"apiGroup": RBAC_GROUP, "kind": kind, "name": name}
    who = {"kind": subject_kind, "name": subject, "apiGroup": RBAC_GROUP}
    return [
        common | {"kind": kind, "rules": list(rules)},
        common | {"kind": f"{kind}Binding", "roleRef": reference, "subjects": [who]},
    ]


def access_review(user: str, rules: Rules, namespace: str | None) -> Json:
    """Asks whether a user may do what the first of the rules allows."""
    rule = rules[0]
    attributes = {
        "verb": rule["verbs"][0],
        "group": rule["apiGroups"][0],
        "resource": rule["resources"][0],
        "namespace": namespace or "",
    }
    groups = [USERS[user]] if USERS.get(user) else []
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user, "groups": groups, "resourceAttributes": attributes},
    }
