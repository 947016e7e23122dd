"""The command lines of the servers, and the files they are given."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.apiserver.audit import POLICY
from tests.apiserver.build import Binaries


@dataclass(frozen=True, slots=True)
class Ports:
    """The three ports of one server."""

    apiserver: int = 0
    etcd: int = 0
    etcd_peer: int = 0


@dataclass(frozen=True, slots=True)
class Files:
    """Where everything of one server lies."""

    folder: Path

    @property
    def etcd_data(self) -> Path:
        """etcd's data directory."""
        return self.folder / "etcd"

    @property
    def audit_log(self) -> Path:
        """kube-apiserver's audit log."""
        return self.folder / "audit.log"

    @property
    def certificates(self) -> Path:
        """Where kube-apiserver puts the certificate that it makes for itself."""
        return self.folder / "certs"

    @property
    def tokens(self) -> Path:
        """The static tokens."""
        return self.folder / "tokens.csv"

    @property
    def _service_account_key(self) -> Path:
        return self.folder / "sa.key"

    @property
    def _audit_policy(self) -> Path:
        return self.folder / "audit-policy.yaml"

    def write_static(self) -> None:
        """Writes what does not change while the server lives."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_private(self._service_account_key, new_ec_key())
        # Every JSON document is YAML, too.
        self._audit_policy.write_text(json.dumps(POLICY), encoding="utf-8")

    def write_tokens(self, tokens: Mapping[str, str], groups: Mapping[str, str]) -> None:
        """Writes the tokens (by user), which kube-apiserver reads when it starts."""
        lines = [f'{token},{u},uid-{u},"{groups[u]}"' for u, token in tokens.items()]
        write_private(self.tokens, "\n".join([*lines, ""]))

    def etcd_command(self, binaries: Binaries, ports: Ports) -> list[str | Path]:
        """etcd's command line."""
        client = f"http://127.0.0.1:{ports.etcd}"
        peer = f"http://127.0.0.1:{ports.etcd_peer}"
        return [
            binaries.etcd,
            f"--data-dir={self.etcd_data}",
            # Only a crash of the whole machine loses data by it, not that of a process.
            "--unsafe-no-fsync",
            "--log-level=warn",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
        ]

    def apiserver_command(self, binaries: Binaries, ports: Ports) -> list[str | Path]:
        """kube-apiserver's command line."""
        return [
            binaries.kube_apiserver,
            f"--etcd-servers=http://127.0.0.1:{ports.etcd}",
            "--bind-address=127.0.0.1",
            f"--secure-port={ports.apiserver}",
            # Or it looks for the interface of the default route, and fails without one.
            "--advertise-address=127.0.0.1",
            f"--cert-dir={self.certificates}",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self._service_account_key}",
            f"--service-account-signing-key-file={self._service_account_key}",
            "--authorization-mode=RBAC",
            f"--token-auth-file={self.tokens}",
            # It wants a default ServiceAccount in every namespace, which a controller makes.
            "--disable-admission-plugins=ServiceAccount",
            f"--audit-policy-file={self._audit_policy}",
            f"--audit-log-path={self.audit_log}",
            # In the request's own time: whoever has read an answer to its end finds it in the log.
            "--audit-log-mode=blocking",
            "--audit-log-maxsize=0",
        ]


def write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner may read."""
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")


def new_ec_key() -> str:
    """A new P-256 private key in PEM, for ServiceAccount tokens; without openssl.

    RFC 5915: the public key, which would need curve arithmetic, is optional; Go derives it.
    """
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    number = (secrets.randbelow(order - 1) + 1).to_bytes(32, "big")
    der = bytes.fromhex("30310201010420") + number + bytes.fromhex("a00a06082a8648ce3d030107")
    body = base64.encodebytes(der).decode().replace("\n", "")
    lines = [body[i : i + 64] for i in range(0, len(body), 64)]
    return "\n".join(["-----BEGIN EC PRIVATE KEY-----", *lines, "-----END EC PRIVATE KEY-----", ""])
