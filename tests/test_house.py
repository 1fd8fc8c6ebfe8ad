"""Where the tests of a module are: at its own place under tests/, or where this file says, and why."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.documents import ROOT

ELSEWHERE: dict[str, tuple[str, ...]] = {
    # what the launcher is made of is asked through it
    "tests/host/test_launched.py": ("fastopt/host/_launch.pyx", "fastopt/host/round_trip.h"),
    "tests/optimizers/test_turns.py": ("fastopt/host/_turn.pyx",),
    "tests/host/test_pool.py": ("fastopt/host/placement.h",),
    # what may be a parameter or a gradient is asked through whoever takes them, and a norm through the steps that clip
    "tests/bad_calls/test_steps.py": ("fastopt/host/arrays.py",),
    "tests/test_memory.py": ("fastopt/host/memory.py",),
    "tests/test_global_norm.py": ("fastopt/host/norm.py", "fastopt/backends/reading.py"),
    # texts are there for storages, shares and a plan for groups of parameters
    "tests/test_storage.py": ("fastopt/storage/bits.py", "fastopt/backends/cython_storage.py", "fastopt/backends/numba_storage.py"),
    "tests/backends/test_cython_blocks.py": ("fastopt/backends/numba_blocks.py",),
    "tests/backends/test_cython_source.py": ("fastopt/backends/cython_text.py",),
    "tests/optimizers/test_groups.py": ("fastopt/plan.py", "fastopt/optimizers/shares.py"),
    "tests/test_checkpoint.py": ("fastopt/optimizers/state_dict.py",),
    "tests/test_reference.py": ("fastopt/reference/epilogue.py", "fastopt/reference/operations.py", "fastopt/reference/prologue.py"),
    # what a rule and its arguments are is asked of those that are entered, and classes of their families
    "tests/rules/test_entry.py": ("fastopt/rules/domain.py", "fastopt/rules/update.py"),
    "tests/rules/test_family.py": tuple(
        f"fastopt/optimizers/{name}.py"
        for name in ("adadelta", "adagrad", "adamax", "adan", "ademamix", "adopt", "lion", "nadam", "radam", "rprop", "signum")
    ),
    # gradients that are left as 0 are looked at by whoever leaves them, and a step of several gradients makes all that a step may
    "tests/test_zero_grads.py": ("fastopt/apart.py",),
    "tests/optimizers/test_accumulation.py": ("fastopt/optimizers/stepping.py", "fastopt/rules/sums.py"),
    # these take a device, and run once on each stand-in for one
    "tests/cuda/test_on_device.py": ("fastopt/backends/cuda_backend.py", "fastopt/cuda/memory.py", "fastopt/cuda/driver/memory.py"),
    # these are looked at in what is compiled of them, and through the work list
    "tests/cuda/test_ptx.py": ("fastopt/cuda/llvm.py", "fastopt/cuda/primitives.py"),
    "tests/cuda/test_loops.py": ("fastopt/cuda/access.py", "fastopt/cuda/streams.py"),
    "tests/cuda/test_gather.py": ("fastopt/cuda/tensors.py",),
    # a page's sections are asked for where pages are made, curves where the runs are that they are drawn of
    "tests/bench/gallery/test_page.py": ("bench/sections.py",),
    "tests/bench/narrow/test_page.py": ("bench/narrow/effort.py",),
    "tests/bench/narrow/test_training.py": ("bench/narrow/curves.py",),
    # what commands have in common is asked of one of them
    "tests/cli/test_gallery.py": ("fastopt/cli/pictured.py",),
    # a process has one backend of Keras
    "tests/interop/keras/test_works.py": ("bench/dropins/keras.py",),
    # every module there is asked for the same
    "tests/bench/test_dropins.py": tuple(
        f"bench/dropins/{name}.py" for name in ("autograd", "mpi", "scipy", "sklearn", "torch", "torch_backward")
    ),
    # one small run of the command, in a process of its own, is looked at from all sides
    "tests/cli/test_bench_and_report.py": (
        "fastopt/__main__.py",
        "fastopt/cli/bench.py",
        "fastopt/cli/report.py",
        "bench/conftest.py",
        "bench/report.py",
        "bench/test_first_step.py",
    ),
    # pages are made of these, and peers of arrays of whoever's
    "tests/bench/test_tables.py": ("bench/markdown.py", "bench/ours.py"),
    "tests/bench/test_peers.py": (
        "bench/peers/apex.py",
        "bench/peers/cupy.py",
        "bench/peers/deepspeed.py",
        "bench/peers/numpy_in_place.py",
        "bench/peers/optax.py",
        "bench/peers/peer.py",
        "bench/peers/pytorch.py",
        "bench/peers/scikit_learn.py",
        "bench/peers/thinc.py",
        "bench/sources.py",
    ),
    # what is compiled of it stands beside what is not
    "tests/interop/torch/test_looks.py": ("fastopt/interop/torch/_look.pyx",),
    "tests/interop/torch/test_hooks.py": ("fastopt/interop/torch/_hook.pyx",),
    # what ranks find out together, exchange and save is asked by one set of processes
    "tests/interop/mpi/test_sharded.py": (
        "fastopt/interop/mpi/agreement.py",
        "fastopt/interop/mpi/exchange.py",
        "fastopt/interop/mpi/saving.py",
    ),
    # likewise, on the emulated driver
    "tests/bench/device/test_run.py": (
        "bench/device/graphs.py",
        "bench/device/page.py",
        "bench/device/plots.py",
        "bench/device/profiles.py",
        "bench/device/sources.py",
    ),
}
"""Test files, and the modules that they test besides their own."""


def modules() -> list[Path]:
    """Every module of fastopt/ and bench/, relative to the root: Python, Cython and C. Packages' own files are their folders'."""
    found = [
        path.relative_to(ROOT) for top in ("fastopt", "bench") for kind in ("py", "pyx", "h") for path in (ROOT / top).rglob(f"*.{kind}")
    ]
    return sorted(path for path in found if path.name != "__init__.py")


def mirrored(module: Path) -> Path:
    """The test file at a module's own place: fastopt/ is tests/ itself, bench/ is tests/bench/; `_gather` is tested in `test_gather`."""
    folder = module.parent.relative_to("fastopt") if module.parts[0] == "fastopt" else module.parent
    return Path("tests") / folder / f"test_{module.stem.removeprefix('test_').lstrip('_')}.py"


