"""Talks to kube-apiserver: the only package that imports `kubernetes`.

What it is: configuration and credentials as kubectl users have them (`kubeconfig`, `credentials`,
`tls`), HTTP requests whose bodies are handed on as raw bytes (`transport`), what the cluster serves
and who it is (`discovery`), and the requests of one scope (`source`, the reflector's
ListerWatcher). What it may know: `reflector`'s Protocol, `config`, `errors`, `types`. Why it is
apart: importing `kubernetes` costs 0.4 to 2 s and 40 to 75 MB, and no read may pay that; so the
import happens with the first request, or where only that package can tell that a configuration is
wrong when a Transport is made; never when this package is imported.
"""

from __future__ import annotations

from vai.kube.adopted import Adopted, adopt
from vai.kube.discovery import Discovery, Identity, discover, identify
from vai.kube.kubeconfig import Access, load_access
from vai.kube.source import Source
from vai.kube.transport import Transport, connect

__all__ = [
    "Access",
    "Adopted",
    "Discovery",
    "Identity",
    "Source",
    "Transport",
    "adopt",
    "connect",
    "discover",
    "identify",
    "load_access",
]
