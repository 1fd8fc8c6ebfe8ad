"""Writes docs/conventions.md: what each framework means by each optimizer, and how far apart the paths were.

python -m tests.agreement          # in the root of the source tree, beside the frameworks (`make peers`)
"""

from __future__ import annotations

import importlib.metadata
import sys
from typing import Any

from fastopt.rules.family import FAMILIES, Family
from tests.agreement.judge import CELLS, FRAMEWORKS, judge
from tests.agreement.paths import STEPS, TOLERANCE
from tests.documents import ROOT

PAGE = ROOT / "docs" / "conventions.md"
PACKAGES = {"torch": "torch", "keras": "keras", "optax": "optax", "sklearn": "scikit-learn"}
HEAD = """# Conventions: what frameworks mean by the same name

`fastopt.Adam(params, convention="keras")` computes what Keras's Adam computes, with its defaults for what is not given;
single arguments override it. The first convention of a class is the default.

This page is written by `python -m tests.agreement`, which also measures: {steps} steps in float64, random gradients, a learning
rate that changes on the way, weight decay; every option that the installed framework's own signature has, each flag on and off
and each two of them (and for PyTorch what its own table of optimizer inputs has); parameters and states, element by element. What
is given is the largest relative difference of all, and in how many walks. The tests ask for {tolerance:g}.

Measured beside {versions}.

"""


def measured() -> dict[tuple[str, str], tuple[float, int]]:
    """For each class and framework the largest difference, and of how many walks."""
    found = {}
    for cell in CELLS:
        distances = [distance for *_, distance in cell.differences()]
        found[cell.family, cell.framework] = max(distances), len(distances)
        print(f"{cell}: {max(distances):.1e} of {len(distances)}", file=sys.stderr, flush=True)
    return found


def table(found: dict[tuple[str, str], tuple[float, int]]) -> str:
    rows = [f"| class | {' | '.join(FRAMEWORKS)} | textbook |\n|---|{'---|' * (len(FRAMEWORKS) + 1)}\n"]
    for name, family in FAMILIES.items():
        if family.conventions:
            cells = [f"{found[name, f][0]:.0e} of {found[name, f][1]}" if (name, f) in found else "-" for f in FRAMEWORKS]
            textbook = "yes" if "textbook" in family.conventions else "-"
            rows.append(f"| `{name}` | {' | '.join(cells)} | {textbook} |\n")
    return "".join(rows)


def details(family: Family) -> str:
    head = "| convention | other defaults | their name: ours | ours: their state | read from |\n|---|---|---|---|---|\n"
    lines = [f"\n### {family.name}\n\n{head}"]
    for name, convention in family.conventions.items():
        shown = {key: "none: must be given" if value is None else repr(value) for key, value in convention.defaults.items()}
        defaults = _listed(shown, "=")
        names, states = _listed(convention.names, ": "), _listed(convention.states, ": ")
        lines.append(f"| `{name}` | {defaults} | {names} | {states} | {convention.source} |\n")
    return "".join(lines)


def _listed(pairs: Any, between: str) -> str:
    return ", ".join(f"`{key}{between}{value}`" for key, value in pairs.items()) or "-"


def left_out() -> str:
    rows = ["\n## Arguments of theirs that are elsewhere here\n\n| framework | argument | here |\n|---|---|---|\n"]
    for framework in FRAMEWORKS:
        rows += [f"| {framework} | `{name}` | {why} |\n" for name, why in judge(framework).WITHOUT.items() if name != "params"]
    return "".join(rows)


TAIL = """
## What has no cell

- optax's `rprop` (0.2.8) makes each change one step late, and its first step moves nothing: no convention was made of that.
- Adam with `cautious=True` leaves out the paper's rescaling by the share of elements that move, which a step that looks at
  each element once cannot know.
- Prodigy is not here: its sums, of g (p0 - p) and of |s|, are none of the reductions that exist.
- `optax.rmsprop(nesterov=True)` and `optax.sgd(nesterov=True)` without momentum make nothing of it; here they are refused.
- optax's centered RMSProp with bias correction subtracts two equal numbers at its first step: what is left is rounding, and
  is compared beside an eps that it does not matter to.
- Keras is run on JAX: on PyTorch its ScheduleFreeAdamW (3.15) reads a state after it was written to, which it means to have
  kept from before, and walks another path.
"""


def page() -> str:
    versions = ", ".join(f"{package} {importlib.metadata.version(package)}" for package in PACKAGES.values())
    head = HEAD.format(steps=STEPS, tolerance=TOLERANCE, versions=versions)
    every = "".join(details(family) for family in FAMILIES.values() if family.conventions)
    return head + table(measured()) + "\n## In detail\n" + every + left_out() + TAIL


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
