"""Until when credentials hold is read from themselves."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

import pytest

from vai.kube.expiry import certificate_expiry, token_expiry


def der(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    if len(content) < 0x80:
        return bytes([tag, len(content)]) + content
    size = (len(content).bit_length() + 7) // 8
    return bytes([tag, 0x80 + size]) + len(content).to_bytes(size) + content


def certificate(until: bytes, *, tag: int = 0x17, version: bool = True) -> bytes:
    """A certificate as far as its validity; the rest is padding."""
    parts = [der(0xA0, der(0x02, b"\x02"))] if version else []
    validity = der(0x30, der(0x17, b"260101000000Z"), der(tag, until))
    rest = der(0x30, b"\0" * 300)
    tbs = der(0x30, *parts, der(0x02, b"\x01"), der(0x30), der(0x30, b"\0" * 9), validity, rest)
    whole = base64.encodebytes(der(0x30, tbs, der(0x30), der(0x03, b"\0")))
    return b"subject=/CN=x\n-----BEGIN CERTIFICATE-----\n" + whole + b"-----END CERTIFICATE-----\n"


@pytest.mark.parametrize("version", [True, False])
def test_a_certificate_says_until_when(version: bool) -> None:
    until = datetime(2031, 2, 3, 4, 5, 6, tzinfo=UTC)
    assert certificate_expiry(certificate(b"310203040506Z", version=version)) == until
    far = certificate(b"20550203040506Z", tag=0x18, version=version)
    assert certificate_expiry(far) == until.replace(year=2055)


def test_two_digits_of_a_year_are_of_two_centuries() -> None:
    found = certificate_expiry(certificate(b"990203040506Z"))
    assert found is not None
    assert found.year == 1999


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"nothing",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
        certificate(b"soon"),
    ],
)
def test_what_can_not_be_read_says_nothing(pem: bytes) -> None:
    assert certificate_expiry(pem) is None


def token(claims: object) -> str:
    part = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"e30.{part}.sig"


def test_a_service_accounts_token_says_until_when() -> None:
    assert token_expiry(token({"exp": 1_900_000_000})) == datetime.fromtimestamp(1_900_000_000, UTC)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "opaque",
        "a.b.c",
        "a.%.c",
        token({}),
        token({"exp": "x"}),
        token([1]),
        token({"exp": 1e300}),
    ],
)
def test_other_tokens_say_nothing(text: str) -> None:
    assert token_expiry(text) is None
