"""The commands that need no daemon, as a shell runs them: words, JSON, exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

GOOD = "app: hello\nservices:\n  web: {run: python app.py, public: /}\n"
BAD = "app: hello\nservices:\n  web: {runn: python app.py, needs: [databse]}\nresources:\n  database: {type: sqlite}\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def aic(home: Path, *words: str, lang: str = "en", cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "AIC_HOME": str(home), "AIC_ISOLATED": "1", "AIC_LANG": lang, "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "aiculturekit", *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=cwd,
    )
    assert "Traceback" not in done.stderr
    return done


def written(folder: Path, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "aic.yaml").write_text(text)
    return folder


def test_the_version_is_printed(home: Path) -> None:
    assert aic(home, "--version").stdout.startswith("aic 0.")


def test_help_is_plain_text(home: Path) -> None:
    said = aic(home, "env", "promote", "--help").stdout
    assert said.startswith("Usage: aic env promote [OPTIONS] FROM TO\n")
    assert "  FROM  [required]\n" in said


def test_a_good_file_checks_out(home: Path, tmp_path: Path) -> None:
    folder = written(tmp_path / "good", GOOD)
    done = aic(home, "check", str(folder))
    assert (done.returncode, done.stdout) == (0, "hello: 1 workloads, no mistakes\n")
    assert json.loads(aic(home, "check", "--json", str(folder)).stdout) == []
    assert aic(home, "check", cwd=folder).returncode == 0, "the directory is the default"


def test_every_mistake_of_a_bad_file_is_said_with_its_place(home: Path, tmp_path: Path) -> None:
    folder = written(tmp_path / "bad", BAD)
    done = aic(home, "check", str(folder))
    assert done.returncode == 1
    assert f"{folder}/aic.yaml:3:9: services.web.runn" in done.stderr and "did you mean run" in done.stderr
    assert "databse" in done.stderr and "database" in done.stderr
    listed = json.loads(aic(home, "check", "--json", str(folder)).stdout)
    assert [(problem["line"], problem["path"]) for problem in listed][:1] == [(3, "services.web.runn")]
    assert {"path", "message", "hint", "file", "line", "column"} == set(listed[0])


def test_a_file_that_is_not_there_is_said_with_what_to_do(home: Path, tmp_path: Path) -> None:
    done = aic(home, "check", str(tmp_path / "nowhere"))
    assert done.returncode == 1 and "nowhere" in done.stderr
    as_json = aic(home, "up", "--json", "-d", str(tmp_path / "nowhere"))
    assert as_json.returncode == 1
    assert json.loads(as_json.stderr)["error"]["hint"]


@pytest.mark.parametrize("words", [("frobnicate",), ("up", "--frobnicate"), ("traffic",), ("init", "--from", "x.yaml")])
def test_a_wrong_command_line_ends_with_2(home: Path, words: tuple[str, ...]) -> None:
    assert aic(home, *words).returncode == 2


def test_init_writes_what_checks_out_and_never_overwrites(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "My App"
    listed = json.loads(aic(home, "init", "--json", str(folder)).stdout)
    assert [Path(name).name for name in listed] == ["aic.yaml", "app.py"]
    assert yaml.safe_load((folder / "aic.yaml").read_text())["app"] == "my-app"
    assert aic(home, "check", str(folder)).returncode == 0
    (folder / "aic.yaml").write_text(GOOD)
    again = aic(home, "init", str(folder))
    assert again.returncode == 1 and (folder / "aic.yaml").read_text() == GOOD


def test_explain_is_the_manual_of_a_key(home: Path) -> None:
    assert "services.traffic" in aic(home, "explain", "services.traffic").stdout
    wrong = aic(home, "explain", "services.trafic")
    assert wrong.returncode == 1 and "traffic" in wrong.stderr
    assert {"path", "keys", "example"} <= set(json.loads(aic(home, "explain", "services", "--json").stdout))


def test_the_schema_is_one_and_takes_the_good_file(home: Path) -> None:
    schema = json.loads(aic(home, "schema").stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(yaml.safe_load(GOOD), schema)


@pytest.mark.parametrize("command", ["ps", "status", "releases hello", "logs hello", "traffic hello web"])
def test_without_a_daemon_the_answer_is_3_and_what_to_do(home: Path, command: str) -> None:
    done = aic(home, *command.split())
    assert done.returncode == 3, done.stderr
    assert "no daemon runs" in done.stdout + done.stderr and "aic up" in done.stdout + done.stderr


def test_status_without_a_daemon_is_json_all_the_same(home: Path) -> None:
    done = aic(home, "status", "--json")
    assert (done.returncode, json.loads(done.stdout)["daemon"]) == (3, None)


def test_doctor_says_of_everything_how_it_is(home: Path) -> None:
    done = aic(home, "doctor", "--json")
    found = json.loads(done.stdout)
    assert {"name", "state", "message", "hint"} == set(found[0])
    assert {"python", "envoy", "home", "daemon", "ingress port", "open files"} <= {one["name"] for one in found}
    assert all(one["hint"] for one in found if one["state"] != "ok")


def test_doctor_finds_a_home_that_cannot_be_written() -> None:
    found = {one["name"]: one for one in json.loads(aic(Path("/proc/nowhere"), "doctor", "--json").stdout)}
    assert found["home"]["state"] == "error" and "AIC_HOME" in found["home"]["hint"]


def test_it_speaks_chinese(home: Path, tmp_path: Path) -> None:
    folder = written(tmp_path / "bad", BAD)
    done = aic(home, "check", str(folder), lang="zh")
    assert (done.returncode == 1 and "您是不是想写" in done.stderr) or "是不是" in done.stderr
    assert "应用" in aic(home, "--help", lang="zh").stdout


def test_completion_names_the_commands(home: Path) -> None:
    environment = {"_AIC_COMPLETE": "complete_bash", "COMP_WORDS": "aic rel", "COMP_CWORD": "1"}
    done = subprocess.run(
        [Path(sys.executable).with_name("aic")],
        env={**os.environ, "AIC_HOME": str(home), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.stdout.split() == ["releases"]


def test_a_quick_command_loads_nothing_heavy(home: Path) -> None:
    script = (
        "import sys; sys.argv = ['aic', 'ps']\n"
        "from aiculturekit.cli.main import main\n"
        "code = main()\n"
        "heavy = {'sqlalchemy', 'starlette', 'pydantic', 'uvicorn', 'cryptography', 'jinja2', 'httpx', 'asyncio'}\n"
        "print(code, sorted(heavy & set(sys.modules)))"
    )
    environment = {**os.environ, "AIC_HOME": str(home)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.splitlines()[-1] == "3 []"


def test_a_bug_of_ours_is_one_line_and_a_file(home: Path) -> None:
    script = (
        "import sys; sys.argv = ['aic', 'ps']\n"
        "from aiculturekit.cli import commands, main\n"
        "def broken(): raise RuntimeError('boom')\n"
        "commands.application = broken\n"
        "sys.exit(main.main())"
    )
    environment = {**os.environ, "AIC_HOME": str(home), "AIC_LANG": "en"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False, timeout=30
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == "error: this is a bug in aic: RuntimeError: boom"
    assert "in broken\nRuntimeError: boom" in (home / "crash.log").read_text()
