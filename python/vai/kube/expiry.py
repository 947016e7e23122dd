"""Until when credentials hold: client certificates, and tokens that say so themselves."""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, datetime
from typing import Final

import msgspec

_PEM: Final = re.compile(rb"-----BEGIN CERTIFICATE-----\s(.*?)-----END CERTIFICATE-----", re.DOTALL)
_SEQUENCE: Final = 0x30
#: RFC 5280, 4.1: the version, which version 1 leaves out.
_VERSION: Final = 0xA0
_UTC_TIME: Final = 0x17
_GENERALIZED_TIME: Final = 0x18
#: X.690, 8.1.3: lengths from here on say how many bytes the length takes.
_LONG: Final = 0x80
#: RFC 5280, 4.1.2.5.1: two digits from 50 on are of the last century.
_LAST_CENTURY: Final = 50


class _Claims(msgspec.Struct):
    exp: float | None = None


def certificate_expiry(pem: bytes) -> datetime | None:
    """`notAfter` of the first certificate in PEM; None where it can't be read."""
    found = _PEM.search(pem)
    if found is None:
        return None
    try:
        return _not_after(base64.b64decode(found[1]))
    except (ValueError, IndexError, binascii.Error):
        return None


def token_expiry(token: str) -> datetime | None:
    """`exp` of a JSON Web Token (RFC 7519), as service accounts have; None for other tokens."""
    parts = token.split(".")
    if len(parts) != 3:  # noqa: PLR2004 - header, claims, signature
        return None
    try:
        claims = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        exp = msgspec.json.decode(claims, type=_Claims).exp
        return None if exp is None else datetime.fromtimestamp(exp, UTC)
    except (ValueError, OverflowError, OSError, msgspec.MsgspecError):
        return None


def _not_after(der: bytes) -> datetime:
    """RFC 5280, 4.1: Certificate, TBSCertificate, and the second time of its validity."""
    inner = _content(_content(der, _SEQUENCE)[0], _SEQUENCE)[0]
    if inner[0] == _VERSION:
        inner = _content(inner, _VERSION)[1]
    # serialNumber, signature, issuer
    for _ in range(3):
        inner = _content(inner, inner[0])[1]
    validity, _ = _content(inner, _SEQUENCE)
    _, rest = _content(validity, validity[0])
    return _time(_content(rest, rest[0])[0].decode("ascii"), rest[0])


def _content(der: bytes, tag: int) -> tuple[bytes, bytes]:
    """(content, what follows) of the first value, which must have this tag."""
    if der[0] != tag:
        raise ValueError(f"tag {der[0]:#x}, not {tag:#x}")
    length, start = der[1], 2
    if length >= _LONG:
        size = length - _LONG
        length, start = int.from_bytes(der[2 : 2 + size]), 2 + size
    if start + length > len(der):
        raise ValueError("cut off")
    return der[start : start + length], der[start + length :]


def _time(text: str, tag: int) -> datetime:
    if tag == _UTC_TIME:
        text = ("19" if int(text[:2]) >= _LAST_CENTURY else "20") + text
    elif tag != _GENERALIZED_TIME:
        raise ValueError(f"tag {tag:#x} is no time")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