def has_its_tests(module: Path) -> bool:
    """Whether a module has tests at its place, or as a family of rules, or its formulas once more, values worked out by hand.

    Those are a module a family, and one test file asks for all of them (`tests/rules/test_hand_computed.py`).
    """
    by_hand = Path("tests", "rules", "anchors", module.name)
    of_a_family = module.parent in (Path("fastopt", "rules"), Path("fastopt", "reference"))
    return (ROOT / mirrored(module)).is_file() or (of_a_family and (ROOT / by_hand).is_file())


def test_every_module_has_its_tests_at_its_place_or_a_reason() -> None:
    elsewhere = {module for group in ELSEWHERE.values() for module in group}
    missing = {str(module) for module in modules() if not has_its_tests(module)}
    assert missing - elsewhere == set(), "modules without a test file of their name: write it, or say in ELSEWHERE where their tests are"
    assert elsewhere - missing == set(), "ELSEWHERE names what is not there, or has a test file of its own by now"


@pytest.mark.parametrize("tests", ELSEWHERE)
def test_what_is_said_to_be_tested_elsewhere_is(tests: str) -> None:
    assert (ROOT / tests).is_file()


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("fastopt/rules/family.py", "tests/rules/test_family.py"),
        ("fastopt/_gather.pyx", "tests/test_gather.py"),
        ("fastopt/cuda/_gather.pyx", "tests/cuda/test_gather.py"),
        ("bench/test_step.py", "tests/bench/test_step.py"),
        ("bench/device/tables.py", "tests/bench/device/test_tables.py"),
    ],
)
def test_a_modules_place(module: str, expected: str) -> None:
    assert mirrored(Path(module)) == Path(expected)
