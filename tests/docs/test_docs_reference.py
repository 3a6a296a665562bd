"""The reference pages say what the code does: they are made from it (`AIC_DOCS=write ./test tests/docs`), and links lead somewhere."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from aiculturekit.cli import commands
from aiculturekit.control import renderings
from aiculturekit.spec import access, complaints, examples, traffic
from aiculturekit.spec.models import SECTIONS, File
from aiculturekit.spec.units import shown_default

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

_HEAD = """\
# The application file

`aic.yaml` describes one application. Every key is listed here; `aic explain KEY` prints the same offline, `aic check` reports every mistake with
its line, and `aic schema` prints a JSON Schema for editors. The file has no loops, conditionals or templates: only `${…}` references within `env:`.

- **Quantities.** Durations `500ms`, `2s`, `5m`, `1h`, `7d`; memory `128Mi`, `1Gi`, `500MB`; CPU `250m`, `0.5`, `2`; percent `90%`; replicas `3` or `1..8`.
- **Names** are small letters, digits and hyphens, at most 40, starting with a letter.
- **Plain words stay words**: `on`, `yes`, `1:30` and dates are text. Anchors, aliases and tags are refused.
- **References**: `${resources.NAME.url}`, `${services.NAME.url}`, `${env.NAME}`, `${env.NAME:-default}`; `$${` writes a plain `${`.

What the target `local:` cannot do yet — functions, topics, config, `build:` — is checked like everything else
and refused before anything is touched.
"""


def application_file() -> str:
    parts = [_HEAD]
    for name, field in File.model_fields.items():
        parts.append(f"\n## `{name}`\n{field.description}\n")
        if name in examples.EXAMPLES:
            parts.append(f"\n```yaml\n{examples.EXAMPLES[name]}```\n")
        model = complaints.model_in(field.annotation)
        if model is not None:
            parts.append(_table(model))
        if name == "services":
            parts += [_part(inner) for inner in _APART]
    return "".join(parts)


_APART = (traffic.Traffic, traffic.Route, traffic.Match, traffic.Pattern, access.Access)
"""Parts of the services' keys that have a heading of their own: they are long, or stand in several places."""


def _part(model: type[BaseModel]) -> str:
    name = model.__name__.lower()
    example = f"\n```yaml\n{examples.EXAMPLES[name]}```\n" if name in examples.EXAMPLES else ""
    return f"\n### `{name}`\n{model.__doc__}\n{example}{_table(model)}"


def _table(model: type[BaseModel]) -> str:
    return "\n| key | meaning | default |\n|---|---|---|\n" + "\n".join(_rows(model, "")) + "\n"


def _rows(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        key = f"{prefix}{field.alias or name}"
        default = "required" if field.is_required() else shown_default(field.get_default(call_default_factory=False))
        inner = complaints.model_in(field.annotation)
        apart = next((part for part in _APART if inner is not None and issubclass(inner, part)), None)
        see = f" [{apart.__name__.lower()}](#{apart.__name__.lower()})" if apart else ""
        default = "" if apart else default
        yield f"| `{key}` | {(field.description or '').replace('|', '&#124;')}{see} | {default} |"
        if inner is not None and not apart and inner.__name__ not in ("Need", "Trigger"):
            yield from _rows(inner, f"{key}{_within(field.annotation)}")


def _within(annotation: object) -> str:
    """What stands between a key and the keys of its values: nothing, a name, or a place in a list."""
    if not complaints.is_container(annotation):
        return "."
    return "[]." if "tuple" in str(annotation) else ".NAME."


_COMMANDS = """\
# The command line

Inside a clone write `./aic`. Every command but `schema` takes `--json` (`schema` prints JSON anyway) and `--help`. Exit codes: 0 done, 1 failed (a
mistake in the file among them), 2 usage, 3 refused by policy (and `aic status` without a daemon). Messages are in English or Chinese, by `AIC_LANG` or
the locale. `aic --install-completion` sets up completion for your shell.

Where a command takes APP, it may be left out: then it is the application of `./aic.yaml`, else the only one that is up.
"""


def command_line() -> str:
    import typer

    group = typer.main.get_command(commands.application())
    parts = [_COMMANDS]
    for name, command in sorted(group.commands.items()):  # type: ignore[attr-defined]
        children = getattr(command, "commands", {})
        for child, inner in sorted(children.items()):
            parts.append(_command(f"{name} {child}", inner))
        if not children:
            parts.append(_command(name, command))
    return "".join(parts)


def _command(name: str, command: object) -> str:
    lines = [f"\n## `aic {name}`\n{command.help}\n"]  # type: ignore[attr-defined]
    rows = []
    for parameter in command.params:  # type: ignore[attr-defined]
        if parameter.name in ("help", "install_completion", "show_completion"):
            continue
        is_option = parameter.param_type_name == "option"
        shown = ", ".join(parameter.opts) if is_option else (parameter.metavar or parameter.name.upper())
        rows.append(f"| `{shown}` | {parameter.help or ''} |")
    if rows:
        lines.append("\n| | |\n|---|---|\n" + "\n".join(rows) + "\n")
    return "".join(lines)


def matrix() -> str:
    """What works where, as the renderers answer; a reason in the place of a yes."""
    rows = renderings.matrix()
    lines = ["| rule | " + " | ".join(cell.mesh for cell in rows[0]) + " |", "|---|" + "---|" * len(rows[0])]
    for row in rows:
        cells = [cell.reason.replace("|", "&#124;") or "yes" for cell in row]
        lines.append(f"| `{row[0].feature}` | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def test_the_matrix_is_what_the_renderers_answer() -> None:
    page = DOCS / "mesh.md"
    before, mark, rest = page.read_text().partition("<!-- made from the renderers -->\n")
    _, end, after = rest.partition("<!-- end -->\n")
    assert mark and end
    made = before + mark + matrix() + end + after
    if os.environ.get("AIC_DOCS") == "write":
        page.write_text(made)
    assert page.read_text() == made


@pytest.mark.parametrize(
    ("page", "made"), [("application-file.md", application_file), ("command-line.md", command_line)]
)
def test_reference_pages_are_what_the_code_says(page: str, made: object) -> None:
    text = made()  # type: ignore[operator]
    if os.environ.get("AIC_DOCS") == "write":
        (DOCS / page).write_text(text)
    assert (DOCS / page).read_text() == text


def test_every_section_has_an_example() -> None:
    assert set(SECTIONS) <= set(examples.EXAMPLES)


@pytest.mark.parametrize(
    "page", sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *ROOT.glob("examples/*/*.md")]), ids=lambda p: p.name
)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())
    missing = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert missing == []


def test_both_readmes_have_the_same_shape() -> None:
    english, chinese = ((ROOT / name).read_text() for name in ("README.md", "README.zh-CN.md"))
    assert english.count("\n## ") == chinese.count("\n## ")
    assert re.findall(r"```(\w*)\n", english) == re.findall(r"```(\w*)\n", chinese)
