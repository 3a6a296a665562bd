from __future__ import annotations

import pytest

from aiculturekit.control.masks import mask, within


@pytest.mark.parametrize(
    ("name", "value", "shown", "masked"),
    [
        ("PORT", "8080", "8080", False),
        ("DB_PASSWORD", "hunter2", "••••••", True),
        ("STRIPE_API_KEY", "sk_live", "••••••", True),
        ("DATABASE_URL", "postgresql://shop:hunter2@db/x", "postgresql://shop:••••••@db/x", True),
        ("ORDERS_URL", "http://127.0.0.1:2000", "http://127.0.0.1:2000", False),
        ("EMPTY_TOKEN", "", "", False),
        ("API_KEY", "secret:env/API_KEY", "secret:env/API_KEY", False),
    ],
)
def test_what_sounds_secret_is_masked(name: str, value: str, shown: str, masked: bool) -> None:
    assert mask(name, value) == (shown, masked)


def test_everything_that_a_file_says_is_masked_at_every_depth() -> None:
    said = {"env": {"TOKEN": "abc", "LEVEL": "high"}, "list": [{"password": "abc"}], "count": 3}
    assert within(said) == {"env": {"TOKEN": "••••••", "LEVEL": "high"}, "list": [{"password": "••••••"}], "count": 3}
