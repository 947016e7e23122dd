"""A list function of the `kubernetes` package as what vai needs: resource, server and models.

For `vai.compat`: there a user hands over `CoreV1Api().list_namespaced_pod` in place of a scope and
a kubeconfig. Nothing is sent here: the function is called once with a client that, instead of a
request, gives back what would have been asked for.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import msgspec

from vai.config import Settings
from vai.errors import InvalidRequestError
from vai.kube.kubeconfig import Access
from vai.kube.transport import Transport

_REMEDY: Final = (
    "give a bound list method of a generated API class, such as CoreV1Api().list_namespaced_pod"
)


class Adopted(msgspec.Struct, frozen=True, kw_only=True):
    """What a list function lists.

    Attributes:
        group: of the API; empty for the core.
        version: of the API.
        plural: the resource.
        namespace: the one that is listed; None for all.
        client: the `kubernetes.client.ApiClient` that the function belongs to.
        decode: JSON of one object to the model that the function would give.
    """

    group: str
    version: str
    plural: str
    namespace: str | None
    client: Any
    decode: Callable[[bytes], Any]

    @property
    def name(self) -> str:
        """`pods`, `deployments.apps`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def transport(self, settings: Settings) -> Transport:
        """Requests to the same server, as the same user; tokens are renewed by the same hooks."""
        configuration = self.client.configuration
        return Transport(_access(configuration), settings, configuration)


class _Asked(Exception):  # noqa: N818 - no error: how the recorder gets out of the function
    """What the function would have asked for."""

    def __init__(self, path: str, values: Mapping[str, Any]) -> None:
        super().__init__(path)
        self.path = path
        self.values = values


def adopt(list_func: Callable[..., Any], **arguments: Any) -> Adopted:
    """What a list function would list with these arguments.

    Raises:
        InvalidRequestError: it is no list method of a generated API class, or does not take these
            arguments, or needs others.
    """
    owner = getattr(list_func, "__self__", None)
    client = getattr(owner, "api_client", None)
    if owner is None or client is None:
        raise InvalidRequestError(f"{list_func!r} is no method of an API class: {_REMEDY}")
    asked = _ask(list_func, owner, client, arguments)
    group, version, rest = _parts(asked.path)
    plural = rest.rpartition("/")[2]
    if not plural or "{" in plural:
        raise InvalidRequestError(f"{asked.path} is not the path of a list: {_REMEDY}")
    named = "/namespaces/{" in asked.path
    return Adopted(
        group=group,
        version=version,
        plural=plural,
        namespace=str(asked.values["namespace"]) if named else None,
        client=client,
        decode=_decoder(list_func, client),
    )


def _ask(
    list_func: Callable[..., Any], owner: Any, client: Any, arguments: Mapping[str, Any]
) -> _Asked:
    def record(*given: Any, **named: Any) -> Any:
        every = [*given, *named.values()]
        path = next((one for one in every if isinstance(one, str) and one.startswith("/api")), "")
        # The first mapping of both generators' signatures.
        values = named.get("path_params") or next(
            (one for one in given if isinstance(one, Mapping)), {}
        )
        raise _Asked(path, values)

    recorder = copy.copy(client)
    # The first since 37, the second before it.
    recorder.param_serialize = record
    recorder.call_api = record
    twin = copy.copy(owner)
    twin.api_client = recorder
    try:
        getattr(twin, list_func.__name__)(**arguments)
    except _Asked as asked:
        if asked.path:
            return asked
    except (TypeError, ValueError) as error:
        # The second of pydantic, which checks arguments since 37.
        said = " ".join(str(error).split())
        raise InvalidRequestError(f"{list_func.__name__} can't be asked so: {said}") from None
    raise InvalidRequestError(f"{list_func!r} asks for nothing that is known here: {_REMEDY}")


def _parts(path: str) -> tuple[str, str, str]:
    """Group, version and the rest of `/api/v1/…` or `/apis/apps/v1/…`."""
    words = path.strip("/").split("/")
    if words[0] == "api":
        return "", words[1], "/".join(words[2:])
    return words[1], words[2], "/".join(words[3:])


def _decoder(list_func: Callable[..., Any], client: Any) -> Callable[[bytes], Any]:
    watch: Any = import_module("kubernetes.watch")
    kind = watch.Watch().get_return_type(list_func)
    # `response_text` since 37; before it a response, of which only the data are looked at.
    takes_text = "response_text" in inspect.signature(client.deserialize).parameters

    def decode(raw: bytes) -> Any:
        if takes_text:
            return client.deserialize(raw.decode(), kind, "application/json")
        return client.deserialize(SimpleNamespace(data=raw.decode()), kind)

    return decode


def _access(configuration: Any) -> Access:
    data = getattr(configuration, "ca_cert_data", None)
    authority = data.encode() if isinstance(data, str) else data
    if authority is None and configuration.ssl_ca_cert:
        authority = _file(configuration.ssl_ca_cert)
    certificate = None
    if configuration.cert_file:
        chain = _file(configuration.cert_file)
        certificate = (chain, _file(configuration.key_file or configuration.cert_file))
    name = getattr(configuration, "tls_server_name", None)
    return Access(
        origin="the configuration of list_func's client",
        context="client",
        server=str(configuration.host).rstrip("/"),
        authority=authority,
        certificate=certificate,
        insecure=not configuration.verify_ssl,
        cluster={"tls-server-name": name} if name else {},
    )


def _file(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InvalidRequestError(
            f"the configuration of list_func's client: {path}: {error.strerror}"
        ) from None
