"""Every public call of an optimizer at random, one after the other, on every backend, beside the model: a state machine of hypothesis.

After each call the model and every backend agree on every bit of the parameters and the states, on every count and on every argument; a
call that is to be refused is refused by all of them, in a documented exception, and changes nothing.
"""

from __future__ import annotations

import copy
import pickle
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

import fastopt
from fastopt.rules.entry import RULES
from fastopt.storage import STORAGES
from tests.attack import bad
from tests.attack.arrays import Array, filled, like, same_bits, values_for
from tests.attack.model import Group, Model, Tensor, compute_dtype, defaults, one_step
from tests.attack.subject import COUNTS, KINDS, Subject, packed

__all__ = ["REFUSED", "Calls"]

REFUSED: Counter[str] = Counter()
"""Calls that were refused, by what was wrong."""

SEEDS = st.integers(0, 2**32 - 1)


class Calls(Subject, RuleBasedStateMachine):
    """An optimizer, on each backend, and what it should be."""

    # ------------------------------------------------------------------------------------------------- what there is

    @initialize(
        seed=SEEDS,
        name=st.integers(0, 1000),
        kind=st.sampled_from(KINDS),
        count=st.integers(1, 4),
        mixed=st.booleans(),
        grouped=st.booleans(),
        nonfinite=st.sampled_from(["propagate", "propagate", "skip", "raise"]),
        max_norm=st.sampled_from([None, None, 0.5, float("inf")]),
        accumulate=st.sampled_from([1, 1, 1, 2, 3]),
        threads=st.sampled_from([None, 1, 2, 3]),
    )
    def construct(
        self,
        seed: int,
        name: int,
        kind: str,
        count: int,
        mixed: bool,
        grouped: bool,
        nonfinite: str,
        max_norm: float | None,
        accumulate: int,
        threads: int | None,
    ) -> None:
        rng = self.rng = np.random.default_rng(seed)
        self.rule_name = self.tried[name % len(self.tried)]
        self.there = [backend for backend in self.backends if fastopt.available_backends()[backend] is True]
        self.dtypes, state = self.storages[int(rng.integers(len(self.storages)))]
        self.state_dtype = None if state is None else STORAGES[state].dtype
        if not set(self.dtypes) <= {"float32", "float64"}:  # beside sums of float32 their kernels take a compiler's time
            accumulate = 1
        self.options: dict[str, Any] = {"nonfinite": nonfinite, "max_norm": max_norm, "accumulate": accumulate, "state_dtype": state}
        self.threads = threads
        self.given = self._some_arguments(self.rule_name) if rng.random() < 0.5 else {}
        self.kinds = [kind] if not grouped else [kind, str(rng.choice(KINDS))]
        self.grouped = grouped
        tensors: list[Tensor] = []
        groups: list[Group] = []
        own: list[dict[str, Any]] = []
        for k, part in enumerate(self.kinds):
            group, options = self._new_group(k > 0)
            groups.append(group)
            own.append(options)
            dtype = self._dtype()
            for _ in range(1 if part == "array" else max(count, 2 * (part == "nested"))):
                tensors.append(self._new_tensor(k, self._dtype() if mixed else dtype))
        self.model = Model(groups, tensors, nonfinite, max_norm, accumulate)
        self.model.begin()
        self.own_options = own
        self.sizes = [sum(tensor.group == k for tensor in tensors) for k in range(len(groups))]
        self.params = {backend: [self._copy_of(tensor.p) for tensor in tensors] for backend in self.there}
        self.opts = {backend: self._optimizer(backend, self.params[backend]) for backend in self.there}
        self.agrees("construct")

    # ------------------------------------------------------------------------------------------------ what is called

    @rule(
        seed=SEEDS,
        absent=st.sampled_from([0.0, 0.0, 0.4, 1.0]),
        special=st.sampled_from([False, False, True]),
        grad_scale=st.sampled_from([None, None, 3.0, 1024.0, 1e-3]),
        max_norm=st.sampled_from([None, None, 0.25, 1e9]),
    )
    def step(self, seed: int, absent: float, special: bool, grad_scale: float | None, max_norm: float | None) -> None:
        rng = np.random.default_rng(seed)
        grads = [
            None if rng.random() < absent and (self.grouped or self.kinds != ["array"]) else self._gradient(t, rng, special)
            for t in self.model.tensors
        ]
        grad_scale = self.model.grad_scale if self.model.accumulated else grad_scale
        options = {key: value for key, value in (("grad_scale", grad_scale), ("max_norm", max_norm)) if value is not None}
        expected = self.model.step(grads, grad_scale or 1.0, max_norm)

        def work(backend: str, opt: Any) -> Any:
            start = int(rng.integers(9))
            given = [None if g is None else filled(like(g, start=start), g) for g in grads]
            try:
                return opt.step(self._structured(given), **options)
            except FloatingPointError:
                return None

        answers = self.on_all("step", work)
        assert answers == [expected] * len(answers), f"{answers}, and not {expected}"
        self.agrees("step")

    def _gradient(self, tensor: Tensor, rng: np.random.Generator, special: bool) -> Array:
        return filled(like(tensor.p), values_for(tensor.p.shape, tensor.p.dtype, rng, special))

    @rule(seed=SEEDS, count=st.integers(2, 12))
    def several_steps(self, seed: int, count: int) -> None:
        """As in training: the same arrays, filled anew."""
        rng = np.random.default_rng(seed)
        values = [[values_for(t.p.shape, t.p.dtype, rng, special=False) for t in self.model.tensors] for _ in range(count)]
        scales = []
        for own in values:
            scales.append(self.model.grad_scale if self.model.accumulated else 1.0)
            self.model.step([filled(like(t.p), g) for t, g in zip(self.model.tensors, own, strict=True)], scales[-1])

        def work(backend: str, opt: Any) -> None:
            grads = [like(t.p) for t in self.model.tensors]
            given = self._structured(grads)
            for own, scale in zip(values, scales, strict=True):
                for g, new in zip(grads, own, strict=True):
                    g[...] = new
                opt.step(given, grad_scale=scale)

        self.on_all("step", work)
        COUNTS["step"] += (count - 1) * len(self.there)
        self.agrees("step")

    @rule(which=st.integers(0, 10), by=st.sampled_from(["configure", "attribute", "group", "group's configure", "lr"]), seed=SEEDS)
    def arguments(self, which: int, by: str, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        changes = self._some_arguments(self.rule_name)
        k = which % len(self.model.groups)
        if by == "lr":
            changes = {"lr": changes.get("lr", 0.5)}

        def work(backend: str, opt: Any) -> None:
            if by == "configure":
                opt.configure(**changes)
            elif by == "group's configure":
                opt.groups[k].configure(**changes)
            else:
                for name, value in changes.items():
                    setattr(opt.groups[k] if by == "group" else opt, name, value)

        self.on_all(by, work)
        for index, group in enumerate(self.model.groups):
            if not by.startswith("group") or index == k:
                group.values.update(changes)
        self.agrees("arguments")

    @precondition(lambda self: len(self.model.groups) < 4)
    @rule(seed=SEEDS, kind=st.sampled_from(KINDS))
    def add_param_group(self, seed: int, kind: str) -> None:
        self.rng = np.random.default_rng(seed)
        k = len(self.model.groups)
        group, options = self._new_group(with_options=True)
        tensors = [self._new_tensor(k, self._dtype()) for _ in range({"array": 1, "nested": 2}.get(kind, 2))]
        self.model.groups.append(group)
        self.model.tensors += tensors
        self.model.begin()
        self.kinds, self.grouped = [*self.kinds, kind], True
        self.own_options.append(options)
        self.sizes.append(len(tensors))

        def work(backend: str, opt: Any) -> None:
            own = [self._copy_of(tensor.p) for tensor in tensors]
            self.params[backend] += own
            opt.add_param_group({"params": packed(kind, own), **options})

        self.on_all("add_param_group", work)
        self.agrees("add_param_group")

    @rule(seed=SEEDS, by=st.sampled_from(["state_dict", "file", "deepcopy", "pickle"]))
    def goes_on_elsewhere(self, seed: int, by: str) -> None:
        """Another optimizer takes over, perhaps on another backend; the one before is not changed by what follows."""
        self.rng = np.random.default_rng(seed)
        others: dict[str, Any] = {}
        params: dict[str, list[Array]] = {}
        order = [str(name) for name in self.rng.permutation(self.there)]
        for backend, opt in zip(order, self.opts.values(), strict=True):
            if by == "deepcopy":
                found = copy.deepcopy(opt)
            elif by == "pickle":
                found = pickle.loads(pickle.dumps(opt))
            else:
                params[backend] = [self._copy_of(tensor.p) for tensor in self.model.tensors]
                found = self._optimizer(backend, params[backend])
                if by == "state_dict":
                    found.load_state_dict(opt.state_dict())
                else:
                    with tempfile.TemporaryDirectory() as folder:
                        opt.save(Path(folder, "run"))
                        found.load(Path(folder, "run"))
            if by in ("deepcopy", "pickle"):
                backend = opt.backend
                params[backend] = list(found._params)
            others[backend] = found
        self.opts, self.params = {b: others[b] for b in self.there}, {b: params[b] for b in self.there}
        if by == "pickle":  # which NumPy gives arrays of another layout back from
            for tensor, found in zip(self.model.tensors, self.params[self.there[0]], strict=True):
                tensor.p = filled(like(found), tensor.p)
                if tensor.sum is not None:  # which is summed over in the order of memory
                    tensor.sum = filled(like(found, tensor.sum.dtype), tensor.sum)
        self.model.grad_norm = None
        self.agrees(by)

    @rule(seed=SEEDS)
    def somebody_writes_to_the_parameters(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        i = int(rng.integers(len(self.model.tensors)))
        values = values_for(self.model.tensors[i].p.shape, self.model.tensors[i].p.dtype, rng, special=True, large=False)
        for p in (self.model.tensors[i].p, *(own[i] for own in self.params.values())):
            p[...] = values
        self.agrees("params")

    @rule(seed=SEEDS, name=st.integers(0, 1000), step=st.sampled_from([1, 2, 100, 2**31]))
    def functional(self, seed: int, name: int, step: int) -> None:
        rng = self.rng = np.random.default_rng(seed)
        entry = RULES[self.tried[name % len(self.tried)]]
        tensor = self._new_tensor(0, self._dtype())
        tensor.p = self._copy_of(tensor.p)
        g = filled(like(tensor.p), values_for(tensor.p.shape, tensor.p.dtype, rng, special=True))
        states = {
            s: filled(
                like(tensor.p, self.state_dtype or compute_dtype(tensor.p.dtype)),
                abs(values_for(tensor.p.shape, tensor.p.dtype, rng, special=False)),
            )
            for s in entry.states
        }
        values = {**defaults(entry.name), **self._some_arguments(entry.name, scheduled=False)}
        memory = {remembered: float(rng.random()) for remembered in entry.memory}
        p, after, now = one_step(entry.name, tensor.p, g, states, values, step, memory=tuple(memory.values()), grad_scale=2.0)
        for backend in self.there:
            own = [self._copy_of(a) for a in (tensor.p, g, *states.values())]
            answer = getattr(fastopt.functional, entry.name)(*own, step=step, grad_scale=2.0, backend=backend, **values, **memory)
            assert answer == (dict(zip(entry.memory, now, strict=True)) if memory else None), f"functional.{entry.name} on {backend}"
            assert same_bits(own[0], p), f"functional.{entry.name} on {backend}"
            assert all(same_bits(a, b) for a, b in zip(own[2:], after.values(), strict=True)), f"functional.{entry.name} on {backend}"
            assert same_bits(own[1], g), "the gradient was written"
        COUNTS["functional"] += len(self.there)

    # ---------------------------------------------------------------------------------------------- what is refused

    @rule(seed=SEEDS, first=st.integers(0, len(bad.CALLS) - 1), count=st.integers(1, 6))
    def is_refused(self, seed: int, first: int, count: int) -> None:
        for k in range(count):
            self.one_is_refused(seed, (first + k) % len(bad.CALLS))

    def one_is_refused(self, seed: int, which: int) -> None:
        """A bad call on each backend, if it applies to this optimizer."""
        name, call = bad.CALLS[which]
        for backend in self.there:
            attempt = call(self, backend, np.random.default_rng(seed))
            if attempt is None:
                return
            said = refused(attempt)
            assert said is not None, f"{name}: was not refused on {backend}"
            assert len(said) > 10, f"{name}: no word of what was wrong"
        REFUSED[name] += len(self.there)
        self.agrees("refused")


def refused(attempt: Callable[[], Any]) -> str | None:
    """What a call is refused with; None if it is not. Whatever is no documented exception goes on its way."""
    try:
        attempt()
    except bad.DOCUMENTED as error:
        return str(error)
    return None
