"""A certificate made on the spot: a phone tells how it is held only to a page that came over HTTPS."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from common.refusal import Refusal, ToolMissing

if TYPE_CHECKING:
    from cryptography.x509 import GeneralName

VALID_DAYS = 30
LOOPBACK = ("127.0.0.1", "localhost")


def context_for(names: Iterable[str], own: Path | None = None) -> ssl.SSLContext:
    """Return what HTTPS is served with.

    Parameters
    ----------
    names : iterable of str
        Addresses and names under which it is reached.
    own : Path, optional
        A PEM file with a certificate and its key, in place of one made here.

    Raises
    ------
    ToolMissing
        The library for certificates is not installed.
    Refusal
        The file is no certificate with its key.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if own is not None:
        try:
            context.load_cert_chain(own, password=lambda: "")
        except (OSError, ValueError):
            raise Refusal(
                f"{own} is refused as a certificate: it must be a PEM file with the certificate and its key, "
                "without a password."
            ) from None
        return context
    with tempfile.TemporaryDirectory(prefix="vaectrol-") as folder:
        file = Path(folder) / "bridge.pem"
        file.touch(mode=0o600)
        file.write_bytes(made(names))
        context.load_cert_chain(file)
    return context


def made(names: Iterable[str]) -> bytes:
    """Make a certificate that signs itself, with its key, as PEM."""
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import NameOID
    except ImportError:
        raise ToolMissing(
            "--phone needs a library for certificates: pip install cryptography (or bring your own: "
            "--certificate FILE.pem)."
        ) from None
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Vaectrol bridge")])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=VALID_DAYS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([_general(one) for one in names]), critical=False)
    )
    certificate = builder.sign(key, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM) + private


def _general(name: str) -> GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def lan_address() -> str:
    """Return this computer's address in its network; the loopback's where it is in none. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address of nobody (RFC 5737)
            return str(probe.getsockname()[0])
        except OSError:
            return LOOPBACK[0]
