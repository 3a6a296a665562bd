from __future__ import annotations

import pytest

from aiculturekit.spec import secrets
from aiculturekit.spec.secrets import Reference


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("secret:env/LEDGER_URL", Reference("env", "LEDGER_URL")),
        ("secret:file/keys/stripe.txt", Reference("file", "keys/stripe.txt")),
        ("secret:kubernetes/stripe/api-key", Reference("kubernetes", "stripe/api-key")),
        ("secret:env/1X", None),
        ("secret:kubernetes/stripe", None),
        ("secret:kubernetes/Stripe/key", None),
        ("secret:vault/x", None),
        ("postgres://u:p@h/db", None),
    ],
)
def test_a_reference_names_where_a_secret_is(text: str, found: Reference | None) -> None:
    assert secrets.parse(text) == found
    assert found is None or str(found) == text


def test_every_reference_of_a_file_is_found_with_its_place() -> None:
    said = {
        "services": {"web": {"env": {"A": "${env.TOKEN}", "B": "${env.OTHER:-x}", "C": "plain", "D": "${broken"}}},
        "resources": {"db": {"url": "secret:env/DB_URL"}},
        "list": ["secret:file/x"],
    }
    assert [(at, str(one)) for at, one in secrets.found(said)] == [
        ("services.web.env.A", "secret:env/TOKEN"),
        ("resources.db.url", "secret:env/DB_URL"),
        ("list.0", "secret:file/x"),
    ]
