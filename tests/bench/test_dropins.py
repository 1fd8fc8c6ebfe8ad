"""What drop-ins are measured at: both contenders of a work do the same, and something."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest

from bench import dropins, test_dropins
from bench.interleave import Contender
from bench.records import Record
from bench.tables import drop_ins

WORKS = {label: work for label, work in dropins.works("smoke").items() if not label.startswith("keras: ")}
"""But for Keras's, which has one backend a process: `tests/interop/keras/test_works.py`."""


@pytest.mark.parametrize("label", WORKS)
def test_every_contender_can_be_stepped_and_the_drop_in_is_the_first(label: str) -> None:
    work = WORKS[label]
    assert next(iter(work.makers)).startswith("fastopt")
    assert work.elements > 0
    for make in work.makers.values():
        contender = make(1)
        assert isinstance(contender, Contender)
        contender.block(1)


def test_a_module_whose_library_is_not_installed_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dropins, "find_spec", lambda name: None)
    assert dropins.works("quick") == {}


def test_a_row_stands_in_its_table() -> None:
    made: dict[str, Callable[[int], Contender]] = dict.fromkeys(("fastopt", "other"), lambda threads: Contender(lambda: None))
    row = test_dropins._measured(0.0, 1, "other: nothing", dropins.Work("nothing", made, 1_000, "training step"))
    said = drop_ins(Record({}, "", [row]))
    assert "| other: nothing | 1,000 | training step | fastopt |" in said
    assert said.count("other: nothing") == 2


@pytest.mark.parametrize("kind", ["alone", "perceptron", "transformer"])
def test_torchs_contenders_come_to_the_same_parameters(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also that each is the class that its name says."""
    torch = pytest.importorskip("torch")
    from bench.dropins import torch as measured

    built: list[Any] = []
    for name, module in (("fastopt", "fastopt.interop.torch"), ("torch fused", "torch.optim")):
        kept = import_module(module).Adam

        def build(*given: Any, kept: Any = kept, **options: Any) -> Any:
            built.append(kept(*given, **options))
            return built[-1]

        monkeypatch.setattr(f"{module}.Adam", build)
        given = ([10, 20],) if kind == "alone" else (getattr(measured, kind), 8)
        contender = measured._each(measured._alone if kind == "alone" else measured._training, *given)[name](1)
        before = [p.detach().clone() for p in built[-1].param_groups[0]["params"]]
        contender.step()
        assert any((p != q).any() for p, q in zip(built[-1].param_groups[0]["params"], before, strict=True))
    ours, theirs = built
    assert type(ours).__module__ == "fastopt.interop.torch.optimizers"
    assert type(theirs).__module__ == "torch.optim.adam"
    for p, q in zip(ours.param_groups[0]["params"], theirs.param_groups[0]["params"], strict=True):
        torch.testing.assert_close(p, q, rtol=1e-6, atol=1e-9)


def test_a_deep_network_keeps_no_gradients_of_its_layers() -> None:
    """Neither large ones, which are stepped at once, nor many small ones, which wait for each other up to a MiB."""
    pytest.importorskip("torch")
    from bench.dropins.torch_backward import peak_bytes

    for layers, width in ((8, 512), (24, 256)):
        size, gradients = {"layers": layers, "width": width, "batch": 2}, 4 * (layers - 1) * width * width
        saved = peak_bytes("classic", **size) - peak_bytes("fastopt", **size)
        assert gradients - 1.5 * 2**20 < saved < gradients
