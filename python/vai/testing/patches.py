"""Patches: RFC 7386 merge, RFC 6902 JSON patch, and Kubernetes' strategic merge.

The merge keys of strategic merge are the ``patchMergeKey`` tags of k8s.io/api, by the name of the
list; a list that is not in the table is replaced, as an atomic list is.
"""

from __future__ import annotations

import copy
from typing import Any

from vai.testing.objects import Json
from vai.testing.status import ApiError, bad_request, invalid

_MERGE_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "imagePullSecrets": "name",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
    "conditions": "type",
    "addresses": "type",
    "podIPs": "ip",
    "hostIPs": "ip",
    "ownerReferences": "uid",
    "secrets": "name",
    "taints": "key",
}
_PORT_KEYS = ("containerPort", "port")
_MERGED_SETS = {"finalizers"}


def merge(target: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    out = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            out.pop(key, None)
        else:
            out[key] = merge(out.get(key), value)
    return out


def strategic(target: Any, patch: Any) -> Any:
    """Strategic merge of two objects."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    directive = patch.get("$patch")
    if directive == "replace":
        return {k: copy.deepcopy(v) for k, v in patch.items() if k != "$patch"}
    if directive == "delete":
        return {}
    out = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if key.startswith("$deleteFromPrimitiveList/"):
            name = key.partition("/")[2]
            out[name] = [item for item in out.get(name, []) if item not in value]
        elif key.startswith(("$setElementOrder/", "$retainKeys")):
            continue  # order and union hints: the merged result already holds the values
        elif value is None:
            out.pop(key, None)
        elif isinstance(value, list):
            out[key] = _strategic_list(key, out.get(key), value)
        else:
            out[key] = strategic(out.get(key), value)
    return out


def _merge_key(name: str, items: list[Any]) -> str | None:
    if name == "ports":
        for key in _PORT_KEYS:
            if all(isinstance(item, dict) and key in item for item in items):
                return key
        return None
    return _MERGE_KEYS.get(name)


def _strategic_list(name: str, target: Any, patch: list[Any]) -> list[Any]:
    present: list[Any] = list(target) if isinstance(target, list) else []
    if any(isinstance(item, dict) and item.get("$patch") == "replace" for item in patch):
        return [item for item in patch if item.get("$patch") != "replace"]
    if name in _MERGED_SETS:
        return present + [item for item in patch if item not in present]
    key = _merge_key(name, patch)
    if key is None:
        return copy.deepcopy(patch)
    for item in patch:
        if not isinstance(item, dict) or key not in item:
            raise bad_request(f"map: {item} does not contain declared merge key: {key}")
        position = next((i for i, old in enumerate(present) if old.get(key) == item[key]), None)
        if item.get("$patch") == "delete":
            present = [old for old in present if old.get(key) != item[key]]
        elif position is None:
            present.append(copy.deepcopy(item))
        else:
            present[position] = strategic(present[position], item)
    return present


def _pointer(path: str) -> list[str]:
    if path and not path.startswith("/"):
        raise bad_request(f"invalid JSON pointer {path!r}")
    return [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]]


def _at(document: Any, parts: list[str]) -> Any:
    for part in parts:
        document = document[int(part)] if isinstance(document, list) else document[part]
    return document


def _put(parent: Any, last: str, value: Any, *, replace: bool) -> None:
    if not isinstance(parent, list):
        if replace and last not in parent:
            raise KeyError(last)
        parent[last] = value
    elif last == "-":
        parent.append(value)
    elif replace:
        parent[int(last)] = value
    else:
        parent.insert(int(last), value)


def _remove(parent: Any, last: str) -> Any:
    return parent.pop(int(last)) if isinstance(parent, list) else parent.pop(last)


def json_patch(target: Json, operations: list[Json]) -> Json:
    """RFC 6902.

    Raises:
        ApiError: 400 for a malformed patch, 422 when a path or a test does not hold.
    """
    document: Any = {"": copy.deepcopy(target)}
    for operation in operations:
        try:
            parts = ["", *_pointer(operation["path"])]
            parent = _at(document, parts[:-1])
            match operation["op"]:
                case "add" | "replace" as op:
                    value = copy.deepcopy(operation["value"])
                    _put(parent, parts[-1], value, replace=op == "replace")
                case "remove":
                    _remove(parent, parts[-1])
                case "test":
                    if _at(document, parts) != operation["value"]:
                        raise _unprocessable("the test of a JSON patch does not hold")
                case "move" | "copy" as op:
                    source = ["", *_pointer(operation["from"])]
                    moved = copy.deepcopy(_at(document, source))
                    if op == "move":
                        _remove(_at(document, source[:-1]), source[-1])
                    _put(parent, parts[-1], moved, replace=False)
                case other:
                    raise bad_request(f"unexpected JSON patch operation {other!r}")
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise _unprocessable(
                f"the server rejected our request due to an error in our request: {error}"
            ) from None
    patched: Json = document[""]
    return patched


def _unprocessable(message: str) -> ApiError:
    error = invalid("", "", "", [("FieldValueInvalid", "patch", message)])
    return ApiError(422, "Invalid", message, details=error.details)
