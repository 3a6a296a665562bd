from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from aiculturekit.errors import HostTrouble
from aiculturekit.targets.kubernetes import kubeconfigs
from aiculturekit.targets.kubernetes.logins import Login, Program

V1 = "client.authentication.k8s.io/v1"


def program(folder: Path, script: str, **asked: Any) -> Program:
    """Of a kubeconfig that names it by a path of its own folder."""
    (folder / "login").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "login").chmod(0o755)
    (folder / "ca.crt").write_text("an authority")
    found = {
        "current-context": "one",
        "clusters": [{"name": "c", "cluster": {"server": "https://there", "certificate-authority": "ca.crt"}}],
        "users": [{"name": "u", "user": {"exec": {"apiVersion": V1, "command": "./login", **asked}}}],
        "contexts": [{"name": "one", "context": {"cluster": "c", "user": "u"}}],
    }
    (folder / "config").write_text(yaml.safe_dump(found))
    made = kubeconfigs.program(kubeconfigs.merged([folder / "config"]), context="one")
    assert made is not None
    return made


def answer(**status: str) -> str:
    return f"echo '{json.dumps({'apiVersion': V1, 'kind': 'ExecCredential', 'status': status})}'"


def test_it_is_told_what_it_is_asked_for_and_its_own_variables(tmp_path: Path) -> None:
    script = f'echo "$KUBERNETES_EXEC_INFO" > {tmp_path}/told; echo "$1 $OWN" >> {tmp_path}/told; {answer(token="t-1")}'
    made = program(tmp_path, script, args=["get"], env=[{"name": "OWN", "value": "mine"}], provideClusterInfo=True)
    assert made.login() == Login(token="t-1")
    told, words = (tmp_path / "told").read_text().splitlines()
    assert words == "get mine"
    assert json.loads(told)["apiVersion"] == V1
    cluster = json.loads(told)["spec"]["cluster"]
    assert cluster["server"] == "https://there"
    assert base64.b64decode(cluster["certificate-authority-data"]) == b"an authority"


def test_a_certificate_is_a_login_as_well(tmp_path: Path) -> None:
    login = program(tmp_path, answer(clientCertificateData="a certificate", clientKeyData="a key")).login()
    config = kubeconfigs.logged_in(kubeconfigs.merged([tmp_path / "config"]), login, context="one")
    user = config["users"][0]["user"]
    assert base64.b64decode(user["client-certificate-data"]) == b"a certificate"
    assert "exec" not in user and "token" not in user


@pytest.mark.parametrize(
    ("script", "asked", "said"),
    [
        ("echo 'your session has ended' >&2; exit 3", {}, "your session has ended"),
        ("exit 3", {}, "it ended with 3"),
        ("echo nonsense", {}, "no ExecCredential"),
        ("echo '{}'", {}, "no ExecCredential"),
        ("echo '{\"status\": {}}'", {}, "neither a token nor a certificate"),
        ("", {"command": "no-such-program-anywhere"}, "No such file"),
        ("", {"interactiveMode": "Always"}, "wants a terminal"),
    ],
)
def test_what_goes_wrong_is_said_with_the_programs_own_words(
    tmp_path: Path, script: str, asked: dict[str, Any], said: str
) -> None:
    with pytest.raises(HostTrouble, match=said) as error:
        program(tmp_path, script, **asked).login()
    assert error.value.hint


def test_how_to_install_it_is_the_kubeconfigs_own_advice(tmp_path: Path) -> None:
    with pytest.raises(HostTrouble) as error:
        program(tmp_path, "", command="no-such-program-anywhere", installHint="apt install it").login()
    assert error.value.hint == "apt install it"


def test_nothing_of_a_login_is_shown() -> None:
    assert "secret" not in repr(Login(token="secret-1", certificate="secret-2", key="secret-3"))
