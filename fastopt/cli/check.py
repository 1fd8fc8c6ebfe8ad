"""Cross-checks every rule, backend and dtype on this machine against the NumPy reference, bit by bit.

Prints the largest distance of any parameter or state in units in the last place (ULP), over awkward lengths, misaligned
starts, special values, hyperparameter cases and thread counts. All of it must be 0; the exit status is 1 if it is not.
"""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from itertools import repeat
from multiprocessing import get_context

import numpy as np

import fastopt
from fastopt import backends, crosscheck
from fastopt.backends import numpy_backend
from fastopt.host import threads
from fastopt.kernel import AHEAD
from fastopt.rules.entry import Rule
from fastopt.storage import STORAGES, Storage

HELP = "compare every backend with the reference, in ULP"

LONG = (*crosscheck.AWKWARD_LENGTHS, 70_001)
"""Besides the awkward lengths one tensor that is long enough for several threads with any rule."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--rules", metavar="MODULE", action="append", default=[], help="import this first: it enters rules")
    parser.add_argument("--rule", metavar="NAME", action="append", default=[], help="check this rule only (may be repeated)")


def run(options: argparse.Namespace) -> int:
    """Prints the tables; 0 if every distance is 0, else 1."""
    _begin(options.rules)
    rules = [fastopt.RULES[name] if name in fastopt.RULES else _no_rule(name) for name in options.rule] or list(fastopt.RULES.values())
    available = fastopt.available_backends()
    checked = [name for name, there in available.items() if there is True and name != "numpy"]
    names = [name for name, storage in STORAGES.items() if _there(storage)]
    ahead = [storages for storages in AHEAD if set(storages) <= {*names, "int8"}]
    print("Largest distance from the NumPy reference, in ULP; columns are parameters and gradients / states\n")
    columns = [(backend, storages) for backend in checked for storages in ahead]
    processes = min(len(rules), threads.available())
    found = _by_processes(processes, rules, columns, options.rules) if processes > 1 else None
    worst = _table([(rule, rule.name) for rule in rules], columns, found=found)
    others = [storages for storages in _others(names) if storages not in ahead]
    if checked and others:
        rule = next((rule for rule in rules if rule.states), rules[0])
        print(f"\nOther storage (parameters, gradients, states), with {rule.name}; what is run is compiled now\n")
        for storages in others:
            worst = max(worst, _table([(rule, ", ".join(storages))], [(backend, storages) for backend in checked], head=False))
    if checked and "bfloat16" in names:
        rule = next((rule for rule in rules if rule.states), rules[0])
        print(f"\nParameters of bfloat16 with a correction, or drawn, beside int8, with {rule.name}; what is run is compiled now\n")
        for asked in crosscheck.MASTERS:
            columns = [(backend, ("bfloat16", "bfloat16", "int8")) for backend in checked]
            own = ", ".join(f"{name}={value}" for name, value in asked.items())
            worst = max(
                worst, _table([(rule, own)], columns, head=False, cases=lambda rule, *_, asked=asked: crosscheck.master_cases(rule, asked))
            )
    if checked:
        rule = next((rule for rule in rules if rule.states), rules[0])
        print(f"\nEvery stage that a kernel has only when asked to, with {rule.name}; what is run is compiled now\n")
        columns = [(backend, (name,) * 3) for backend in checked for name in ("float32", "float64")]
        worst = max(worst, _table([(rule, rule.name)], columns, cases=lambda rule, *_: crosscheck.stage_cases(rule)))
    for name, reason in available.items():
        if reason is not True:
            print(f"\n{name}: not checked: {reason}")
    if len(names) < len(STORAGES):
        print("\nbfloat16: not checked: ml_dtypes is not installed")
    if not checked:
        print("\nnothing was checked: there is no backend besides numpy")
        return 1
    if worst:
        print(f"\nFAILED: the largest distance is {worst} ULP, and it must be 0", file=sys.stderr)
        return 1
    ways = len(ahead) + len(others) + (len(crosscheck.MASTERS) if "bfloat16" in names else 0)
    print(f"\nall 0: {len(rules)} rules, {', '.join(checked)}, {ways} ways to store, groups, clipping and stages among the cases,", end=" ")
    print(f"1 and {max(2, threads.available())} threads")
    return 0


Cases = Callable[[Rule, str, tuple[str, ...]], list[crosscheck.Case]]
Column = tuple[str, tuple[str, ...]]
"""A backend, and the storages of parameters, gradients and states."""


def _by_processes(processes: int, rules: Sequence[Rule], columns: Sequence[Column], modules: Sequence[str]) -> Iterator[list[int]]:
    """The distances of each rule, a rule at a time in every process."""
    with ProcessPoolExecutor(processes, get_context("spawn"), initializer=_begin, initargs=(list(modules),)) as pool:
        yield from pool.map(_distances, [rule.name for rule in rules], repeat(columns))


def _begin(modules: list[str]) -> None:
    """Makes ready for compilers, and has rules entered."""
    gc.set_threshold(100_000, 20, 100)  # compilers make many objects and keep them: to look through them takes a fifth of the time
    if modules and "" not in sys.path:
        sys.path.insert(0, "")  # as `python -m` has it: modules of rules lie in the folder that one is in
    for module in modules:
        try:
            import_module(module)
        except ImportError as error:
            raise SystemExit(f"fastopt check: --rules {module}: it cannot be imported ({error})") from error


def _distances(name: str, columns: Sequence[Column]) -> list[int]:
    return [_distance(fastopt.RULES[name], backend, storages, _cases) for backend, storages in columns]


def _cases(rule: Rule, backend: str, storages: tuple[str, ...]) -> list[crosscheck.Case]:
    """The cases of a rule; where kernels of narrow storage have to be compiled now, those of one kernel.

    That is the one with the decay in the gradient where parameters are narrow, which it reads, and else the one without.
    """
    every = crosscheck.cases(rule)
    narrow = [name == "int8" or STORAGES[name].texts is not None for name in storages]
    if not any(narrow) or (backend == "cython" and storages in AHEAD):
        return every
    return [case for case in every if case.coupled == narrow[0]]


def _table(
    rows: list[tuple[Rule, str]],
    columns: Sequence[Column],
    head: bool = True,
    cases: Cases = _cases,
    found: Iterable[Iterable[int]] | None = None,
) -> int:
    """Prints a table, and answers the largest distance in it; `found` are those of each row, if they are looked for elsewhere."""
    if head:
        print(f"{'rule':36}" + "".join(f"{f'{backend} {_short(*storages)}':>17}" for backend, storages in columns))
    if found is None:
        found = ((_distance(rule, backend, storages, cases) for backend, storages in columns) for rule, _ in rows)
    worst = 0
    for (rule, name), distances in zip(rows, found, strict=True):
        print(f"{name:36}", end="", flush=True)
        for (backend, _), distance in zip(columns, distances, strict=True):
            worst = max(worst, distance)
            print(f"{distance:>17}" if head else f"   {backend} {distance}", end="", flush=True)
        print("" if numpy_backend.has_reference(rule) else "   (no reference of its own: compared with its own text on arrays)")
    return worst


def _there(storage: Storage) -> bool:
    return storage.module is None or find_spec(storage.module) is not None


def _others(names: Sequence[str]) -> list[tuple[str, ...]]:
    """Every narrow storage by itself, and each that is computed with in float32 in each place, beside two others."""
    single = [name for name in names if STORAGES[name].compute == "float32"]
    alone = [(name,) * 3 for name in single if STORAGES[name].texts]
    return [*alone, *(tuple(single[(i + k) % len(single)] for k in range(3)) for i in range(len(single)) if alone)]


def _short(parameter: str, _: str, state: str) -> str:
    short = [name.replace("bfloat", "bf").replace("float", "f") for name in (parameter, state)]
    return "/".join(dict.fromkeys(short))


def _distance(rule: Rule, backend: str, storages: tuple[str, ...], cases: Cases) -> int:
    parameter, gradient, state = storages
    found = []
    for case in cases(rule, backend, storages):
        compare = partial(crosscheck.compare, rule, backend, parameter, case, gradient=gradient, state=state)
        found += [compare(lengths=LONG, num_threads=count) for count in _thread_counts(backend)]
        found.append(compare(special=True, seed=1))
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
