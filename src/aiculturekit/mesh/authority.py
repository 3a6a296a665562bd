"""The node's own certificate authority, as a short-lived program.

`python -m aiculturekit.mesh.authority --ca FOLDER --mesh FOLDER` reads requests from stdin, one a line: `{"trust_domain", "identities":
[[app, name]], "lives": {...}, "rotate": bool}`. It issues a certificate for each identity straight into Envoy's SDS files, and prints
`{"leaves": {"app/name": Leaf}, "roots": [Root], "signer": name}`. So neither the authority's key nor any workload's ever enters the
daemon, nor does the library that handles them. When what happens, says `rotations`.

It may be killed at any point. What it is about to sign is in `state.json` before a certificate is, a root is in the bundle before it is
used, and its file goes after it left the bundle; the next call carries on from there.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import fcntl
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from aiculturekit.mesh import bundles, files, identities, lines, rotations, svids
from aiculturekit.mesh.envoy import names, secrets
from aiculturekit.mesh.identities import Identity
from aiculturekit.mesh.rotations import Leaf, Lives, Plan, Root

STATE, ROOTS, BUNDLE = "state.json", "roots.pem", "bundle.json"
_LIVES = Lives()


def issue_all(
    wanted: Iterable[Identity],
    *,
    ca: Path,
    mesh: Path,
    trust_domain: str,
    now: float,
    lives: Lives = _LIVES,
    is_asked: bool = False,
) -> dict[str, Any]:
    """Issue for each identity into the SDS files under `mesh`, the bundle first. `is_asked` makes a new root."""
    with open(files.folder(ca) / "lock", "a", opener=_privately) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        shelf = Shelf(ca, trust_domain=trust_domain, lives=lives, now=now)
        plan = shelf.planned(is_asked=is_asked)
        files.folder((mesh / names.bundle_file()).parent)
        files.put(mesh / names.bundle_file(), files.text(secrets.trust(shelf.published(plan))))
        shelf.drop(plan)
        leaves = dict(shelf.issue(wanted, mesh=mesh, signer=plan.signer)) if plan.signer else {}
        return {
            "leaves": {name: dataclasses.asdict(leaf) for name, leaf in leaves.items()},
            "roots": [dataclasses.asdict(shelf.root(root.name)) for root in plan.trusted],
            "signer": plan.signer.name if plan.signer else "",
        }


class Shelf:
    """The roots in a folder: one file each with key and certificate, and `state.json` with what no certificate says."""

    def __init__(self, folder: Path, *, trust_domain: str, lives: Lives, now: float) -> None:
        self._folder, self._trust_domain, self._lives, self._now = folder, trust_domain, lives, now
        self._state: dict[str, Any] = {}
        with contextlib.suppress(
            ValueError
        ):  # a power cut may spoil a file: one that is spoilt is one that is not there
            self._state = json.loads(files.read(folder / STATE) or b"{}")
        self._pairs, self._paths = dict[str, svids.Pair](), dict[str, Path]()
        for path in sorted(folder.glob("root-*.pem")):
            with contextlib.suppress(ValueError):
                pair = svids.read(path.read_bytes())
                if svids.uris(pair[0]) == [identities.root_uri(trust_domain)]:
                    self._pairs[_name(pair)], self._paths[_name(pair)] = pair, path

    def planned(self, *, is_asked: bool) -> Plan:
        """What holds now, after a new root was made where one is wanted."""
        roots = [self.root(name) for name in self._pairs]
        plan = rotations.planned(roots, lives=self._lives, now=self._now, is_asked=is_asked)
        if not plan.is_new_wanted:
            return plan
        roots.append(self._make(rotations.signs(plan.signer, lives=self._lives, now=self._now)))
        return rotations.planned(roots, lives=self._lives, now=self._now)

    def published(self, plan: Plan) -> str:
        """The trust bundle as PEM; also kept, with the SPIFFE document, beside the roots."""
        trusted = [self._pairs[root.name][0] for root in plan.trusted]
        listed = [root.name for root in plan.trusted]
        if self._state.get("trusted") != listed:
            # By the clock, so that it grows even where the state was lost.
            self._state |= {"trusted": listed, "sequence": max(self._state.get("sequence", 0) + 1, int(self._now))}
            self._write()
        document = bundles.document(map(svids.jwk, trusted), sequence=self._state["sequence"])
        files.put(self._folder / BUNDLE, files.text(document))
        text = "".join(map(svids.pem, trusted))
        files.put(self._folder / ROOTS, text.encode())
        return text

    def drop(self, plan: Plan) -> None:
        """Throw away the keys of roots that are never used again."""
        for root in plan.dropped:
            self._paths[root.name].unlink(missing_ok=True)
            self._state.get("roots", {}).pop(root.name, None)
        if plan.dropped:
            self._write()

    def issue(self, wanted: Iterable[Identity], *, mesh: Path, signer: Root) -> Iterator[tuple[str, Leaf]]:
        """A new key and certificate for each, written for Envoy; yields ("app/name", what was issued)."""
        listed, pair = list(wanted), self._pairs[signer.name]
        if listed:
            self._remember(rotations.used(signer, until=self._now + self._lives.leaf))
        for identity in listed:
            certificate, key = svids.issue(
                pair, identity, trust_domain=self._trust_domain, lives=self._lives, now=self._now
            )
            document = secrets.certificate(identity, chain=svids.pem(certificate), key=svids.key_pem(key))
            files.put(mesh / names.secret_file(identity), files.text(document))
            span = certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp()
            yield "/".join(identity), Leaf(self._now, *span, f"{certificate.serial_number:x}", signer.name)

    def _make(self, signs: float) -> Root:
        pair = svids.make_root(trust_domain=self._trust_domain, lives=self._lives, now=self._now)
        name = _name(pair)
        root = Root(name, self._now, signs, pair[0].not_valid_after_utc.timestamp())
        self._remember(root)
        self._pairs[name], self._paths[name] = pair, self._folder / f"root-{int(self._now)}-{name}.pem"
        files.replace(self._paths[name], (svids.key_pem(pair[1]) + svids.pem(pair[0])).encode())
        return root

    def root(self, name: str) -> Root:
        """A root whose record was lost may just have signed: as if it had."""
        record = self._state.get("roots", {}).get(name)
        if record:
            return Root(**record)
        certificate = self._pairs[name][0]
        made = certificate.not_valid_before_utc.timestamp() + self._lives.backdated
        root = Root(name, made, made + self._lives.ahead, certificate.not_valid_after_utc.timestamp())
        root = rotations.used(root, until=self._now + self._lives.leaf)
        self._remember(root)
        return root

    def _remember(self, root: Root) -> None:
        self._state["roots"] = {**self._state.get("roots", {}), root.name: dataclasses.asdict(root)}
        self._write()

    def _write(self) -> None:
        files.put(self._folder / STATE, files.text(self._state))


def _name(pair: svids.Pair) -> str:
    return f"{pair[0].serial_number:x}"


def _privately(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _performed(request: Mapping[str, Any], *, ca: Path, mesh: Path) -> dict[str, Any]:
    return issue_all(
        [(app, name) for app, name in request["identities"]],
        ca=ca,
        mesh=mesh,
        trust_domain=request["trust_domain"],
        now=time.time(),
        lives=Lives(**request["lives"]),
        is_asked=request["rotate"],
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m aiculturekit.mesh.authority")
    parser.add_argument("--ca", type=Path, required=True)
    parser.add_argument("--mesh", type=Path, required=True)
    given = parser.parse_args()
    lines.served(lambda request: _performed(request, ca=given.ca, mesh=given.mesh))


if __name__ == "__main__":
    main()
