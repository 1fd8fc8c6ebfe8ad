"""Every class under every framework's convention walks that framework's own path: with all its options, found by the framework itself."""

from __future__ import annotations

import importlib.util
import inspect

import pytest

from fastopt.rules.family import FAMILIES
from tests.agreement import __main__ as page
from tests.agreement import of_torch
from tests.agreement.judge import CELLS, FRAMEWORKS, Cell, judge
from tests.agreement.paths import TOLERANCE


def _needed(framework: str) -> None:
    for module in judge(framework).NEEDS:  # not imported yet: a judge does that its own way
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_walks_the_frameworks_path(cell: Cell) -> None:
    _needed(cell.framework)
    walked = list(cell.differences())
    assert len(walked) >= 2
    worst = max(walked, key=lambda entry: entry[2])
    assert worst[2] < TOLERANCE, worst


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_convention_is_there_where_the_framework_has_the_optimizer(framework: str) -> None:
    assert set(judge(framework).CLASSES) == {cell.family for cell in CELLS if cell.framework == framework}


def test_all_of_torchs_optimizers_are_here_or_named() -> None:
    _needed("torch")
    there = set(of_torch.table())
    assert there == {name for names in of_torch.CLASSES.values() for name in names} | set(of_torch.STANDARD)


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_defaults_are_the_frameworks(cell: Cell) -> None:
    """What has a default there has it here, under the name that the convention tells."""
    _needed(cell.framework)
    judging, family = judge(cell.framework), FAMILIES[cell.family]
    convention = family.conventions[cell.framework]
    values = family.defaults(cell.framework)
    for name in judging.CLASSES[cell.family][:1]:
        theirs = judging.maker(name)
        parameters = inspect.signature(theirs).parameters
        seen: dict[str, int] = {}
        for argument, parameter in parameters.items():
            own = convention.names.get(argument, argument)
            if argument in judging.WITHOUT or own not in family.arguments:
                continue
            found = values[own]
            if isinstance(found, tuple) and not isinstance(parameter.default, tuple):
                found = found[seen.setdefault(own, 0)]
                seen[own] += 1
            expected = parameter.default
            if own in ("weight_decay", "momentum") and expected is None:  # none there is 0 here
                expected = 0.0
            if expected is not inspect.Parameter.empty:
                assert found == expected, argument
            else:
                assert own == "lr"
                assert found is None, "none there, none here"
        assert set(convention.names) <= set(parameters) | {"bias_correction_mu", "bias_correction_nu"}


def test_the_page_tells_of_these_conventions() -> None:
    """All but what is measured, which `python -m tests.agreement` writes too."""
    text = page.PAGE.read_text(encoding="utf-8")
    for family in FAMILIES.values():
        assert not family.conventions or page.details(family) in text, f"{family.name}: python -m tests.agreement"
    assert page.left_out() in text
    for cell in CELLS:
        (row,) = [line for line in text.splitlines() if line.startswith(f"| `{cell.family}` |") and " of " in line]
        assert float(row.split("|")[2 + FRAMEWORKS.index(cell.framework)].split(" of ")[0]) < TOLERANCE
