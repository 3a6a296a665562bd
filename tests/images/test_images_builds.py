"""Whole images from a base without a registry: the same digest wherever they are made, layouts and archives that say what they hold."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path

import pytest
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from aiculturekit.errors import BuildFailed, Mistake, UsageError
from aiculturekit.images import bills, builds, layouts, provenances
from aiculturekit.images.blobs import Store
from aiculturekit.images.builds import Built, Recipe
from aiculturekit.images.facts import Package
from tests.images import bases


@pytest.fixture
def base(tmp_path: Path) -> str:
    return bases.layout(tmp_path / "base", is_bare=True)


@pytest.fixture
def code(tmp_path: Path) -> Path:
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "server").write_text("#!/bin/true\n")
    (folder / "server").chmod(0o755)
    return folder


def recipe(code: Path, base: str, **more: object) -> Recipe:
    given = {"run": "./server", "base": base, "platform": "linux/amd64", "labels": {"team": "shop"}, **more}
    return Recipe(name="shop-web", directory=code, **given)  # type: ignore[arg-type]


def config(built: Built, store: Path) -> dict[str, object]:
    found: dict[str, object] = Store(store).document(built.config.digest)
    return found


async def test_the_same_input_is_the_same_digest_wherever_it_is_made(tmp_path: Path, code: Path, base: str) -> None:
    other = tmp_path / "elsewhere" / "code"
    shutil.copytree(code, other)
    elsewhere = bases.layout(tmp_path / "other base", is_bare=True)
    one = await builds.build(recipe(code, base), store=tmp_path / "one")
    two = await builds.build(recipe(other, elsewhere), store=tmp_path / "two")
    assert one.digest == two.digest and one.attached == two.attached
    again = await builds.build(recipe(code, base), store=tmp_path / "one")
    assert again == one


async def test_a_change_changes_only_the_layer_that_it_is_in(tmp_path: Path, code: Path, base: str) -> None:
    store = tmp_path / "store"
    before = await builds.build(recipe(code, base), store=store)
    (code / "more.txt").write_text("x")
    after = await builds.build(recipe(code, base), store=store)
    assert (
        after.digest != before.digest
        and after.layers[:-1] == before.layers[:-1]
        and after.layers[-1] != before.layers[-1]
    )
    (code / "more.txt").unlink()
    assert (await builds.build(recipe(code, base), store=store)).digest == before.digest


async def test_the_configuration_is_what_a_runtime_needs(tmp_path: Path, code: Path, base: str) -> None:
    built = await builds.build(recipe(code, base), store=tmp_path / "store")
    found = config(built, tmp_path / "store")
    about = found["config"]
    assert isinstance(about, dict)
    assert (about["User"], about["WorkingDir"], about["Cmd"]) == ("65532:65532", "/app", ["./server"])
    assert about["ExposedPorts"] == {"8080/tcp": {}} and "PORT=8080" in about["Env"] and "HOST=0.0.0.0" in about["Env"]
    assert about["Labels"]["team"] == "shop" and about["Labels"]["base"] == "test"
    assert found["created"] == "1970-01-01T00:00:00Z"
    assert len(found["rootfs"]["diff_ids"]) == len(found["history"]) == len(built.layers)  # type: ignore[index,arg-type]


async def test_the_moment_of_creation_is_what_the_environment_says(
    tmp_path: Path, code: Path, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = await builds.build(recipe(code, base), store=tmp_path / "store")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    built = await builds.build(recipe(code, base), store=tmp_path / "store")
    assert config(built, tmp_path / "store")["created"] == "2023-11-14T22:13:20Z" and built.layers == plain.layers
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(UsageError, match="yesterday"):
        await builds.build(recipe(code, base), store=tmp_path / "store")


async def test_what_is_missing_in_the_store_is_made_again(tmp_path: Path, code: Path, base: str) -> None:
    store = tmp_path / "store"
    built = await builds.build(recipe(code, base), store=store)
    for layer in built.layers:
        Store(store).path(layer.descriptor.digest).unlink()
    again = await builds.build(recipe(code, base), store=store)
    assert again == built and all(Store(store).has(layer.descriptor) for layer in built.layers)


async def test_mistakes_say_what_to_do(tmp_path: Path, code: Path, base: str) -> None:
    store = tmp_path / "store"
    with pytest.raises(BuildFailed, match="shop-web") as caught:
        await builds.build(recipe(code, ""), store=store)
    assert "base:" in caught.value.hint
    with pytest.raises(BuildFailed, match="no shell"):
        await builds.build(recipe(code, base, run="a && b"), store=store)
    with pytest.raises(Mistake, match="linux/arm64"):
        await builds.build(recipe(code, base, platform="linux/arm64"), store=store)
    with pytest.raises(UsageError, match="plan9"):
        await builds.build(recipe(code, base, platform="plan9"), store=store)
    (code / "requirements.txt").write_text("uvicorn\n")
    with pytest.raises(BuildFailed, match="holds no Python"):
        await builds.build(recipe(code, base), store=store)


async def test_what_hangs_on_an_image_names_it_and_every_input(tmp_path: Path, code: Path, base: str) -> None:
    store = Store(tmp_path / "store")
    built = await builds.build(recipe(code, base), store=store.folder)
    attached = {kind: store.document(manifest.digest) for kind, manifest in built.attached}
    assert set(attached) == {bills.MEDIA_TYPE, provenances.MEDIA_TYPE}
    for kind, manifest in attached.items():
        assert manifest["subject"] == built.manifest.as_dict() and manifest["artifactType"] == kind
    statement = store.document(attached[provenances.MEDIA_TYPE]["layers"][0]["digest"])
    assert statement["subject"] == [{"name": "shop-web", "digest": {"sha256": built.manifest.hex}}]
    inputs = {one["name"]: one["digest"] for one in statement["predicate"]["buildDefinition"]["resolvedDependencies"]}
    assert (
        inputs["base"]["sha256"] == bases.digest_of(base).removeprefix("sha256:")
        and len(inputs["code"]["sha256"]) == 64
    )
    assert str(tmp_path) not in json.dumps(statement), "no path of this machine"


async def test_the_bill_of_materials_is_one_by_its_makers_own_rules(tmp_path: Path, code: Path, base: str) -> None:
    store = Store(tmp_path / "store")
    built = await builds.build(recipe(code, base), store=store.folder)
    packages = [
        Package("deb", "libc6", "2.36-9+deb12u14", "amd64"),
        Package("pypi", "Zope.Interface", "7.0", license="MIT OR Apache-2.0"),
        Package("npm", "@scope/name", "1.0.0", license="SEE LICENSE IN x"),
        Package("apk", "musl", "1.2.5-r9", "x86_64", "MIT"),
    ]
    found = bills.document("shop-web", subject=built.manifest, packages=packages, system=("debian", "12"), epoch=0)
    (tmp_path / "bill.spdx.json").write_text(json.dumps(found))
    read = parse_file(str(tmp_path / "bill.spdx.json"))
    assert [message.validation_message for message in validate_full_spdx_document(read)] == []
    assert [package.external_references[0].locator for package in read.packages[1:]] == [
        "pkg:deb/debian/libc6@2.36-9%2Bdeb12u14?arch=amd64&distro=debian-12",
        "pkg:pypi/zope-interface@7.0",
        "pkg:npm/%40scope/name@1.0.0",
        "pkg:apk/debian/musl@1.2.5-r9?arch=x86_64&distro=debian-12",
    ]


async def test_a_layout_and_an_archive_hold_the_image_whole(tmp_path: Path, code: Path, base: str) -> None:
    store = Store(tmp_path / "store")
    built = await builds.build(recipe(code, base), store=store.folder)
    layouts.write(tmp_path / "out", {"shop-web": built.manifest}, store=store)
    layouts.write(tmp_path / "out", {"shop-web": built.manifest}, store=store)
    assert layouts.find(tmp_path / "out", tag="shop-web") == layouts.find(tmp_path / "out", tag="") == built.manifest
    assert (tmp_path / "out" / "oci-layout").read_text() == '{"imageLayoutVersion":"1.0.0"}'
    outside = Store(tmp_path / "out")
    assert all(outside.has(blob) for blob in layouts.reachable(built.manifest, store=store))
    layouts.archive(tmp_path / "out.tar", {"shop-web:latest": built.manifest}, store=store)
    with tarfile.open(tmp_path / "out.tar") as tar:
        (image,) = json.load(tar.extractfile("manifest.json"))  # type: ignore[arg-type]
        assert image["RepoTags"] == ["shop-web:latest"] and set(image["Layers"]) <= set(tar.getnames())
        assert len(image["Layers"]) == len(built.layers)
