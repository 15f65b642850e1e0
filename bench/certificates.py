"""A certificate for loopback and the authority that signed it, made for one measurement."""

from __future__ import annotations

import dataclasses
import datetime as dt
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

VALID = dt.timedelta(days=2)
# For programs that look for names alone.
NAME = "loopback.bench"


@dataclasses.dataclass(frozen=True)
class Certificates:
    """Files in PEM: who is trusted, and what a server of this measurement shows."""

    authority: Path
    chain: Path
    key: Path


def name(text: str) -> x509.Name:
    """Return a name."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def make(folder: Path) -> Certificates:
    """Write them into a folder."""
    now = dt.datetime.now(dt.UTC)
    signer, own = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))

    def certificate(subject: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(name(subject))
            .issuer_name(name("bench authority"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - VALID)
            .not_valid_after(now + VALID)
        )

    loopback = x509.SubjectAlternativeName(
        [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName(NAME)]
    )
    authority = certificate("bench authority", signer).add_extension(
        x509.BasicConstraints(ca=True, path_length=None), critical=True
    )
    leaf = certificate("bench", own).add_extension(loopback, critical=False)
    made = Certificates(folder / "authority.pem", folder / "chain.pem", folder / "key.pem")
    for path, builder in ((made.authority, authority), (made.chain, leaf)):
        signed = builder.sign(signer, hashes.SHA256())
        path.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    made.key.write_bytes(
        own.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return made
