"""Calls at random, by the thousand: batches of `Calls`, each of which can be repeated by its number."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from fastopt.backends import numba_backend
from fastopt.host import launched
from fastopt.rules.entry import RULES
from tests.attack.arrays import narrow_there
from tests.attack.calls import REFUSED, Calls
from tests.attack.outcome import Outcome, Say
from tests.attack.subject import COUNTS

__all__ = ["WHOLE", "batch", "calls_at_random"]

WHOLE = 1_000_000
"""Calls of the whole attack."""

EXAMPLES, LENGTH = 50, 40
"""Optimizers of a batch, and calls (or several steps) that each gets at the most."""

RARE = ((("float16",), None), (("float16", "bfloat16", "float32"), "float16"), (("float32", "float64"), None))
"""Storages that Numba and the C compiler make kernels for when they are first used: one batch in twenty, with two rules."""


def batch(number: int, examples: int = EXAMPLES, *, shrinks: bool = True, **what: Any) -> None:
    """Some optimizers of one number, which decides all that is random in them. Raises what one of them does, by the shortest way to it."""
    kind = type(f"Calls{number}", (Calls,), what)  # hypothesis takes its randomness from the name
    chosen = settings(
        max_examples=examples,
        stateful_step_count=LENGTH,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate, *([Phase.shrink] if shrinks else [])],
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(kind, settings=chosen)


def calls_at_random(size: float, say: Say, first: int = 0) -> Outcome:
    """Public calls beside the model on every backend, and as many refused ones, from batch `first` on."""
    outcome = Outcome()
    before = launched.PARALLEL_FROM, launched.WAKE_FROM, numba_backend.PARALLEL_FROM
    number = first
    while outcome.counts["calls"] < WHOLE * size:
        COUNTS.clear()
        REFUSED.clear()
        # a few calls are of a few rules, since most of what they take is compiling: another eighth in each batch
        what: dict[str, Any] = {} if size > 0.01 else {"tried": tuple(RULES)[number % 8 :: 8]}
        if number % 20 == 19 and narrow_there():
            what = {"storages": RARE, "tried": ("momentum", "adam")}
        if number % 2:  # through the threads, however small
            launched.PARALLEL_FROM = launched.WAKE_FROM = numba_backend.PARALLEL_FROM = 0
        try:
            batch(number, EXAMPLES if size > 0.01 else 10, **what)
        except Exception as error:  # whatever it is, it is what is looked for
            outcome.faults.append(f"batch {number} (tests.attack.fuzz.batch({number})): {_told(error)}")
        finally:
            launched.PARALLEL_FROM, launched.WAKE_FROM, numba_backend.PARALLEL_FROM = before
        queries = COUNTS.pop("queries", 0)
        outcome.counts += Counter({"calls": COUNTS.total(), "of them refused": REFUSED.total(), "looks at all state": queries // 3})
        number += 1
        say(f"calls: batch {number}, {outcome.counts['calls']:,} calls, {len(outcome.faults)} faults")
    return outcome


def _told(error: BaseException) -> str:
    """An error with what hypothesis found to be the shortest way to it."""
    parts = [_told(own) for own in error.exceptions] if isinstance(error, BaseExceptionGroup) else [repr(error)]
    return "\n".join([*parts, *getattr(error, "__notes__", [])])
