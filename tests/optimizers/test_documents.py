"""What is written from the families: the stub and the README's table are what would be written now."""

from __future__ import annotations

from fastopt import optimizers
from fastopt.optimizers import documents
from tests.documents import ROOT


def test_what_type_checkers_read_is_what_there_is() -> None:
    assert (ROOT / documents.STUB).read_text() == documents.stub()


def test_the_readmes_table_is_what_there_is() -> None:
    text = (ROOT / "README.md").read_text()
    assert documents.replaced(text) == text
    for cls in optimizers.__all__:
        assert f"| `{cls}` |" in text
