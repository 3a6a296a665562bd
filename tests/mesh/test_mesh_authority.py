"""The authority: SPIFFE's rules, private files, and roots that follow one another."""

from __future__ import annotations

import datetime
import json
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store

from aiculturekit.errors import HostTrouble
from aiculturekit.mesh import authority, identities
from aiculturekit.mesh.certificates import Certificates

NOW = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)


def issue(
    home: Path, *wanted: tuple[str, str], now: datetime.datetime = NOW, trust_domain: str = "aic.local"
) -> dict[str, list[float]]:
    return authority.issue_all(wanted, ca=home / "ca", mesh=home / "mesh", trust_domain=trust_domain, now=now)


def leaf(home: Path, name: str) -> x509.Certificate:
    pair = json.loads((home / "mesh" / "sds" / name).read_text())["resources"][0]["tls_certificate"]
    return x509.load_pem_x509_certificate(pair["certificate_chain"]["inline_string"].encode())


def roots(home: Path) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates((home / "ca" / "roots.pem").read_bytes())


def san(certificate: x509.Certificate) -> list[str]:
    return [
        str(name.value) for name in certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    ]


def test_a_leaf_is_what_spiffe_wants(tmp_path: Path) -> None:
    spans = issue(tmp_path, ("shop", "pay"))
    certificate = leaf(tmp_path, "shop~pay.json")
    assert san(certificate) == ["spiffe://aic.local/ns/shop/sa/pay"]
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical and usage.value.digital_signature
    assert not (usage.value.key_cert_sign or usage.value.crl_sign)
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert certificate.not_valid_after_utc == NOW + datetime.timedelta(hours=24)
    assert spans == {"shop/pay": [(NOW - authority.BACKDATED).timestamp(), certificate.not_valid_after_utc.timestamp()]}


def test_the_root_is_what_spiffe_wants_and_verifies_the_leaf(tmp_path: Path) -> None:
    issue(tmp_path, ("shop", "pay"))
    [root] = roots(tmp_path)
    assert san(root) == ["spiffe://aic.local"]
    usage = root.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.key_cert_sign and not usage.digital_signature
    verifier = PolicyBuilder().store(Store([root])).time(NOW).build_client_verifier()
    assert verifier.verify(leaf(tmp_path, "shop~pay.json"), []).subjects


def test_all_that_is_written_is_private(tmp_path: Path) -> None:
    issue(tmp_path, ("shop", "pay"))
    written = [path for path in tmp_path.rglob("*") if path != tmp_path / "mesh"]
    assert len(written) > 5
    assert [path for path in written if stat.S_IMODE(path.stat().st_mode) & 0o077] == []


def test_every_call_makes_new_keys_and_one_root(tmp_path: Path) -> None:
    issue(tmp_path, ("shop", "pay"))
    first = leaf(tmp_path, "shop~pay.json")
    issue(tmp_path, ("shop", "pay"), now=NOW + DAY)
    assert leaf(tmp_path, "shop~pay.json").public_key() != first.public_key()
    assert len(roots(tmp_path)) == 1


def test_a_new_root_is_known_before_it_signs(tmp_path: Path) -> None:
    issue(tmp_path, ("shop", "pay"))
    [old] = roots(tmp_path)
    late = NOW + authority.ROOT_LIFE - authority.ROOT_RENEWED + DAY
    issue(tmp_path, ("shop", "pay"), now=late)
    assert len(roots(tmp_path)) == 2
    assert leaf(tmp_path, "shop~pay.json").issuer == old.subject
    issue(tmp_path, ("shop", "pay"), now=late + DAY)
    new = next(root for root in roots(tmp_path) if root != old)
    assert leaf(tmp_path, "shop~pay.json").issuer == new.subject
    issue(tmp_path, ("shop", "pay"), now=NOW + authority.ROOT_LIFE + DAY)
    assert roots(tmp_path) == [new], "the old one has left the bundle"


def test_another_trust_domain_has_another_root(tmp_path: Path) -> None:
    issue(tmp_path, ("shop", "pay"))
    issue(tmp_path, ("shop", "pay"), trust_domain="other.local")
    assert [san(root) for root in roots(tmp_path)] == [["spiffe://other.local"]]
    assert san(leaf(tmp_path, "shop~pay.json")) == ["spiffe://other.local/ns/shop/sa/pay"]


async def test_certificates_are_issued_once_and_renewed_at_half_life(tmp_path: Path) -> None:
    now = datetime.datetime.now(datetime.UTC).timestamp()
    certificates = Certificates(ca=tmp_path / "ca", mesh=tmp_path / "mesh")
    wanted = [("shop", "pay"), ("shop", "gw")]
    assert await certificates.ensure(wanted, trust_domain="aic.local", now=now) == wanted
    assert await certificates.ensure(wanted, trust_domain="aic.local", now=now) == []
    assert await certificates.renew(now=now + 11 * 3600) == []
    again = Certificates(ca=tmp_path / "ca", mesh=tmp_path / "mesh")
    again.open()
    assert again.identities == sorted(wanted), "the next daemon knows them"
    assert await again.ensure(wanted, trust_domain="aic.local", now=now) == []
    assert again._is_due(("shop", "pay"), now + 12 * 3600) and again._is_due(("shop", "pay"), now - 2 * 3600)
    (tmp_path / "mesh" / "sds" / "shop~gw.json").unlink()
    assert await again.ensure(wanted, trust_domain="aic.local", now=now) == [("shop", "gw")]
    again.forget(but=[("shop", "gw")])
    assert again.identities == [("shop", "gw")]
    assert not (tmp_path / "mesh" / "sds" / "shop~pay.json").exists()


async def test_an_authority_that_cannot_write_says_so(tmp_path: Path) -> None:
    (tmp_path / "ca").write_text("no folder")
    certificates = Certificates(ca=tmp_path / "ca", mesh=tmp_path / "mesh")
    with pytest.raises(HostTrouble, match="certificate authority"):
        await certificates.ensure([("shop", "pay")], trust_domain="aic.local", now=0.0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("spiffe://aic.local/ns/shop/sa/pay", ("shop", "pay")),
        ("spiffe://aic.local", None),
        ("https://aic.local/ns/shop/sa/pay", None),
        ("spiffe://aic.local/ns/shop/sa/pay/x", None),
        ("", None),
    ],
)
def test_identities_are_read_back(text: str, expected: tuple[str, str] | None) -> None:
    assert identities.parse(text) == expected
    if expected:
        assert identities.uri(expected, trust_domain="aic.local") == text
