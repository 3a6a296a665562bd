"""The certificates of a cluster for tests: its authorities, what each component is known by, and the files it says so with."""

from __future__ import annotations

import base64
import dataclasses
import datetime
import ipaddress
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CONTEXT = "tests"
CLIENTS = {
    "admin": ("system:masters", "admin"),
    "kube-controller-manager": ("", "system:kube-controller-manager"),
    "kube-scheduler": ("", "system:kube-scheduler"),
    "kube-proxy": ("", "system:kube-proxy"),
    "kwok": ("system:masters", "kwok"),
}
"""Who each is to the API server: its group and its name."""
_NAMES = (
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)


@dataclasses.dataclass(frozen=True)
class Authority:
    name: x509.Name
    key: ec.EllipticCurvePrivateKey


def write(folder: Path, *, server: str, node: str, addresses: Sequence[str]) -> None:
    """All of them, as NAME.crt, NAME.key and NAME.kubeconfig; `server` is where the API server is asked, `addresses` are its own and the node's."""
    folder.mkdir(mode=0o700)
    ca, front = _authority(folder, "ca"), _authority(folder, "front-proxy-ca")
    everywhere = ("127.0.0.1", *addresses)
    _issue(folder, "apiserver", ca, cn="kube-apiserver", serves=(*_NAMES, *everywhere))
    _issue(folder, "kubelet-server", ca, o="system:nodes", cn=f"system:node:{node}", serves=(node, *everywhere))
    _issue(folder, "apiserver-kubelet", ca, o="system:masters", cn="kube-apiserver-kubelet-client")
    _issue(folder, "front-proxy", front, cn="front-proxy-client")
    for name, (group, user) in {**CLIENTS, "kubelet": ("system:nodes", f"system:node:{node}")}.items():
        _issue(folder, name, ca, o=group, cn=user)
        write_kubeconfig(folder, name, server=server)
    _write_key(folder / "sa.key", key := ec.generate_private_key(ec.SECP256R1()))
    public = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    (folder / "sa.pub").write_bytes(key.public_key().public_bytes(*public))


def write_kubeconfig(folder: Path, name: str, *, server: str) -> Path:
    def inline(file: str) -> str:
        return base64.b64encode((folder / file).read_bytes()).decode()

    cluster = {"server": server, "certificate-authority-data": inline("ca.crt")}
    user = {"client-certificate-data": inline(f"{name}.crt"), "client-key-data": inline(f"{name}.key")}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": CONTEXT, "cluster": cluster}],
        "users": [{"name": CONTEXT, "user": user}],
        "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": CONTEXT}}],
        "current-context": CONTEXT,
    }
    file = folder / f"{name}.kubeconfig"
    file.write_text(yaml.safe_dump(config))
    return file


def _authority(folder: Path, cn: str) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    one = Authority(_name("", cn), key)
    builder = _builder(one.name, one, key).add_extension(
        x509.BasicConstraints(ca=True, path_length=None), critical=True
    )
    _write(folder, cn, builder.add_extension(_usage(signs=True), critical=True), signer=key, key=key)
    return one


def _issue(folder: Path, name: str, by: Authority, *, cn: str, o: str = "", serves: Sequence[str] = ()) -> None:
    """For a client, or for a server under the names and addresses that it serves."""
    key = ec.generate_private_key(ec.SECP256R1())
    purpose = ExtendedKeyUsageOID.SERVER_AUTH if serves else ExtendedKeyUsageOID.CLIENT_AUTH
    builder = _builder(_name(o, cn), by, key).add_extension(_usage(signs=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    if serves:
        builder = builder.add_extension(x509.SubjectAlternativeName([_served(one) for one in serves]), critical=False)
    _write(folder, name, builder, signer=by.key, key=key)


def _served(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _name(o: str, cn: str) -> x509.Name:
    parts = [(NameOID.ORGANIZATION_NAME, o)] if o else []
    return x509.Name([x509.NameAttribute(kind, value) for kind, value in (*parts, (NameOID.COMMON_NAME, cn))])


def _builder(name: x509.Name, by: Authority, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return x509.CertificateBuilder(
        issuer_name=by.name,
        subject_name=name,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now - datetime.timedelta(hours=1),
        not_valid_after=now + datetime.timedelta(days=30),
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    never = dict.fromkeys(
        ("content_commitment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only"), False
    )
    return x509.KeyUsage(
        digital_signature=True, key_encipherment=not signs, key_cert_sign=signs, crl_sign=signs, **never
    )


def _write(
    folder: Path,
    name: str,
    builder: x509.CertificateBuilder,
    *,
    signer: ec.EllipticCurvePrivateKey,
    key: ec.EllipticCurvePrivateKey,
) -> None:
    certificate: Any = builder.sign(signer, hashes.SHA256())
    (folder / f"{name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    _write_key(folder / f"{name}.key", key)


def _write_key(file: Path, key: ec.EllipticCurvePrivateKey) -> None:
    plain = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    file.write_bytes(key.private_bytes(*plain))
