"""X.509-SVIDs and their roots after the SPIFFE rules: exactly one URI SAN; the leaf's has a path, is no CA and has digitalSignature
only; the root's has no path and has keyCertSign (X509-SVID, 2-4). Loads `cryptography`: for the authority's process alone.
"""

from __future__ import annotations

import base64
import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from aiculturekit.mesh import identities
from aiculturekit.mesh.identities import Identity
from aiculturekit.mesh.rotations import Lives

Pair = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def make_root(*, trust_domain: str, lives: Lives, now: float) -> Pair:
    """The subject names the serial number too: roots that follow each other are told apart by it."""
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    subject = _subject(f"{trust_domain[:40]} {_moment(now):%Y-%m-%d} {serial:x}")
    certificate = (
        _builder(identities.root_uri(trust_domain), key.public_key(), now - lives.backdated, now + lives.root)
        .serial_number(serial)
        .subject_name(subject)
        .issuer_name(subject)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(is_root=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate, key


def issue(root: Pair, identity: Identity, *, trust_domain: str, lives: Lives, now: float) -> Pair:
    """A certificate for the identity, and its new private key. It never outlives its root."""
    key = ec.generate_private_key(ec.SECP256R1())
    until = min(now + lives.leaf, root[0].not_valid_after_utc.timestamp())
    builder = _builder(
        identities.uri(identity, trust_domain=trust_domain), key.public_key(), now - lives.backdated, until
    )
    usage = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    certificate = (
        builder.serial_number(x509.random_serial_number())
        .subject_name(_subject("/".join(identity)))
        .issuer_name(root[0].subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(is_root=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usage), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root[1].public_key()), critical=False)
        .sign(root[1], hashes.SHA256())
    )
    return certificate, key


def read(raw: bytes) -> Pair:
    """A key and its certificate from PEM. Raises ValueError."""
    key = serialization.load_pem_private_key(raw, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("no elliptic-curve key")
    return x509.load_pem_x509_certificate(raw), key


def uris(certificate: x509.Certificate) -> list[str]:
    """All URI SANs; none where there is no such extension."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return found.get_values_for_type(x509.UniformResourceIdentifier)


def pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    kind = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption()).decode()


def jwk(certificate: x509.Certificate) -> dict[str, Any]:
    """The root as an entry of a SPIFFE bundle (RFC 7517; SPIFFE Trust Domain and Bundle, 4.2)."""
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise ValueError("no elliptic-curve key")
    numbers = key.public_numbers()
    x, y = (base64.urlsafe_b64encode(n.to_bytes(32, "big")).rstrip(b"=").decode() for n in (numbers.x, numbers.y))
    der = base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()
    return {"kty": "EC", "crv": "P-256", "use": "x509-svid", "x": x, "y": y, "x5c": [der]}


def faults(certificate: x509.Certificate, *, trust_domain: str) -> str:
    """Why it cannot be a root of the trust domain; empty when it can."""
    if uris(certificate) not in ([], [identities.root_uri(trust_domain)]):
        return f"it is of {', '.join(uris(certificate))}"
    try:
        if not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            return "it is no certificate authority"
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return "it is no certificate authority"
    return "" if usage.key_cert_sign else "its key may not sign certificates"


def _moment(seconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(int(seconds), datetime.UTC)


def _builder(uri: str, key: ec.EllipticCurvePublicKey, begins: float, ends: float) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .public_key(key)
        .not_valid_before(_moment(begins))
        .not_valid_after(_moment(ends))
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, is_root: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_root,
        key_cert_sign=is_root,
        crl_sign=is_root,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _subject(name: str) -> x509.Name:
    """At most 64 characters, as X.520 wants it; who it is stands in the URI."""
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "aic"), x509.NameAttribute(NameOID.COMMON_NAME, name[:64])]
    )
