"""Logins as Docker and Podman write them down."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from aiculturekit.errors import HostTrouble
from aiculturekit.images import credentials
from aiculturekit.images.credentials import Login


def environ(tmp_path: Path, config: object) -> dict[str, str]:
    (tmp_path / "config.json").write_text(json.dumps(config))
    return {"DOCKER_CONFIG": str(tmp_path)}


def auth(text: str) -> dict[str, str]:
    return {"auth": base64.b64encode(text.encode()).decode()}


@pytest.mark.parametrize(
    ("registry", "key"),
    [
        ("registry.example", "registry.example"),
        ("registry.example", "https://registry.example"),
        ("registry.example:5000", "registry.example:5000"),
        ("registry.example", "https://registry.example/v1/"),
        ("docker.io", "https://index.docker.io/v1/"),
        ("docker.io", "docker.io"),
    ],
)
def test_a_login_is_found_under_every_form_of_the_name(tmp_path: Path, registry: str, key: str) -> None:
    given = environ(tmp_path, {"auths": {key: auth("anna:pass:word")}})
    assert credentials.find(registry, environ=given) == Login("anna", "pass:word")
    assert credentials.find("other.example", environ=given) is None


def test_an_identity_token_counts_before_a_password(tmp_path: Path) -> None:
    given = environ(tmp_path, {"auths": {"r.example": {"identitytoken": "t0ken", **auth("a:b")}}})
    assert credentials.find("r.example", environ=given) == Login(token="t0ken")


def test_no_login_is_no_mistake(tmp_path: Path) -> None:
    assert credentials.find("r.example", environ={}) is None
    assert credentials.find("r.example", environ={"HOME": str(tmp_path)}) is None
    for config in ({}, {"auths": {"r.example": {}}}, {"auths": {"r.example": {"auth": "***"}}}, []):
        assert credentials.find("r.example", environ=environ(tmp_path, config)) is None


def test_podman_s_file_is_read_too(tmp_path: Path) -> None:
    (tmp_path / "containers").mkdir()
    (tmp_path / "containers" / "auth.json").write_text(json.dumps({"auths": {"r.example": auth("a:b")}}))
    assert credentials.find("r.example", environ={"XDG_RUNTIME_DIR": str(tmp_path)}) == Login("a", "b")
    assert credentials.find(
        "r.example", environ={"REGISTRY_AUTH_FILE": str(tmp_path / "containers" / "auth.json")}
    ) == Login("a", "b")


def test_a_broken_file_and_a_missing_helper_say_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(HostTrouble, match=r"config\.json") as caught:
        credentials.find("r.example", environ={"DOCKER_CONFIG": str(tmp_path)})
    assert "docker login" in caught.value.hint
    with pytest.raises(HostTrouble, match="docker-credential-nowhere"):
        credentials.find("r.example", environ=environ(tmp_path, {"credsStore": "nowhere"}))


def test_a_password_is_never_part_of_what_is_shown() -> None:
    assert "secret" not in repr(Login("anna", "secret", "secret"))
