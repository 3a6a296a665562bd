"""Values that whoever deploys has: one Secret with all of an application's. Pure.

Each value that was ever in force has a number, which is part of its key there and of the documents that use it. So pods are replaced when a
value changes, an undo and a rollback find the value of their time, and nothing outside the cluster's Secrets tells two values apart. Files
for other tools have no numbers: whoever applies them says what the values are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from aiculturekit.plan.documents import Document
from aiculturekit.spec import secrets
from aiculturekit.spec.secrets import Reference
from aiculturekit.targets.kubernetes.objects import APPLICATION, Fill, Owned, made
from aiculturekit.targets.kubernetes.places import Cluster

NUMBERS = "secrets"
"""The key of a document's body that has reference -> number."""
KEPT = 10
"""Values of one reference that are kept, the latest ones."""
_OTHERS = re.compile(r"[^A-Za-z0-9_-]")
_KEY = re.compile(r"(.+)\.(\d+)")


def name(app: str) -> str:
    """No resource's Secret has a dot in its name."""
    return f"{app}.env"


def key(reference: Reference, document: Document) -> str:
    """Where its value is in the Secret. A file's differs from every variable's by its dot, and from other files' by what it cannot show."""
    number = document.body.get(NUMBERS, {}).get(str(reference))
    return f"{_base(reference)}.{number}" if number else _base(reference)


def used(document: Document) -> tuple[Reference, ...]:
    """What the document's variables have in them, each once."""
    found = (one for text in document.body.get("env", {}).values() for one in secrets.of_text(text))
    return tuple(dict.fromkeys(one for one in found if one.kind != "kubernetes"))


def rendered(app: str, documents: Sequence[Document], *, cluster: Cluster) -> Iterator[Owned]:
    """Its Secret; nothing where nobody uses any."""
    texts = {key(one, document): str(one) for document in documents for one in used(document)}
    if texts:
        manifest = made("v1", "Secret", name(app), app=app, cluster=cluster, type="Opaque")
        yield Owned(APPLICATION, manifest, Fill(dict(sorted(texts.items())), is_given=True))


def numbered(
    documents: Iterable[Document], *, values: Mapping[str, str], kept: Mapping[str, str]
) -> tuple[tuple[Document, ...], dict[str, str]]:
    """The documents with the number of each value that they use, and key -> value of all of these. `values` are by reference, `kept` is
    what the Secret has: a value that is in it keeps its number."""
    numbers: dict[str, int] = {}
    found: dict[str, str] = {}
    listed = []
    for document in documents:
        own = {}
        for reference in used(document):
            text = str(reference)
            numbers.setdefault(text, _number(_base(reference), values[text], kept))
            own[text] = numbers[text]
            found[f"{_base(reference)}.{numbers[text]}"] = values[text]
        listed.append(Document(document.kind, document.name, {**document.body, NUMBERS: own}) if own else document)
    return tuple(listed), found


def remembered(kept: Mapping[str, str], needed: Mapping[str, str]) -> dict[str, str]:
    """What the Secret goes on having: what is needed, and the latest values of what it had."""
    latest: dict[str, list[int]] = {}
    for one in kept:
        if split := _KEY.fullmatch(one):
            latest.setdefault(split[1], []).append(int(split[2]))
    left = {f"{base}.{number}" for base, all_of in latest.items() for number in sorted(all_of)[-KEPT:]}
    return {one: value for one, value in kept.items() if one in left} | dict(needed)


def _base(reference: Reference) -> str:
    if reference.kind == "env":
        return reference.name
    return "file." + _OTHERS.sub(lambda odd: "_" if odd[0] in "/." else f"-{ord(odd[0]):x}-", reference.name)


def _number(base: str, value: str, kept: Mapping[str, str]) -> int:
    numbers = {int(split[2]): text for one, text in kept.items() if (split := _KEY.fullmatch(one)) and split[1] == base}
    same = [number for number, text in numbers.items() if text == value]
    return max(same) if same else max(numbers, default=0) + 1
