"""Cross-checks every rule, backend and dtype on this machine against the NumPy reference, bit by bit.

Prints the largest distance of any parameter or state in units in the last place (ULP), over awkward lengths, misaligned
starts, special values, hyperparameter cases and thread counts. All of it must be 0; the exit status is 1 if it is not.
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module

import numpy as np

import fastopt
from fastopt import backends, crosscheck, threads
from fastopt.backends import numpy_backend
from fastopt.rules.entry import Rule

HELP = "compare every backend with the reference, in ULP"

LONG = (*crosscheck.AWKWARD_LENGTHS, 70_001)
"""Besides the awkward lengths one tensor that is long enough for several threads with any rule."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--rules", metavar="MODULE", action="append", default=[], help="import this first: it enters rules")
    parser.add_argument("--rule", metavar="NAME", action="append", default=[], help="check this rule only (may be repeated)")


def run(options: argparse.Namespace) -> int:
    """Prints the table; 0 if every distance is 0, else 1."""
    for module in options.rules:
        import_module(module)
    rules = [fastopt.RULES[name] if name in fastopt.RULES else _no_rule(name) for name in options.rule] or list(fastopt.RULES.values())
    available = fastopt.available_backends()
    checked = [name for name, there in available.items() if there is True and name != "numpy"]
    columns = [(backend, dtype) for backend in checked for dtype in (np.float32, np.float64)]
    print("Largest distance from the NumPy reference, in ULP\n")
    print(f"{'rule':28}" + "".join(f"{f'{backend} {dtype.__name__}':>18}" for backend, dtype in columns))
    worst = 0
    for rule in rules:
        print(f"{rule.name:28}", end="", flush=True)
        for backend, dtype in columns:
            distance = _distance(rule, backend, dtype)
            worst = max(worst, distance)
            print(f"{distance:>18}", end="", flush=True)
        print("" if numpy_backend.has_reference(rule) else "   (no reference of its own: compared with its own text on arrays)")
    for name, reason in available.items():
        if reason is not True:
            print(f"\n{name}: not checked: {reason}")
    if not checked:
        print("\nnothing was checked: there is no backend besides numpy")
        return 1
    if worst:
        print(f"\nFAILED: the largest distance is {worst} ULP, and it must be 0", file=sys.stderr)
        return 1
    print(f"\nall 0: {len(rules)} rules, {', '.join(checked)}, float32 and float64, 1 and {max(2, threads.available())} threads")
    return 0


def _distance(rule: Rule, backend: str, dtype: type) -> int:
    found = []
    for case in crosscheck.cases(rule):
        for count in _thread_counts(backend):
            found.append(crosscheck.compare(rule, backend, dtype, case, lengths=LONG, num_threads=count))
        found.append(crosscheck.compare(rule, backend, dtype, case, special=True, seed=1))
    return max(found)


def _thread_counts(backend: str) -> tuple[int, ...]:
    several = max(2, threads.available())
    if backend not in backends.HOST:
        return (1,)
    try:
        fastopt.Optimizer(np.zeros(1), "sgd", backend=backend, num_threads=several)
    except ValueError:  # built without threads
        return (1,)
    return (1, several)


def _no_rule(name: str) -> Rule:
    raise SystemExit(f"fastopt check: there is no rule {name!r}; rules are {', '.join(fastopt.RULES)}")
