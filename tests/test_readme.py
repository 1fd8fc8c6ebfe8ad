"""What the README shows runs as it stands there."""

from __future__ import annotations

import linecache
import re

import numpy as np

import fastopt
from tests.documents import ROOT, python_blocks


def test_the_snippets_of_the_readme_run_one_after_the_other() -> None:
    values: dict[str, object] = {}
    before = set(fastopt.RULES)
    blocks = python_blocks("README.md")
    assert len(blocks) == 6
    try:
        for number, (_, code) in enumerate(blocks):
            name = f"<README.md, block {number}>"
            linecache.cache[name] = (len(code), None, code.splitlines(True), name)  # a rule's source is read from its file
            exec(compile(code, name, "exec"), values)
    finally:
        for added in set(fastopt.RULES) - before:
            del fastopt.RULES[added]
    opt, w = values["opt"], values["w"]
    assert isinstance(opt, fastopt.Adam)
    assert opt.steps == 10
    assert opt.lr == 5e-4
    # lion's first step by hand: decay by 1 - 1e-4 * 0.1, then 1e-4 against the sign of the gradient, sign(0) being 0
    decayed = np.array([1.0, -2.0, 3.0]) * (1 - 1e-4 * 0.1)
    np.testing.assert_array_equal(w, decayed - 1e-4 * np.array([1.0, 0.0, -1.0]))


def test_files_that_the_documents_name_exist() -> None:
    for document in ("README.md", "CONTRIBUTING.md"):
        for target in re.findall(r"(?:\]\(|src=\"|href=\")([^)#\"]+)", (ROOT / document).read_text()):
            assert (ROOT / target).exists(), f"{document} links to {target}"


def test_the_first_screen_names_both_commands() -> None:
    head = "\n".join((ROOT / "README.md").read_text().splitlines()[:15])
    assert "make bench" in head
    assert "make test" in head
