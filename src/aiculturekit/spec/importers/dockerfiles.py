"""What a Dockerfile runs at last. Pure."""

from __future__ import annotations

import json
import re
import shlex

_STEP = re.compile(r"^\s*(FROM|CMD|ENTRYPOINT|EXPOSE)\s+(.*)$", re.I)


def command(text: str) -> tuple[str, str]:
    """(command, exposed port) of the last stage; "" where it says nothing of its own."""
    found: dict[str, str] = {}
    for line in re.sub(r"\\\s*\n", " ", text).splitlines():
        if step := _STEP.match(line):
            key = step[1].upper()
            found = {} if key == "FROM" else found | {key: step[2].strip()}
    words = [shell(found[key]) for key in ("ENTRYPOINT", "CMD") if key in found]
    return " ".join(words), found.get("EXPOSE", "").split("/")[0].split(" ")[0]


def shell(text: str) -> str:
    """`["a", "b c"]` -> `a 'b c'`; the shell form as it is."""
    try:
        words = json.loads(text)
    except ValueError:
        return text
    return joined(words) if isinstance(words, list) else text


def joined(words: list[object]) -> str:
    """Words as one command; variables stay variables, and the shell around a single text goes."""
    texts = [str(word) for word in words]
    if len(texts) == 3 and texts[1] in ("-c", "-lc") and texts[0].rsplit("/", 1)[-1] in ("sh", "bash"):
        return texts[2]
    return " ".join(word if re.fullmatch(r"[\w$./:=@%+{},-]+", word) else shlex.quote(word) for word in texts)
