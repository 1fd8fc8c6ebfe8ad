"""What the simulator sees that a GPU would not say: accesses outside of memory, second writes, mixed precision."""

from __future__ import annotations

import numpy as np
import pytest

from tests.cuda import simulated_primitives as simulated
from tests.cuda.simulated_launch import launch
from tests.cuda.simulator import allocate


@pytest.fixture(autouse=True)
def _forget() -> None:
    launch.written.clear()


def primitives(name: str) -> dict[str, object]:
    return {n.removesuffix(f"_{name}"): f for n, f in vars(simulated).items() if n.endswith(f"_{name}") and callable(f)}


@pytest.mark.parametrize(("name", "size", "lanes"), [("float32", 4, 4), ("float64", 8, 2)])
def test_memory(name: str, size: int, lanes: int) -> None:
    use, kind = primitives(name), getattr(np, name)
    address, owner = allocate(0, 64)
    assert address % 256 == 0
    use["store"](address + size, kind(2.5))  # type: ignore[operator]
    assert use["load"](address + size) == 2.5  # type: ignore[operator]
    assert type(use["load"](address)) is kind  # type: ignore[operator]
    use[f"store_{lanes}"](address + 16, tuple(kind(k) for k in range(lanes)))  # type: ignore[operator]
    assert use[f"load_{lanes}"](address + 16) == tuple(range(lanes))  # type: ignore[operator]
    for function, arguments in (
        ("load", (address - size,)),
        ("load", (address + 64,)),
        ("load", (address + 1,)),
        (f"load_{lanes}", (address + 8,)),
        (f"load_{lanes}", (address + 64,)),
        ("store", (address + 64, kind(1))),
        (f"store_{lanes}", (address + 32, (kind(1),))),
    ):
        with pytest.raises(IndexError):
            use[function](*arguments)  # type: ignore[operator]
    with pytest.raises(RuntimeError, match="a second write"):
        use["store"](address + size, kind(1))  # type: ignore[operator]
    with pytest.raises(TypeError, match="a store of float where"):
        use["store"](address, 1.0)  # type: ignore[operator]
    del owner
    with pytest.raises(IndexError):
        simulated.load_int64(address)


def test_precision_is_not_mixed() -> None:
    use = primitives("float32")
    with pytest.raises(TypeError, match=r"^mul of float64 in a kernel of float32$"):
        use["multiply"](np.float32(1), np.float64(1))  # type: ignore[operator]
    with pytest.raises(TypeError, match=r"^add of float in a kernel of float32$"):
        use["add"](1.0, np.float32(1))  # type: ignore[operator]
    for name, operands in (
        ("add", 2),
        ("subtract", 2),
        ("multiply", 2),
        ("divide", 2),
        ("sqrt", 1),
        ("absolute", 1),
        ("maximum", 2),
        ("sign", 1),
    ):
        assert type(use[name](*[np.float32(0.3)] * operands)) is np.float32  # type: ignore[operator]


def test_it_has_every_name_that_kernels_import() -> None:
    primitives = pytest.importorskip("fastopt.cuda.primitives")
    kind = type(primitives.thread_index)
    wanted = {name for name, value in vars(primitives).items() if isinstance(value, kind) and not name.startswith("_")} - {"intrinsic"}
    assert wanted > {"thread_index", "sqrt_float64", "load_4_split24", "store_8_bfloat16", "scale_signed8", "largest_of_warp"}
    assert wanted <= set(vars(simulated))
