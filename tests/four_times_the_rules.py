"""A copy of the tree with more copies of every rule, under other names: how long build and tests take with so many.

    python -m tests.four_times_the_rules FOLDER [AT MOST HOW MANY RULES, by default four times those that are there]
    cd FOLDER && make test

A copy of a rule is all that a rule of its own would be: a file with its text, its forms and their families, the formula in the
reference, hand-computed values. Classes of families are for people, and conventions are other frameworks': neither is copied.
"""

from __future__ import annotations

import ast
import shutil
import sys
from collections.abc import Collection, Iterator
from itertools import product
from pathlib import Path

from fastopt.rules.entry import RULES
from fastopt.rules.family import FAMILIES
from tests.documents import ROOT

COPIES = ("second", "third", "fourth")
LEFT_OUT = shutil.ignore_patterns(
    *(".git", ".venv", ".*cache", ".hypothesis", ".benchmarks", "build", "dist", "latest", ".scratch"),
    *("*.egg-info", "__pycache__", "*.so", "_built.json", "test_four_times_the_rules.py"),
)


def renamed(text: str, names: Collection[str], ending: str) -> str:
    """A text in which these rules and families have an ending to their names, where they are made and where they are meant.

    The rest is left as it is: "momentum" is a rule, the function that states it, a hyperparameter of that, and an argument.
    """
    lines = [line.encode() for line in _without_conventions(text).splitlines(keepends=True)]
    tree = ast.parse(b"".join(lines))
    for row, column in sorted({place for node in ast.walk(tree) for place in _ends_of_names(node, names)}, reverse=True):
        lines[row - 1] = lines[row - 1][:column] + ending.encode() + lines[row - 1][column:]
    return b"".join(lines).decode()


def _without_conventions(text: str) -> str:
    """A text whose families have none: what a framework calls by another name would have to be found there."""
    lines = text.splitlines(keepends=True)
    found = [node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.keyword) and node.arg == "conventions"]
    for value in sorted(found, key=lambda value: value.lineno, reverse=True):
        assert value.end_lineno is not None
        first, last = lines[value.lineno - 1][: value.col_offset], lines[value.end_lineno - 1][value.end_col_offset :]
        lines[value.lineno - 1 : value.end_lineno] = [f"{first}{{}}{last}"]
    return "".join(lines)


def _ends_of_names(node: ast.AST, names: Collection[str]) -> Iterator[tuple[int, int]]:
    """The line and the byte where a name ends: of a function, of a form, of a family's `form` and its results, of what a call makes."""
    if isinstance(node, ast.FunctionDef) and node.name in names:
        yield node.lineno, node.col_offset + len(f"def {node.name}")
    if isinstance(node, ast.keyword) and node.arg == "forms" and isinstance(node.value, ast.Dict):
        yield from (place for key in node.value.keys for place in _literals(key, names))
    if isinstance(node, ast.keyword) and node.arg == "form":
        yield from _literals(node.value, names)
    if isinstance(node, ast.FunctionDef) and node.name.endswith("_form"):
        results = (found.value for found in ast.walk(node) if isinstance(found, ast.Return))
        yield from (place for result in results for place in _literals(result, names))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("Anchor", "Family"):
        yield from _literals(node.args[0], names)


def _literals(node: ast.expr | None, names: Collection[str]) -> Iterator[tuple[int, int]]:
    if isinstance(node, ast.IfExp):
        yield from (*_literals(node.body, names), *_literals(node.orelse, names))
    if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and node.value in names):
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        yield node.end_lineno, node.end_col_offset - 1


def write(folder: Path, most: int = (1 + len(COPIES)) * len(RULES)) -> None:
    """Writes the copy of the tree, with copies of its rules, at most so many in all. The folder must not be there yet."""
    shutil.copytree(ROOT, folder, ignore=LEFT_OUT)
    families = folder / "tests" / "rules" / "test_family.py"  # asks for classes, and names exceptions: of the families that are here
    families.write_text(families.read_text().replace("in FAMILIES.values()", f"in map(FAMILIES.__getitem__, {list(FAMILIES)})"))
    forms: dict[str, list[str]] = {}
    for name, rule in RULES.items():
        forms.setdefault(rule.update.__module__.rpartition(".")[2], []).append(name)
    rules = len(RULES)
    for ending, (file, of_file) in product(COPIES, forms.items()):
        if rules + len(of_file) > most:
            continue
        rules += len(of_file)
        for path, names in (
            (f"fastopt/rules/{file}.py", {*RULES, *FAMILIES}),
            (f"tests/rules/anchors/{file}.py", {*RULES, *FAMILIES}),
            (f"fastopt/reference/{file}.py", {RULES[name].update.__name__ for name in of_file}),
        ):
            text = renamed((ROOT / path).read_text(), names, f"_{ending}")
            (folder / path.replace(".py", f"_{ending}.py")).write_text(text)


if __name__ == "__main__":
    write(Path(sys.argv[1]), *map(int, sys.argv[2:]))
