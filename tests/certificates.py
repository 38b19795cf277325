"""An authority of the test's own, and the certificates that it gives to servers.

Import it as `from tests.certificates import Authority`.
"""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass
class Authority:
    """Gives certificates; `folder` is where they are kept."""

    folder: Path

    @cached_property
    def key(self) -> ec.EllipticCurvePrivateKey:
        """Its own key."""
        return ec.generate_private_key(ec.SECP256R1())

    @cached_property
    def ca_file(self) -> Path:
        """Its certificate, for those who trust it."""
        name = _named("authority")
        made = _certificate(name, name, self.key, self.key, [], days=2)
        path = self.folder / "authority.pem"
        path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        return path

    def server(self, *hosts: str, days: int = 2) -> ssl.SSLContext:
        """Return what a server of these hosts shows; with `days` below 1 it has ended."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = _certificate(
            _named(hosts[0]),
            _named("authority"),
            key,
            self.key,
            [x509.DNSName(each) for each in hosts],
            days=days,
        )
        path = self.folder / f"server-{hosts[0]}-{days}.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + made.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _certificate(
    of: x509.Name,
    by: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    signing: ec.EllipticCurvePrivateKey,
    hosts: list[x509.GeneralName],
    *,
    days: int,
) -> x509.Certificate:
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(of)
        .issuer_name(by)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=3))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=not hosts, path_length=None), critical=True)
    )
    if hosts:
        made = made.add_extension(x509.SubjectAlternativeName(hosts), critical=False)
    return made.sign(signing, hashes.SHA256())
