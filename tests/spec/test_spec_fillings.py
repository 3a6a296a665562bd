"""What a file refers to outside of itself: filled in on this machine, kept apart for a cluster, named alone in files."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiculturekit.errors import SpecError
from aiculturekit.spec import load
from aiculturekit.spec.fillings import Keeping
from aiculturekit.spec.models import Application

LIVE = "a-value-that-nobody-may-see"
TEXT = """\
app: a
target: {target}
services:
  web: {{run: x, env: {{{env}}}}}
"""


def loaded(
    folder: Path, env: str, *, target: str = "kubernetes:///a", keeping: Keeping | None = None, **variables: str
) -> Application:
    text = TEXT.format(env=env, target=target)
    return load.parse(text, file=folder / "aic.yaml", variables=variables, keeping=keeping)


def only(application: Application) -> dict[str, str]:
    return dict(application.services["web"].versions["v1"].env)


@pytest.mark.parametrize(
    ("env", "shown"),
    [
        ("STRIPE_KEY: '${env.ANY}'", "secret:env/ANY"),
        ("ANY: '${env.STRIPE_KEY}'", "secret:env/STRIPE_KEY"),
        ("PLAIN: 'secret:env/ANY'", "secret:env/ANY"),
        ("DATABASE: 'postgres://me:${env.ANY}@db/x'", "postgres://me:${env.ANY}@db/x"),
        ("API_TOKEN: 'Bearer ${env.ANY}'", "Bearer ${env.ANY}"),
        ("API_TOKEN: '${env.ANY:-none}'", "secret:env/ANY"),
        ("API_TOKEN: '${env.UNSET:-none}'", "none"),
        ("LEVEL: '${env.PLAIN} ${env.UNSET:-x}'", "debug x"),
        ("PLACE: '${env.PLACE}'", "secret:env/PLACE"),
        ("LITERAL: '$${env.ANY}'", "$${env.ANY}"),
    ],
)
@pytest.mark.parametrize("keeping", ["kept", "named"])
def test_what_is_secret_stays_a_reference_where_others_may_read(
    env: str, shown: str, keeping: Keeping, tmp_path: Path
) -> None:
    given = {"ANY": LIVE, "STRIPE_KEY": LIVE, "PLAIN": "debug", "PLACE": f"redis://u:{LIVE}@h"}
    application = loaded(tmp_path, env, keeping=keeping, **given)
    (text,) = only(application).values()
    assert text == shown
    assert LIVE not in repr(application)
    is_kept = keeping == "kept" and ("secret:" in text or "${env." in text.replace("$${", ""))
    assert [LIVE in value for value in application.secrets.values()] == ([True] if is_kept else [])


def test_on_this_machine_everything_is_filled_in(tmp_path: Path) -> None:
    application = loaded(tmp_path, "STRIPE_KEY: '${env.ANY}'", target="'local:'", ANY=LIVE)
    assert only(application) == {"STRIPE_KEY": LIVE}
    assert application.secrets == {}


def test_a_file_s_value_is_its_text_without_the_end_of_its_last_line(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("one\ntwo\n")
    assert loaded(tmp_path, "A: 'secret:file/key.pem'").secrets == {"secret:file/key.pem": "one\ntwo"}


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ("A: 'secret:env/UNSET'", "UNSET is not set in your environment"),
        ("A_KEY: '${env.UNSET}'", "UNSET is not set in your environment"),
        ("A: '${env.UNSET}'", "UNSET is not set in your environment"),
        ("A: 'secret:file/none'", "there is no file none that can be read, or it is empty"),
        ("A: 'secret:vault/x'", "this is no secret that can be read"),
    ],
)
def test_a_value_that_is_not_there_is_said_at_its_place(env: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError) as raised:
        loaded(tmp_path, env)
    assert (4, message) in {(problem.line, problem.message) for problem in raised.value.problems}


def test_a_file_of_references_alone_needs_no_values(tmp_path: Path) -> None:
    assert only(loaded(tmp_path, "A: 'secret:env/UNSET', B: 'secret:file/none'", keeping="named")) == {
        "A": "secret:env/UNSET",
        "B": "secret:file/none",
    }
