"""A copy of the tree with more copies of every rule, under other names: how long build and tests take with so many.

    python -m tests.four_times_the_rules FOLDER [HOW MANY COPIES MORE, at most and by default 3]
    cd FOLDER && make test

A copy of a rule is all that a rule of its own would be: a file with its text, its forms and their families, the formula in the
reference, hand-computed values. Classes of families are for people, and are not copied.
"""

from __future__ import annotations

import ast
import shutil
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

from fastopt.rules.entry import RULES
from fastopt.rules.family import FAMILIES
from tests.documents import ROOT

COPIES = ("second", "third", "fourth")
LEFT_OUT = shutil.ignore_patterns(
    *(".git", ".venv", ".*cache", ".hypothesis", ".benchmarks", "build", "dist", "reports"),
    *("*.egg-info", "__pycache__", "*.so", "_built.json", "test_four_times_the_rules.py"),
)


def renamed(text: str, names: Collection[str], ending: str) -> str:
    """A text in which these rules and families have an ending to their names, where they are made and where they are meant.

    The rest is left as it is: "momentum" is a rule, the function that states it, a hyperparameter of that, and an argument.
    """
    lines = [line.encode() for line in text.splitlines(keepends=True)]
    for row, column in sorted({place for node in ast.walk(ast.parse(text)) for place in _ends_of_names(node, names)}, reverse=True):
        lines[row - 1] = lines[row - 1][:column] + ending.encode() + lines[row - 1][column:]
    return b"".join(lines).decode()


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


def write(folder: Path, copies: int = len(COPIES)) -> None:
    """Writes the copy of the tree, with so many copies of each rule. The folder must not be there yet."""
    shutil.copytree(ROOT, folder, ignore=LEFT_OUT)
    shutil.copytree(ROOT / "reports" / "baseline", folder / "reports" / "baseline")  # whose figures the README has
    families = folder / "tests" / "rules" / "test_family.py"  # asks for classes, and names exceptions: of the families that are here
    families.write_text(families.read_text().replace("in FAMILIES.values()", f"in map(FAMILIES.__getitem__, {list(FAMILIES)})"))
    texts = dict.fromkeys(rule.update.__name__ for rule in RULES.values())
    files = dict.fromkeys(rule.update.__module__.rpartition(".")[2] for rule in RULES.values())
    for ending in COPIES[:copies]:
        for file in files:
            for path, names in (
                (f"fastopt/rules/{file}.py", {*RULES, *FAMILIES}),
                (f"tests/rules/anchors/{file}.py", {*RULES, *FAMILIES}),
                (f"fastopt/reference/{file}.py", set(texts)),
            ):
                text = renamed((ROOT / path).read_text(), names, f"_{ending}")
                (folder / path.replace(".py", f"_{ending}.py")).write_text(text)


if __name__ == "__main__":
    write(Path(sys.argv[1]), *map(int, sys.argv[2:]))
