"""The compiled parts under gcc's sanitizers: what they do to memory, what C leaves undefined, and what threads do to each other.

A copy of the tree is built by AddressSanitizer with UndefinedBehaviorSanitizer, and another one by ThreadSanitizer, and worked hard beside
NumPy, through the threads however small the work. Then mistakes are planted in the copy, each of which has to be reported.

The kernels are those of few rules, for the baseline alone: not vectorized, they make the same accesses for every instruction set. Forks are
left out under ThreadSanitizer, which follows no threads that a child starts where its parent had some. Nothing is suppressed.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

import fastopt
from fastopt.backends import cython_backend
from fastopt.host import launched
from fastopt.rules.entry import RULES
from fastopt.storage import STORAGES
from tests.attack import racing
from tests.attack.arrays import filled, made, narrow_there, same_bits, values_for
from tests.attack.outcome import Outcome, Say
from tests.builds import only
from tests.documents import ROOT

__all__ = ["sanitizers"]

DTYPES = ("float32", "float64", "bfloat16")[: 2 + narrow_there()]
STEPPED = ("adam", "sgd", "nadam", "momentum")
EDGES = [0, 1, 2, 15, 16, 17, 255, 256, 257, 511, 512, 513, 1023, 1024, 1025] * 6


def _begin() -> None:
    """Everything that follows in a process is done by the copy that it is in, and through the threads."""
    assert Path(fastopt.__file__).is_relative_to(Path.cwd()), fastopt.__file__
    assert (cython_backend.isa(), launched.launcher().HAS_THREADS) == ("baseline", True)
    launched.PARALLEL_FROM = launched.WAKE_FROM = 0
    sys.setswitchinterval(1e-5)


def _arrays(seed: int, sizes: list[int], dtype: Any, start: int) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [filled(made((n,), dtype, (0,), start), values_for((n,), dtype, rng, special=False)) for n in sizes]


def _pair(k: int, *sizes: int) -> tuple[Any, Any]:
    """The k-th combination of a rule, a dtype, a start in memory, a number of threads and options: the same in cython and in NumPy."""
    options: dict[str, Any] = {"max_norm": (None, 0.5, None)[k // 2 % 3], "nonfinite": ("propagate", "skip", "raise")[k // 3 % 3]}
    found = []
    for own in ({"backend": "cython", "num_threads": (2, 3, 5, 1)[k // 4 % 4]}, {"backend": "numpy"}):
        params: list[Any] = _arrays(k, [*sizes], STORAGES[DTYPES[k % len(DTYPES)]].dtype, k % 17)
        if k % 5 == 4:
            params = [{"params": params[:1], "lr": 0.5}, {"params": params[1:]}]
        found.append(fastopt.Optimizer(params, STEPPED[k // 3 % 4], lr=0.01, weight_decay=0.1, **own, **options))
    return found[0], found[1]


def _step(opt: Any, k: int) -> Any:
    """A step with new arrays; now and then a gradient is missing, or has a NaN where it is not to spread."""
    grads = _arrays(k, [p.size for p in opt._params], opt._params[0].dtype, k % 5)
    if k % 5 == 1 and opt._nonfinite != "propagate":
        grads[-1][-1:] = np.nan
    if k % 3 == 2:
        grads[k % len(grads)] = None
    try:
        return opt.step([grads[:1], grads[1:]] if len(opt.groups) > 1 else grads)
    except FloatingPointError:
        return None


def _agree(ours: Any, other: Any, steps: range = range(0)) -> None:
    """After these steps an optimizer and another one have the same bits."""
    for k in steps:
        assert _step(ours, k) is _step(other, k)
    states = other.flat_state()
    assert ours.steps == other.steps
    for one, two in [(ours._params, other._params), *((own, states[name]) for name, own in ours.flat_state().items())]:
        assert all(a is b is None or same_bits(a, b) for a, b in zip(one, two, strict=True)), repr(ours)


def lengths(size: float) -> Counter[str]:
    """Steps of tensors of every length up to some blocks, wherever they start."""
    tried = sorted([*range(1026)] * round(10 * size) + EDGES)
    for k, length in enumerate(tried):
        _agree(*_pair(k, length, 17, 300), range(k, k + 5))
    return Counter({"steps": 5 * len(tried)})


def functions(size: float) -> Counter[str]:
    """The same by functions, which lay nothing out before; an array between elements is refused."""
    tried = sorted([*range(1026)] * round(10 * size) + EDGES)
    for k, length in enumerate(tried):
        rule, storage, both = RULES[STEPPED[k % 4]], STORAGES[DTYPES[k // 4 % len(DTYPES)]], []
        for backend, threads in (("numpy", None), ("cython", 1 + k % 5)):
            arrays = [*_arrays(k, [length] * 2, storage.dtype, k % 17), *(np.zeros(length, storage.compute) for _ in rule.states)]
            fastopt.functional.apply(rule, *arrays, step=3, backend=backend, num_threads=threads)
            both.append(arrays)
        assert all(map(same_bits, *both)), f"{rule.name}, length {length}"
        arrays[1] = np.zeros(length * storage.itemsize + 1, np.uint8)[1:].view(storage.dtype)
        with contextlib.suppress(ValueError):
            fastopt.functional.apply(rule, *arrays, step=3, backend="cython", num_threads=2)
            assert not length, "an array between elements was taken"
    return Counter({"other calls": 2 * len(tried)})


def jobs(size: float) -> Counter[str]:
    """Small jobs of changing numbers of threads; then from four threads, with optimizers of their own and with one; and `racing`."""
    rounds, found = max(10, round(800 * size)), dict[str, Any]()
    pairs = [_pair(k, (0, 1, 7, 257, 1025, 3000)[k % 6], 300) for k in range(24)]
    for k in range(rounds):
        assert [_step(ours, k) for ours, _ in pairs] == [_step(numpy, k) for _, numpy in pairs]
    with ThreadPoolExecutor(4) as pool:
        assert len([*pool.map(lambda pair: _agree(pair[0], pair[1], range(rounds)), pairs)]) == len(pairs)
        ours, numpy = pairs[10]
        done = [*pool.map(lambda k: _step(ours, 3), range(8 * rounds))]
    assert done == [_step(numpy, 3) for _ in done]
    _agree(ours, numpy)
    launched.round_trip()
    os.environ["FASTOPT_NUM_THREADS"], sys.argv[1:] = "3", ["cython", "5000", str(rounds)]
    exec(racing.SCRIPT, found)
    assert (found["same"], found["errors"]) == (True, [])
    return Counter({"steps": (2 * len(pairs) + 8 + 3) * rounds})


def forks(size: float) -> Counter[str]:
    """A child that is forked after jobs of the pool goes on as its parent does."""
    for k in range(count := max(4, round(200 * size))):
        ours, numpy = _pair(k, 1025, 300)
        _agree(ours, numpy, range(6))
        child = os.fork()
        _agree(ours, numpy, range(6, 12))
        if not child:
            os._exit(0)
        assert not os.waitpid(child, 0)[1], "the child failed"
    return Counter({"steps": 18 * count, "forks": count})


def calls_at_random(size: float) -> Counter[str]:
    """Public calls beside the model: groups are added, states loaded, and bad calls refused."""
    from tests.attack import fuzz, subject  # Numba takes a second, which no other work needs

    for number in range(max(1, round(20 * size))):
        fuzz.batch(number, 40 if size > 0.05 else 5, shrinks=False, tried=STEPPED, backends=("numpy", "cython"))
    steps, _ = subject.COUNTS.pop("step"), subject.COUNTS.pop("queries")
    return Counter({"steps": steps // 2, "other calls": subject.COUNTS.total() // 2})


Work = Callable[[float], Counter[str]]
MEMORY = "-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-wrapv -g -fno-omit-frame-pointer -O1"
"""With `-fwrapv`, which Python's own flags have, no integer would be said to overflow."""
SANITIZERS: dict[str, tuple[str, str, tuple[Work, ...], tuple[str, ...]]] = {
    "ASan and UBSan": (MEMORY, "libasan.so", (lengths, functions, jobs, forks, calls_at_random), ("",)),
    "TSan": ("-fsanitize=thread -g -O1", "libtsan.so", (jobs, calls_at_random), ("", "-UFASTOPT_PLACEMENT")),
}
"""How to compile, what to load before Python, what to do, in which builds: without placement helpers are as many as asked for."""
LIST, LAUNCH, POOL = (f"fastopt/host/{name}" for name in ("worklist.py", "_launch.pyx", "pool.h"))
FOUND, COUNTED = "int found = 0, done = 0;", "static volatile long counter;\n    int found = 0 * counter++, done = 0;"
MISTAKES: dict[str, list[tuple[str, str, str, str, Work, str]]] = {
    "ASan and UBSan": [
        ("a row too long", LIST, "(tensor, start, length)", "(tensor, start, length + 1)", lengths, "heap-buffer-overflow"),
        ("a share too large", LAUNCH, "(size + pieces - 1)", "((size + pieces) << 61)", functions, "runtime error: left shift"),
    ],
    "TSan": [
        ("a counter in common", POOL, FOUND, COUNTED, jobs, "global 'counter"),
        ("helpers are not waited for", POOL, "        fastopt_finish(now, done);", "        (void)done;", jobs, "in fastopt_run"),
    ],
}
"""What is wrong once a file has one text in the place of another, and what is reported while something is done."""
OPTIONS = {"ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=1", "UBSAN_OPTIONS": "print_stacktrace=1"}
REPORTS = ("ERROR: AddressSanitizer", "AddressSanitizer:DEADLYSIGNAL", "runtime error:", "WARNING: ThreadSanitizer")
PATIENCE, TOLD = 1800, 2500
"""Seconds for one process, and letters of what a sanitizer says."""


