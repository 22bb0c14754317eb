"""A key, its certificate and the issuer's, made on the spot for content credentials. They are trusted nowhere."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Chain:
    """PEM text."""

    certificates: str
    key: str


def make_chain(signer: str = "Harbour Painters", *, days_left: int = 20) -> Chain:
    """A root, and a certificate for signing that it issued."""
    now = datetime.now(UTC)
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root, leaf = _builder("Root", "Root", now), _builder(signer, "Root", now)
    root = root.not_valid_after(now + 40 * DAY).public_key(root_key.public_key())
    root = root.add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
    root = root.add_extension(_usage(signs_certificates=True), critical=True)
    leaf = leaf.not_valid_after(now + days_left * DAY).public_key(key.public_key())
    leaf = leaf.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    leaf = leaf.add_extension(_usage(signs_certificates=False), critical=True)
    leaf = leaf.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
    leaf = leaf.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key())
    leaf = leaf.add_extension(issuer, critical=False)
    signed = (leaf.sign(root_key, hashes.SHA256()), root.sign(root_key, hashes.SHA256()))
    pem = b"".join(each.public_bytes(serialization.Encoding.PEM) for each in signed)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Chain(pem.decode(), private.decode())


def _builder(name: str, issuer: str, now: datetime) -> x509.CertificateBuilder:
    begun = x509.CertificateBuilder().subject_name(_name(name)).issuer_name(_name(issuer))
    return begun.serial_number(x509.random_serial_number()).not_valid_before(now - 30 * DAY)


def _name(common: str) -> x509.Name:
    parts = {NameOID.COMMON_NAME: common, NameOID.ORGANIZATION_NAME: "Test", NameOID.COUNTRY_NAME: "DE"}
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts.items()])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
