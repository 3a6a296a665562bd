"""The authority: SPIFFE's rules, private files, and roots that follow one another."""

from __future__ import annotations

import base64
import datetime
import json
import stat
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store

from aiculturekit.errors import HostTrouble
from aiculturekit.mesh import authority, bundles, files, identities
from aiculturekit.mesh.certificates import Certificates
from aiculturekit.mesh.rotations import DAY, Lives

NOW = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC).timestamp()
LIVES = Lives()


def issue(
    home: Path, *wanted: tuple[str, str], now: float = NOW, trust_domain: str = "aic.local", is_asked: bool = False
) -> dict[str, Any]:
    return authority.issue_all(
        wanted, ca=home / "ca", mesh=home / "mesh", trust_domain=trust_domain, now=now, is_asked=is_asked
    )


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
    issued = issue(tmp_path, ("shop", "pay"))
    certificate = leaf(tmp_path, "shop~pay.json")
    assert san(certificate) == ["spiffe://aic.local/ns/shop/sa/pay"]
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical and usage.value.digital_signature
    assert not (usage.value.key_cert_sign or usage.value.crl_sign)
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert certificate.not_valid_after_utc.timestamp() == NOW + 3600
    [found] = issued["leaves"].values()
    assert found == {
        "issued": NOW,
        "begins": NOW - LIVES.backdated,
        "ends": NOW + 3600,
        "serial": f"{certificate.serial_number:x}",
        "root": issued["signer"],
    }


def test_the_root_is_what_spiffe_wants_and_verifies_the_leaf(tmp_path: Path) -> None:
    issue(tmp_path, ("shop", "pay"))
    [root] = roots(tmp_path)
    assert san(root) == ["spiffe://aic.local"]
    usage = root.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.key_cert_sign and not usage.digital_signature
    verifier = (
        PolicyBuilder()
        .store(Store([root]))
        .time(datetime.datetime.fromtimestamp(NOW, datetime.UTC))
        .build_client_verifier()
    )
    assert verifier.verify(leaf(tmp_path, "shop~pay.json"), []).subjects


def test_all_that_is_written_is_private(tmp_path: Path) -> None:
    issue(tmp_path, ("shop", "pay"))
    written = [path for path in tmp_path.rglob("*") if path != tmp_path / "mesh"]
    assert len(written) > 5
    assert [path for path in written if stat.S_IMODE(path.stat().st_mode) & 0o077] == []


def test_every_call_makes_new_keys_and_one_root(tmp_path: Path) -> None:
    issue(tmp_path, ("shop", "pay"))
    first = leaf(tmp_path, "shop~pay.json")
    issue(tmp_path, ("shop", "pay"), now=NOW + 1800)
    assert leaf(tmp_path, "shop~pay.json").public_key() != first.public_key()
    assert len(roots(tmp_path)) == 1


def test_a_new_root_is_known_before_it_signs(tmp_path: Path) -> None:
    issue(tmp_path, ("shop", "pay"))
    [old] = roots(tmp_path)
    late = NOW + LIVES.root - LIVES.root_renewed + DAY
    issue(tmp_path, ("shop", "pay"), now=late)
    assert len(roots(tmp_path)) == 2
    assert leaf(tmp_path, "shop~pay.json").issuer == old.subject
    issue(tmp_path, ("shop", "pay"), now=late + DAY - 1)
    issue(tmp_path, ("shop", "gw"), now=late + DAY)
    new = next(root for root in roots(tmp_path) if root != old)
    assert leaf(tmp_path, "shop~gw.json").issuer == new.subject
    assert len(roots(tmp_path)) == 2, "the last certificate of the old one is still good"
    issue(tmp_path, now=late + DAY + LIVES.leaf)
    assert roots(tmp_path) == [new], "the old one has left the bundle"
    assert len(list((tmp_path / "ca").glob("root-*.pem"))) == 1, "and its key is gone"


def test_a_root_that_is_asked_for_comes_once(tmp_path: Path) -> None:
    issue(tmp_path, ("shop", "pay"))
    for second in range(3):
        issue(tmp_path, now=NOW + 60 + second, is_asked=True)
    assert len(roots(tmp_path)) == 2


