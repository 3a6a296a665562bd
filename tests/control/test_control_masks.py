from __future__ import annotations

import pytest

from aiculturekit.control.masks import mask, text, within


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


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("env: {API_KEY: abc, LEVEL: high}", "env: {API_KEY: ••••••, LEVEL: high}"),
        ('{"DB_PASSWORD": "a, b", "x": 1}', '{"DB_PASSWORD": ••••••, "x": 1}'),
        ("  TOKEN: 'abc'  # old\n  next: 1", "  TOKEN: ••••••  # old\n  next: 1"),
        (
            "url: postgresql://me:abc@h/x  # was redis://me:def@h",
            "url: postgresql://me:••••••@h/x  # was redis://me:••••••@h",
        ),
        ("TOKEN: secret:env/TOKEN", "TOKEN: secret:env/TOKEN"),
        ("tokens:\n  run: x", "tokens:\n  run: x"),
        ("a:\n  KEY: |\n    -----BEGIN\n    abc\n\n  b: c\n", "a:\n  KEY: |\n    ••••••\n  b: c\n"),
        ("- token: >-\n    abc", "- token: >-\n  ••••••\n"),
        ('TOKEN: "ab\n  c"\nx: y', "TOKEN: ••••••\nx: y"),
        ('TOKEN: "a\\"b"\nx: y', "TOKEN: ••••••\nx: y"),
        ('TOKEN: "abc', "TOKEN: ••••••"),
        ("TOKEN: &it abc", "TOKEN: ••••••"),
        ("tokens: [abc, def]", "tokens: ••••••"),
        ("public: /\nimage: a:b", "public: /\nimage: a:b"),
    ],
)
def test_a_file_is_shown_without_what_is_secret_in_it(given: str, shown: str) -> None:
    assert text(given) == shown