def _python(tree: Path, *arguments: str, **environment: str) -> tuple[str, str | None]:
    """What it prints, and what is said where it fails or a sanitizer has something to report."""
    command, whole = [sys.executable, *arguments], os.environ | OPTIONS | environment
    try:
        done = subprocess.run(command, cwd=tree, env=whole, capture_output=True, text=True, check=False, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return "", f"it was not over in {PATIENCE} s"
    failed = done.returncode or any(report in done.stderr for report in (*REPORTS, "could not be compiled"))
    return done.stdout, f"{done.stderr}\nexit status {done.returncode}" if failed else None


def _build(tree: Path, flags: str) -> str | None:
    """Builds a copy anew; answers what went wrong."""
    for library in tree.glob("fastopt/*/*.so"):
        library.unlink()  # setup.py would load it, without what has to be loaded before
    (tree / POOL).touch()  # nothing is made anew because of other flags
    compiler = tree / "compiler"
    compiler.write_text(f'#!/bin/sh\ncase "$*" in *-march=x86-64-v*) exit 1;; esac\nexec gcc "$@" {flags}\n')
    compiler.chmod(0o755)
    return _python(tree, "setup.py", "-q", "build_ext", "--inplace", CC=str(compiler), LDSHARED=f"{compiler} -shared")[1]


def _do(tree: Path, library: str, work: Work, size: float) -> tuple[Counter[str], str | None]:
    code = f"import json; from tests.attack import sanitizers as own; own._begin(); print(json.dumps(own.{work.__name__}({size})))"
    printed, said = _python(tree, "-P", "-c", code, LD_PRELOAD=library, PYTHONMALLOC="malloc", PYTHONPATH=str(tree))
    return Counter(json.loads(printed.splitlines()[-1]) if said is None else {}), said


def _under(name: str, tree: Path, library: str, size: float, say: Say, outcome: Outcome) -> None:
    flags, _, works, builds = SANITIZERS[name]
    for part in ("fastopt", "bench", "tests"):
        shutil.copytree(ROOT / part, tree / part, ignore=shutil.ignore_patterns("*.so", "__pycache__", "_built.json"))
    for part in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / part, tree)
    only(tree / "setup.py", STEPPED)
    for more in builds:
        wrong = _build(tree, f"{flags} {more}")
        outcome.holds(wrong is None, f"{name}: it cannot be built {more}: {(wrong or '')[-TOLD:]}")
        for work in works if wrong is None else ():
            counts, said = _do(tree, library, work, size)
            outcome.counts += Counter({f"{what} under {name}": count for what, count in counts.items()})
            if said is not None:
                start = min((said.find(report) for report in REPORTS if report in said), default=-TOLD)
                outcome.faults.append(f"{name}, {work.__name__} {more}: {said[start:][:TOLD]}")
            say(f"sanitizers: {name} {more}, {work.__name__}: {dict(counts)}, {len(outcome.faults)} faults")
    for what, path, old, new, *_ in MISTAKES[name]:
        text = (tree / path).read_text()
        outcome.holds(text.count(old) == 1, f"{name}: there is no one place for the mistake {what!r}")
        (tree / path).write_text(text.replace(old, new))
    wrong = _build(tree, f"{flags} {builds[-1]}")
    for what, *_, work, words in MISTAKES[name]:
        said = wrong or _do(tree, library, work, 0.001)[1] or "nothing is"
        outcome.holds(words in said, f"{name}: the planted mistake {what!r} is not reported, but {said[-TOLD:]}")
        outcome.counts["planted mistakes found"] += words in said
    say(f"sanitizers: {outcome.counts['planted mistakes found']} planted mistakes found")


def sanitizers(size: float, say: Say) -> Outcome:
    """All of that in builds by each sanitizer: nothing is reported, and every planted mistake is."""
    outcome = Outcome()
    for name, (_, library, *_) in SANITIZERS.items():
        found = shutil.which("gcc") and subprocess.check_output(["gcc", f"-print-file-name={library}"], text=True).strip()
        with tempfile.TemporaryDirectory() as folder:
            if not found or found == library:  # a path, if there is one
                outcome.left_out.append(f"{name}: {library} was not found" if found else f"{name}: there is no gcc")
            elif (said := _python(Path(folder), "-c", "import numpy", LD_PRELOAD=found)[1]) is not None:
                outcome.left_out.append(f"{name}: Python does not start with {library}: {said[:TOLD]}")
            else:
                _under(name, Path(folder), found, size, say, outcome)
    return outcome