@pytest.mark.parametrize("spoilt", ["state.json", "root-"])
def test_a_file_that_a_power_cut_spoilt_is_one_that_is_not_there(tmp_path: Path, spoilt: str) -> None:
    issue(tmp_path, ("shop", "pay"))
    before = json.loads((tmp_path / "ca" / "bundle.json").read_text())
    [path] = (tmp_path / "ca").glob(f"{spoilt}*")
    path.write_bytes(b"\0" * 10)
    issue(tmp_path, ("shop", "pay"), now=NOW + 10)
    [root] = roots(tmp_path)
    assert leaf(tmp_path, "shop~pay.json").issuer == root.subject
    after = json.loads((tmp_path / "ca" / "bundle.json").read_text())
    assert bundles.sequence(after) > bundles.sequence(before)


def test_the_bundle_is_what_spiffe_publishes(tmp_path: Path) -> None:
    issue(tmp_path, ("shop", "pay"))
    first = json.loads((tmp_path / "ca" / "bundle.json").read_text())
    assert bundles.pem(first) == (tmp_path / "ca" / "roots.pem").read_text()
    [key] = first["keys"]
    [root] = roots(tmp_path)
    numbers = root.public_key().public_numbers()
    point = [int.from_bytes(base64.urlsafe_b64decode(key[name] + "=")) for name in ("x", "y")]
    assert (key["use"], key["kty"], key["crv"], point) == ("x509-svid", "EC", "P-256", [numbers.x, numbers.y])
    issue(tmp_path, ("shop", "pay"), now=NOW + 60)
    assert json.loads((tmp_path / "ca" / "bundle.json").read_text()) == first, "nothing changed, so its number neither"
    issue(tmp_path, now=NOW + 120, is_asked=True)
    second = json.loads((tmp_path / "ca" / "bundle.json").read_text())
    assert len(second["keys"]) == 2 and bundles.sequence(second) > bundles.sequence(first)
    assert "PRIVATE" not in json.dumps(second)


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
    assert await certificates.renew(now=now + 0.44 * 3600) == []
    again = Certificates(ca=tmp_path / "ca", mesh=tmp_path / "mesh")
    again.open()
    assert again.identities == sorted(wanted), "the next daemon knows them"
    assert await again.ensure(wanted, trust_domain="aic.local", now=now) == []
    assert again._is_due(("shop", "pay"), now + 0.56 * 3600) and again._is_due(("shop", "pay"), now - 2 * 3600)
    assert again.soonest() == pytest.approx(now + 3600, abs=30)
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


class Killed(BaseException):
    """As if the process had ended there."""


def known(home: Path) -> set[bytes]:
    """The roots in the bundle that Envoy reads."""
    document = json.loads((home / "mesh" / "sds" / "bundle.json").read_text())
    text = document["resources"][0]["validation_context"]["trusted_ca"]["inline_string"]
    found = x509.load_pem_x509_certificates(text.encode())
    return {one.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest for one in found}


def signers(home: Path) -> set[bytes | None]:
    """Who signed the certificates that Envoy shows."""
    found = [leaf(home, path.name) for path in (home / "mesh" / "sds").glob("shop~*.json")]
    return {one.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier for one in found}


@pytest.mark.parametrize("phase", ["begin", "made", "kept", "signs", "leaves"])
def test_killed_at_any_write_it_leaves_nothing_unknown_and_the_next_call_carries_on(
    tmp_path: Path, phase: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every write of every phase of a rotation: what Envoy reads fits together, and the next call ends where an undisturbed one
    would."""
    wanted = [("shop", "pay"), ("shop", "gw")]
    signs = NOW + 60 + DAY
    moments = {"begin": NOW, "made": NOW + 60, "kept": signs - 1000, "signs": signs, "leaves": signs + LIVES.leaf}
    writes, limit = 0, 0
    replace = files.replace

    def counted(path: Path, content: bytes) -> None:
        nonlocal writes
        writes += 1
        if writes == limit:
            raise Killed
        replace(path, content)

    monkeypatch.setattr(files, "replace", counted)
    for limit in range(1, 40):
        home = tmp_path / str(limit)
        for name, now in moments.items():
            writes = 0 if name == phase else 1000
            try:
                issue(home, *wanted, now=now, is_asked=name == "made")
            except Killed:
                if (home / "mesh" / "sds" / "bundle.json").exists():
                    assert signers(home) <= known(home)
                writes = 1000
                issue(home, *wanted, now=now + 1, is_asked=name == "made")
            else:
                if name == phase and writes < limit:
                    return
            assert signers(home) <= known(home)
        assert len(roots(home)) == 1 and len(list((home / "ca").glob("root-*.pem"))) == 1
        assert len(signers(home)) == 1
    raise AssertionError("it never came through")
