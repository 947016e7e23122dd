"""Status errors with the shapes of apimachinery's ``pkg/api/errors/errors.go``."""

from __future__ import annotations

from collections.abc import Sequence

from vai.testing.objects import Json, dumps


class ApiError(Exception):
    """An answer other than success: the HTTP code and the Status object that is sent."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        details: Json | None = None,
        continue_token: str = "",
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details
        self.continue_token = continue_token

    @property
    def retry_after_s(self) -> int:
        """Seconds for the Retry-After header; 0 when there is none."""
        value = (self.details or {}).get("retryAfterSeconds", 0)
        return int(value)

    def status(self) -> Json:
        """The Status object, keys in the order of Go's struct."""
        metadata = {"continue": self.continue_token} if self.continue_token else {}
        status: Json = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": metadata,
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            status["reason"] = self.reason
        if self.details is not None:
            status["details"] = self.details
        status["code"] = self.code
        return status

    def body(self) -> bytes:
        """The Status as the server sends it, with the trailing newline."""
        return dumps(self.status()) + b"\n"


def qualified(resource: str, group: str) -> str:
    """``deployments.apps``, or the bare name for the core group."""
    return f"{resource}.{group}" if group else resource


def _details(group: str, kind: str, name: str = "", **more: object) -> Json:
    details: Json = {}
    if name:
        details["name"] = name
    if group:
        details["group"] = group
    if kind:
        details["kind"] = kind
    details.update(more)
    return details


def bad_request(message: str) -> ApiError:
    """400."""
    return ApiError(400, "BadRequest", message)


def unauthorized() -> ApiError:
    """401, as the authentication filter answers it."""
    return ApiError(401, "Unauthorized", "Unauthorized")


def forbidden(
    user: str, verb: str, group: str, resource: str, *, namespace: str, name: str
) -> ApiError:
    """403 with the sentence that names the missing rule (responsewriters/errors.go)."""
    where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
    sentence = f'User "{user}" cannot {verb} resource "{resource}" in API group "{group}" {where}'
    subject = qualified(resource, group)
    if name:
        subject += f' "{name}"'
    return ApiError(
        403,
        "Forbidden",
        f"{subject} is forbidden: {sentence}",
        details=_details(group, resource, name),
    )


def not_found(group: str, resource: str, name: str) -> ApiError:
    """404 for an object."""
    return ApiError(
        404,
        "NotFound",
        f'{qualified(resource, group)} "{name}" not found',
        details=_details(group, resource, name),
    )


def unknown_resource() -> ApiError:
    """404 for a path inside a served group version that no resource has."""
    return ApiError(404, "NotFound", "the server could not find the requested resource", details={})


def method_not_allowed() -> ApiError:
    """405 for a path that exists with other methods."""
    return ApiError(
        405,
        "MethodNotAllowed",
        "the server does not allow this method on the requested resource",
        details={},
    )


def not_acceptable(accepted: str) -> ApiError:
    """406 with the media types that would do."""
    return ApiError(
        406, "NotAcceptable", f"only the following media types are accepted: {accepted}"
    )


def not_routed(representations: str) -> ApiError:
    """406 from go-restful, before the API's own negotiation."""
    return ApiError(
        406,
        "NotAcceptable",
        f"406: Not Acceptable\n\nAvailable representations: {representations}",
        details={},
    )


def not_routed_patch() -> ApiError:
    """415 from go-restful for a patch type it does not know."""
    return ApiError(415, "UnsupportedMediaType", "415: Unsupported Media Type", details={})


def already_exists(group: str, resource: str, name: str) -> ApiError:
    """409 on create."""
    return ApiError(
        409,
        "AlreadyExists",
        f'{qualified(resource, group)} "{name}" already exists',
        details=_details(group, resource, name),
    )


def conflict(group: str, resource: str, name: str) -> ApiError:
    """409 on an update from an old resourceVersion."""
    return ApiError(
        409,
        "Conflict",
        f'Operation cannot be fulfilled on {qualified(resource, group)} "{name}": the object has '
        "been modified; please apply your changes to the latest version and try again",
        details=_details(group, resource, name),
    )


def precondition_failed(
    group: str, kind: str, name: str, mismatch: tuple[str, str, str]
) -> ApiError:
    """409 on a delete whose preconditions do not hold; mismatch is (what, wanted, found)."""
    what, wanted, found = mismatch
    return ApiError(
        409,
        "Conflict",
        f'Operation cannot be fulfilled on {qualified(kind, group)} "{name}": the {what} in the '
        f"precondition ({wanted}) does not match the {what} in record ({found}). The object might "
        "have been deleted and then recreated",
        details=_details(group, kind, name),
    )


def expired(message: str, *, continue_token: str = "") -> ApiError:
    """410: the asked-for resourceVersion is no longer kept."""
    return ApiError(410, "Expired", message, continue_token=continue_token)


def unsupported_media_type(accepted: str) -> ApiError:
    """415 for a body in an unknown format."""
    return ApiError(
        415,
        "UnsupportedMediaType",
        f"the body of the request was in an unknown format - accepted media types include: "
        f"{accepted}",
    )


def invalid(group: str, kind: str, name: str, causes: Sequence[tuple[str, str, str]]) -> ApiError:
    """422; causes are (type, field, message)."""
    parts = [f"{field}: {message}" for _, field, message in causes]
    text = parts[0] if len(parts) == 1 else "[" + ", ".join(parts) + "]"
    listed = [{"reason": t, "message": m, "field": f} for t, f, m in causes]
    return ApiError(
        422,
        "Invalid",
        f'{qualified(kind, group)} "{name}" is invalid: {text}',
        details=_details(group, kind, name, causes=listed),
    )


def too_large_resource_version(asked: int, current: int, retry_s: int = 1) -> ApiError:
    """504 for a resourceVersion from the future (storage/errors.go)."""
    details: Json = {
        "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
    }
    if retry_s:
        details["retryAfterSeconds"] = retry_s
    return ApiError(
        504,
        "Timeout",
        f"Timeout: Too large resource version: {asked}, current: {current}",
        details=details,
    )


# What the generic server says for a bare code (NewGenericServerResponse), for injected failures.
_GENERIC = {
    429: (
        "TooManyRequests",
        "the server has received too many requests and has asked us to try again later",
    ),
    500: (
        "InternalError",
        'an error on the server ("simulated") has prevented the request from succeeding',
    ),
    502: (
        "InternalError",
        'an error on the server ("simulated") has prevented the request from succeeding',
    ),
    503: ("ServiceUnavailable", "the server is currently unable to handle the request"),
    504: (
        "Timeout",
        (
            "the server was unable to return a response in the time allotted, but may still be "
            "processing the request"
        ),
    ),
}


def injected(code: int, *, retry_after: int | None = None, message: str | None = None) -> ApiError:
    """The Status for a failure that a test asked for."""
    if code == 401:
        return unauthorized()
    if code == 410:
        return expired(message or "The resourceVersion for the provided list is too old.")
    reason, text = _GENERIC.get(
        code,
        (
            "Unknown",
            f"the server responded with the status code {code} but did not return more information",
        ),
    )
    details: Json | None = None
    if retry_after:
        details = {"retryAfterSeconds": retry_after}
    return ApiError(code, reason, message or text, details=details)
