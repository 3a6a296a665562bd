"""A bill of materials for an image, as SPDX 2.3: the base's packages, by its package manager's own list, and ours. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from aiculturekit import __version__
from aiculturekit.images import descriptors
from aiculturekit.images.descriptors import Descriptor
from aiculturekit.images.facts import Package

MEDIA_TYPE = "application/spdx+json"
_LICENSES = frozenset([
    "0BSD", "AGPL-3.0-only", "AGPL-3.0-or-later", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BlueOak-1.0.0", "CC0-1.0", "GPL-2.0-only",
    "GPL-2.0-or-later", "GPL-3.0-only", "GPL-3.0-or-later", "ISC", "LGPL-2.1-only", "LGPL-2.1-or-later", "LGPL-3.0-only",
    "LGPL-3.0-or-later", "MIT", "MPL-2.0", "PSF-2.0", "Python-2.0", "Unlicense", "Zlib",
])  # fmt: skip
"""Identifiers of SPDX that packages commonly give; any other text is kept as a comment, for it may be none."""
_NONE = "NOASSERTION"


def document(
    name: str, *, subject: Descriptor, packages: Iterable[Package], system: tuple[str, str], epoch: int
) -> dict[str, Any]:
    """The SPDX document. `system` is os-release's ID and VERSION_ID, which a Debian package's URL names."""
    listed = [_package(at, one, system) for at, one in enumerate(packages)]
    contained = [_relation("SPDXRef-image", "CONTAINS", one["SPDXID"]) for one in listed]
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": name,
        "documentNamespace": f"https://aiculturekit.dev/spdx/{name}/{subject.hex}",
        "creationInfo": {"created": descriptors.moment(epoch), "creators": [f"Tool: aic-{__version__}"]},
        "packages": [_image(name, subject), *listed],
        "relationships": [_relation("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-image"), *contained],
    }


def _image(name: str, subject: Descriptor) -> dict[str, Any]:
    return {
        **_said("SPDXRef-image", name, subject.digest, f"pkg:oci/{quote(name)}@{quote(subject.digest, safe='')}"),
        "primaryPackagePurpose": "CONTAINER",
        "checksums": [{"algorithm": "SHA256", "checksumValue": subject.hex}],
    }


def _package(at: int, one: Package, system: tuple[str, str]) -> dict[str, Any]:
    identifier = re.sub(r"[^A-Za-z0-9.-]+", "-", f"SPDXRef-{one.kind}-{one.name}-{at}")
    found = _said(identifier, one.name, one.version, url(one, system))
    if all(word in _LICENSES for word in re.split(r" (?:AND|OR) ", one.license)):
        return found | {"licenseDeclared": one.license}
    return found | ({"licenseComments": one.license[:500]} if one.license else {})


def _said(identifier: str, name: str, version: str, purl: str) -> dict[str, Any]:
    return {
        "SPDXID": identifier,
        "name": name,
        "versionInfo": version,
        "downloadLocation": _NONE,
        "filesAnalyzed": False,
        "licenseConcluded": _NONE,
        "licenseDeclared": _NONE,
        "copyrightText": _NONE,
        "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl}],
    }


def _relation(one: str, kind: str, other: str) -> Mapping[str, str]:
    return {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}


def url(one: Package, system: tuple[str, str]) -> str:
    """The package's URL, by the rules of its kind (purl-spec): scanners find its known faults by it."""
    name, version = one.name, quote(one.version, safe="")
    if one.kind == "pypi":
        return f"pkg:pypi/{re.sub(r'[-_.]+', '-', name).lower()}@{version}"
    if one.kind == "npm":
        return f"pkg:npm/{quote(name, safe='/')}@{version}"
    place, release = system
    more = [f"arch={one.architecture}"] if one.architecture else []
    more += [f"distro={place}-{release}"] if release else []
    return f"pkg:{one.kind}/{place or 'debian'}/{quote(name, safe='')}@{version}" + (
        f"?{'&'.join(more)}" if more else ""
    )
