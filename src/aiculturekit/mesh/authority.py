"""The node's own certificate authority: X.509-SVIDs after the SPIFFE rules, as a short-lived program.

`python -m aiculturekit.mesh.authority --ca FOLDER --mesh FOLDER` reads `{"trust_domain", "identities": [[app,
name]]}` from stdin, issues a certificate for each identity straight into Envoy's SDS files, and prints `{"app/name":
[not_before, not_after]}` (seconds since the epoch). So neither the authority's key nor any workload's ever enters the
daemon, nor does the library that handles them.

A root lives a year. Another is made when the newest has 60 days left; it is in the trust bundle at once and signs
only after a day, when everybody has read the bundle; it leaves the bundle when it ends. The SPIFFE rules: exactly one
URI SAN; the leaf's has a path, is no CA and has digitalSignature only; the root's has no path and has keyCertSign
(X509-SVID, 2-4).
"""

from __future__ import annotations

import argparse
import datetime
import fcntl
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from aiculturekit.mesh import files, identities
from aiculturekit.mesh.envoy import names, secrets
from aiculturekit.mesh.identities import Identity

ROOT_LIFE = datetime.timedelta(days=365)
ROOT_RENEWED = datetime.timedelta(days=60)
ROOT_SIGNS_AFTER = datetime.timedelta(days=1)
LEAF_LIFE = datetime.timedelta(hours=24)
BACKDATED = datetime.timedelta(hours=1)
"""A clock that is set back a little must not make what was just issued invalid."""

Root = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def roots(folder: Path, *, trust_domain: str, now: datetime.datetime) -> list[Root]:
    """All valid roots of the trust domain, oldest first; a new one is made where the newest is missing or old."""
    found = [_read(path) for path in sorted(folder.glob("root-*.pem"))]
    wanted = identities.root_uri(trust_domain)
    valid = [r for r in found if _uri(r[0]) == wanted and r[0].not_valid_before_utc <= now < r[0].not_valid_after_utc]
    valid.sort(key=lambda root: root[0].not_valid_before_utc)
    if not valid or valid[-1][0].not_valid_after_utc - now < ROOT_RENEWED:
        valid.append(_make_root(folder, trust_domain=trust_domain, now=now))
    files.put(folder / "roots.pem", bundle(valid).encode())
    return valid


def bundle(valid: Iterable[Root]) -> str:
    """The trust bundle: the roots' certificates as PEM."""
    return "".join(_pem(certificate) for certificate, _ in valid)


def signer(valid: list[Root], *, now: datetime.datetime) -> Root:
    """The newest root that everybody has had time to learn of; the oldest where none is old enough."""
    known = [root for root in valid if root[0].not_valid_before_utc + BACKDATED + ROOT_SIGNS_AFTER <= now]
    return known[-1] if known else valid[0]


def issue(root: Root, identity: Identity, *, trust_domain: str, now: datetime.datetime) -> tuple[x509.Certificate, str]:
    """A certificate for the identity and its new private key as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    until = min(now + LEAF_LIFE, root[0].not_valid_after_utc)
    builder = _builder(identities.uri(identity, trust_domain=trust_domain), key.public_key(), now, until)
    usage = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    certificate = (
        builder.subject_name(_subject("/".join(identity)))
        .issuer_name(root[0].subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(is_root=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usage), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root[1].public_key()), critical=False)
        .sign(root[1], hashes.SHA256())
    )
    return certificate, _key_pem(key)


def issue_all(
    wanted: Iterable[Identity], *, ca: Path, mesh: Path, trust_domain: str, now: datetime.datetime
) -> dict[str, list[float]]:
    """Issue for each identity into the SDS files under `mesh`, the bundle first; "app/name" -> [not before, not
    after]."""
    with open(files.folder(ca) / "lock", "a", opener=_privately) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        valid = roots(ca, trust_domain=trust_domain, now=now)
        files.folder((mesh / names.bundle_file()).parent)
        files.put(mesh / names.bundle_file(), files.text(secrets.trust(bundle(valid))))
        chosen = signer(valid, now=now)
        issued: dict[str, list[float]] = {}
        for identity in wanted:
            certificate, key = issue(chosen, identity, trust_domain=trust_domain, now=now)
            document = secrets.certificate(identity, chain=_pem(certificate), key=key)
            files.put(mesh / names.secret_file(identity), files.text(document))
            span = certificate.not_valid_before_utc, certificate.not_valid_after_utc
            issued["/".join(identity)] = [moment.timestamp() for moment in span]
        return issued


def _privately(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _make_root(folder: Path, *, trust_domain: str, now: datetime.datetime) -> Root:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _subject(f"{trust_domain} {now:%Y-%m-%d}")
    certificate = (
        _builder(identities.root_uri(trust_domain), key.public_key(), now, now + ROOT_LIFE)
        .subject_name(subject)
        .issuer_name(subject)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(is_root=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"root-{now:%Y%m%d%H%M%S}-{certificate.serial_number:x}.pem"
    files.replace(path, (_key_pem(key) + _pem(certificate)).encode())
    return certificate, key


def _read(path: Path) -> Root:
    raw = path.read_bytes()
    key = serialization.load_pem_private_key(raw, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{path} holds no elliptic-curve key")
    return x509.load_pem_x509_certificate(raw), key


def _builder(
    uri: str, key: ec.EllipticCurvePublicKey, now: datetime.datetime, until: datetime.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(until)
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


def _uri(certificate: x509.Certificate) -> str:
    names_ = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return names_.get_values_for_type(x509.UniformResourceIdentifier)[0]


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    kind = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption()).decode()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m aiculturekit.mesh.authority")
    parser.add_argument("--ca", type=Path, required=True)
    parser.add_argument("--mesh", type=Path, required=True)
    given = parser.parse_args()
    request = json.load(sys.stdin)
    wanted = [(app, name) for app, name in request["identities"]]
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    issued = issue_all(wanted, ca=given.ca, mesh=given.mesh, trust_domain=request["trust_domain"], now=now)
    json.dump(issued, sys.stdout)


if __name__ == "__main__":
    main()
