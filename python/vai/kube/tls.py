"""The TLS context, made without any key material reaching a file system."""

from __future__ import annotations

import os
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

from vai.errors import InvalidRequestError
from vai.kube.kubeconfig import Access


def tls_context(access: Access, certificate: tuple[bytes, bytes] | None) -> ssl.SSLContext:
    """A client's context for the server of `access`.

    Args:
        access: whose CA and verification to use.
        certificate: the client's certificate and key in PEM, if it has one.

    Raises:
        InvalidRequestError: the CA, certificate or key is not valid.
    """
    context = ssl.create_default_context(cadata=_authority(access))
    # Python 3.13 turns this on; the CAs that kubeadm, k3s and others make lack the extensions that
    # it demands, and kubectl does not demand them.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    # kube-apiserver would otherwise choose HTTP/2 where a proxy in between offers it.
    context.set_alpn_protocols(["http/1.1"])
    if version("urllib3").startswith("1."):
        # It sends no name for an IP address, which OpenSSL's own check demands; with that turned
        # off it compares the certificate's names itself (connection.py, _match_hostname).
        context.check_hostname = False
    if access.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if certificate is not None:
        try:
            with _as_path(certificate[0]) as chain, _as_path(certificate[1]) as key:
                context.load_cert_chain(chain, key, password=_no_password)
        except (OSError, ValueError):
            raise InvalidRequestError(
                f"{access.origin}: the client certificate and key are not a valid PEM pair"
            ) from None
    return context


def _authority(access: Access) -> str | None:
    if access.authority is None or access.insecure:
        return None
    try:
        text = access.authority.decode("ascii")
        ssl.create_default_context(cadata=text)
    except (UnicodeDecodeError, ssl.SSLError):
        raise InvalidRequestError(
            f"{access.origin}: certificate-authority is not a valid PEM certificate"
        ) from None
    return text


def _no_password() -> str:
    """Instead of OpenSSL's prompt on the terminal."""
    raise ValueError("the client key is encrypted")


@contextmanager
def _as_path(data: bytes) -> Iterator[str]:
    """A path to read the data from once: a pipe, because load_cert_chain takes nothing else."""
    reading, writing = os.pipe()
    writer = threading.Thread(target=_write, args=(writing, data), daemon=True)
    writer.start()
    try:
        yield f"/dev/fd/{reading}"
    finally:
        os.close(reading)
        writer.join()


def _write(descriptor: int, data: bytes) -> None:
    try:
        with open(descriptor, "wb") as pipe:
            pipe.write(data)
    except BrokenPipeError:
        # The reader had enough: OpenSSL stops at what it does not understand, and says so itself.
        return
