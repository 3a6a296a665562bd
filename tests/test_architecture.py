"""The shapes that keep the house livable, held by a test: sizes, late imports, names, registries, translations."""

from __future__ import annotations

import ast
import importlib
import json
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

from aiculturekit import registry
from aiculturekit.locator import Locator

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "aiculturekit"
MODULES = sorted(SOURCE.rglob("*.py"))

LATE_IMPORTS = {
    "registry.py": "the lazy importer of backends and targets",
    "cli/": "commands load what they need, so that `aic status` starts in a blink",
}
"""Where an import inside a function is meant: a path prefix and why. Elsewhere a line must carry `# heavy: <reason>`."""


@cache
def tree(module: Path) -> ast.Module:
    return ast.parse(module.read_text("utf-8"))


def lines(module: Path) -> list[str]:
    return module.read_text("utf-8").splitlines()


def functions(module: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree(module)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of code: nested functions count for themselves, the docstring not at all."""
    nested = sum(
        (inner.end_lineno or 0) - inner.lineno + 1
        for inner in ast.walk(node)
        if inner is not node and isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    return (node.end_lineno or 0) - node.lineno + 1 - nested


def test_no_file_is_longer_than_500_lines_and_the_median_is_short() -> None:
    sizes = {module: len(lines(module)) for module in MODULES if "migrations" not in module.parts}
    assert {str(m): n for m, n in sizes.items() if n > 500} == {}
    assert statistics.median(sizes.values()) <= 150


def test_functions_are_short() -> None:
    lengths = [length(function) for module in MODULES for function in functions(module)]
    short = sum(n <= 40 for n in lengths) / len(lengths)
    assert short >= 0.95
    assert statistics.median(lengths) <= 12


def test_no_class_has_more_than_20_methods() -> None:
    fat = {
        f"{module.relative_to(SOURCE)}:{node.name}": count
        for module in MODULES
        for node in ast.walk(tree(module))
        if isinstance(node, ast.ClassDef)
        and (count := sum(isinstance(i, ast.FunctionDef | ast.AsyncFunctionDef) for i in node.body)) > 20
    }
    assert fat == {}


def test_imports_stand_at_the_top_or_say_why_not() -> None:
    late = [
        f"{module.relative_to(SOURCE)}:{node.lineno}"
        for module in MODULES
        if not any(str(module.relative_to(SOURCE)).startswith(prefix) for prefix in LATE_IMPORTS)
        for function in functions(module)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom) and "# heavy:" not in lines(module)[node.lineno - 1]
    ]
    assert late == []


def test_every_package_says_what_it_promises() -> None:
    silent = [str(m.relative_to(SOURCE)) for m in MODULES if lines(m) and not ast.get_docstring(tree(m))]
    assert silent == []


def test_no_module_is_named_after_nothing() -> None:
    vague = {"utils", "helpers", "common", "manager", "base", "misc", "util"}
    assert [str(module) for module in MODULES if module.stem in vague] == []


def test_every_registered_renderer_loads() -> None:
    for scheme in registry.RENDERERS.schemes:
        renderer = registry.RENDERERS.load(Locator.parse(f"{scheme}:"))
        assert callable(renderer.render) and callable(renderer.gaps)


@pytest.mark.parametrize("known", [registry.STATE, registry.TARGETS], ids=lambda known: known.capability)
def test_every_registered_scheme_loads(known: registry.Registry) -> None:
    for scheme in known.schemes:
        assert callable(known.load(Locator.parse(f"{scheme}://")))


def test_nothing_that_is_ours_relies_on_assertions_or_docstrings() -> None:
    """The daemon runs under -OO, which strips both."""
    asserting = [
        f"{module.relative_to(SOURCE)}:{node.lineno}"
        for module in MODULES
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Assert) or (isinstance(node, ast.Attribute) and node.attr == "__doc__")
    ]
    assert asserting == []


def test_the_command_line_loads_no_backend() -> None:
    heavy = ("sqlalchemy", "starlette", "cryptography", "jinja2", "uvicorn", "pydantic", "yaml", "alembic")
    code = f"import sys, aiculturekit.cli.main; print([m for m in {heavy!r} if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "[]"


def said() -> dict[str, str]:
    """Every literal template given to say(), with a place where it stands."""
    found: dict[str, str] = {}
    for module in MODULES:
        for node in ast.walk(tree(module)):
            if isinstance(node, ast.Call) and _is_say(node.func) and node.args:
                first = node.args[0]
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    found.setdefault(first.value, f"{module.relative_to(SOURCE)}:{node.lineno}")
    for page in sorted((SOURCE / "console" / "templates").glob("*.html")):
        for text in re.findall(r"""say\(\s*(?:"([^"]+)"|'([^']+)')""", page.read_text("utf-8")):
            found.setdefault(text[0] or text[1], page.name)
    return found


def _is_say(function: ast.expr) -> bool:
    return (isinstance(function, ast.Name) and function.id == "say") or (
        isinstance(function, ast.Attribute) and function.attr == "say"
    )


def catalogue() -> dict[str, str]:
    merged: dict[str, str] = {}
    for file in sorted((SOURCE / "language" / "zh").glob("*.json")):
        merged |= json.loads(file.read_text("utf-8"))
    return merged


def test_everything_that_is_said_is_said_in_chinese_too() -> None:
    chinese = catalogue()
    assert {text: place for text, place in said().items() if text not in chinese} == {}


def test_translations_fill_the_same_blanks() -> None:
    formats = importlib.import_module("string").Formatter()

    def blanks(text: str) -> set[str]:
        try:
            return {name for _, name, _, _ in formats.parse(text) if name}
        except ValueError:  # a text about braces, which is never filled
            return set()

    wrong = [english for english, chinese in catalogue().items() if blanks(english) != blanks(chinese)]
    assert wrong == []


def test_two_targets_are_never_the_same_code() -> None:
    """Vendors' modules with their names blanked must differ: a row of data is not a module."""
    folders = [folder for folder in (SOURCE / "targets").iterdir() if folder.is_dir() and folder.name != "__pycache__"]
    blanked = [
        {
            line.strip().replace(folder.name, "_")
            for module in folder.rglob("*.py")
            for line in lines(module)
            if line.strip()
        }
        for folder in sorted(folders)
    ]
    for one, other in pairwise(blanked):
        assert len(one & other) / max(1, min(len(one), len(other))) <= 0.8


def test_every_benchmark_can_be_loaded() -> None:
    """None of them runs in CI: what they stand on may move under them."""
    for file in sorted((SOURCE.parents[1] / "benchmarks").glob("[a-z]*.py")):
        importlib.import_module(f"benchmarks.{file.stem}")
