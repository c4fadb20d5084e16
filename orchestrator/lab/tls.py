"""Mutual TLS for a lab: its own authority, a certificate per node, one for clients.

File names in `tls/` are those that DOCKER_CERT_PATH wants (ca.pem, cert.pem, key.pem); nodes have `n1-cert.pem`.
"""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from orchestrator.lab.settings import Place, Settings
from orchestrator.model.names import NodeName

_YEARS = datetime.timedelta(days=3650)
_SKEW = datetime.timedelta(days=1)


def ensure(place: Place, settings: Settings) -> None:
    """Make what is missing; what is there stays, so that a lab that grows keeps its authority."""
    directory = place.certificates
    directory.mkdir(exist_ok=True)
    if not (directory / "ca.pem").exists():
        _make_authority(directory)
    if not (directory / "cert.pem").exists():
        _make_leaf(directory, "", "orch", [], ExtendedKeyUsageOID.CLIENT_AUTH)
    for node in settings.node_names:
        if not (directory / f"{node}-cert.pem").exists():
            _make_leaf(directory, f"{node}-", node, _names(settings, node), ExtendedKeyUsageOID.SERVER_AUTH)


def _names(settings: Settings, node: NodeName) -> list[x509.GeneralName]:
    addresses = (settings.address(node), "127.0.0.1")
    return [
        x509.DNSName(node),
        x509.DNSName("localhost"),
        *(x509.IPAddress(ipaddress.ip_address(address)) for address in addresses),
    ]


def _make_authority(directory: Path) -> None:
    key, name = ec.generate_private_key(ec.SECP256R1()), _name("orch lab authority")
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        _builder(name, name, key, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
    )
    _write(directory / "ca-key.pem", key)
    _write(directory / "ca.pem", builder.sign(key, hashes.SHA256()))


def _make_leaf(
    directory: Path, prefix: str, name: str, alternatives: list[x509.GeneralName], usage: x509.ObjectIdentifier
) -> None:
    authority = x509.load_pem_x509_certificate((directory / "ca.pem").read_bytes())
    authority_key = serialization.load_pem_private_key((directory / "ca-key.pem").read_bytes(), password=None)
    assert isinstance(authority_key, ec.EllipticCurvePrivateKey), "_make_authority writes elliptic keys"
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(_name(name), authority.subject, key, authority_key)
    builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    if alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    _write(directory / f"{prefix}key.pem", key)
    _write(directory / f"{prefix}cert.pem", builder.sign(authority_key, hashes.SHA256()))


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, issuer_key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    """With both key identifiers, which strict clients (Python 3.13) insist on."""
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + _YEARS)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )


def _write(path: Path, thing: ec.EllipticCurvePrivateKey | x509.Certificate) -> None:
    """Whole or not at all, and readable for root only."""
    if isinstance(thing, x509.Certificate):
        pem = thing.public_bytes(serialization.Encoding.PEM)
    else:
        pem = thing.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    interim = path.with_suffix(".tmp")
    interim.touch(mode=0o600)
    interim.write_bytes(pem)
    interim.replace(path)
